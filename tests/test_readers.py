"""CSV files as Korean firms have them are read without guessing, and a broken one is refused with its place."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from dxai.data.dialect import detect_dialect
from dxai.data.layout import layout_of
from dxai.data.readers import encoding_of, read_csv, read_table
from dxai.errors import DataError, NotFoundError


def csv_file(folder: Path, content: bytes | str) -> Path:
    path = folder / "table.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(folder: Path, content: bytes | str) -> str:
    path = csv_file(folder, content)
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert caught.value.exit_code == 6
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_utf8_file_is_read_as_text(tmp_path: Path) -> None:
    table = read_table(csv_file(tmp_path, "code,물\n0012,162.0\nB,\n"))
    assert_frame_equal(table, pl.DataFrame({"code": ["0012", "B"], "물": ["162.0", None]}))


def test_byte_order_mark_is_no_part_of_the_header(tmp_path: Path) -> None:
    path = csv_file(tmp_path, b"\xef\xbb\xbfcement,age\n540,28\n")
    assert read_table(path).columns == ["cement", "age"]


def test_cp949_file_is_read_as_korean(tmp_path: Path) -> None:
    words = ["똠방각하", "펲시", "쀍", "뷁", "콘크리트"]
    content = "\n".join(["품명", *words]) + "\n"
    path = csv_file(tmp_path, content.encode("cp949"))
    with pytest.raises(UnicodeDecodeError):
        path.read_text("euc_kr")  # the reason why the ladder has CP949
    assert encoding_of(path) == "cp949"
    assert read_table(path)["품명"].to_list() == words


def test_file_in_neither_encoding_names_the_bytes(tmp_path: Path) -> None:
    message = refusal(tmp_path, b"name\n\xff\xfeabc\n")
    assert "neither UTF-8 (byte 5 breaks it) nor CP949 (byte 5 breaks it)" in message
    assert "Save it as CSV UTF-8" in message


def test_bad_byte_behind_the_first_block_is_counted_from_the_start(tmp_path: Path) -> None:
    good = "한,b\n".encode()
    lead = good + b"x,y\n" * 400_000  # more than one block of 1 MiB
    assert f"byte {len(lead):,} breaks it" in refusal(tmp_path, lead + b"\xff\xff,1\n")


def test_character_on_a_block_border_is_not_broken(tmp_path: Path) -> None:
    lead = b"a\n" + b"x" * ((1 << 20) - 3)
    path = csv_file(tmp_path, lead + "가\n".encode())  # its three bytes lie on both sides of 1 MiB
    assert encoding_of(path) == "utf-8-sig"


def test_file_cut_inside_a_character_names_where_that_character_begins(tmp_path: Path) -> None:
    message = refusal(tmp_path, b"a\n1\n\xea")
    assert "byte 4 breaks it" in message


def test_nul_byte_is_refused_with_its_offset(tmp_path: Path) -> None:
    assert "NUL byte at offset 6" in refusal(tmp_path, b"a,b\n1,\x002\n")


def test_utf16_file_is_read_only_where_the_dialect_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("온도,b\n1,2\n".encode("utf-16"))
    (table,) = read_csv(path, dialect=detect_dialect(path))
    assert table.to_dicts() == [{"온도": "1", "b": "2"}]
    with pytest.raises(DataError, match="dxai data convert"):
        read_table(path)
    path.write_bytes("a,b\n1,2\n".encode("utf-16") + b"\0")
    with pytest.raises(DataError, match="begins as UTF-16"):
        read_table(path)


def test_utf16_file_without_a_mark_is_refused_as_no_text(tmp_path: Path) -> None:
    message = refusal(tmp_path, "a,b\n1,2\n".encode("utf-16-le"))
    assert "NUL byte" in message
    assert "Save the table as CSV UTF-8" in message


def test_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        read_table(tmp_path / "nowhere.csv")
    assert caught.value.exit_code == 3
    assert "nowhere.csv" in str(caught.value)


def test_duplicate_header_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, "age,water, age\n1,2,3\n")
    assert "'age' stands there 2 times" in message
    assert "line 1" in message


def test_header_without_a_name_is_refused(tmp_path: Path) -> None:
    assert "Column 2 has no name" in refusal(tmp_path, "age,,water\n1,2,3\n")


def test_all_header_problems_come_in_one_message(tmp_path: Path) -> None:
    message = refusal(tmp_path, "age,,age\n")
    assert "stands there 2 times" in message
    assert "Column 2 has no name" in message


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_file_with_another_separator_is_refused(tmp_path: Path, mark: str) -> None:
    assert "not separated by commas" in refusal(tmp_path, f"age{mark}water\n1{mark}2\n")


def test_ragged_rows_are_named(tmp_path: Path) -> None:
    message = refusal(tmp_path, "a,b\n1,2\n3\n4,5\n6,7,8\n")
    assert "2 rows do not have the 2 cells of the header" in message
    assert "row 3 has 1, row 5 has 3" in message


def test_ragged_row_of_a_later_block_keeps_its_row_number(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "a,b\n" + "1,2\n" * 7 + "3\n")
    with pytest.raises(DataError, match="row 9 has 1"):
        list(read_csv(path, rows=3))


def test_broken_quoting_names_the_line(tmp_path: Path) -> None:
    message = refusal(tmp_path, 'a,b\n1,2\n"3"x,4\n')
    assert "quoting is broken" in message
    assert "line 3" in message


def test_quote_that_never_ends_is_refused(tmp_path: Path) -> None:
    assert "quoting is broken" in refusal(tmp_path, 'a,b\n1,"2\n3,4\n')


def test_broken_quoting_in_the_header_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, '"a"x,b\n1,2\n')
    assert "quoting is broken" in message
    assert "line 1" in message


def test_file_with_a_header_only_has_columns_and_no_rows(tmp_path: Path) -> None:
    table = read_table(csv_file(tmp_path, "a,b\n"))
    assert_frame_equal(table, pl.DataFrame(schema={"a": pl.String, "b": pl.String}))


def test_empty_file_is_refused(tmp_path: Path) -> None:
    assert "The file is empty" in refusal(tmp_path, b"")


def test_quoted_comma_newline_and_quote_belong_to_the_cell(tmp_path: Path) -> None:
    table = read_table(csv_file(tmp_path, 'note,n\n"a,b\nc",1\n"say ""yes""",2\n'))
    assert table.rows() == [("a,b\nc", "1"), ('say "yes"', "2")]


def test_windows_line_ends_leave_no_trace(tmp_path: Path) -> None:
    assert read_table(csv_file(tmp_path, "a,b\r\n1,2\r\n")).rows() == [("1", "2")]


@pytest.mark.parametrize("count", [1, 3, 5, 6, 7])
def test_blocks_give_the_same_table_as_the_whole(tmp_path: Path, count: int) -> None:
    rows = "".join(f"{i:04d},{'값' if i % 2 else ''}\n" for i in range(count))
    path = csv_file(tmp_path, ("code,value\n" + rows).encode("cp949"))
    blocks = list(read_csv(path, rows=3))
    assert [len(block) for block in blocks] == [3] * (count // 3) + ([count % 3] if count % 3 else [])
    assert_frame_equal(pl.concat(blocks), read_table(path))


def test_leading_zeros_and_long_codes_stay_text(tmp_path: Path) -> None:
    codes = ["0012", "85123A", "1e5", "20240101000000000001", "TRUE", "NA"]
    assert read_table(csv_file(tmp_path, "code\n" + "\n".join(codes) + "\n"))["code"].to_list() == codes


CELLS = st.text(st.sampled_from("ab01.-;|\t '#\\가똠\ufeff\u2028\x0b\x0c\x1c\x85,"), max_size=4)
NAMES = st.lists(st.text(st.sampled_from("abcd 물"), min_size=1, max_size=3), min_size=1, max_size=4)
ENDS = st.sampled_from(["\n", "\r\n", "\r\n\r\n", "\n\n", "\r"])
TABLES = st.tuples(
    NAMES,
    st.lists(st.tuples(st.lists(CELLS, max_size=5), ENDS), max_size=12),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["utf-8", "utf-8-sig", "cp949"]),
    st.booleans(),
)  # fmt: skip
"""Header, rows of any width each with its line end, the header's line end, the encoding, and a line end at the end."""


def outcome(path: Path, content: bytes, rows: int) -> tuple[object, ...]:
    """What reading gives: the table, or the message."""
    path.write_bytes(content)
    try:
        frames = list(read_csv(path, rows=rows))
    except DataError as error:
        return error.problem, error.where, error.fix
    assert frames
    assert all(len(frame) <= rows for frame in frames)
    table = pl.concat(frames)
    return table.schema, table.rows()


def both_readers(
    folder: Path, header: list[str], rest: bytes, encoding: str = "utf-8", rows: int = 50_000
) -> tuple[tuple[object, ...], ...]:
    """The outcome of a file, and that of the same file with a quote, which the other reader takes."""
    quoted = [f'"{header[0]}"', *header[1:]]
    return tuple(outcome(folder / "table.csv", ",".join(h).encode(encoding) + rest, rows) for h in (header, quoted))


@settings(max_examples=300, deadline=None)
@given(TABLES)
def test_file_with_and_without_a_quote_is_read_alike(
    tmp_path_factory: pytest.TempPathFactory,
    table: tuple[list[str], list[tuple[list[str], str]], str, str, bool],
) -> None:
    header, lines, end, encoding, ended = table
    rest = end + "".join(",".join(cells) + line_end for cells, line_end in lines)
    common = all(ord(c) < 128 or len(c.encode("euc_kr", "ignore")) == 2 for c in "".join(header) + rest)
    assume(encoding != "cp949" or common)  # other syllables look like no Korean
    plain, quoted = both_readers(
        tmp_path_factory.getbasetemp(),
        header,
        (rest if ended else rest.rstrip("\r\n")).encode(encoding[:5]),
        encoding,
        rows=3,
    )
    assert plain == quoted


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 3), st.lists(st.lists(CELLS.filter(lambda c: "," not in c), min_size=3, max_size=3)), st.booleans()
)
def test_every_cell_comes_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, width: int, rows: list[list[str]], windows: bool
) -> None:
    end = "\r\n" if windows else "\n"
    cells = [row[:width] for row in rows if any(row[:width])]  # a line without a character is no row
    assume(not layout_of([[f"c{i}" for i in range(width)], *cells]).units_row)  # no row either, and refused
    content = "".join(",".join(line) + end for line in [[f"c{i}" for i in range(width)], *cells])
    found = outcome(tmp_path_factory.getbasetemp() / "table.csv", content.encode(), 3)
    expected = [tuple(cell or None for cell in row) for row in cells]
    assert found == (pl.Schema(dict.fromkeys((f"c{i}" for i in range(width)), pl.String)), expected)


EDGE = 1 << 20


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "cp949"])
@pytest.mark.parametrize("shift", [-2, -1, 0, 1])
def test_large_file_is_read_alike_wherever_its_blocks_end(tmp_path: Path, shift: int, encoding: str, end: str) -> None:
    """Line ends and two-byte characters fall on both sides of every block of one and of four megabytes."""
    line = f"값,{'x' * 1017}가{end}".encode(encoding)
    first = b"1" * (EDGE + shift - len(line) * (EDGE // len(line)) + len(line))
    rest = end.encode() + first + b"," + end.encode() + line * (5 * EDGE // len(line)) + "끝,".encode(encoding)
    plain, quoted = both_readers(tmp_path, ["a", "b"], rest, encoding)
    assert plain == quoted
    rows = plain[1]
    assert isinstance(rows, list)
    assert (len(rows), rows[0], rows[-1]) == (5 * EDGE // len(line) + 2, (first.decode(), None), ("끝", None))
    assert set(rows[1:-1]) == {("값", "x" * 1017 + "가")}


def test_ragged_row_behind_the_first_megabytes_is_told_alike(tmp_path: Path) -> None:
    line = b"x" * 60 + b",2\n"
    rest = b"\n" + line * 100_000 + b"3\n" + line * 5
    plain, quoted = both_readers(tmp_path, ["a", "b"], rest)
    assert plain == quoted
    assert "1 rows do not have the 2 cells of the header: row 100002 has 1" in str(plain[0])


def test_many_ragged_rows_are_counted_alike(tmp_path: Path) -> None:
    """By whichever reader: the count is that of the file."""
    plain, quoted = both_readers(tmp_path, ["a", "b"], b"\n" + b"1\n" * 120_000)
    assert plain == quoted


def test_cell_of_any_length_is_read_alike(tmp_path: Path) -> None:
    plain, quoted = both_readers(tmp_path, ["a", "b"], b"\n" + b"x" * 200_000 + b",1\n")
    assert plain == quoted
