"""What the README says is true: its commands run, its scores are measured, both languages say the same."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from documents import blocks, commands, run_command, serve_and_stop, write_press

from pipelines.tables import PAGES, READMES, models_table, references, tasks, with_scores, with_table

LANGUAGES = ("README.md", "README.ko.md")
SHORT = {"demand": "trainer.max_epochs=1"}
SHORT["quality"] = f"{SHORT['demand']} split.folds=2 evaluate.permutations=1"


@pytest.mark.parametrize("name", LANGUAGES)
def test_readme_is_read_in_one_sitting(name: str, checkout: Path) -> None:
    text = (checkout / name).read_text("utf-8")
    assert len(text.splitlines()) <= 120
    assert text.count("![") == 2  # a report and a page


@pytest.mark.parametrize("name", LANGUAGES)
def test_eight_files_are_named_first(name: str, checkout: Path) -> None:
    text = (checkout / name).read_text("utf-8")
    assert len(re.findall(r"^\d\. \[(dxai/.+\.py)\]\(\1\): \S", text, re.MULTILINE)) == 8


def test_both_languages_hold_the_same_commands_links_and_figures(checkout: Path) -> None:
    english, korean = (checkout / name for name in LANGUAGES)
    assert blocks(english, "sh") == blocks(korean, "sh")

    def links(readme: Path) -> list[str]:
        return [link for link in re.findall(r"\]\((.*?)\)", readme.read_text("utf-8")) if not link.startswith("README")]

    def headings(readme: Path) -> list[int]:
        return [len(h) for h in re.findall(r"^(#+) ", readme.read_text("utf-8"), re.MULTILINE)]

    assert links(english) == links(korean)
    assert headings(english) == headings(korean)
    numbers = [re.findall(r"\d[\d.,]*\d", (checkout / name).read_text("utf-8").split("![")[0]) for name in LANGUAGES]
    assert sorted(numbers[0]) == sorted(numbers[1])


@pytest.mark.parametrize("name", LANGUAGES)
def test_links_lead_somewhere(name: str, checkout: Path) -> None:
    for link in re.findall(r"\]\((.*?)\)", (checkout / name).read_text("utf-8")):
        file, _, section = link.partition("#")
        assert (checkout / file).exists(), link
        titles = re.findall(r"^#+ (.+)", (checkout / file).read_text("utf-8"), re.MULTILINE) if section else []
        assert not section or section in [title.lower().replace(" ", "-") for title in titles], link


@pytest.mark.parametrize("name", LANGUAGES)
def test_table_of_models_is_what_the_bundles_say_now(name: str, checkout: Path) -> None:
    text = (checkout / name).read_text("utf-8")
    now = with_table(text, models_table(checkout, READMES[name]))
    assert text == now, f"{name} is not up to date: run `python -m pipelines.tables`"
    assert text.count("/card.md)") == len(references(checkout)) >= 2


@pytest.mark.parametrize("name", PAGES)
def test_page_of_the_sectors_says_what_the_bundles_say_now(name: str, checkout: Path) -> None:
    text = (checkout / name).read_text("utf-8")
    assert text == with_scores(text, checkout, PAGES[name]), (
        f"{name} is not up to date: run `python -m pipelines.tables`"
    )
    for task in tasks(checkout):
        (row,) = [line for line in text.splitlines() if line.startswith("| ") and f"`{task}`" in line]
        assert row.count("|") == 9, "a row of another width keeps old scores"


def test_scores_of_the_readme_are_those_of_the_released_models(checkout: Path) -> None:
    import json

    text = (checkout / "README.md").read_text("utf-8")
    concrete, retail = (
        json.loads((checkout / "models" / name / "metrics.json").read_text("utf-8"))
        for name in ("concrete-strength", "retail-demand")
    )
    assert f"| RMSE {concrete['model']['rmse']:.2f} MPa |" in text
    assert f"| {concrete['yardstick']['linear']['rmse']:.2f} MPa, linear fit |" in text
    assert f"| WQL {retail['model']['wql']:.3f} |" in text
    assert f"| {retail['yardstick']['experts']['wql']:.3f}, experts without training |" in text


def test_changed_score_asks_for_a_new_table_and_a_model_that_is_not_there_has_no_row(
    checkout: Path, tmp_path: Path
) -> None:
    import json

    shutil.copy(checkout / "dvc.yaml", tmp_path / "dvc.yaml")
    place = shutil.copytree(checkout / "models/concrete-strength", tmp_path / "models/concrete-strength")
    metrics = json.loads((place / "metrics.json").read_text("utf-8"))
    metrics["model"]["rmse"] = 1.2345
    (place / "metrics.json").write_text(json.dumps(metrics), "utf-8")
    (row,) = models_table(tmp_path, "ko").splitlines()[2:]
    assert "| RMSE 1.23 MPa | 7.26 MPa, 선형 회귀 |" in row


def test_readme_without_the_comments_is_refused() -> None:
    with pytest.raises(ValueError, match="A README must hold <!-- models"):
        with_table("# dxai\n", "| a |")


@pytest.mark.process
@pytest.mark.parametrize("target", ["help", "demo", "quick", "test"])
def test_make_targets_of_the_readme_exist(target: str, checkout: Path) -> None:
    done = subprocess.run(["make", "help"], cwd=checkout, capture_output=True, text=True, check=True)
    assert re.search(rf"^  make {target} +\S", done.stdout, re.MULTILINE)


@pytest.mark.slow
def test_commands_of_the_data_scientist_and_the_firm_run(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, concrete_table: object, retail_table: object
) -> None:
    """Every `dxai` line of the README, in a copy of the checkout, with trainings cut short."""
    monkeypatch.setenv("DXAI_HOME", str(tmp_path / "home"))  # a new user's: no catalog known from another test
    copy = tmp_path / "dxai"
    copy.mkdir()
    for name in ("configs", "contracts", "models"):
        shutil.copytree(checkout / name, copy / name)
    (copy / "data").symlink_to(checkout / "data")
    stand_ins = {
        ("quality", "data=concrete model=linear"): "concrete-strength",
        ("demand", "data=retail model=dlinear"): "retail-demand",
    }
    for (task, words), name in stand_ins.items():
        if not (copy / "models" / name / "model.onnx").is_file():  # a clone without `make demo`: a tiny training
            run_command(copy, f"dxai train {words} {SHORT[task]} hydra.run.dir=runs/short-{name}")
            run_command(copy, f"dxai release runs/short-{name} --to models/{name}")
    write_press(copy / "press.csv")
    typed = [line for line in commands(checkout / "README.md") if line.startswith("dxai ")]
    assert len(typed) >= 5
    for command in typed:
        if command.startswith("dxai serve"):
            serve_and_stop(copy, command)
            continue
        training = command.startswith("dxai train") and "--help" not in command
        short = f" {SHORT['quality']} budget=quick" if training else ""
        run_command(copy, drop(command, "trainer.max_epochs=", "model.k=", "budget=") + short if training else command)
    (program,) = blocks(checkout / "README.md", "python")
    run_command(copy, shlex.join(["python", "-c", program]))
    assert (copy / "predictions.csv").is_file()
    assert len(list(copy.glob("runs/*/**/report.html"))) >= 3  # one run and a sweep, one report each


def drop(command: str, *prefixes: str) -> str:
    return shlex.join(word for word in shlex.split(command) if not word.startswith(prefixes))
