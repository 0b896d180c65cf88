"""The recipe of docs/guide.md for folders of Parquet files: on Ray Data the answers are those of `dxai predict`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner
from conftest import MakeBundle
from documents import blocks, environment
from polars.testing import assert_frame_equal

from dxai.cli.main import cli

pytest.importorskip("ray.data", reason='Ray is not installed: pip install -c constraints.txt -e ".[ray]"')
ROWS = 1_200


@pytest.mark.process
@pytest.mark.slow(seconds=60)
def test_answers_of_a_folder_are_those_of_the_command(checkout: Path, make_bundle: MakeBundle, tmp_path: Path) -> None:
    model = make_bundle(tmp_path / "models/concrete-strength")
    numbers = pl.int_range(ROWS, eager=True)
    table = pl.DataFrame({"row": numbers, "pressure": 20 + numbers % 89, "melt": 680.0 + numbers % 59}).with_columns(
        plant=pl.Series(["부산", "창원", "Ulsan"] * (ROWS // 3))
    )
    (tmp_path / "rows").mkdir()
    for number, part in enumerate(table.iter_slices(ROWS // 3)):
        part.write_parquet(tmp_path / f"rows/{number}.parquet")
    table.write_parquet(tmp_path / "all.parquet")
    (program,) = (code for code in blocks(checkout / "docs/guide.md", "python") if "import ray" in code)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    words = ["predict", str(model), "--unsigned", str(tmp_path / "all.parquet"), "-o", str(tmp_path / "out.parquet")]
    assert CliRunner().invoke(cli, words, catch_exceptions=False).exit_code == 0
    answers = pl.read_parquet(tmp_path / "answers/*.parquet").sort("row")
    assert len(answers) == ROWS
    assert_frame_equal(answers, pl.read_parquet(tmp_path / "out.parquet").sort("row"))
