"""Networks and the forward around them: shapes, gradients, order of quantiles, floors, gaps; and every doctest runs.

What the contract says of the target (never below 0) and what the interval promises (it holds the inner quantiles) must
be true of any weights and any history, because a member firm's rows are not the training rows.
"""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import dxai
from dxai.config.compose import settings_from
from dxai.config.settings import ForecastScaling
from dxai.contract import Column, Contract, load_contract
from dxai.contract.signature import LEVELS
from dxai.errors import SettingsError
from dxai.learn.losses import ForecastLoss, members_squared_error
from dxai.learn.predictor import DemandPredictor, QualityPredictor, ScaledForecast
from dxai.learn.transform import Calendar, SeriesScale
from dxai.networks.dlinear import DLinear
from dxai.networks.linear import Linear
from dxai.networks.mlp import Mlp
from dxai.networks.nhits import NHits
from dxai.networks.quantiles import QuantileHead
from dxai.networks.tabm import TabM

CONTEXT, HORIZON, SEASON = 24, 6, 12
CHANNELS = len(LEVELS) + 1
EMBEDDED = {"embedding": 4, "frequencies": 3, "frequency_scale": 0.5, "width": 16, "blocks": 2, "dropout": 0.0}
TABLES = {"numbers": (3, []), "categories": (0, [2, 5]), "both": (3, [2, 5])}
MEMBERS = {"linear": 1, "mlp": 1, "tabm": 4}
_PACKAGE = Path(dxai.__file__).parent
WITH_EXAMPLES = sorted(
    ".".join(file.relative_to(_PACKAGE.parent).with_suffix("").parts)
    for file in _PACKAGE.rglob("*.py")
    if ">>>" in file.read_text("utf-8")
)


def table_network(kind: str, columns: str, outputs: int = 1) -> nn.Module:
    numbers, cardinalities = TABLES[columns]
    size: dict[str, Any] = {"numbers": numbers, "cardinalities": cardinalities, "outputs": outputs}
    if kind == "linear":
        return Linear(**size)
    if kind == "mlp":
        return Mlp(**size, **EMBEDDED)
    return TabM(**size, k=MEMBERS["tabm"], **EMBEDDED)


def table_rows(columns: str, rows: int) -> tuple[Tensor, Tensor]:
    """Scaled numbers and category numbers, the one after the last (unseen) among them."""
    numbers, cardinalities = TABLES[columns]
    categories = [torch.arange(rows) % (c + 1) for c in cardinalities]
    empty = torch.zeros(rows, 0, dtype=torch.int64)
    return torch.randn(rows, numbers), torch.stack(categories, dim=1) if categories else empty


def forecast_network(kind: str, harmonics: int) -> nn.Module:
    size: dict[str, Any] = {
        "context": CONTEXT,
        "horizon": HORIZON,
        "calendar": 2 * harmonics,
        "channels": CHANNELS,
    }
    if kind == "nhits":
        return NHits(**size, pools=(7, 4, 1), knots=(2, 3, 8), width=16)
    return DLinear(**size, kernel=5)


def demand_contract(minimum: float | None) -> Contract:
    def column(name: str, kind: str, role: str, minimum: float | None = None) -> Column:
        return Column.model_validate(
            {"name": name, "kind": kind, "role": role, "minimum": minimum, "title_en": name, "title_ko": "열"}
        )

    columns = (
        column("item", "category", "series"),
        column("day", "date", "time"),
        column("units", "number", "target", minimum),
    )
    return Contract(
        id="d", version="1", title_en="d", title_ko="수요", purpose="test", task="demand", columns=columns,
        frequency="monthly", horizon=HORIZON, season=SEASON,
    )  # fmt: skip


def forecast(predictor: DemandPredictor, history: torch.Tensor, last_day: torch.Tensor) -> dict[str, Any]:
    return predictor.predict({"history": history, "last_day": last_day})


def demand_predictor(
    kind: str, *, residual: str = "none", harmonics: int = 1, minimum: float | None = 0.0, noise: float = 0.0
) -> DemandPredictor:
    """An untrained predictor; ``noise`` shakes its weights so that its answers are wild."""
    torch.manual_seed(0)
    scale = SeriesScale(context=CONTEXT, horizon=HORIZON, season=SEASON, residual=residual, recency=6, floor=0.01)
    calendar = Calendar(horizon=HORIZON, step=30.4, harmonics=harmonics, dropout=0.5)
    head = QuantileHead(len(LEVELS), median=0.6, gap=0.25, mean=0.9)
    predictor = DemandPredictor(
        demand_contract(minimum), ScaledForecast(scale, calendar, forecast_network(kind, harmonics), head)
    )
    with torch.no_grad():
        for parameter in predictor.parameters():
            parameter.add_(noise * torch.randn_like(parameter))
    return predictor.eval()


def days(series: int) -> Tensor:
    return torch.arange(series) * 37 + 15_000


def awkward_histories() -> Tensor:
    """Any pattern of gaps, any size of values: from all missing to all known, from 0 to 1e9, and negative."""
    random = np.random.default_rng(0)
    rows = []
    for size in (0.0, 1e-6, 1.0, 1e4, 1e9, -300.0):
        for share in (0.0, 0.1, 0.5, 0.95, 1.0):
            row = size * random.gamma(1.0, 1.0, CONTEXT)
            row[random.random(CONTEXT) < share] = np.nan
            rows.append(row)
    for known in (slice(0, 1), slice(-1, None), slice(0, CONTEXT - SEASON), slice(None, None, 5)):
        row = np.full(CONTEXT, np.nan)
        row[known] = 500.0
        rows.append(row)
    spike = np.zeros(CONTEXT)
    spike[3] = 1e9
    return torch.as_tensor(np.array([*rows, spike]), dtype=torch.float32)


def untouched(module: nn.Module) -> list[str]:
    return [name for name, p in module.named_parameters() if p.grad is None or not bool((p.grad != 0).any())]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_in_docstrings_are_true(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0


def test_examples_are_found_in_every_part() -> None:
    assert {"dxai.errors", "dxai.data.steps", "dxai.record.report", "dxai.learn.conformal"} <= set(WITH_EXAMPLES)
    assert any(name.startswith("dxai.networks.") for name in WITH_EXAMPLES)


@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize("columns", TABLES)
@pytest.mark.parametrize("kind", MEMBERS)
def test_table_network_answers_each_row_with_its_members(kind: str, columns: str, rows: int) -> None:
    answer = table_network(kind, columns)(*table_rows(columns, rows))
    assert answer.shape == (rows, MEMBERS[kind], 1)
    assert answer.dtype == torch.float32
    assert bool(answer.isfinite().all())


@pytest.mark.parametrize("columns", TABLES)
@pytest.mark.parametrize("kind", MEMBERS)
def test_table_network_has_as_many_outputs_as_it_is_told(kind: str, columns: str) -> None:
    answer = table_network(kind, columns, outputs=4)(*table_rows(columns, 5))
    assert answer.shape == (5, MEMBERS[kind], 4)


@pytest.mark.parametrize("columns", TABLES)
@pytest.mark.parametrize("kind", MEMBERS)
def test_gradients_reach_every_weight_of_a_table_network(kind: str, columns: str) -> None:
    torch.manual_seed(0)
    network = table_network(kind, columns)
    members_squared_error(network(*table_rows(columns, 64)), torch.randn(64)).backward()
    assert untouched(network) == []


@pytest.mark.parametrize("columns", TABLES)
@pytest.mark.parametrize("kind", MEMBERS)
def test_rows_of_a_batch_do_not_touch_each_other(kind: str, columns: str) -> None:
    torch.manual_seed(0)
    network, (numbers, categories) = table_network(kind, columns).eval(), table_rows(columns, 9)
    alone = torch.cat([network(numbers[i : i + 1], categories[i : i + 1]) for i in range(9)])
    torch.testing.assert_close(network(numbers, categories), alone, rtol=1e-5, atol=1e-6)


def test_members_of_tabm_differ() -> None:
    torch.manual_seed(0)
    answer = table_network("tabm", "both")(*table_rows("both", 32)).detach()
    assert float(answer.std(dim=1).min()) > 1e-4


def test_members_are_trained_on_their_own_error_not_on_that_of_their_mean() -> None:
    answers = torch.tensor([[[1.0], [3.0]], [[4.0], [8.0]]], requires_grad=True)
    target = torch.tensor([2.0, 6.0])  # the mean of the members is right in both rows
    loss = members_squared_error(answers, target)
    loss.backward()
    assert loss.item() == pytest.approx((1 + 1 + 4 + 4) / 4)
    assert answers.grad is not None
    torch.testing.assert_close(answers.grad.squeeze(2), torch.tensor([[-0.5, 0.5], [-1.0, 1.0]]))


@pytest.mark.parametrize("harmonics", [0, 2])
@pytest.mark.parametrize("kind", ["nhits", "dlinear"])
def test_forecast_network_answers_a_channel_per_step(kind: str, harmonics: int) -> None:
    network = forecast_network(kind, harmonics)
    for series in (1, 5):
        past, known = torch.randn(series, CONTEXT), torch.ones(series, CONTEXT)
        answer = network(past, known, torch.randn(series, HORIZON, 2 * harmonics))
        assert answer.shape == (series, CHANNELS, HORIZON)
        assert bool(answer.isfinite().all())


@pytest.mark.parametrize(
    "overrides",
    [
        ["experiment=retail", "model=dlinear", "model.kernel=1"],
        ["experiment=retail", "model=dlinear", "model.kernel=4"],
        ["experiment=retail", "model=dlinear", "model.kernel=501"],
        ["experiment=retail_nhits", "model.pools=[4,1]"],
        ["experiment=retail_nhits", "model.pools=[80,4,1]"],
        ["experiment=retail_nhits", "model.knots=[1,1,100]"],
    ],
    ids=lambda overrides: overrides[-1],
)
def test_settings_that_are_admitted_make_a_network_that_answers(overrides: list[str], checkout: Path) -> None:
    """What cannot work is refused as a setting, in words, and not by the network in the middle of a run."""
    contract = load_contract(checkout / "contracts" / "retail_demand.yaml")
    try:
        settings = settings_from(overrides, checkout=checkout)
    except SettingsError as error:
        assert overrides[-1].split("=")[0] in str(error)
        return
    scaling = settings.scaling
    assert isinstance(scaling, ForecastScaling)
    steps, features = scaling.context, 2 * scaling.harmonics
    network = settings.model.build(context=steps, horizon=contract.horizon, calendar=features, channels=CHANNELS)
    past, calendar = torch.rand(3, steps), torch.rand(3, contract.horizon, features)
    assert network(past, torch.ones_like(past), calendar).shape == (3, CHANNELS, contract.horizon)


@pytest.mark.parametrize("harmonics", [0, 1])
@pytest.mark.parametrize("kind", ["nhits", "dlinear"])
def test_gradients_reach_every_weight_of_a_forecast(kind: str, harmonics: int) -> None:
    predictor = demand_predictor(kind, harmonics=harmonics)
    loss = ForecastLoss(scale_weight=0.5, mean_weight=0.1, mean_delta=5.0)
    history = torch.rand(64, CONTEXT) * 90 + 10
    loss(predictor.scaled(history, days(64)), torch.rand(64, HORIZON) * 90).backward()
    assert untouched(predictor) == []


@pytest.mark.parametrize("size", [0.0, 1.0, 50.0, 1e4, 1e30])
@pytest.mark.parametrize("seed", range(3))
def test_quantiles_never_cross(size: float, seed: int) -> None:
    torch.manual_seed(seed)
    head = QuantileHead(len(LEVELS), median=0.6, gap=0.25, mean=0.9)
    quantiles, mean = head(size * torch.randn(40, CHANNELS, HORIZON))
    assert quantiles.shape == (40, HORIZON, len(LEVELS)) and mean.shape == (40, HORIZON)
    assert bool(quantiles.isfinite().all())
    assert bool((quantiles.diff(dim=-1) >= 0).all())


def test_training_starts_from_the_median_gap_and_mean_it_is_given() -> None:
    quantiles, mean = QuantileHead(5, median=2.0, gap=0.5, mean=3.0)(torch.zeros(1, 6, 1))
    torch.testing.assert_close(quantiles[0, 0], torch.tensor([1.0, 1.5, 2.0, 2.5, 3.0]))
    assert mean.item() == 3.0


@pytest.mark.parametrize("noise", [0.0, 2.0])
@pytest.mark.parametrize("residual", ["none", "seasonal_naive"])
@pytest.mark.parametrize("kind", ["nhits", "dlinear"])
def test_any_history_gives_ordered_finite_forecasts(kind: str, residual: str, noise: float) -> None:
    predictor, history = demand_predictor(kind, residual=residual, noise=noise), awkward_histories()
    answer = forecast(predictor, history, days(len(history)))
    assert all(np.isfinite(values).all() for values in answer.values())
    assert (np.diff(answer["quantiles"], axis=-1) >= 0).all()


@pytest.mark.parametrize("noise", [0.0, 2.0])
@pytest.mark.parametrize("residual", ["none", "seasonal_naive"])
@pytest.mark.parametrize("kind", ["nhits", "dlinear"])
def test_forecasts_go_below_zero_only_where_the_contract_lets_them(kind: str, residual: str, noise: float) -> None:
    history = awkward_histories()
    floored = forecast(demand_predictor(kind, residual=residual, noise=noise, minimum=0.0), history, days(len(history)))
    free = forecast(demand_predictor(kind, residual=residual, noise=noise, minimum=None), history, days(len(history)))
    assert min(values.min() for values in floored.values()) >= 0
    assert free["lower"].min() < 0 and free["quantiles"].min() < 0
    np.testing.assert_allclose(floored["mean"], np.maximum(free["mean"], 0))


@pytest.mark.parametrize("offset", [-100.0, -0.3, 0.0, 0.3, 100.0])
@pytest.mark.parametrize("kind", ["nhits", "dlinear"])
def test_interval_holds_the_inner_quantiles_whatever_the_calibration_says(kind: str, offset: float) -> None:
    predictor = demand_predictor(kind, minimum=None, noise=1.0)
    predictor.offset = torch.tensor(offset)
    answer = forecast(predictor, torch.rand(50, CONTEXT) * 100, days(50))
    assert (answer["lower"] <= answer["quantiles"][..., 1]).all()
    assert (answer["upper"] >= answer["quantiles"][..., -2]).all()
    if offset > 0:
        assert (answer["lower"] < answer["quantiles"][..., 0]).all()
        assert (answer["upper"] > answer["quantiles"][..., -1]).all()


@pytest.mark.parametrize("kind", ["nhits", "dlinear"])
def test_date_changes_the_forecast_where_the_network_sees_the_calendar(kind: str) -> None:
    history, day = torch.rand(20, CONTEXT) * 100, days(20)
    for harmonics, expected in ((2, True), (0, False)):
        predictor = demand_predictor(kind, harmonics=harmonics)
        summer, winter = (forecast(predictor, history, at)["mean"] for at in (day, day + 182))
        assert bool((summer != winter).all()) is expected
        assert bool((summer != winter).any()) is expected


@pytest.mark.parametrize("kind", ["nhits", "dlinear"])
def test_forecast_grows_with_the_series(kind: str) -> None:
    """Twice the sales, twice the forecast: no series is too big or too small for the network."""
    predictor, history = demand_predictor(kind), torch.rand(20, CONTEXT) * 100 + 10
    once, twice = (forecast(predictor, size * history, days(20)) for size in (1, 1000))
    np.testing.assert_allclose(twice["quantiles"], 1000 * once["quantiles"], rtol=1e-3, atol=1.0)


@pytest.mark.parametrize(
    ("minimum", "maximum", "lowest", "highest"),
    [(0.0, 60.0, 0.0, 60.0), (0.0, None, 0.0, 110.0), (None, None, -110.0, 110.0)],
)
def test_prediction_and_bounds_stay_where_the_contract_holds_values_possible(
    minimum: float | None, maximum: float | None, lowest: float, highest: float
) -> None:
    columns = (
        Column(name="load", kind="number", role="feature", title_en="load", title_ko="하중"),
        Column(
            name="strength", kind="number", role="target", minimum=minimum, maximum=maximum,
            title_en="strength", title_ko="강도",
        ),
    )  # fmt: skip
    contract = Contract(id="q", version="1", title_en="q", title_ko="큐", purpose="t", task="quality", columns=columns)
    network = Linear(numbers=1, cardinalities=[])
    nn.init.ones_(network.output.weight)
    nn.init.zeros_(network.output.bias)
    predictor = QualityPredictor(contract, network).eval()
    rows = {"load": torch.tensor([-100.0, 30.0, 100.0])}
    predictor.reach = 10.0 / predictor.center(rows)[1][:2].detach()  # one member: all rows are alike difficult
    answer = predictor.predict(rows)
    assert list(answer) == ["strength_predicted", "strength_lower", "strength_upper"]
    assert min(values.min() for values in answer.values()) == lowest
    assert max(values.max() for values in answer.values()) == highest
    np.testing.assert_allclose([values[1] for values in answer.values()], [30.0, 20.0, 40.0], rtol=1e-5)


def test_interval_is_wider_where_the_members_disagree() -> None:
    torch.manual_seed(0)
    column = {"kind": "number", "title_ko": "열"}
    columns = (
        *(Column.model_validate({**column, "name": f"x{i}", "role": "feature", "title_en": "x"}) for i in range(3)),
        Column.model_validate({**column, "name": "y", "role": "target", "title_en": "y"}),
    )
    contract = Contract(id="q", version="1", title_en="q", title_ko="큐", purpose="t", task="quality", columns=columns)
    predictor = QualityPredictor(contract, table_network("tabm", "numbers")).eval()
    predictor.reach = torch.tensor([2.0, 2.0])
    rows = {f"x{i}": 5 * torch.randn(200) for i in range(3)}
    answer = predictor.predict(rows)
    width = answer["y_upper"] - answer["y_lower"]
    disagreement = predictor.network(*predictor.transform(rows)).detach().squeeze(2).std(dim=1, correction=0).numpy()
    assert (width > 0).all()
    assert (np.diff(width[np.argsort(disagreement)]) >= -1e-5).all()
    assert width.max() > width.min() + 1e-3
