"""A whole table against its contract: what `dxai data check` finds, and the figures of ISO/IEC 5259-2."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from dxai.cli.main import cli
from dxai.contract import Contract, parse_contract
from dxai.data.checks import cast
from dxai.data.dialect import dialect_of
from dxai.data.readers import Block
from dxai.data.tables import as_text, read_blocks, read_typed_blocks
from dxai.intake.check import TableCheck, check, plain_numbers

NOW = datetime(2026, 11, 24, 12)
ROW = {
    "lot": "9007199254740993", "heat": "850.5", "state": "on", "day": "2026-02-03", "at": "2026-02-03 13:30:00",
    "verdict": "good",
}  # fmt: skip


def column(name: str, kind: str, role: str, **more: Any) -> dict[str, Any]:
    told = {"role": role, "titleEn": name.title(), "titleKo": name}
    properties = [{"property": key, "value": value} for key, value in told.items()]
    listed = more.pop("listed", None)
    if listed:
        more["quality"] = [{"metric": "invalidValues", "mustBe": 0, "arguments": {"validValues": listed}}]
    return {"name": name, "logicalType": kind, "customProperties": properties, **more}


COLUMNS = [
    column("lot", "integer", "ignore", required=True, primaryKey=True),
    column("heat", "number", "feature", logicalTypeOptions={"minimum": 0, "maximum": 2000}),
    column("state", "string", "feature", listed=["on", "off"]),
    column("day", "date", "ignore"),
    column("at", "timestamp", "time", required=True),
    column("verdict", "string", "target", listed=["good", "bad"]),
]
DOCUMENT = json.dumps(
    {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "lots", "version": "1.0.0", "status": "active",
        "description": {"purpose": "Tell bad lots."},
        "customProperties": [{"property": "titleEn", "value": "Lots"}, {"property": "titleKo", "value": "로트"}],
        "schema": [
            {
                "name": "lots", "logicalType": "object", "properties": COLUMNS,
                "customProperties": [
                    {"property": "task", "value": "quality"}, {"property": "timeZone", "value": "Asia/Seoul"},
                ],
            }
        ],
    }
)  # fmt: skip


@pytest.fixture(scope="module")
def contract() -> Contract:
    return parse_contract(DOCUMENT, where="lots")


def lots(*changes: dict[str, str | None]) -> pl.DataFrame:
    rows = [{**ROW, "lot": str(int(ROW["lot"]) + i), **change} for i, change in enumerate(changes)]
    return pl.DataFrame(rows, schema=dict.fromkeys(ROW, pl.String))


def checked(contract: Contract, *tables: pl.DataFrame) -> TableCheck:
    return check(map(Block, tables), contract, where="lots.csv", now=NOW)


def found(contract: Contract, *tables: pl.DataFrame) -> dict[tuple[str, str], tuple[int, list[tuple[int, str]]]]:
    return {(p.column, p.rule): (p.count, p.examples) for p in checked(contract, *tables).problems}


def test_a_good_table_breaks_no_rule(contract: Contract) -> None:
    ran = checked(contract, lots({}, {"heat": None}, {"state": "idle"}, {"at": "2026-11-24 12:00:00"}))
    assert not ran.problems
    assert ran.rows == 4
    assert ran.newest == "2026-11-24 12:00:00"
    assert ran.unseen == {"state": 1}


def test_rows_are_counted_on_over_the_blocks(contract: Contract) -> None:
    block = lots({}, {"heat": "hot"})
    other = lots({"heat": "cold"}).with_columns(lot=pl.lit("1"))
    assert found(contract, block, other)["heat", "holds numbers"] == (2, [(3, "hot"), (4, "cold")])


def test_a_key_that_stands_above_is_told_also_of_another_block(contract: Contract) -> None:
    told = found(contract, lots({"lot": "1"}, {"lot": "2"}), lots({"lot": " 1 "}, {"lot": "2.0"}))
    assert told == {("lot", "names each row once"): (2, [(4, "its key stands above"), (5, "its key stands above")])}


def test_keys_that_a_float_cannot_tell_apart_differ(contract: Contract) -> None:
    table = lots({}, {})  # 2**53 + 1 and 2**53 + 2
    assert float(table["lot"][0]) == float(2**53)
    assert not found(contract, lots({"lot": str(2**53)}), table)
    assert not found(contract, pl.concat([lots({"lot": str(2**53)}), table]).with_columns(pl.col("lot").cast(pl.Int64)))


def test_an_unknown_class_of_the_target_is_a_violation(contract: Contract) -> None:
    told = found(contract, lots({}, {"verdict": "lost"}))
    assert told == {("verdict", "is one of 'good', 'bad'"): (1, [(3, "lost")])}


def test_a_time_that_lies_in_the_future_is_told(contract: Contract) -> None:
    told = found(contract, lots({"at": "2026-11-24 12:00:01"}, {"day": "2099-01-01"}))
    assert told == {("at", "does not lie in the future"): (1, [(2, "2026-11-24 12:00:01.000000")])}


def test_the_clock_is_that_of_the_contracts_zone(contract: Contract) -> None:
    table = lots({"at": "2999-01-01"})
    assert check([Block(table)], contract, where="t").problems
    assert not check([Block(lots({}))], contract, where="t").problems


def test_plans_may_lie_in_the_future(contract: Contract) -> None:
    planned = [c.model_copy(update={"role": "known_future"}) if c.name == "day" else c for c in contract.columns]
    assert not found(contract.model_copy(update={"columns": tuple(planned)}), lots({"at": "2999-01-01"}))


def test_measures_have_the_names_of_the_standard(contract: Contract) -> None:
    table = lots({}, {"heat": None}, {"heat": "hot", "verdict": "bad"}, {"verdict": None, "day": None})
    quality = {(m.id, m.subject): m.value for m in checked(contract, table).quality}
    assert quality["Com-ML-1", ""] == 1 - 3 / 24
    assert quality["Com-ML-4", ""] == 0.5
    assert quality["Com-ML-5", "verdict"] == 0.75
    assert quality["Com-ML-3", "heat"] == 0.75  # a cell that holds no number is not empty
    assert quality["Con-ML-3", ""] == 1 - 1 / 21
    assert quality["Div-ML-2", "bad"] == pytest.approx(1 / 3)
    assert quality["Bal-ML-8", "verdict"] == pytest.approx(1 - 0.9182958340544896)  # bits of one in three


def test_equal_classes_are_in_balance_and_one_alone_is_not(contract: Contract) -> None:
    balance = [
        next(m.value for m in checked(contract, table).quality if m.id == "Bal-ML-8")
        for table in (lots({}, {"verdict": "bad"}), lots({}, {}))
    ]
    assert balance == [pytest.approx(0), 1]


def test_uniqueness_is_told_only_where_there_are_keys(contract: Contract) -> None:
    assert checked(contract, lots({})).measures.keys() == {
        "value completeness", "record validity", "record uniqueness",
    }  # fmt: skip
    assert "record uniqueness" not in checked(contract.model_copy(update={"keys": ()}), lots({})).measures


def test_a_table_without_rows_is_told(contract: Contract) -> None:
    ran = checked(contract, lots())
    assert ran.rows == 0 and not ran.problems
    assert all(0 <= m.value <= 1 for m in ran.quality)


TYPED = pl.DataFrame(
    {
        "lot": [1, 2, 3], "heat": [1.5, float("nan"), 3000.0], "state": ["on", " off ", ""],
        "day": [date(2026, 2, 3), None, date(2026, 2, 4)],
        "at": [datetime(2026, 2, 3, 13, 30), datetime(2026, 2, 3), None], "verdict": ["good", "bad", "lost"],
    }
)  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {}, {"lot": pl.UInt8}, {"heat": pl.Float32}, {"at": pl.Datetime("ns")}, {"at": pl.Datetime("ms")},
        {"state": pl.Categorical}, {"day": pl.Datetime("us")}, {"lot": pl.String}, {"at": pl.Date},
    ],
)  # fmt: skip
def test_typed_columns_mean_what_their_text_means(contract: Contract, change: dict[str, Any]) -> None:
    table = TYPED.cast(change)
    typed, problems = cast(table, contract)
    by_text, told = cast(as_text(table), contract)
    assert typed.equals(by_text)
    assert [(p.column, p.rule, p.count, p.examples) for p in problems] == [
        (p.column, p.rule, p.count, p.examples) for p in told
    ]
    assert ("heat", "is at most 2000") in {(p.column, p.rule) for p in problems}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(width=64) | st.none(), min_size=1, max_size=9))
def test_any_number_means_what_its_text_means(values: list[float | None]) -> None:
    contract = parse_contract(DOCUMENT, where="lots")
    table = pl.DataFrame({"heat": values}, schema={"heat": pl.Float64})
    typed, problems = cast(table, contract)
    by_text, told = cast(as_text(table), contract)
    assert typed.equals(by_text)
    assert list(map(str, problems)) == list(map(str, told))


CELLS = st.sampled_from(
    [
        "",
        " ",
        "1",
        "0012",
        "+5",
        "1e3",
        "9e9",
        "-1",
        "1.",
        ".5",
        "nan",
        "NaN",
        "inf",
        "1E400",
        " 7 ",
        "\t3",
        "1_0",
        "x",
        "３",
    ]
) | st.floats(width=64).map(repr)


@settings(max_examples=150, deadline=None)
@given(st.lists(CELLS, min_size=1, max_size=9), st.sampled_from(["utf-8", "utf-8-sig", "cp949"]), st.booleans())
def test_file_read_as_numbers_is_told_like_one_read_as_text(heats: list[str], encoding: str, last: bool) -> None:
    contract = parse_contract(DOCUMENT, where="lots")
    table = lots(*({"heat": heat} for heat in heats))
    table = table.select(pl.exclude("heat"), "heat") if last else table  # gaps at the ends of lines
    with TemporaryDirectory() as folder:
        path = Path(folder) / "lots.csv"
        path.write_bytes(table.write_csv(quote_style="never").encode(encoding))
        dialect = dialect_of(path)
        as_numbers = read_typed_blocks(path, plain_numbers(contract, "lots"), dialect)
        found, told = (
            check(blocks, contract, where="lots", now=NOW)
            for blocks in (as_numbers, map(Block, read_blocks(path, dialect)))
        )
    assert list(map(str, found.problems)) == list(map(str, told.problems))
    assert (found.rows, found.broken, found.quality) == (told.rows, told.broken, told.quality)
    assert (found.gaps, found.unseen, found.newest) == (told.gaps, told.unseen, told.newest)


def test_times_of_several_shapes_are_read_beside_each_other() -> None:
    contract = parse_contract(DOCUMENT, where="lots")
    texts = [
        "2026-02-03T13:30:00",
        "2026-02-03",
        "2026-02-03 13:30:00.5",
        None,
        "2026-2-3 1:02:03",
        "3 Feb",
        "2026-2-3",
    ]
    typed, problems = cast(pl.DataFrame({"at": texts}), contract)
    day, hour = datetime(2026, 2, 3), datetime(2026, 2, 3, 13, 30)
    read = [hour, day, hour.replace(microsecond=500_000), None, datetime(2026, 2, 3, 1, 2, 3), None, day]
    assert typed["at"].to_list() == read
    assert [problem.examples for problem in problems] == [[(7, "3 Feb")], [(5, "")]]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2026-02-03 13:30:00", datetime(2026, 2, 3, 13, 30)),
        ("2026-02-03T13:30:00", datetime(2026, 2, 3, 13, 30)),
        ("2026-02-03T13:30:00.250000", datetime(2026, 2, 3, 13, 30, 0, 250_000)),
        ("2026-02-03 13:30:00.25", datetime(2026, 2, 3, 13, 30, 0, 250_000)),
        ("2026-02-03 1:02:03", datetime(2026, 2, 3, 1, 2, 3)),
        (" 2026-02-03 ", datetime(2026, 2, 3)),
        ("26-02-03 13:30:00", None),
        ("2026-\r02-03 13:30:00", None),
        ("2026-02-03  13:30:00", None),
        ("2026-02-0313:30:00", None),
        ("2026-02-03 13:30:60", None),
        ("2026-02-03 13:30:00.1234567", None),
        ("2026-02-03 13:30:00.123456000", datetime(2026, 2, 3, 13, 30, 0, 123_456)),
        ("2026-02-30 13:30:00", None),
        ("2026-02-03 13:30", datetime(2026, 2, 3, 13, 30)),
        ("2026-02-03T13:30", datetime(2026, 2, 3, 13, 30)),
        ("2026-02-03 13", None),
        ("2026-02-03 24:30", None),
        ("20260203T133000", None),
    ],
)
def test_time_stamps_are_iso_8601(contract: Contract, text: str, read: datetime | None) -> None:
    typed, problems = cast(lots({"at": text}), contract)
    assert typed["at"].to_list() == [read]
    assert bool(problems) == (read is None)


def told_by(folder: Path, table: str, *words: str) -> Any:
    (folder / "lots.contract.yaml").write_text(DOCUMENT, "utf-8")
    (folder / "lots.csv").write_text(table, "utf-8")
    words = ("data", "check", str(folder / "lots.csv"), "-c", str(folder / "lots.contract.yaml"), *words)
    return CliRunner().invoke(cli, words)


BAD = "lot,heat,state,day,at,verdict\n1,hot,idle,2026-02-03,2026-02-03,good\n1,9999,on,,2026-02-03,lost\n"


def test_the_command_tells_rules_counts_rows_and_fixes(tmp_path: Path) -> None:
    ran = told_by(tmp_path, BAD)
    assert "value completeness 91.66%" in ran.output
    assert "empty cells: day 1" in ran.output
    assert "unseen ones: state 1" in ran.output
    message = str(ran.exception)
    assert message.startswith("4 problems:")
    for part in ("'heat' holds numbers, however 1 row breaks that (row 2: 'hot')", "'lot' names each row once",
                 "'heat' is at most 2000", "row 3: 'lost'", "Correct the classes", "unit of the values"):  # fmt: skip
        assert part in message, message


def test_the_command_tells_it_to_programs(tmp_path: Path) -> None:
    ran = told_by(tmp_path, BAD, "--json")
    record = json.loads(ran.output)
    assert ran.exit_code == 6
    assert {m["id"] for m in record["iso_iec_5259_2"]} >= {"Com-ML-1", "Com-ML-3", "Com-ML-4", "Com-ML-5", "Con-ML-3"}
    assert record["unseen"] == {"state": 1}
    assert len(record["problems"]) == 4
