"""Predictions are written whole or not at all, as CSV or Parquet, block by block, to a file or standard output."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from dxai.data.output import write_table
from dxai.errors import DataError, NotFoundError, SettingsError

FORMATS = ["out.csv", "out.parquet"]
each_format = pytest.mark.parametrize("name", FORMATS)


def blocks(count: int = 3, rows: int = 1000) -> Iterator[pl.DataFrame]:
    for first in range(0, count * rows, rows):
        numbers = pl.int_range(first, first + rows, eager=True)
        yield pl.DataFrame({"번호": numbers, "text": numbers.cast(pl.String) + ',"\n가', "value": numbers / 7})


def read(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path)


@each_format
@pytest.mark.parametrize("count", [1, 3])
def test_blocks_become_one_table(tmp_path: Path, name: str, count: int) -> None:
    write_table(blocks(count), tmp_path / name)
    assert_frame_equal(read(tmp_path / name), pl.concat(blocks(count)))
    assert [p.name for p in tmp_path.iterdir()] == [name]


@each_format
def test_table_without_rows_keeps_its_columns(tmp_path: Path, name: str) -> None:
    write_table([next(blocks()).clear()], tmp_path / name)
    assert (read(tmp_path / name).columns, len(read(tmp_path / name))) == (["번호", "text", "value"], 0)


@each_format
def test_blocks_are_asked_for_one_by_one(tmp_path: Path, name: str) -> None:
    """What the writer has taken is on its way out before all blocks are made: memory is bounded."""
    alive: list[int] = []

    def watched() -> Iterator[pl.DataFrame]:
        for number, block in enumerate(blocks(50, 20_000)):
            (part,) = tmp_path.iterdir()
            alive.append(number - part.stat().st_size // 200_000)
            yield block

    write_table(watched(), tmp_path / name)
    assert len(alive) == 50
    assert max(alive) < 45


@pytest.mark.parametrize("name", ["OUT.CSV", "out.PARQUET"])
def test_suffix_may_be_in_capitals(tmp_path: Path, name: str) -> None:
    write_table(blocks(), tmp_path / name)
    start = (tmp_path / name).read_bytes()[:4]
    assert (start == b"PAR1") == name.endswith("PARQUET")


@pytest.mark.parametrize("name", ["out.xlsx", "out", "out.csv.gz", "out.txt"])
def test_other_suffixes_are_refused_before_anything_is_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="does not write") as caught:
        write_table(iter(lambda: pytest.fail("a block was asked for"), None), tmp_path / name)
    assert caught.value.where == str(tmp_path / name)
    assert ".csv or .parquet" in caught.value.fix
    assert not list(tmp_path.iterdir())


@each_format
def test_folder_that_is_not_there_is_told_and_not_made(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        write_table(blocks(), tmp_path / "nowhere" / name)
    assert caught.value.where == str(tmp_path / "nowhere")
    assert caught.value.fix == f"mkdir -p {tmp_path / 'nowhere'}"
    assert not list(tmp_path.iterdir())


@each_format
@pytest.mark.parametrize("good", [0, 2])
@pytest.mark.parametrize("error", [DataError("row 7 is bad"), KeyboardInterrupt()], ids=["data", "interrupt"])
def test_error_in_any_block_comes_through_and_leaves_what_was_there(
    tmp_path: Path, name: str, good: int, error: BaseException
) -> None:
    def failing() -> Iterator[pl.DataFrame]:
        yield from blocks(good)
        raise error

    for before in (None, b"an older answer\n"):
        if before:
            (tmp_path / name).write_bytes(before)
        with pytest.raises(type(error)) as caught:
            write_table(failing(), tmp_path / name)
        assert caught.value is error
        assert [p.read_bytes() for p in tmp_path.iterdir()] == ([before] if before else [])


@pytest.mark.process
@each_format
def test_full_disk_is_told_and_leaves_what_was_there(tmp_path: Path, name: str) -> None:
    """On a disk of 300 kB that holds an older answer of 200 kB."""
    program = (
        "import sys; import polars as pl; from pathlib import Path; from dxai.errors import NoSpaceError\n"
        "from dxai.data.output import write_table\n"
        "target = Path(sys.argv[1]); target.write_bytes(b'o' * 200_000)\n"
        "numbers = pl.int_range(200_000, eager=True).hash()\n"
        "try:\n    write_table((pl.DataFrame({'n': numbers}) for _ in range(5)), target)\n"
        "except NoSpaceError as error:\n    print(error.exit_code, error.where)\n"
        "print(*(path.name for path in target.parent.iterdir()), target.read_bytes() == b'o' * 200_000)\n"
    )
    script = 'mount -t tmpfs -o size=300k tmpfs "$1" || exit 99; exec "$2" -c "$3" "$4"'
    words = ["sh", "-c", script, "sh", str(tmp_path), sys.executable, program, str(tmp_path / name)]
    done = subprocess.run(["unshare", "-rm", *words], capture_output=True, text=True, check=False)
    if done.returncode == 99 or "unshare" in done.stderr:
        pytest.skip(f"no small disk can be made here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"8 {tmp_path / name}\n{name} True\n"


@pytest.mark.process
@each_format
def test_two_that_write_the_same_file_at_once_leave_one_whole_answer(tmp_path: Path, name: str) -> None:
    program = (
        "import sys; import polars as pl; from pathlib import Path; from dxai.data.output import write_table\n"
        "target, number = Path(sys.argv[1]), int(sys.argv[2])\n"
        "read = pl.read_parquet if target.suffix == '.parquet' else pl.read_csv\n"
        "for _ in range(50):\n"
        "    write_table((pl.DataFrame({'n': [number] * 5000}) for _ in range(2)), target)\n"
        "    found = read(target)['n']\n"
        "    assert (len(found), found.n_unique()) == (10_000, 1), 'torn'\n"
    )
    commands = [[sys.executable, "-c", program, str(tmp_path / name), str(number)] for number in range(3)]
    crowd = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    told = [process.communicate(timeout=60)[1] for process in crowd]
    assert [process.returncode for process in crowd] == [0] * 3, told
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.process
def test_dash_is_standard_output(tmp_path: Path) -> None:
    program = (
        "import polars as pl; from pathlib import Path; from dxai.data.output import write_table\n"
        "write_table([pl.DataFrame({'a': [1], '값': ['가']}), pl.DataFrame({'a': [2], '값': [None]})], Path('-'))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout.decode() == "a,값\n1,가\n2,\n"
    assert not list(tmp_path.iterdir())
