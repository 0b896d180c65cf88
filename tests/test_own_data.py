"""A firm's own folder trains like a public data set, by its contract; nothing of the firm leaves with the model."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from dxai.config.compose import settings_from
from dxai.config.settings import OwnData
from dxai.contract import parse_contract
from dxai.contract.terms import terms_of
from dxai.data.own import with_own_data
from dxai.data.table import prepared_table
from dxai.errors import DataError, NotFoundError
from dxai.intake.pack import pack
from dxai.learn.families import task_of
from dxai.record.runs import Run

TINY = ["model=linear", "trainer.max_epochs=2", "split.folds=2", "evaluate.permutations=1"]
QUALITY = """
apiVersion: v3.1.0
kind: DataContract
id: Casting_Weights
name: casting weights
version: 1.0.0
status: draft
description: {{purpose: Predict the weight of a casting.}}
customProperties:
  - {{property: titleEn, value: Casting weights}}
  - {{property: titleKo, value: 주물 무게}}
schema:
  - name: castings
    logicalType: object
    physicalType: table
    customProperties:
      - {{property: task, value: quality}}
      - {{property: split, value: {split}}}
{group}
    properties:
      - {{name: melt, logicalType: string, required: true, customProperties: [{{property: role, value: group}},
          {{property: titleEn, value: Melt}}, {{property: titleKo, value: 용탕}}]}}
      - {{name: made, logicalType: date, required: true, customProperties: [{{property: role, value: time}},
          {{property: titleEn, value: Made}}, {{property: titleKo, value: 제조일}}]}}
      - {{name: heat, logicalType: number, required: true, customProperties: [{{property: role, value: feature}},
          {{property: unit, value: Cel}}, {{property: titleEn, value: Heat}}, {{property: titleKo, value: 온도}}]}}
      - {{name: weight, logicalType: number, required: true, customProperties: [{{property: role, value: target}},
          {{property: unit, value: kg}}, {{property: titleEn, value: Weight}}, {{property: titleKo, value: 무게}}]}}
"""
BY_MELT = "      - {property: group, value: [melt]}"
DEMAND = """
apiVersion: v3.1.0
kind: DataContract
id: spare-parts
name: spare parts
version: 1.0.0
status: draft
description: {purpose: Forecast units per month.}
customProperties:
  - {property: titleEn, value: Spare parts}
  - {property: titleKo, value: 예비 부품}
schema:
  - name: demand
    logicalType: object
    physicalType: table
    customProperties:
      - {property: task, value: demand}
      - {property: frequency, value: monthly}
      - {property: horizon, value: 3}
      - {property: season, value: 12}
      - {property: minimumHistory, value: 12}
    properties:
      - {name: part, logicalType: string, required: true, customProperties: [{property: role, value: series},
          {property: titleEn, value: Part}, {property: titleKo, value: 부품}]}
      - {name: month, logicalType: date, required: true, customProperties: [{property: role, value: time},
          {property: titleEn, value: Month}, {property: titleKo, value: 월}]}
      - {name: units, logicalType: number, required: false, customProperties: [{property: role, value: target},
          {property: unit, value: "1"}, {property: titleEn, value: Units}, {property: titleKo, value: 개수}]}
"""


def castings(rows: int = 80) -> pl.DataFrame:
    random = np.random.default_rng(0)
    heat = random.normal(1400, 20, rows).round(2)
    made = np.datetime64("2026-01-01") + np.arange(rows)
    weight = (heat / 100 + random.normal(0, 0.1, rows)).round(3)
    return pl.DataFrame({"melt": [f"M{i // 4}" for i in range(rows)], "made": made, "heat": heat, "weight": weight})


def parts() -> pl.DataFrame:
    month = pl.date_range(pl.date(2022, 1, 1), pl.date(2025, 12, 1), "1mo", eager=True).dt.month_end()
    random = np.random.default_rng(0)
    return pl.concat(
        pl.DataFrame({"part": [f"P-{i}"] * len(month), "month": month, "units": random.poisson(9.0, len(month)) * 1.0})
        for i in range(6)
    )


def quality(split: str = "grouped", group: str = BY_MELT) -> str:
    return QUALITY.format(split=split, group=group)


def data_folder(folder: Path, contract: str, table: pl.DataFrame) -> Path:
    folder.mkdir()
    (folder / "contract.yaml").write_text(contract, "utf-8")
    table.write_parquet(folder / "table.parquet")
    return folder


@pytest.fixture
def workplace(checkout: Path, tmp_path: Path) -> Path:
    """A checkout without any public table."""
    shutil.copytree(checkout / "configs", tmp_path / "checkout/configs")
    return tmp_path / "checkout"


def dxai(folder: Path, *words: str) -> str:
    program = "from dxai.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("contract", "split"),
    [
        (quality(), "grouped"),
        (quality("ordered", ""), "ordered"),
        (quality("random", ""), "random"),
        (quality("''"), "grouped"),
        (quality("''", ""), "random"),
        (DEMAND, "rolling"),
    ],
)
def test_the_contract_chooses_family_and_split(contract: str, split: str, workplace: Path, tmp_path: Path) -> None:
    folder = data_folder(tmp_path / "own data", contract, castings())
    settings = settings_from(with_own_data([f"data={folder}"], workplace), checkout=workplace)
    assert isinstance(settings.data, OwnData)
    assert settings.split.kind == split
    assert (settings.evaluate.kind == "demand") == (split == "rolling")
    assert settings.data.path == str(folder)
    assert (
        settings.data.name == settings.release.bundle == parse_contract(contract, where="").id.lower().replace("_", "-")
    )


def test_what_a_person_chose_wins(workplace: Path, tmp_path: Path) -> None:
    folder = data_folder(tmp_path / "own", quality(), castings())
    words = [
        "experiment=concrete",
        "model=linear",
        f"data.path={folder}",
        "split=random",
        "release.version=2.0.0",
        "data.name=mine",
    ]
    settings = settings_from(with_own_data(words, workplace), checkout=workplace)
    assert (settings.model.name, settings.split.kind, settings.data.name) == ("linear", "random", "mine")
    assert (settings.release.bundle, settings.release.version) == ("mine", "2.0.0")


@pytest.mark.parametrize(
    "words", [["data=concret"], ["experiment=retail", "data=retail"], ["seed=3", "model.k=2"], [], ["-m", "data=a,b"]]
)
def test_words_without_own_data_stay_as_they_are(words: list[str], workplace: Path) -> None:
    assert with_own_data(words, workplace) == words


def test_a_data_set_of_the_checkout_brings_its_experiment(checkout: Path) -> None:
    assert with_own_data(["data=retail", "seed=3"], checkout) == ["experiment=retail", "data=retail", "seed=3"]


def test_hydras_own_options_keep_their_place(workplace: Path, tmp_path: Path) -> None:
    folder = data_folder(tmp_path / "own", quality(), castings())
    made = with_own_data(["-m", "seed=0,1", f"data={folder}", "model.k=2"], workplace)
    assert (made[:2], made[-1]) == (["-m", "seed=0,1"], "model.k=2")


@pytest.mark.process
@pytest.mark.slow(seconds=20)
def test_no_row_leaves_with_a_process(workplace: Path, tmp_path: Path) -> None:
    folder = data_folder(tmp_path / "own", quality(), castings())
    words = ("model=gp", "split.folds=2", "evaluate.permutations=1", "hydra.run.dir=runs/held")
    dxai(workplace, "train", f"data={folder}", *words)
    dxai(workplace, "release", "runs/held", "--to", "models/held")
    run = Run(workplace / "runs/held/train")
    task = task_of(run.settings, workplace)
    network = task.restored(run.state("final")).network
    heat = torch.as_tensor(task.table["heat"].to_numpy()).float()[:, None]
    rows, points = network.process._scaled(heat), network.process.points
    assert points.shape == rows.shape and torch.cdist(points, rows).min() > 1e-6


def test_a_package_trains_as_its_folder_does(workplace: Path, tmp_path: Path) -> None:
    policy = "\n  - {property: licence, value: CC-BY-4.0}\nschema:"
    folder = data_folder(tmp_path / "own", quality().replace("\nschema:", policy), castings())
    package = pack(folder)
    for words in ([f"data={package}"], ["experiment=concrete", f"data.path={package}"]):
        data = settings_from(with_own_data(words, workplace), checkout=workplace).data
        assert prepared_table(data, workplace).equals(castings())
        assert Path(data.path).is_relative_to(workplace / "data/packages")  # type: ignore[union-attr]


def test_a_folder_that_is_not_there_is_told(workplace: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nowhere"):
        with_own_data([f"data={tmp_path}/nowhere"], workplace)


def test_a_folder_without_a_table_is_told_with_the_command_that_makes_it(workplace: Path, tmp_path: Path) -> None:
    folder = data_folder(tmp_path / "own", quality(), castings())
    (folder / "table.parquet").unlink()
    with pytest.raises(NotFoundError, match="dxai data convert"):
        with_own_data([f"data={folder}"], workplace)


def test_a_table_that_breaks_its_contract_is_refused(workplace: Path, tmp_path: Path) -> None:
    broken = castings().with_columns(pl.when(pl.int_range(pl.len()) == 6).then(None).otherwise("heat").alias("heat"))
    folder = data_folder(tmp_path / "own", quality(), broken.cast({"heat": pl.String}))
    settings = settings_from(with_own_data([f"data={folder}"], workplace), checkout=workplace)
    with pytest.raises(DataError, match=r"'heat'.*row 8"):
        prepared_table(settings.data, workplace)


def test_terms_come_from_the_usage_policy() -> None:
    policy = """
  - property: usagePolicy
    value: {contractType: provision, provider: Firm A, recipients: members, purposes: [quality prediction],
            redistribution: false, crossBorder: false, until: "2027-12-31"}
schema:"""
    usage = terms_of(parse_contract(quality().replace("\nschema:", policy), where="")).usage
    assert "Firm A for members" in usage.en and "only for: quality prediction" in usage.en
    assert "until 2027-12-31" in usage.en and "may not be passed on" in usage.en and "stays in the country" in usage.en
    assert "2027-12-31까지" in usage.ko and "국외 이전 금지" in usage.ko
    assert "ask its provider" in terms_of(parse_contract(quality(), where="")).usage.en


@pytest.mark.slow
def test_own_rows_become_a_model_and_stay_where_they_are(workplace: Path, tmp_path: Path) -> None:
    table = castings()
    folder = data_folder(tmp_path / "own", quality(), table)
    told = dxai(workplace, "train", f"data={folder}", *TINY)
    run = next(line.split()[-3] for line in told.splitlines() if "dxai release" in line)
    dxai(workplace, "release", run, "--to", "models/weights")
    bundle = workplace / "models/weights"
    for file in bundle.rglob("*"):
        assert file.is_dir() or str(tmp_path).encode() not in file.read_bytes(), f"{file.name} says where the data lies"
    golden = pl.read_csv(bundle / "golden/rows.csv")
    assert golden.columns == ["heat"]
    rows = tmp_path / "rows.csv"
    table.select("heat", "melt").write_csv(rows)
    dxai(workplace, "predict", str(bundle), str(rows), "-o", str(tmp_path / "out.csv"), "--unsigned")
    answers = pl.read_csv(tmp_path / "out.csv")
    assert len(answers) == len(table) and answers["weight_predicted"].is_finite().all()


@pytest.mark.slow
def test_own_histories_become_a_model_and_stay_where_they_are(workplace: Path, tmp_path: Path) -> None:
    folder = data_folder(tmp_path / "own", DEMAND, parts())
    told = dxai(workplace, "train", f"data={folder}", "model.rounds=5")
    run = next(line.split()[-3] for line in told.splitlines() if "dxai release" in line)
    dxai(workplace, "release", run, "--to", "models/parts")
    golden = pl.read_csv(workplace / "models/parts/golden/rows.csv", try_parse_dates=True)
    assert set(golden["part"]) == {f"series-{i}" for i in range(1, 7)}
    real = {tuple(values) for values in parts().group_by("part").agg("units")["units"].to_list()}
    assert not real & {tuple(values) for values in golden.group_by("part").agg("units")["units"].to_list()}
    table = tmp_path / "parts.csv"
    parts().write_csv(table)
    dxai(workplace, "predict", "models/parts", str(table), "-o", str(tmp_path / "out.csv"), "--unsigned")
    assert len(pl.read_csv(tmp_path / "out.csv")) == 6 * 3
