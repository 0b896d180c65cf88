"""The tutorials: their commands run as they stand on the public files they name, and teach what they say."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from documents import blocks, commands, run_together

from dxai.contract import Contract, load_contract
from dxai.data.compressed import opened

QUALITY = ("model.width=16", "trainer.max_epochs=1", "split.folds=2", "evaluate.permutations=1")
LINEAR = QUALITY[1:]  # the model that the tutorial names has no width
DEMAND = ("model.width=16", "trainer.max_epochs=1", "model.context=24")
VERBS = ["data describe", "data init", "data convert", "data check", "train", "release", "inspect", "predict"]


def roles(contract: Contract, role: str) -> set[str]:
    return {column.name for column in contract.columns if column.role == role}


def seven_classes_in_one(contract: Contract, told: str) -> None:
    assert contract.target.name == "class"
    assert len(contract.classes) == 7
    assert contract.split == "random"
    assert "Y_Minimum, Y_Maximum say the same" in told
    assert "Dirtiness 55" in told  # the rarest class, told by `check`


def leaks_left_out(contract: Contract, told: str) -> None:
    assert roles(contract, "ignore") == {"uid", "product_id", "twf", "hdf", "pwf", "osf"}
    assert "rnf" in roles(contract, "feature")  # the one that a person has to decide on
    assert told.count("leak of the target") >= 4
    assert "0 9,661, 1 339" in told


def ordered_with_constants_left_out(contract: Contract, told: str) -> None:
    assert contract.split == "ordered"
    assert contract.classes == ("-1", "1")
    assert len(roles(contract, "ignore")) == 116
    assert "Hold back the latest rows" in told
    assert "Only the ordered figure is honest." in told
    assert "The probabilities are worth less than the plain shares of the classes" in told


def monthly_and_rolling(contract: Contract, told: str) -> None:
    assert (contract.task, contract.split, contract.frequency) == ("demand", "rolling", "monthly")
    assert (contract.horizon, contract.target.minimum) == (12, 0)
    assert "use the median for one product, the mean for totals" in told
    assert "51 columns are steps of time" in told
    assert "empty cells: value 6,122" in told


def ordered_by_date(contract: Contract, told: str) -> None:
    assert contract.split == "ordered"
    assert roles(contract, "time") == {"date"}
    assert {"co2", "lagging_current_power_factor"} <= roles(contract, "feature")  # for a person to decide
    assert "365 steps go back" in told
    assert "A random split would have looked 3.5 x better" in told
    assert "Only the ordered figure is honest." in told


@dataclass(frozen=True)
class Tutorial:
    """The file that a reader brings, where a copy of it is kept for tests, and what must come of it."""

    file: str
    copy: str
    rows: int
    short: tuple[str, ...]
    lesson: Callable[[Contract, str], None]


TUTORIALS = {
    "steel-plates": Tutorial(
        "steel_plates_faults.csv", "steel_plates_faults.csv", 1_941, QUALITY, seven_classes_in_one
    ),
    "rare-failures": Tutorial("ai4i2020.csv", "ai4i2020.csv", 10_000, QUALITY, leaks_left_out),
    "sensors-in-time": Tutorial(
        "secom.csv", "secom.csv.gz", 1_567, LINEAR, ordered_with_constants_left_out
    ),
    "intermittent-demand": Tutorial(
        "carparts_monthly_demand.csv", "carparts_monthly_demand.csv", 2_674 * 12, DEMAND, monthly_and_rolling
    ),
    "energy-in-time": Tutorial(
        "Steel_industry_data.csv", "korea_steel_industry_energy.csv", 35_040, QUALITY, ordered_by_date
    ),
}  # fmt: skip
DOCUMENTS = [name + language for name in TUTORIALS for language in (".md", ".ko.md")]


@pytest.mark.slow
@pytest.mark.parametrize("name", TUTORIALS)
def test_commands_run_and_the_lesson_holds(name: str, checkout: Path, shared_data: Path, tmp_path: Path) -> None:
    tutorial = TUTORIALS[name]
    if not (shared_data / tutorial.copy).is_file():
        pytest.skip(f"there is no {tutorial.copy} in {shared_data}")
    shutil.copytree(checkout / "configs", tmp_path / "configs")
    with opened(shared_data / tutorial.copy) as file:
        (tmp_path / tutorial.file).write_bytes(file.read())
    typed = commands(checkout / f"docs/tutorials/{name}.md")
    told = run_together(tmp_path, [cut_short(line, tutorial.short) for line in typed])
    (contract,), (report,) = tmp_path.glob("*/contract.yaml"), tmp_path.glob("runs/*/*/evaluate/report.md")
    tutorial.lesson(load_contract(contract), re.sub(r"\s+", " ", told + report.read_text("utf-8")))
    assert len(pl.read_csv(tmp_path / "predictions.csv", infer_schema=False)) == tutorial.rows


def cut_short(line: str, settings: tuple[str, ...]) -> str:
    """A training with less of everything; any other command as it is."""
    words = shlex.split(line)
    if words[:2] != ["dxai", "train"]:
        return line
    return shlex.join([*(word for word in words if not word.startswith(("trainer.", "evaluate."))), *settings])


def test_no_tutorial_goes_untested(checkout: Path) -> None:
    found = {file.name for file in (checkout / "docs/tutorials").glob("*.md")}
    assert found == set(DOCUMENTS)


@pytest.mark.parametrize("name", TUTORIALS)
def test_both_languages_give_the_same_commands(name: str, checkout: Path) -> None:
    english, korean = (checkout / f"docs/tutorials/{name}{language}" for language in (".md", ".ko.md"))
    typed = commands(english)
    assert typed == commands(korean)
    assert blocks(english, "text") == blocks(korean, "text")  # what dxai answers
    assert [next(verb for verb in VERBS if line.startswith(f"dxai {verb}")) for line in typed] == VERBS
    numbers = [set(re.findall(r"\d[\d.,]*\d", file.read_text("utf-8"))) for file in (english, korean)]
    assert numbers[0] == numbers[1]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_are_short_and_their_links_lead_somewhere(name: str, checkout: Path) -> None:
    file = checkout / "docs/tutorials" / name
    text = file.read_text("utf-8")
    assert len(text.splitlines()) <= 80
    for link in re.findall(r"\]\((?!https://doi\.org/10\.)(.*?)\)", text):
        assert (file.parent / link).exists(), link
    for language in ("bash", "shell", "console"):  # a block that no test reads
        assert not blocks(file, language)


def test_guide_names_every_tutorial(checkout: Path) -> None:
    guide = (checkout / "docs/guide.md").read_text("utf-8")
    links = re.findall(r"\]\((tutorials/.*?)\)", guide)
    assert sorted(links) == sorted(f"tutorials/{name}" for name in DOCUMENTS)
