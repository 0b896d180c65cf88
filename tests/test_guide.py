"""The commands of docs/guide.md run as they stand, on a table like the one that they name."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest
from documents import blocks, commands, run_together, write_press

from dxai.contract import load_contract

TINY = " budget=quick split.folds=2 evaluate.permutations=1"


@pytest.mark.slow
def test_own_file_goes_from_description_to_predictions(checkout: Path, tmp_path: Path) -> None:
    for name in ("configs", "contracts"):
        shutil.copytree(checkout / name, tmp_path / name)
    write_press(tmp_path / "press.csv")
    lines = commands(checkout / "docs/guide.md")
    assert [line.split()[:3] for line in lines if line.startswith("dxai train")] == [["dxai", "train", "data=press"]]
    run_together(tmp_path, [line + TINY if line.startswith("dxai train") else line for line in lines])
    contract = load_contract(tmp_path / "press/contract.yaml")
    assert contract.split == "grouped"
    assert contract.classes == ("양품", "불량")
    assert len(pl.read_csv(tmp_path / "predictions.csv")) == 240


@pytest.mark.slow
def test_latest_run_of_a_folder_is_released(checkout: Path, tmp_path: Path) -> None:
    for name in ("configs", "contracts"):
        shutil.copytree(checkout / name, tmp_path / name)
    write_press(tmp_path / "press.csv")
    lines = commands(checkout / "docs/guide.md")[1:3]
    lines += [f"dxai train data=press{TINY} hydra.run.dir=runs/press/{day}" for day in ("2", "1")]
    told = run_together(tmp_path, [*lines, "dxai release runs/press --to models/press"])
    assert "latest of 2: runs/press/1" in told


@pytest.mark.parametrize("name", ["README.md", "README.ko.md"])
def test_readme_shows_the_same_short_way(name: str, checkout: Path) -> None:
    """From a file to predictions, by the guide's own commands."""
    lines = commands(checkout / name)
    way = [line for line in commands(checkout / "docs/guide.md") if line in lines]
    assert [line.split()[1] for line in way] == ["data", "data", "train", "release", "predict"]


def test_no_block_hides_from_the_tests(checkout: Path) -> None:
    """A command in a block of another name would be read by nobody."""
    for language in ("bash", "shell", "console"):
        assert not blocks(checkout / "docs/guide.md", language)
