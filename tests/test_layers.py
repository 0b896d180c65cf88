"""Imports go one way, and the member firm's path never meets the training stack."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.process
def test_import_contracts_hold(checkout: Path) -> None:
    linter = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([str(linter), "--no-cache"], cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_no_networks_or_predictors_outside_their_layer(checkout: Path) -> None:
    for file in (checkout / "dxai" / "networks").glob("*.py"):
        text = file.read_text("utf-8")
        for stranger in ("lightning", "dxai.config", "dxai.learn", "dxai.contract", "hydra", "mlflow"):
            assert f"import {stranger}" not in text, f"{file.name} knows {stranger}"
            assert f"from {stranger}" not in text, f"{file.name} knows {stranger}"


def test_lightning_goes_by_one_name(checkout: Path) -> None:
    for file in (checkout / "dxai").rglob("*.py"):
        assert "pytorch_lightning" not in file.read_text("utf-8"), file.name
