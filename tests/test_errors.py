"""A message is text for a person, whatever a file says."""

import pytest

from dxai.errors import DxaiError


@pytest.mark.parametrize("mark", ["\x1b[2J", "\r", "\x00", "\x9b31m", "\u202e", "\u2066"])
def test_words_of_a_strange_file_do_not_steer_the_terminal(mark: str) -> None:
    told = DxaiError(f"There is no field {mark}x.", where=f"a{mark}", fix="one\ntwo").message()
    assert mark[0] not in told
    assert repr(mark)[1:-1] in told
    assert told.count("\n") == 3
