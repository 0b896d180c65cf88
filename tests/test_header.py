"""A header that names a unit is held against the contract wherever rows come in."""

from __future__ import annotations

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from dxai.contract import Column
from dxai.data.header import converted, match_header, unit_behind, unit_of
from dxai.errors import DataError
from dxai.units import Conversion, conversion, spellings


def column(unit: str, title: str = "Oven temperature") -> Column:
    return Column(name="heat", kind="number", role="feature", unit=unit, title_en=title, title_ko="오븐 온도")


@pytest.mark.parametrize(
    ("header", "unit"),
    [
        ("heat", "Cel"), ("heat (℃)", "Cel"), ("오븐 온도(°C)", "Cel"), ("Oven temperature [degC]", "Cel"),
        ("heat (1)", "Cel"), ("heat (C)", "Cel"), ("heat (h)", "Cel"), ("heat ()", "Cel"),
        ("압력(㎏/㎠)", "kgf/cm2"), ("압력(kg/㎠)", "kgf/cm2"), ("pressure [kg/cm2]", "kgf/cm2"),
        ("speed (rpm)", "/min"), ("qty (EA)", "1"), ("수량(개)", "1"), ("sugar (Brix)", "{Brix}"), ("noise (dB)", "dB"),
        ("flow (L/h)", "L/h"), ("share (%)", "%"), ("density (g/L)", "kg/m3"),
    ],
)  # fmt: skip
def test_same_unit_goes_on(header: str, unit: str) -> None:
    assert unit_behind(header, column(unit)) == Conversion()


@pytest.mark.parametrize(
    ("header", "unit", "there", "here"),
    [
        ("heat (℉)", "Cel", 212.0, 100.0), ("heat [K]", "Cel", 273.15, 0.0), ("온도(화씨)", "Cel", 32.0, 0.0),
        ("heat (F)", "Cel", 212.0, 100.0), ("force (N)", "kN", 1500.0, 1.5),
        ("pressure (psi)", "MPa", 1000.0, 6.894757), ("length (inch)", "mm", 2.0, 50.8),
        ("flow (L/h)", "m3/h", 1500.0, 1.5), ("압력(㎏/㎠)", "MPa", 10.0, 0.980665), ("share (%)", "1", 3.9, 0.039),
        ("speed (rps)", "/min", 2.0, 120.0),
    ],
)  # fmt: skip
def test_other_unit_of_the_same_quantity_is_converted(header: str, unit: str, there: float, here: float) -> None:
    assert unit_behind(header, column(unit)).apply(there) == pytest.approx(here, rel=1e-6)


@pytest.mark.parametrize(
    "header", ["heat (bar)", "heat (dB)", "heat (kg)", "heat (%)", "heat (furlong per moon)", "heat [??x]"]
)
def test_other_quantity_or_unknown_unit_is_refused(header: str) -> None:
    with pytest.raises(DataError):
        unit_behind(header, column("Cel"))


def test_title_with_brackets_is_the_column_itself() -> None:
    assert unit_behind("oven temperature (Zone)", column("Cel", "Oven temperature (zone)")) == Conversion()


def test_unit_of_a_header() -> None:
    assert [unit_of(h) for h in ("temp (℉)", "temp", "force (F)", "Ship speed (v) [knots]")] == [
        "[degF]",
        "",
        "",
        "[kn_i]",
    ]


def test_cells_that_are_no_numbers_stay_for_the_checks() -> None:
    cells = pl.Series(["212", " 32 ", None, "hot", "1e2"])
    assert converted(cells, conversion("[degF]", "Cel")).to_list()[2:4] == [None, "hot"]
    assert [float(t) for t in converted(cells, conversion("[degF]", "Cel")).to_list()[:2]] == pytest.approx([100, 0])
    assert converted(cells, Conversion()) is cells


def test_every_spelling_that_a_page_knows_is_the_unit() -> None:
    for unit in ("Cel", "MPa", "kg/m3", "1", "%", "/min"):
        texts = spellings(unit)
        assert unit in texts
        for text in texts:
            assert unit_behind(f"heat ({text})", column(unit)) == Conversion(), (unit, text)


class TestMatchedHeader:
    """A whole table."""

    def contract(self):
        from conftest import _CASTING

        from dxai.contract import parse_contract

        return parse_contract(_CASTING, where="contract.yaml")

    def test_foreign_unit_is_refused_with_column_both_units_and_the_way_out(self) -> None:
        with pytest.raises(DataError) as caught:
            match_header(
                ["pressure (psi)", "melt (℉)", "plant"],
                self.contract(),
                target=False,
                where="rows.csv",
                advice="--convert",
            )
        told = caught.value.message()
        assert "'pressure (psi)' is in [psi], however the contract says MPa" in told
        assert "'melt (℉)' is in [degF], however the contract says Cel" in told
        assert "--convert" in caught.value.fix

    def test_foreign_unit_is_converted_on_request(self) -> None:
        names = ["pressure (psi)", "melt (℉)", "plant", "own"]
        header = match_header(names, self.contract(), target=False, where="", convert_units=True)
        table = pl.DataFrame([["1000"], ["1292"], ["창원"], ["x"]], schema=names)
        assert list(header.conversions) == ["pressure", "melt"]
        got = header.columns(table).with_columns(pl.col("pressure", "melt").cast(pl.Float64).round(3))
        assert_frame_equal(got, pl.DataFrame({"pressure": [6.895], "melt": [700.0], "plant": ["창원"]}))

    def test_another_quantity_is_refused_even_on_request(self) -> None:
        with pytest.raises(DataError, match="measure different things"):
            match_header(
                ["pressure (kg)", "melt", "plant"], self.contract(), target=False, where="", convert_units=True
            )
