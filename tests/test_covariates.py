"""What is known beside a history enters the contract once, and with it the graph, every door and the forecast."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from polars.testing import assert_frame_equal
from test_own_data import data_folder, dxai
from test_serve import running

from dxai.api import LoadedModel, load
from dxai.bundle.folder import Bundle
from dxai.config.compose import settings_from
from dxai.contract import Contract
from dxai.contract.odcs import parse_contract
from dxai.contract.signature import signature_of
from dxai.data.batch import SeriesCodec
from dxai.data.cuts import training_windows
from dxai.data.own import with_own_data
from dxai.data.windows import named, to_panel
from dxai.errors import DataError, SettingsError
from dxai.inference.fit.check import check_table
from dxai.inference.fit.report import write_report
from dxai.inference.loader import load_model
from dxai.learn.demand import DemandTask
from dxai.learn.families import task_for, task_of

WEEKS, HORIZON = 90, 4
STORES, PRODUCTS = ("north", "south", "east"), ("juice", "milk", "bread", "eggs")
START = date(2024, 1, 7)


def described(name: str, kind: str, role: str, texts: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    made = {"name": name, "logicalType": kind, "customProperties": [
        {"property": "role", "value": role}, {"property": "titleEn", "value": name.title()},
        {"property": "titleKo", "value": f"열 {name}"}], **more}  # fmt: skip
    if texts:
        made["quality"] = [{"metric": "invalidValues", "mustBe": 0, "arguments": {"validValues": list(texts)}}]
    return made


COLUMNS = [
    described("store", "string", "series", STORES, required=True),
    described("product", "string", "series", PRODUCTS, required=True),
    described("week", "date", "time", required=True),
    described("units", "number", "target", required=True, logicalTypeOptions={"minimum": 0}),
    described("price", "number", "known_future", logicalTypeOptions={"minimum": 0.01}),
    described("promo", "string", "known_future", ("none", "flyer")),
    described("open", "number", "open"),
    described("visitors", "number", "past"),
    described("in_stock", "number", "available"),
    described("size", "number", "static"),
]


def contract_text(columns: list[dict[str, Any]] = COLUMNS, minimum: int = 8) -> str:
    keys = {"task": "demand", "frequency": "weekly", "horizon": HORIZON, "season": 52, "minimumHistory": minimum}
    return yaml.safe_dump({
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "grocery", "version": "1.0.0", "status": "draft",
        "description": {"purpose": "Forecast units per week."},
        "customProperties": [{"property": "titleEn", "value": "Grocery"}, {"property": "titleKo", "value": "식료품"}],
        "schema": [{"name": "demand", "logicalType": "object", "properties": columns,
                    "customProperties": [{"property": k, "value": v} for k, v in keys.items()]}],
    }, allow_unicode=True)  # fmt: skip


def contract(**more: Any) -> Contract:
    return parse_contract(contract_text(**more), where="grocery.yaml")


def sales(seed: int = 0) -> pl.DataFrame:
    """Demand that doubles with a flyer and falls with the price; shops are shut in every tenth week."""
    random = np.random.default_rng(seed)
    frames = []
    for s, store in enumerate(STORES):
        for p, product in enumerate(PRODUCTS):
            price = np.where(random.random(WEEKS) < 0.3, 2.0, 3.0) + 0.1 * p
            promo = random.random(WEEKS) < 0.25
            shut = np.arange(WEEKS) % 10 == 9
            level = 20.0 * (s + 1) * (p + 1)
            units = level * (1 + promo) * (price / 3) ** -2 * np.exp(random.normal(0, 0.1, WEEKS))
            frames.append(pl.DataFrame({
                "store": store, "product": product, "week": [START + timedelta(weeks=w) for w in range(WEEKS)],
                "units": np.where(shut, 0.0, units).round(2), "price": price,
                "promo": np.where(promo, "flyer", "none"), "open": 1.0 - shut,
                "visitors": (level * (1 + promo)).round(), "in_stock": 1.0, "size": float(s),
            }))  # fmt: skip
    return pl.concat(frames)


def ahead_of(table: pl.DataFrame, **plan: Any) -> pl.DataFrame:
    """The rows of the steps after a table, with a plan."""
    first = table["week"].max()
    weeks = pl.DataFrame({"week": [first + timedelta(weeks=w) for w in range(1, HORIZON + 1)]})  # type: ignore[operator]
    ids = table.select("store", "product").unique(maintain_order=True)
    usual = {"price": 3.0, "promo": "none", "open": 1.0} | plan
    return ids.join(weeks, how="cross").with_columns(pl.lit(value).alias(name) for name, value in usual.items())


# --- contract, signature, panel ---------------------------------------------------------------------------------------


def test_signature_names_every_column_once_with_its_axes() -> None:
    inputs = {t.name: (t.element, t.shape) for t in signature_of(contract()).inputs}
    assert inputs == {
        "history": ("float", ("series", "context")), "last_day": ("int64", ("series",)),
        "store": ("string", ("series",)), "product": ("string", ("series",)),
        "price": ("float", ("series", "steps")), "promo": ("string", ("series", "steps")),
        "open": ("float", ("series", "steps")), "visitors": ("float", ("series", "context")),
        "in_stock": ("float", ("series", "context")), "size": ("float", ("series",)),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("column", "told"),
    [
        (described("promo", "string", "known_future"), "categories that are listed"),
        (described("open", "string", "open", ("yes", "no")), "numbers, 1 or 0"),
        (described("when", "date", "known_future"), "numbers or categories"),
    ],
)
def test_contract_that_a_graph_cannot_take_is_refused(column: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError, match=told):
        contract(columns=[*COLUMNS[:4], column])


def test_roles_of_demand_are_refused_in_a_quality_contract() -> None:
    text = contract_text().replace("value: demand", "value: quality")
    with pytest.raises(DataError, match="no role of a demand contract"):
        parse_contract(text, where="x")


def test_panel_ends_at_the_last_sale_and_holds_what_is_known_after_it() -> None:
    table = sales()
    whole = pl.concat([table, ahead_of(table, price=2.5)], how="diagonal")
    panel = to_panel(whole, contract(), where="x")
    assert len(panel.ids) == len(STORES) * len(PRODUCTS)
    assert panel.values.shape == (12, WEEKS) and panel.ahead == HORIZON
    assert panel.beside["price"].shape == (12, WEEKS + HORIZON)
    assert (panel.beside["price"][:, -HORIZON:] == 2.5).all()
    assert panel.beside["size"].tolist() == [float(STORES.index(name.split("\x1f")[0])) for name in panel.ids]
    parts = named(pl.Series(panel.ids), contract())
    assert [part.name for part in parts] == ["store", "product"]
    assert sorted(parts[1].unique().to_list()) == sorted(PRODUCTS)


def test_shut_and_sold_out_steps_are_missing_not_zero() -> None:
    table = sales().with_columns(
        in_stock=pl.when(pl.col("week") == START + timedelta(weeks=3)).then(0.0).otherwise(1.0)
    )
    panel = to_panel(table, contract(), where="x")
    assert np.isnan(panel.values[:, 9::10]).all()
    assert np.isnan(panel.values[:, 3]).all()
    assert np.isfinite(panel.values[:, 4:9]).all()


def test_static_column_that_changes_is_refused_by_name() -> None:
    table = sales().with_columns(size=pl.int_range(pl.len()).cast(pl.Float64))
    with pytest.raises(DataError, match="'east · bread' has several values"):
        to_panel(table, contract(), where="x")


def test_training_windows_know_the_plan_but_no_past_column_ahead() -> None:
    agreed, context = contract(), 20
    panel = to_panel(sales(), agreed, where="x")
    inputs, target = training_windows(panel, agreed, context)
    by_name = dict(zip([t.name for t in signature_of(agreed).inputs], inputs, strict=True))
    assert by_name["price"][:].shape[1] == context + HORIZON
    assert by_name["visitors"][:].shape[1] == context
    row, first = int(by_name["price"].series[-1]), WEEKS - 3  # type: ignore[union-attr]
    expected = panel.beside["price"][row, first - context + 1 : first + 2]
    np.testing.assert_array_equal(by_name["price"][-1][: context + 1], expected)
    assert target[-1][1:].isnan().all() and target[-1][0].isfinite()


def test_series_that_are_not_asked_for_still_say_where_all_end() -> None:
    days = [START + timedelta(weeks=w) for w in range(6)]

    def rows(product: str, sold: int, first: int) -> pl.DataFrame:
        plan = first if first else 6
        return pl.DataFrame({
            "store": "north", "product": product, "week": days[:sold] + days[plan:],
            "units": [5.0] * sold + [None] * (6 - plan), "price": float(1 + (product == "milk")), "promo": "none",
            "open": 1.0, "visitors": 1.0, "in_stock": 1.0, "size": 0.0,
        })  # fmt: skip

    agreed = contract(minimum=2).model_copy(update={"horizon": 2})
    whole = pl.concat([rows("milk", 3, 4), rows("eggs", 4, 0)])
    batch = SeriesCodec(agreed, 4).encode(whole)
    assert batch.cases["series"].to_list() == ["north\x1fmilk"]
    assert np.isnan(batch.arrays["history"][0]).tolist() == [False, False, False, True]
    assert batch.arrays["price"][0, -2:].tolist() == [2.0, 2.0]


# --- every door -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def released(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with models/grocery, trained on all weeks."""
    home = tmp_path_factory.mktemp("covariates")
    shutil.copytree(checkout / "configs", home / "checkout/configs")
    folder = data_folder(home / "grocery", contract_text(), sales())
    told = dxai(home / "checkout", "train", f"data={folder}", "model.rounds=40", "split.origins=1")
    run = next(line.split()[-3] for line in told.splitlines() if "dxai release" in line)
    dxai(home / "checkout", "release", run, "--to", "models/grocery")
    return home / "checkout/models/grocery"


slow = pytest.mark.slow(seconds=60)


@slow
def test_report_says_what_price_and_flyer_do(released: Path) -> None:
    (report,) = (released.parents[1] / "runs").glob("grocery_*/*/evaluate/report.md")
    text = report.read_text("utf-8")
    (sentence,) = (line for line in text.splitlines() if "Promo: with flyer in place of none" in line)
    assert float(sentence.split(" is ")[1].split(" times")[0]) == pytest.approx(2, rel=0.25)
    assert (
        "where Promo is flyer" in text
        and "What the plan does" in text
        and (report.parent / "figures/plans.png").is_file()
    )
    assert "## Error by store" in text and "## Error by product" in text


@slow
def test_flyer_and_price_move_the_forecast_as_they_moved_demand(released: Path) -> None:
    table = sales()
    model = load(str(released), unsigned=True)
    plain = model.predict(table, ahead=ahead_of(table))
    flyer = model.predict(table, ahead=ahead_of(table, promo="flyer"))
    cheap = model.predict(table, ahead=ahead_of(table, price=2.0))
    assert flyer["units_mean"].sum() / plain["units_mean"].sum() == pytest.approx(2, rel=0.25)
    assert cheap["units_mean"].sum() / plain["units_mean"].sum() > 1.4
    assert plain.columns[:3] == ["store", "product", "week"]
    assert len(plain) == 12 * HORIZON


@slow
def test_one_file_and_two_give_the_same_forecast_and_shut_weeks_none(released: Path) -> None:
    table = sales()
    model = load(str(released), unsigned=True)
    plan = ahead_of(table).with_columns(open=pl.when(pl.col("week") == pl.col("week").min()).then(0.0).otherwise(1.0))
    two = model.predict(table, ahead=plan)
    one = model.predict(pl.concat([table, plan], how="diagonal"))
    assert one.equals(two)
    shut = two.filter(pl.col("week") == pl.col("week").min())
    assert shut.select(pl.selectors.starts_with("units").abs().max()).row(0) == (0.0,) * 12
    assert (two.filter(pl.col("week") > pl.col("week").min())["units_q50"] > 0).all()


@slow
def test_plan_that_is_missing_is_told_and_carried_only_on_request(released: Path) -> None:
    table = sales()
    model = load(str(released), unsigned=True)
    with pytest.raises(
        DataError, match="ends where the forecast begins, however the model wants to know: price, promo"
    ):
        model.predict(table)
    holes = ahead_of(table).with_columns(
        price=pl.when((pl.col("store") == "east") & (pl.col("product") == "milk")).then(None).otherwise(3.0)
    )
    with pytest.raises(DataError, match=r"1 series lacks a row .* 'east · milk'"):
        model.predict(table, ahead=holes)
    left = model.predict(table, ahead=holes, on_bad_rows="flag")
    assert left["dxai_problem"].drop_nulls().to_list() == [
        f"rule broken: store has all that is known of the next {HORIZON} steps"
    ]
    carried = model.predict(table, carry_forward=True)
    last = table.filter(pl.col("week") == pl.col("week").max())
    by_hand = ahead_of(table).drop("price", "promo", "open").join(
        last.select("store", "product", "price", "promo", "open"), on=["store", "product"], maintain_order="left"
    )  # fmt: skip
    assert carried.equals(model.predict(table, ahead=by_hand))


@slow
def test_second_file_may_name_series_that_have_no_history(released: Path) -> None:
    table, new = sales(), (pl.col("store") == "east") & (pl.col("product") == "bread")
    model = load(str(released), unsigned=True)
    plan = ahead_of(table).with_columns(size=pl.col("store").replace_strict(STORES, [0.0, 1.0, 2.0]))
    with pytest.raises(DataError, match="'east · bread' has 0"):
        model.predict(table.filter(~new), ahead=plan)
    flagged = model.predict(table.filter(~new), ahead=plan.filter(~new), on_bad_rows="flag")
    assert len(flagged) == 11 * HORIZON


@slow
def test_series_without_a_row_ahead_is_not_forecast_and_counted(released: Path) -> None:
    table = sales()
    model = load(str(released), unsigned=True)
    answer = model.predict(table, ahead=ahead_of(table).filter(pl.col("store") != "south"))
    assert set(answer["store"]) == {"north", "east"}
    assert model.counts.unasked == len(PRODUCTS)


@slow
def test_command_line_reads_the_plan_from_a_second_file(released: Path, tmp_path: Path) -> None:
    table = sales()
    table.write_csv(tmp_path / "past.csv")
    ahead_of(table).rename({"price": "열 price"}).write_csv(tmp_path / "plan.csv")
    words = ["predict", str(released), "past.csv", "--unsigned", "-o", "out.csv"]
    told = dxai(tmp_path, *words, "--ahead", "plan.csv")
    assert f"{12 * HORIZON} rows written" in told
    program = "from dxai.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 6
    assert "--carry-forward" in done.stderr and "Traceback" not in done.stderr
    check = dxai(tmp_path, "check", str(released), "past.csv", "--unsigned")
    assert "use" in check.lower()


def asked(address: str, path: str, body: bytes | dict[str, Any] | None = None) -> tuple[int, bytes]:
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    headers = {"content-type": "application/json" if isinstance(body, dict) else "text/csv"}
    try:
        with urllib.request.urlopen(urllib.request.Request(address + path, data, headers)) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read()


@slow
def test_check_takes_the_file_that_predict_takes(released: Path, tmp_path: Path) -> None:
    table = sales()
    pl.concat([table, ahead_of(table)], how="diagonal").write_csv(tmp_path / "both.csv")
    told = dxai(tmp_path, "check", str(released), "both.csv", "--unsigned")
    assert "Every row keeps the contract" in told


@slow
def test_check_tells_of_prices_and_promotions_that_training_never_saw(released: Path, tmp_path: Path) -> None:
    bundle = Bundle.open(released)
    model = load_model(bundle)
    usual = check_table(bundle, model, [sales()], where="same.csv")
    assert usual.outside == 0 and any(
        str(reason) == "for: No value lies outside the range of training." for reason in usual.reasons
    )
    east, late = pl.col("store") == "east", pl.col("week") >= START + timedelta(weeks=WEEKS - 9)
    table = sales().with_columns(
        price=pl.when(east & late).then(30.0).otherwise("price"),
        promo=pl.when((pl.col("product") == "milk") & late).then(pl.lit("radio")).otherwise("promo"),
    )
    found = check_table(bundle, model, [table], where="other.csv")
    told = [str(reason) for reason in found.reasons]
    assert found.outside == 6  # four series of the east, and milk in the two other stores
    assert any("50% of 12 series have a value outside the range of training: Price 3.3%." in text for text in told)
    assert any("Promo 'radio' (27)" in text for text in told)
    price = next(column for column in found.columns if column.column.name == "price")
    assert price.above == pytest.approx(4 * 9 / (12 * WEEKS)) and price.largest == 30
    write_report(found, tmp_path / "check.html", language="ko")
    assert "범위만 판정" in (tmp_path / "check.html").read_text("utf-8")


@slow
def test_order_quantities_stand_in_place_of_the_steps(released: Path, tmp_path: Path) -> None:
    table = sales()
    table.write_csv(tmp_path / "past.csv")
    ahead_of(table).write_csv(tmp_path / "plan.csv")
    words = ["predict", str(released), "past.csv", "--unsigned", "--ahead", "plan.csv", "-o", "out.csv"]
    told = dxai(tmp_path, *words, "--service-level", "0.95", "--lead-time", "2")
    assert "12 rows written" in told
    made = pl.read_csv(tmp_path / "out.csv")
    assert made.columns == ["store", "product", "steps", "units_mean", "units_order_95"]
    steps = load(str(released), unsigned=True).predict(table, ahead=ahead_of(table))
    first = steps.filter(pl.col("week") <= START + timedelta(weeks=WEEKS + 1)).group_by(
        "store", "product", maintain_order=True
    )
    assert made["units_mean"].to_numpy() == pytest.approx(
        first.agg(pl.col("units_mean").sum())["units_mean"].to_numpy(), rel=1e-4
    )
    assert (made["units_order_95"] > made["units_mean"]).all()


@slow
def test_server_takes_the_plan_as_table_and_as_tensors(released: Path, tmp_path: Path) -> None:
    table = sales()
    loaded = load(str(released), unsigned=True)
    whole = pl.concat([table, ahead_of(table)], how="diagonal")
    expected = loaded.predict(whole)
    arrays = SeriesCodec(loaded.contract, loaded.model.context).encode(whole.with_columns(units=pl.col("units"))).arrays
    kinds = {"float32": "FP32", "int64": "INT64", "object": "BYTES"}
    inputs = [
        {"name": n, "datatype": kinds[str(a.dtype)], "shape": list(a.shape), "data": _json(a)}
        for n, a in arrays.items()
    ]
    with running([str(released)], tmp_path / "log") as server:
        address = "http://{}:{}".format(*server.address)
        status, answer = asked(address, "/models/grocery/predict", whole.write_csv().encode())
        assert status == 200, answer
        assert pl.read_csv(answer)["units_q50"].to_numpy() == pytest.approx(expected["units_q50"].to_numpy(), rel=1e-5)
        history = table.write_csv().encode()
        assert asked(address, "/models/grocery/predict", history)[0] == 422
        assert asked(address, "/models/grocery/predict?carry_forward=true", history)[0] == 200
        assert_orders(loaded, table, address)
        status, answer = asked(address, "/v2/models/grocery/infer", {"inputs": inputs})
        assert status == 200, answer
        outputs = {o["name"]: np.reshape(o["data"], o["shape"]) for o in json.loads(answer)["outputs"]}
        assert outputs["mean"].ravel() == pytest.approx(expected["units_mean"].to_numpy(), rel=1e-4)
        (price,) = (one for one in inputs if one["name"] == "price")
        price["data"] = [None] * len(price["data"])
        status, answer = asked(address, "/v2/models/grocery/infer", {"inputs": inputs})
        assert status == 400 and b"'price'" in answer and b"steps ahead" in answer
        assert b"carry_forward" in asked(address, "/openapi.json")[1]


def assert_orders(loaded: LoadedModel, table: pl.DataFrame, address: str) -> None:
    """The server's order quantities are those of Python, and what it cannot give is refused in a sentence."""
    path, rows = "/models/grocery/predict", pl.concat([table, ahead_of(table)], how="diagonal").write_csv().encode()
    for words, more in (("?service_level=.95&lead_time=2", {"lead_time": 2}), ("?service_level=0.95", {})):
        status, answer = asked(address, path + words, rows)
        assert status == 200, answer
        made = loaded.predict(table, ahead=ahead_of(table), service_level=0.95, **more)
        assert_frame_equal(pl.read_csv(answer), made, check_dtypes=False)
    for words, told in (
        ("?service_level=1.5", b"A service level lies between 0 and 1. Such as 0.95."),
        ("?service_level=.9&lead_time=9", b"looks 4 steps ahead, and a lead time of 9 was asked for. Use 1 to 4."),
        ("?lead_time=2", b"service_level, such as 0.95"), ("?service_level=high", b"service_level, such as 0.95"),
        ("?service_level=.9&lead_time=0", b"lead_time, in steps"),
    ):  # fmt: skip
        status, answer = asked(address, path + words, rows)
        assert status == 400 and told in answer, answer
    described = json.loads(asked(address, "/openapi.json")[1])["paths"][path]["post"]["parameters"]
    lead = next(one for one in described if one["name"] == "lead_time")
    assert (lead["schema"]["minimum"], lead["schema"]["maximum"]) == (1, HORIZON)


def _json(array: Any) -> list[Any]:
    return [None if isinstance(v, float) and np.isnan(v) else v for v in array.ravel().tolist()]


def shortened() -> pl.DataFrame:
    """Sales, of which milk in the north began two weeks before the end."""
    late = (pl.col("store") == "north") & (pl.col("product") == "milk")
    return sales().filter(~late | (pl.col("week") >= date(2025, 9, 14)))


@slow
def test_predict_forecasts_a_short_series_and_says_so(released: Path, tmp_path: Path) -> None:
    table = shortened()
    milk = (pl.col("store") == "north") & (pl.col("product") == "milk")
    known = len(table.filter(milk))
    assert 1 < known < 8
    table.write_csv(tmp_path / "past.csv")
    ahead_of(table).write_csv(tmp_path / "plan.csv")
    words = ["predict", str(released), "past.csv", "--unsigned", "--ahead", "plan.csv", "-o", "out.csv"]
    told = dxai(tmp_path, *words)
    assert "1 series has fewer than the 8 known steps that the model was trained for" in told
    made = pl.read_csv(tmp_path / "out.csv")
    assert len(made) == 12 * HORIZON
    short, past = made.filter(milk), table.filter(milk)["units"]
    sold = past.filter(past > 0)
    assert short["units_q50"].is_between(sold.min() * 0.8, sold.max() * 1.2).all()
    usual = load(str(released), unsigned=True).predict(sales(), ahead=ahead_of(sales()))
    others = made.filter(~milk)["units_q50"].to_numpy()
    assert others == pytest.approx(usual.filter(~milk)["units_q50"].to_numpy(), rel=1e-4)


@slow
def test_check_and_server_take_a_short_series(released: Path, tmp_path: Path) -> None:
    table = shortened()
    whole = pl.concat([table, ahead_of(table)], how="diagonal")
    table.write_csv(tmp_path / "past.csv")
    told = dxai(tmp_path, "check", str(released), "past.csv", "--unsigned")
    assert "Experts without training forecast them" in " ".join(told.split())
    with running([str(released)], tmp_path / "log") as server:
        address = "http://{}:{}".format(*server.address)
        status, answer = asked(address, "/models/grocery/predict", whole.write_csv().encode())
    assert status == 200, answer
    assert len(pl.read_csv(answer)) == 12 * HORIZON


def test_model_that_does_not_look_at_a_column_is_refused(checkout: Path, tmp_path: Path) -> None:
    shutil.copytree(checkout / "configs", tmp_path / "checkout/configs")
    folder = data_folder(tmp_path / "grocery", contract_text(), sales())
    words = with_own_data([f"data={folder}", "model=experts"], tmp_path / "checkout")
    with pytest.raises(SettingsError, match=r"model=experts does not look at .*'price' \(known_future\)"):
        task_of(settings_from(words, checkout=tmp_path / "checkout"), tmp_path / "checkout")


@pytest.mark.parametrize("model", ["nhits", "dlinear", "demand_portfolio"])
def test_every_trained_model_follows_the_flyer(model: str, checkout: Path) -> None:
    table = sales().with_columns(week=pl.col("week").cast(pl.Date))
    words = ["experiment=demand", f"model={model}", "split.origins=1"]
    network = ["scaling.context=20", "trainer.max_epochs=40", "trainer.learning_rate=0.01"]
    words += ["model.rounds=30"] if model == "demand_portfolio" else network
    task = task_for(contract(), table, settings_from(words, checkout=checkout))
    assert isinstance(task, DemandTask)
    fold = task.folds[0]
    predictor = task.fit(fold)[0].eval()
    past = task.panel.until(fold.origin, "weekly")
    arrays = task.codec.encode_panel(past).arrays
    plain = np.where(np.arange(arrays["promo"].shape[1]) < arrays["promo"].shape[1] - HORIZON, arrays["promo"], "none")
    flyer = np.where(np.arange(arrays["promo"].shape[1]) < arrays["promo"].shape[1] - HORIZON, arrays["promo"], "flyer")
    means = [predictor.answer(arrays | {"promo": texts.astype(object)})["mean"] for texts in (plain, flyer)]
    open_ = arrays["open"][:, -HORIZON:] == 1
    assert means[1][open_].sum() > 1.3 * means[0][open_].sum()
    assert (means[0][~open_] == 0).all()


def test_new_product_is_forecast_from_what_it_is_and_from_its_plan(checkout: Path) -> None:
    agreed, table = contract(minimum=0), sales().with_columns(week=pl.col("week").cast(pl.Date))
    new = (pl.col("store") == "east") & (pl.col("product") == "bread")
    words = ["experiment=demand", "model=trees", "model.rounds=60", "split.origins=1"]
    task = task_for(agreed, table.filter(~new), settings_from(words, checkout=checkout))
    assert isinstance(task, DemandTask)
    predictor = task.fit(task.folds[-1])[0].eval()
    known = table.filter(~new)
    asked = ahead_of(table).filter(new)
    batch = task.codec.encode(pl.concat([known, asked], how="diagonal"))
    assert batch.cases["series"].to_list() == ["east\x1fbread"]
    assert np.isnan(batch.arrays["history"]).all()
    plain = predictor.answer(batch.arrays)["mean"]
    flyer = predictor.answer(
        batch.arrays | {"promo": np.where(batch.arrays["promo"] == "none", "flyer", batch.arrays["promo"])}
    )
    true_level = 20.0 * 3 * 3  # east is the third store, bread the third product
    assert plain.mean() == pytest.approx(true_level, rel=0.5)
    assert flyer["mean"].mean() > 1.3 * plain.mean()
