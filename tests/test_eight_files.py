"""Eight real files, from the raw file to a released model's predictions, by the commands that a firm gives.

Five of them are the files of the tutorials: there the commands are the tutorial's own, and what it teaches must hold.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from documents import commands, run_together

from dxai.contract import Contract, load_contract
from dxai.data.compressed import opened

pytestmark = pytest.mark.slow(seconds=20)

SHORT = ("split.folds=2", "evaluate.permutations=1")
QUALITY = ("budget=quick", *SHORT)
LINEAR = ("model=linear", "trainer.max_epochs=1", *SHORT)
DEMAND = ("model.rounds=5", "model.rows=4000")


def roles(contract: Contract, role: str) -> set[str]:
    return {column.name for column in contract.columns if column.role == role}


def seven_classes_in_one(contract: Contract, told: str) -> None:
    assert contract.target.name == "class"
    assert len(contract.classes) == 7
    assert contract.split == "random"
    assert "Y_Minimum, Y_Maximum say the same" in told
    assert "Dirtiness 55" in told  # the rarest class, told by `check`


def leaks_left_out(contract: Contract, told: str) -> None:
    assert contract.target.name == "machine_failure"
    assert contract.split == "random"
    assert roles(contract, "ignore") == {"uid", "product_id", "twf", "hdf", "pwf", "osf"}
    assert "rnf" in roles(contract, "feature")  # the one that a person has to decide on
    assert told.count("leak of the target") >= 4
    assert "0 9,661, 1 339" in told


def ordered_with_constants_left_out(contract: Contract, told: str) -> None:
    assert contract.target.name == "pass_fail"
    assert contract.split == "ordered"
    assert contract.classes == ("-1", "1")
    assert len(roles(contract, "ignore")) == 116
    assert "Hold back the latest rows" in told
    assert "Only the ordered figure is honest." in told
    assert "The probabilities are worth less than the plain shares of the classes" in told


def monthly_and_rolling(contract: Contract, told: str) -> None:
    assert contract.target.name == "value"
    assert (contract.task, contract.split, contract.frequency) == ("demand", "rolling", "monthly")
    assert (contract.horizon, contract.target.minimum) == (12, 0)
    assert "use the median for one product, the mean for totals" in told
    assert "51 columns are steps of time" in told
    assert "empty cells: value 6,122" in told


def ordered_by_date(contract: Contract, told: str) -> None:
    assert contract.target.name == "usage"
    assert contract.split == "ordered"
    assert roles(contract, "time") == {"date"}
    assert {"co2", "lagging_current_power_factor"} <= roles(contract, "feature")  # for a person to decide
    assert "365 steps go back" in told
    assert "split: ordered by date" in told
    assert "Only the ordered figure is honest." in told


def grouped_by_recipe(contract: Contract, told: str) -> None:
    assert contract.target.name == "concrete_compressive_strength"
    assert contract.split == "grouped"
    assert not contract.classes


def random_rows(contract: Contract, told: str) -> None:
    assert contract.target.name == "gt_turbine_decay_state_coefficient"
    assert contract.split == "random"


def named_in_latin_letters(contract: Contract, told: str) -> None:
    assert contract.target.name == "panmaegagyeog"
    assert contract.split == "random"


@dataclass(frozen=True)
class File:
    """One file: where a copy of it is kept for tests, what `init` is told of it, and what must come of it.

    ``tutorial`` stands for commands of ours, and ``name`` is what they call the file.
    """

    copy: str
    name: str
    rows: int
    lesson: Callable[[Contract, str], None]
    tutorial: str = ""
    init: str = ""
    short: tuple[str, ...] = QUALITY


FILES = [
    File(
        "steel_plates_faults.csv", "steel_plates_faults.csv", 1_941, seven_classes_in_one, tutorial="steel-plates"
    ),
    File("ai4i2020.csv", "ai4i2020.csv", 10_000, leaks_left_out, tutorial="rare-failures"),
    File(
        "secom.csv.gz", "secom.csv", 1_567, ordered_with_constants_left_out,
        tutorial="sensors-in-time",
    ),
    File(
        "carparts_monthly_demand.csv", "carparts_monthly_demand.csv", 136_374, monthly_and_rolling,
        tutorial="intermittent-demand", short=DEMAND,
    ),
    File(
        "korea_steel_industry_energy.csv", "Steel_industry_data.csv", 35_040, ordered_by_date,
        tutorial="energy-in-time",
    ),
    File(
        "concrete_compressive_strength.csv", "strength.csv", 1_030, grouped_by_recipe,
        init="--target 'Concrete compressive strength(MPa, megapascals)'",
    ),
    File(
        "naval_propulsion_cbm.csv", "naval.csv", 11_934, random_rows,
        init="--target 'GT Turbine decay state coefficient'",
    ),
    File(
        "korea_necessaries_price_ko.csv.gz", "prices.csv", 182_381, named_in_latin_letters,
        init="--target 판매가격", short=LINEAR,
    ),
]  # fmt: skip


def typed(file: File, checkout: Path) -> list[str]:
    """What a person types, in order, with a training cut short."""
    if file.tutorial:
        lines = commands(checkout / f"docs/tutorials/{file.tutorial}.md")
    else:
        lines = [
            f"dxai data describe {file.name}",
            f"dxai data init {file.name} {file.init} --name mine",
            f"dxai data convert {file.name} -c mine/contract.yaml -m mine/mapping.yaml -o mine/table.parquet",
            "dxai data check mine/table.parquet -c mine/contract.yaml",
            "dxai train data=mine hydra.run.dir=runs/mine/train",
            "dxai release runs/mine --to models/mine",
            "dxai inspect models/mine --unsigned",
            "dxai predict models/mine mine/table.parquet -o predictions.csv --unsigned",
        ]
    return [f"{lines[0]} --report looks.html", *(cut_short(line, file.short) for line in lines[1:])]


def cut_short(line: str, settings: tuple[str, ...]) -> str:
    """A training with less of everything; any other command as it is."""
    words = shlex.split(line)
    if words[:2] != ["dxai", "train"]:
        return line
    return shlex.join([*(w for w in words if not w.startswith(("model=", "trainer.", "evaluate."))), *settings])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_raw_file_becomes_a_model_that_predicts(
    file: File, checkout: Path, shared_data: Path, tmp_path: Path
) -> None:
    if not (shared_data / file.copy).is_file():
        pytest.skip(f"there is no {file.copy} in {shared_data}")
    for name in ("configs", "contracts"):
        shutil.copytree(checkout / name, tmp_path / name)
    with opened(shared_data / file.copy) as content:
        (tmp_path / file.name).write_bytes(content.read())
    told = run_together(tmp_path, typed(file, checkout))

    (path,), (report,) = tmp_path.glob("*/contract.yaml"), tmp_path.glob("runs/*/*/evaluate/report.md")
    contract = load_contract(path)
    file.lesson(contract, re.sub(r"\s+", " ", told + report.read_text("utf-8")))
    assert len(pl.read_parquet(path.with_name("table.parquet"))) == file.rows
    assert (tmp_path / "looks.html").stat().st_size > 10_000

    answers = pl.read_csv(tmp_path / "predictions.csv", infer_schema=False)
    if contract.task == "demand":
        series = contract.only("series").name
        assert len(answers) == answers[series].n_unique() * contract.horizon == 2_674 * 12
        return
    found = answers[f"{contract.target.name}_predicted"]
    assert len(found) == file.rows and found.null_count() == 0
    assert not contract.classes or set(found) <= set(contract.classes)


def test_every_tutorial_is_run(checkout: Path) -> None:
    told = {file.name.partition(".")[0] for file in (checkout / "docs/tutorials").glob("*.md")}
    assert {file.tutorial for file in FILES} - {""} == told
