"""The forecasters without training as released models: in a catalog, on its page, and as `dxai forecast` forecasts."""

# ruff: noqa: F401, F811 (fixtures of the other site tests)

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from test_site_browser import (
    DESKTOP,
    PHONE,
    browser,
    download,
    flagged,
    model_page,
    pictures,
    runtime,
    same_table,
    serving,
    upload,
    visit,
)

import dxai
from dxai.bundle.folder import Bundle
from dxai.catalog.site.onnxruntime_web import WasmSource
from dxai.config.compose import settings_from
from dxai.contract import Contract, load_contract
from dxai.data.batch import SeriesCodec
from dxai.data.checks import cast
from dxai.data.sources import sha256_of
from dxai.data.windows import to_panel
from dxai.errors import NotFoundError
from pipelines.catalog import publish

KINDS = {"weekly": ("1w", 52), "monthly": ("1mo", 12), "quarterly": ("3mo", 4)}
"""Steps, and steps of a year."""
SHARED = ["value_mean", "value_q10", "value_q50", "value_q90"]
"""Columns that both answers have."""
LEVEL = 1e-4
"""Of the mean size of a series, by which two forecasts of it may differ."""


def series(frequency: str, steps: int, names: tuple[str, ...] = ("growing", "plain", "seldom")) -> pl.DataFrame:
    """A season with noise, below a trend or not, and a demand that is mostly zero."""
    step, season = KINDS[frequency]
    days = pl.date_range(date(2010, 1, 1), date(2044, 12, 31), step, eager=True)[:steps]
    ends = days.dt.offset_by(step).dt.offset_by("-1d")
    noise, at = np.random.default_rng(0).normal(size=(3, steps)), np.arange(steps)
    plain = 100 + 20 * np.sin(2 * np.pi * at / season) + 5 * noise[0]
    values = {"plain": plain, "growing": plain + at - 40 * (noise[1] > 2), "seldom": 4.0 * (noise[2] > 1)}
    return pl.concat([
        pl.DataFrame({"series": name, "date": ends, "value": values[name].round(2)}) for name in names
    ])  # fmt: skip


def forecast(table: pl.DataFrame, horizon: int) -> pl.DataFrame:
    """What `dxai forecast` says."""
    return dxai.forecast(table, series="series", time="date", value="value", horizon=horizon)


def close(ours: Any, theirs: Any, table: pl.DataFrame) -> None:
    """Forecasts ``[series * horizon, …]`` that differ by `LEVEL` at most, in units of their series."""
    sizes = table.group_by("series", maintain_order=True).agg(pl.col("value").abs().mean())["value"].to_numpy()
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape and np.isfinite(ours).all()
    allowed = LEVEL * np.repeat(sizes, len(ours) // len(sizes))[:, None]
    assert (np.abs(ours - theirs) <= allowed).all()


@pytest.mark.filterwarnings("ignore::dxai.api.ForecastWarning")
@pytest.mark.parametrize(
    ("frequency", "steps"),
    [("monthly", 144), ("monthly", 5), ("quarterly", 48), ("quarterly", 9), ("weekly", 160), ("weekly", 20)],
)
def test_a_forecaster_says_what_dxai_forecast_says(frequency: str, steps: int, checkout: Path) -> None:
    from dxai.learn.demand import DemandTask

    settings = settings_from([f"experiment={frequency}_series"], checkout=checkout)
    contract = load_contract(checkout / f"contracts/{frequency}_series.yaml")
    task = DemandTask(contract, typed(series(frequency, max(steps, 100)), contract), settings)
    table = series(frequency, steps)
    past = to_panel(typed(table, contract), contract, where="series")
    made = task.predictor().answer(SeriesCodec(contract, task.context).encode_panel(past).arrays)
    ours = np.concatenate([made["mean"][..., None], made["quantiles"][..., [0, 4, 8]]], axis=-1)
    close(ours.reshape(-1, 4), forecast(table, contract.horizon).select(SHARED).to_numpy(), table)


def typed(table: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """As `dxai train` holds it."""
    return cast(table.cast(pl.String), contract)[0]


@pytest.fixture(scope="module")  # two minutes of a processor, nearly all of them torch's export
def models(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The monthly forecaster as `dxai train` and `dxai release` make it, measured on three series in place of 1,428."""
    from test_experiments import Silent

    from dxai.evaluate import evaluate
    from dxai.release import release
    from dxai.train import train

    place = tmp_path_factory.mktemp("forecasters")
    for name in ("configs", "contracts"):
        shutil.copytree(checkout / name, place / name)
    few = {
        name: {"sn": [name], "period": ["MONTHLY"], "x": values["value"].to_list(), "xx": []}
        for (name,), values in series("monthly", 100).partition_by("series", as_dict=True).items()
    }
    (place / "mirror").mkdir()
    raw = place / "mirror" / "m3_data.json"
    raw.write_text(json.dumps(few), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DXAI_MIRROR", str(raw.parent))
        words = ["experiment=monthly_series", f"data.sha256={sha256_of(raw)}"]
        settings = settings_from(words, checkout=place)
        run = train(settings, place / "run/train", place, Silent())
        evaluation = evaluate(run, place / "run/evaluate", place)
    release(run, evaluation.folder, place / "models" / settings.release.bundle, place)
    return place / "models"


@pytest.fixture(scope="module")
def site(models: Path, runtime: WasmSource, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    shown = tmp_path_factory.mktemp("shown")
    assert publish(models, shown / "catalog", wasm=True) == ["monthly-forecast"]
    with serving(shown / "catalog" / "site") as address:
        yield address


@pytest.mark.slow(seconds=150)
@pytest.mark.filterwarnings("ignore::dxai.api.ForecastWarning")
def test_a_released_forecaster_predicts_what_dxai_forecast_says(models: Path) -> None:
    table = series("monthly", 40)
    loaded = dxai.load(models / "monthly-forecast", unsigned=True)
    assert loaded.bundle.manifest.files["model.onnx"].size <= 6e6
    made, told = loaded.predict(table), forecast(table, 12)
    assert made.select("series", "date").equals(told.select("series", "date"))
    close(made.select(SHARED).to_numpy(), told.select(SHARED).to_numpy(), table)


@pytest.mark.browser
@pytest.mark.slow(seconds=20)
def test_a_csv_dropped_on_the_page_shows_the_next_year(
    visit: Callable[..., Any], models: Path, tmp_path: Path, pictures: Path
) -> None:
    content = series("monthly", 30, ("growing", "plain")).write_csv().encode()
    page = model_page(visit, "monthly-forecast")
    lead = page.get_by_role("link", name="Drop a CSV, see the next 12 months")
    assert lead.get_attribute("href") == "#try"
    upload(page, content)
    page.wait_for_selector("#file-answer svg.chart")
    expected, _ = flagged(Bundle.open(models / "monthly-forecast"), content, tmp_path)
    assert len(expected) == 24
    same_table(download(page), expected, tmp_path)
    for kind, size in {"desktop": DESKTOP, "phone": PHONE}.items():
        page.set_viewport_size(size)
        for language in ("ko", "en"):
            page.click(f"button[data-language={language}]")
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, (kind, language)
            page.screenshot(path=pictures / f"monthly-forecast-{language}-{kind}.png", full_page=True)


def test_no_model_is_no_catalog(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no whole model"):
        publish(tmp_path, tmp_path / "catalog", wasm=False)
    assert not (tmp_path / "catalog").exists()
