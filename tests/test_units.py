"""Units as people write them become UCUM codes, and convert exactly or not at all."""

from __future__ import annotations

import csv
import gzip
import math
import re
import subprocess
import sys
from functools import cache
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import ucumvert
from hypothesis import example, given
from hypothesis import strategies as st

from dxai.errors import DataError
from dxai.units import (
    QUANTITIES,
    Conversion,
    conversion,
    dimension_mates,
    is_ucum,
    of_header,
    require_ucum,
    understand,
)
from dxai.units.vocabulary import CODE_OF_EXACT, CODE_OF_WORD

PAIRS = [pair for codes in QUANTITIES.values() for pair in permutations(codes, 2)]
UNDERSTOOD = {
    "℃": "Cel", "°C": "Cel", "° C": "Cel", "ºC": "Cel", "degC": "Cel", "deg C": "Cel", "Celsius": "Cel", "섭씨": "Cel",
    "℉": "[degF]", "°": "deg", "K": "K", "℃/min": "K/min", "rpm": "/min", "RPM": "/min", "r/min": "/min",
    "kgf/cm²": "kgf/cm2", "kgf/cm2": "kgf/cm2", "kgf/㎠": "kgf/cm2", "kgf/cm^2": "kgf/cm2", "㎏f/㎠": "kgf/cm2",
    "kPaG": "kPa{gauge}", "bar": "bar", "barg": "bar{gauge}", "MPa": "MPa", "㎫": "MPa", "psi": "[psi]",
    "mmHg": "mm[Hg]", "Torr": "atm/760",
    "%": "%", "％": "%", "‰": "[ppth]", "ppm": "[ppm]", "PPM": "[ppm]", "wt%": "%{wt}", "% RH": "%{RH}", "-": "1",
    "㎏": "kg", "KG": "kg", "Kg": "kg", "톤": "t", "ton": "t", "lbs": "[lb_av]", "ｋｇ": "kg",
    "μm": "um", "㎛": "um", "µm": "um", "mm": "mm", "밀리미터": "mm", "inches": "[in_i]", "ft": "[ft_i]", "Å": "Ao",
    "mm/s": "mm/s", "㎧": "m/s", "m/sec²": "m/s2", "km/hr": "km/h", "knots": "[kn_i]", "ft/min": "[ft_i]/min",
    "m³/h": "m3/h", "㎥/h": "m3/h", "m^3/h": "m3/h", "m**3/h": "m3/h", "㎥／ｈｒ": "m3/h", "Nm³/h": "m3{normal}/h",
    "LPM": "L/min", "ℓ/min": "L/min", "㏄": "cm3", "s⁻¹": "s-1", "10³/mL": "10*3/mL", "10^3/uL": "10^3/uL",
    "N·m": "N.m", "N⋅m": "N.m", "Nㆍm": "N.m", "N-m": "N.m", "N m": "N.m", "Nm": "N.m", "N*m": "N.m", "kgf·m": "kgf.m",
    "kWh": "kW.h", "KWH": "kW.h", "㎾": "kW", "kVarh": "kV.A{reactive}.h", "kVA": "kV.A", "MWh": "MW.h", "kΩ": "kOhm",
    "W/m²·K": "W/(m2.K)", "J/kg K": "J/(kg.K)", "W/mK": "W/(m.K)", "kJ/kWh": "kJ/(kW.h)", "mPa·s": "mPa.s",
    "개": "{unit}", "EA": "{unit}", "개/시간": "{unit}/h", "회": "{count}", "원": "{KRW}", "천원": "10*3.{KRW}",
    "원/kg": "{KRW}/kg", "시간": "h", "분": "min", "초": "s", "일": "d", "day": "d", "h": "h", "mins": "min",
    "tCO2": "t{CO2}", "kgCO2/kWh": "kg{CO2}/(kW.h)", "pH": "[pH]", "㏗": "[pH]", "dB(A)": "dB{A}", "HRC": "{HRC}",
    "kg per m3": "kg/m3", "kg in a m^3 mixture": "kg/m3", "MPa, megapascals": "MPa", "A": "A", "mT": "mT",
    "[IU]": "[IU]", "cSt": "cSt", "deg_C": "Cel",
}  # fmt: skip


@pytest.mark.parametrize(("text", "code"), UNDERSTOOD.items())
def test_people_are_understood(text: str, code: str) -> None:
    assert understand(text) == understand(f" {text} ") == code
    assert is_ucum(code)


def test_ucum_codes_come_back_unchanged() -> None:
    for code in (code for codes in QUANTITIES.values() for code in codes):
        assert understand(code) == require_ucum(code, "") == code
        assert understand(understand(code)) == code


def test_no_spelling_is_hidden_by_a_reading_of_ucum() -> None:
    for spelling, code in (CODE_OF_WORD | CODE_OF_EXACT).items():
        assert understand(spelling) == understand(code) == code


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("C", "write Cel for degrees Celsius, A.s for coulombs"),
        ("F", "write [degF] for"),
        ("T/h", "write t for tonnes, Wb/m2 for teslas"),
        ("M", "write m for metres"),
        ("kg/cm²", "write kgf/cm2 for a pressure"),
        ("N/A", "write nothing where there is no unit"),
        ("″", "write [in_i] for inches"),
        ("celcius", "write Cel"),
        ("MM", "write mm"),
        ("kgff/cm2", "write kgf/cm2"),
        ("mpa", "write MPa"),
        ("m100", "UCUM code, such as Cel"),
        ("", "write its UCUM code, such as Cel, MPa, kg/m3 or /min"),
        ("10*999999999", "UCUM code, such as"),
        ("x" * 10_000_000, "UCUM code, such as"),
    ],
)
def test_what_is_not_understood_is_refused_with_the_code_to_write(text: str, fix: str) -> None:
    with pytest.raises(DataError) as refused:
        understand(text)
    assert fix in refused.value.fix
    assert_short(refused.value)


@pytest.mark.parametrize(
    ("code", "fix"), [("℃", "Cel"), ("rpm", "/min"), ("kgf/cm²", "kgf/cm2"), ("Cel/min", "K/min"), ("ppm", "[ppm]")]
)
def test_a_contract_must_say_ucum(code: str, fix: str) -> None:
    with pytest.raises(DataError) as refused:
        require_ucum(code, "contract.yaml, column heat")
    assert str(refused.value) == (
        f"unit '{code}' is not a UCUM code\n  where: contract.yaml, column heat\n  fix:   write {fix}"
    )


def test_all_official_examples_are_ucum() -> None:
    examples = Path(ucumvert.__file__).parent / "vendor" / "ucum_examples.tsv"
    with examples.open(encoding="utf-8") as file:
        codes = [row["UCUM_CODE"] for row in csv.DictReader(file, delimiter="\t")]
    assert len(codes) > 800
    assert [code for code in codes if not is_ucum(code)] == ["Torr"]  # listed there, but not in UCUM's own table


# --- conversion


@pytest.fixture(scope="module")
def pint_says() -> Any:
    registry = ucumvert.PintUcumRegistry()

    @cache
    def quantity(code: str) -> Any:
        # pint knows no annotations, and ucumvert stumbles over a code that is nothing else.
        return registry.from_ucum(re.sub(r"\.?\{[^}]*\}", "", code) or "1")

    def convert(value: float, source: str, target: str) -> float:
        old, new = quantity(source), quantity(target)
        there = type(old)(value * old.magnitude, old.units).to(new.units)
        return float(there.magnitude / new.magnitude)

    return convert


def test_every_admitted_pair_agrees_with_pint(pint_says: Any) -> None:
    assert len(PAIRS) > 1500
    for source, target in PAIRS:
        for value in (-40.0, 0.1, 37.5, 1e6):
            found, wanted = conversion(source, target).apply(value), pint_says(value, source, target)
            assert found == pytest.approx(wanted, rel=1e-12, abs=1e-9 if target == "Cel" else 0), (source, target)


def test_millimetres_of_mercury_are_those_of_ucum(pint_says: Any) -> None:
    # UCUM rounds to 133.3220 Pa, pint does not: no admitted pair, but what a contract with this code means.
    assert conversion("mm[Hg]", "Pa").scale == pytest.approx(133.322, rel=1e-15)
    assert pint_says(1.0, "mm[Hg]", "Pa") == pytest.approx(133.322387, rel=1e-8)
    assert "mm[Hg]" not in dimension_mates("Pa")


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_round_trip(source: str, target: str) -> None:
    there = conversion(source, target)
    for back in (there.inverse(), conversion(target, source)):
        values = np.array([-273.15, -40.0, 0.0, 1e-6, 0.1, 36.6, 1013.25, 1e9])
        size = np.maximum(np.abs(values), abs(there.offset / there.scale))
        assert np.all(np.abs(back.apply(there.apply(values)) - values) <= 1e-12 * size)


@given(st.sampled_from(PAIRS), st.floats(-1e12, 1e12))
def test_round_trip_of_any_value(pair: tuple[str, str], value: float) -> None:
    there = conversion(*pair)
    back = there.inverse().apply(there.apply(value))
    assert abs(back - value) <= 1e-12 * max(abs(value), abs(there.offset / there.scale)) + 5e-324 / there.scale


@pytest.mark.parametrize(
    ("source", "target", "value", "wanted"),
    [
        ("Cel", "K", 25.0, 298.15),
        ("[degF]", "Cel", 32.0, 0.0),
        ("[degF]", "Cel", 212.0, 100.0),
        ("Cel", "[degF]", 100.0, 212.0),
        ("mm", "m", 9.0, 0.009),
        ("m", "mm", 0.35, 350.0),
        ("kgf/cm2", "MPa", 10.0, 0.980665),
        ("%", "1", 12.5, 0.125),
        ("/min", "Hz", 1500.0, 25.0),
        ("{unit}/h", "{unit}/d", 5.0, 120.0),
        ("{box}/h", "{box}/d", 5.0, 120.0),
        ("t{CO2}", "kg{CO2}", 0.02, 20.0),
        ("10*4.{KRW}", "{KRW}", 3.0, 30000.0),
        ("bar{gauge}", "kPa{gauge}", 7.0, 700.0),
    ],
)
def test_exact_values(source: str, target: str, value: float, wanted: float) -> None:
    assert conversion(source, target).apply(value) == wanted


def test_the_same_code_leaves_every_bit_as_it_is() -> None:
    for code in ("Cel", "{unit}", "[IU]", "[pH]", "dB"):
        same = conversion(code, code)
        assert same == Conversion() == same.inverse()
        values = pl.Series("x", [1, None, -3], dtype=pl.Int16)
        assert same.apply(values) is values
        bits = np.array([0x7FF8000000000123, 0x8000000000000000], dtype=np.uint64)
        assert np.array_equal(same.apply(bits.view(np.float64)).view(np.uint64), bits)


def test_series_keep_their_name_and_their_gaps() -> None:
    celsius_to_kelvin = conversion("Cel", "K")
    heat = pl.Series("heat", [20.0, None, -273.15])
    assert celsius_to_kelvin.apply(heat).to_list() == [293.15, None, 0.0]
    assert celsius_to_kelvin.apply(heat).name == "heat"
    assert celsius_to_kelvin.apply(pl.Series([20], dtype=pl.Int64)).to_list() == [293.15]
    lazily = heat.to_frame().lazy().select(celsius_to_kelvin.apply(pl.col("heat"))).collect()
    assert lazily["heat"].to_list() == [293.15, None, 0.0]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("Cel", "MPa"), ("kg/m2", "MPa"), ("K/min", "Cel"), ("rad/s", "/min"), ("deg", "%"), ("mol", "1"), ("bit", "1"),
        ("{unit}", "{box}"), ("{unit}", "1"), ("{rev}/min", "/min"), ("{a}/{b}", "{b}/{a}"), ("t{CO2}", "t"),
        ("bar{gauge}", "bar"), ("kV.A{reactive}.h", "kW.h"), ("[IU]", "1"), ("[IU]", "%"), ("[pH]", "1"), ("dB", "B"),
        ("dB", "1"), ("{HV}", "{HRC}"),
    ],
)  # fmt: skip
def test_different_things_are_refused(source: str, target: str) -> None:
    with pytest.raises(DataError, match=re.escape(f"{source} cannot be converted to {target}: ")) as refused:
        conversion(source, target)
    assert_short(refused.value)
    with pytest.raises(DataError):
        conversion(target, source)


def test_codes_of_different_quantities_do_not_mix() -> None:
    alike = {  # the same dimension to UCUM
        frozenset({"time", "calendar time"}), frozenset({"torque", "energy"}), frozenset({"power", "apparent power"}),
    }  # fmt: skip
    for one, other in permutations(QUANTITIES, 2):
        source, target = QUANTITIES[one][0], QUANTITIES[other][0]
        if frozenset({one, other}) in alike:
            assert math.isfinite(conversion(source, target).scale)
        else:
            with pytest.raises(DataError):
                conversion(source, target)


def test_mates() -> None:
    assert dimension_mates("Cel") == ("K", "[degF]", "[degR]")
    assert "kJ" not in dimension_mates("N.m")
    assert "kg/h" in dimension_mates("kg/d")
    assert dimension_mates("[pH]") == dimension_mates("℃") == dimension_mates("[IU]") == ()


# --- headers

HEADERS = {
    "온도(℃)": ("온도", "℃"), "온도 [℃]": ("온도", "℃"), "온도（℃）": ("온도", "℃"), "온도℃": ("온도", "℃"),
    "온도(℃)_1호기": ("온도_1호기", "℃"), "습도%": ("습도", "%"), "압력MPa": ("압력", "MPa"),
    "주문량 (개)": ("주문량", "개"), "판매가격(원)": ("판매가격", "원"),
    "단가(원/kg)": ("단가", "원/kg"), "유량(㎥/h)": ("유량", "㎥/h"), "전류(A)": ("전류", "A"),
    "press_kgf/cm2": ("press", "kgf/cm2"), "press_kgf_cm2": ("press", "kgf/cm2"), "Temp_degC": ("Temp", "degC"),
    "Temp_deg_C": ("Temp", "deg_C"), "speed_m/s": ("speed", "m/s"), "WEIGHT_KG": ("WEIGHT", "KG"),
    "flow_m3_h": ("flow", "m3/h"),
    "thickness_mm": ("thickness", "mm"), "Temperature / °C": ("Temperature", "°C"), "Usage_kWh": ("Usage", "kWh"),
    "CO2(tCO2)": ("CO2", "tCO2"), "Age (day)": ("Age", "day"), "wait_time(min)": ("wait_time", "min"),
    "Voltage (V)": ("Voltage", "V"), "Hours (h)": ("Hours", "h"), "Heat (W/(m²·K))": ("Heat", "W/(m²·K)"),
    "Oven [[degF]]": ("Oven", "[degF]"), "Temp [F]": ("Temp", "°F"),
    "Lever position (lp) [ ]": ("Lever position (lp)", ""), "ratio [-]": ("ratio", "-"),
}  # fmt: skip
NO_UNIT = [
    "part_a", "sensor_1", "weight_kg_min", "wind_m_s", "phase_C", "size_m", "motor_m3", "temp_min", "temp_max",
    "PROD_NM", "prod_nm", "prod_cd",
    "PROD_GB", "reg_dt", "yyyy_mm", "created_at", "check_in", "price_per_kg", "판매가격_원/kg", "생산_시간",
    "ratio_W/L", "order_S/N", "Pass/Fail", "Jan-98", "TypeOfSteel_A300", "Time_of_day", "kWh", "rpm", "(1)",
    "Height [2]", "load (10³)", "Length (L)", "Time (t)", "Line (A)", "Phase [A]", "온도(min)", "Flow (in)",
    "gas (N2)", "inlet (T1)", "SN (S/N)", "사유 (N/A)",
    "charge [C]", "설비(PV)", "metal (Mg)", "공정 (A)", "a - b", "x_-", "", "(" * 400, "[" * 5000,
]  # fmt: skip


@pytest.mark.parametrize(("header", "parts"), HEADERS.items())
def test_headers_with_units(header: str, parts: tuple[str, str]) -> None:
    assert of_header(header) == parts
    assert not parts[1] or is_ucum(understand(parts[1]))


@pytest.mark.parametrize("header", NO_UNIT)
def test_headers_without_units(header: str) -> None:
    assert of_header(header) == (header, "")


@given(
    st.text(max_size=30), st.sampled_from(["", "_", " ", "(", "["]), st.sampled_from([*UNDERSTOOD, "C", "x", "a", "{}"])
)
def test_whatever_a_header_says_its_unit_is_understood(name: str, joint: str, unit: str) -> None:
    closing = {"(": ")", "[": "]"}.get(joint, "")
    found = of_header(name + joint + unit + closing)[1]
    assert not found or is_ucum(understand(found))


@example("℃1")
@example("\x1f" * 40)
@given(st.one_of(st.text(max_size=40), st.text("kmgPasCel/.·^23 ()[]{}", max_size=20)))
def test_any_text_is_understood_or_refused_in_one_short_message(text: str) -> None:
    try:
        code = understand(text)
    except DataError as refused:
        assert_short(refused)
    else:
        assert is_ucum(code)


REAL = {
    "ai4i2020.csv": ["K", "K", "/min", "N.m", "min"],
    "carparts_monthly_demand.csv": [],
    "concrete_compressive_strength.csv": ["kg/m3"] * 7 + ["d", "MPa"],
    "korea_necessaries_price_ko.csv.gz": [],
    "korea_steel_industry_energy.csv": ["kW.h", "kV.A{reactive}.h", "kV.A{reactive}.h", "t{CO2}"],
    "naval_propulsion_cbm.csv": [
        *["[kn_i]", "kN.m", "/min", "/min", "kN", "kN", "Cel", "Cel", "Cel", "bar", "bar", "bar", "bar", "%", "kg/s"]
    ],
    "secom.csv.gz": [],
    "steel_plates_faults.csv": [],
}  # fmt: skip


@pytest.mark.parametrize("name", REAL)
def test_headers_of_real_files(shared_data: Path, name: str) -> None:
    with (gzip.open if name.endswith("gz") else open)(shared_data / name, "rt", encoding="utf-8") as file:
        headers = next(csv.reader(file))
    found = [unit for _, unit in map(of_header, headers) if unit]
    assert [understand(unit) for unit in found] == REAL[name]


@pytest.mark.process
def test_importing_units_loads_neither_pint_nor_the_parser() -> None:
    program = "import sys, dxai.units; print([name for name in ('pint', 'lark', 'ucumvert') if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def assert_short(error: DataError) -> None:
    lines = str(error).splitlines()
    assert len(lines) <= 3
    assert all(len(line) <= 120 for line in lines)
