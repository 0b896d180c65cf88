"""Eight real files, from the raw file to a released model's predictions, by the commands that a firm gives."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from documents import run_together

from dxai.contract import load_contract

pytestmark = pytest.mark.slow

QUALITY = ("model.width=16", "trainer.max_epochs=1", "split.folds=2", "evaluate.permutations=1")
DEMAND = ("model.width=16", "trainer.max_epochs=1", "model.context=24")
STEEL_PLATES = ("Pastry", "Z_Scratch", "K_Scatch", "Stains", "Dirtiness", "Bumps", "Other_Faults")


@dataclass(frozen=True)
class Case:
    """One file: what `init` is told, and what must come of it."""

    file: str
    init: tuple[str, ...]
    rows: int
    split: str
    target: str
    train: tuple[str, ...] = QUALITY
    ignored: frozenset[str] = frozenset()


CASES = {
    "steel-plates": Case(
        "steel_plates_faults.csv", tuple(w for name in STEEL_PLATES for w in ("-t", name)), 1_941, "random", "class"
    ),
    "secom": Case("secom.csv.gz", ("-t", "Pass/Fail"), 1_567, "ordered", "pass_fail", ("model=linear", *QUALITY[1:])),
    "ai4i": Case(
        "ai4i2020.csv", ("-t", "Machine failure"), 10_000, "random", "machine_failure",
        ignored=frozenset({"uid", "product_id", "twf", "hdf", "pwf", "osf"}),
    ),
    "strength": Case(
        "concrete_compressive_strength.csv", ("-t", "Concrete compressive strength(MPa, megapascals)"), 1_030,
        "grouped", "concrete_compressive_strength",
    ),
    "car-parts": Case(
        "carparts_monthly_demand.csv", ("--kind", "demand", "--series", "Part"), 136_374, "rolling", "value", DEMAND
    ),
    "naval": Case(
        "naval_propulsion_cbm.csv", ("-t", "GT Turbine decay state coefficient"), 11_934, "random",
        "gt_turbine_decay_state_coefficient",
    ),
    "steel-energy": Case("korea_steel_industry_energy.csv", ("-t", "Usage_kWh"), 35_040, "ordered", "usage"),
    "prices": Case(
        "korea_necessaries_price_ko.csv.gz", ("-t", "판매가격"), 182_381, "random", "panmaegagyeog",
        ("model=linear", *QUALITY[1:]),
    ),
}  # fmt: skip
WITH_CLASSES = {"steel-plates", "secom", "ai4i"}


def commands(name: str, case: Case, file: Path) -> list[list[str]]:
    """What a person types, in order."""
    contract, table, run = f"{name}/contract.yaml", f"{name}/table.parquet", f"runs/{name}"
    return [
        ["data", "describe", str(file), "--report", f"{name}.html"],
        ["data", "init", str(file), *case.init, "--name", name],
        ["data", "convert", str(file), "-c", contract, "-m", f"{name}/mapping.yaml", "-o", table],
        ["data", "check", table, "-c", contract],
        ["train", f"data={name}", *case.train, f"hydra.run.dir={run}"],
        ["release", run, "--to", f"models/{name}"],
        ["predict", f"models/{name}", table, "-o", f"{name}.csv", "--unsigned"],
    ]


@pytest.mark.parametrize("name", CASES)
def test_a_raw_file_becomes_a_model_that_predicts(name: str, checkout: Path, shared_data: Path, tmp_path: Path) -> None:
    case = CASES[name]
    shutil.copytree(checkout / "configs", tmp_path / "configs")
    typed = commands(name, case, shared_data / case.file)
    run_together(tmp_path, [shlex.join(["dxai", *words]) for words in typed])

    contract = load_contract(tmp_path / name / "contract.yaml")
    assert contract.target.name == case.target
    assert contract.split == case.split
    assert {c.name for c in contract.columns if c.role == "ignore"} >= case.ignored
    assert len(pl.read_parquet(tmp_path / name / "table.parquet")) == case.rows
    assert (tmp_path / f"{name}.html").stat().st_size > 10_000
    answers = pl.read_csv(tmp_path / f"{name}.csv", infer_schema=False)
    if contract.task == "quality":
        assert len(answers) == case.rows
        assert answers[f"{case.target}_predicted"].null_count() == 0
    else:
        series = contract.only("series").name
        assert len(answers) == answers[series].n_unique() * contract.horizon
    assert bool(contract.classes) == (name in WITH_CLASSES)
    if contract.classes:
        assert set(answers[f"{case.target}_predicted"]) <= set(contract.classes)
