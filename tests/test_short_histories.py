"""Series too short for a trained model are forecast by experts in the same graph (doors: tests/test_covariates.py)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_export import DEMAND, TOLERANCE, parts, proven, settings

from dxai.contract.signature import LEVELS
from dxai.data.batch import SeriesCodec
from dxai.inference.model import Model
from dxai.learn import yardsticks
from dxai.learn.demand import DemandTask
from dxai.learn.predictor import DemandPredictor
from dxai.learn.short_histories import ShortHistories
from dxai.ship.export import _EXPERTS, export

pytestmark = pytest.mark.slow(seconds=90)

CONTEXT, KNOWN = 30, 5


@pytest.fixture(scope="module")
def shipped(checkout: Path) -> tuple[DemandTask, ShortHistories, Model]:
    """A network that needs twelve months, with experts beside it, and both as one graph."""
    words = ["model=dlinear", f"scaling.context={CONTEXT}", "model.kernel=5"]
    task = DemandTask(DEMAND, parts(), settings(checkout, "retail", words))
    predictor = task.shipped(task.fit(task.folds[-1])[0])
    assert isinstance(predictor, ShortHistories)
    graph = export(predictor, DEMAND, context=CONTEXT)
    return task, predictor, Model(graph, DEMAND, context=CONTEXT, shortest=task.shortest_history)


def mixed(task: DemandTask) -> dict[str, np.ndarray]:
    """All histories, of which the first three have a few known steps."""
    arrays = dict(SeriesCodec(DEMAND, CONTEXT).encode_panel(task.panel).arrays)
    arrays["history"] = arrays["history"].copy()
    arrays["history"][:3, :-KNOWN] = np.nan
    return arrays


def test_graph_repeats_torch_where_some_all_and_no_series_are_short(
    shipped: tuple[DemandTask, ShortHistories, Model],
) -> None:
    task, predictor, model = shipped
    cases = task.parity_cases()
    assert "some too short" in cases
    few = mixed(task)
    parity = proven(predictor, cases | {"all": {n: a[:3] for n, a in few.items()}, "some": few}, model)
    assert parity.worst <= TOLERANCE


def test_long_series_are_answered_by_the_model_and_short_ones_by_the_experts(
    shipped: tuple[DemandTask, ShortHistories, Model],
) -> None:
    task, predictor, model = shipped
    few = mixed(task)
    found, trained = model.run(few), predictor.trained.answer(few)
    experts = predictor.experts.answer({name: values[:3] for name, values in few.items()})
    usual = yardsticks.experts(few["history"][:3], DEMAND.horizon, DEMAND.season)
    np.testing.assert_allclose(found["quantiles"][3:], trained["quantiles"][3:], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(found["quantiles"][:3], experts["quantiles"], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(found["quantiles"][:3], usual.quantiles, rtol=0.25)
    np.testing.assert_array_less(found["lower"][:3], found["quantiles"][:3, :, LEVELS.index(0.5)] + 1e-6)
    assert not np.allclose(found["quantiles"][:3], trained["quantiles"][:3], rtol=0.01)


def test_contracts_that_differ_in_words_share_the_graph_of_the_experts(
    shipped: tuple[DemandTask, ShortHistories, Model],
) -> None:
    _, predictor, _ = shipped
    kept = dict(_EXPERTS)
    export(predictor, DEMAND.model_copy(update={"id": "another", "title_en": "Another"}), context=CONTEXT)
    assert kept == _EXPERTS


def test_experts_stand_alone_and_a_model_without_a_minimum_needs_none(checkout: Path) -> None:
    experts = DemandTask(DEMAND, parts(), settings(checkout, "retail", ["model=experts"]))
    assert experts.shortest_history is None
    anything = DEMAND.model_copy(update={"minimum_history": 1})
    task = DemandTask(anything, parts(), settings(checkout, "retail", ["model=dlinear", "scaling.context=30"]))
    assert isinstance(task.shipped(task.predictor()), DemandPredictor)
