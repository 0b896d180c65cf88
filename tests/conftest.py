"""Shared by all tests: one thread, no telemetry, the checkout, the real tables."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DVC_NO_ANALYTICS"] = "1"

import polars as pl
import pytest

_CHECKOUT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def one_torch_thread() -> None:
    """Small networks are faster on one thread; a selection of tests that never imports torch does not pay for it."""
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of the repository."""
    return _CHECKOUT


@pytest.fixture(scope="session")
def shared_data(checkout: Path) -> Path:
    """Real data files kept beside the checkout; not part of the repository."""
    folder = checkout.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("there is no folder ../shared/data beside the checkout")
    return folder


@pytest.fixture(scope="session")
def concrete_table(checkout: Path) -> pl.DataFrame:
    """1,030 concrete specimens; fetched through the package index on first use."""
    return _prepared("concrete_tabm", checkout)


@pytest.fixture(scope="session")
def retail_table(checkout: Path) -> pl.DataFrame:
    """Weekly units of 1,609 products; fetched through the package index on first use."""
    return _prepared("retail_nhits", checkout)


@pytest.fixture(scope="session")
def m3_monthly_table(checkout: Path) -> pl.DataFrame:
    """1,428 monthly M3 series; fetched through the package index on first use."""
    return _prepared("m3_monthly_nhits", checkout)


def _prepared(experiment: str, checkout: Path) -> pl.DataFrame:
    from dxai.config.compose import settings_from
    from dxai.data.table import prepared_table

    return prepared_table(settings_from([f"experiment={experiment}"], checkout=checkout).data, checkout)
