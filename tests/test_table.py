"""Processes that need the same table at the same moment fetch and prepare it once, and none sees half a file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from dxai.config.compose import settings_from
from dxai.data.table import prepared_table

READ = """
from pathlib import Path
from dxai.config.compose import settings_from
from dxai.data.table import prepared_table
checkout = Path.cwd()
print(len(prepared_table(settings_from(["experiment=concrete"], checkout=checkout).data, checkout)))
"""


@pytest.fixture
def bare(checkout: Path, tmp_path: Path, concrete_table: pl.DataFrame) -> Path:
    """A checkout without data, and a mirror folder that has the raw file."""
    copy = tmp_path / "dxai"
    for name in ("configs", "contracts"):
        shutil.copytree(checkout / name, copy / name)
    (tmp_path / "mirror").mkdir()
    shutil.copy(checkout / "data/raw/concrete/concrete.pkl.compress", tmp_path / "mirror")
    return copy


@pytest.mark.process
def test_parallel_first_uses_make_one_whole_table(bare: Path) -> None:
    environment = os.environ | {"DXAI_MIRROR": str(bare.parent / "mirror")}
    running = [
        subprocess.Popen([sys.executable, "-c", READ], cwd=bare, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert [process.communicate()[0].strip() for process in running] == ["1030"] * 4
    assert [p.name for p in (bare / "data/prepared").iterdir()] == ["concrete.parquet"]
    assert not list((bare / "data").rglob("*.part"))


@pytest.mark.process
def test_changed_contract_prepares_the_table_again(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DXAI_MIRROR", str(bare.parent / "mirror"))
    data = settings_from(["experiment=concrete"], checkout=bare).data
    prepared_table(data, bare)
    prepared = bare / "data/prepared/concrete.parquet"
    first = prepared.stat().st_mtime_ns
    prepared_table(data, bare)
    assert prepared.stat().st_mtime_ns == first
    contract = bare / "contracts/concrete_strength.yaml"
    contract.write_text(contract.read_text("utf-8").replace("maximum: 3650", "maximum: 4000"), "utf-8")
    prepared_table(data, bare)
    assert prepared.stat().st_mtime_ns > first
