"""What outsiders add works without an edit in dxai/: the page, the skeletons, and a package from elsewhere."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from test_serve import running

pytestmark = pytest.mark.process(seconds=90)

BOLTS = "heat,hardness\n" + "\n".join(f"{900 + i % 40},{200 + 3 * (i % 40) + i % 5}" for i in range(160)) + "\n"
SECTIONS = {
    "extending.md": ("Your network", "Your data set", "Your metric"),
    "extending.ko.md": ("파일 두 개로", "함수 하나로"),
}
MOST_LINES = 40


@pytest.fixture
def workplace(checkout: Path, tmp_path: Path, concrete_table: pl.DataFrame) -> Path:
    """A checkout to add to, with the table of concrete strength and a mirror that holds the bolts."""
    assert len(concrete_table) > 1000
    folder = tmp_path / "checkout"
    for name in ("configs", "contracts"):
        shutil.copytree(checkout / name, folder / name)
    shutil.copytree(checkout / "data/prepared", folder / "data/prepared")
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror/bolts.csv").write_text(BOLTS, "utf-8")
    return folder


def run(folder: Path, *command: str, **more: str) -> str:
    program = ["-c", "from dxai.cli.main import main; main()"] if command[0] == "dxai" else list(command[:2])
    words = command[1:] if command[0] == "dxai" else command[2:]
    environment = os.environ | {"DXAI_MIRROR": str(folder.parent / "mirror"), "OMP_NUM_THREADS": "1"} | more
    done = subprocess.run(
        [sys.executable, *program, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def blocks(page: str) -> Iterator[tuple[str, str, str]]:
    """Language, file that the text before it names last, and content of each block of code."""
    for before, language, content in re.findall(r"(.*?)```(\w+)\n(.*?)```", page, re.DOTALL):
        files = re.findall(r"`((?:custom|configs|contracts)/[\w/]+\.\w+)`", before)
        yield language, files[-1] if files else "", content


@pytest.mark.parametrize("name", SECTIONS)
def test_the_lessons_are_short_and_the_same_in_both_languages(name: str, checkout: Path) -> None:
    page = (checkout / "docs" / name).read_text("utf-8")
    for section in page.split("\n## ")[1:4]:
        assert section.startswith(SECTIONS[name])
        assert len(section.strip().splitlines()) <= MOST_LINES, section.splitlines()[0]
    assert list(blocks(page)) == list(blocks((checkout / "docs/extending.md").read_text("utf-8")))


def test_the_page_does_what_it_says(workplace: Path, checkout: Path) -> None:
    page = (checkout / "docs/extending.md").read_text("utf-8")
    for language, file, content in blocks(page.replace("SHA256", hashlib.sha256(BOLTS.encode()).hexdigest())):
        if language == "bash":
            run(workplace, *[word.strip("'") for word in content.strip().split(" ")])
            continue
        assert file, content
        (workplace / file).parent.mkdir(parents=True, exist_ok=True)
        (workplace / file).write_text(content, "utf-8")
    reports = [found.read_text("utf-8") for found in workplace.glob("runs/bolts_*/*/evaluate/report.md")]
    assert len(reports) == 3
    assert sum("worst tenth" in report for report in reports) == 1


@pytest.mark.parametrize("demand", [False, True])
def test_skeletons_work_as_they_are(demand: bool, workplace: Path) -> None:
    kind = ["--demand"] if demand else []
    assert "wrote custom/wave.py" in run(workplace, "dxai", "new", "model", "wave", *kind)
    assert "wrote contracts/plates.yaml" in run(workplace, "dxai", "new", "data", "plates", *kind)
    run(workplace, "dxai", "new", "experiment", "trial", "--data", "plates", "--model", "wave")
    tests = [f"custom/test_{name}.py" for name in ("wave", "plates", "trial")]
    run(workplace, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)
    again = subprocess.run(
        [sys.executable, "-c", "from dxai.cli.main import main; main()", "new", "model", "wave"],
        cwd=workplace, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (again.returncode, "There is a custom/wave.py already." in again.stderr) == (2, True)


PACKAGE = {
    "pyproject.toml": """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "plant-models"
version = "1.0.0"
[tool.setuptools]
packages = ["plant_models"]
""",
    "plant_models/__init__.py": "",
    "plant_models/parts.py": '''
import numpy as np
import torch
from torch import nn


class Straight(nn.Module):
    """A line in one number."""

    def __init__(self, *, numbers: int, cardinalities: list[int], outputs: int, bias: bool = True) -> None:
        super().__init__()
        self.line = nn.Linear(numbers, outputs, bias=bias)

    def forward(self, numbers, categories):
        return self.line(numbers).unsqueeze(1)


class Absolute:
    """Mean absolute error of every member."""

    def __init__(self, *, scale: float = 1.0) -> None:
        self.scale = scale

    def __call__(self, members, target):
        return self.scale * (members - target[:, None, None]).abs().mean()


def median_error(truth, prediction):
    """The error that half of the rows stay below."""
    return float(np.median(np.abs(truth - prediction)))


class Nearest(nn.Module):
    """No training: remembers the rows, and answers with the nearest one's value."""

    def __init__(self, *, numbers: int, cardinalities: list[int], outputs: int, rows: int = 64) -> None:
        super().__init__()
        self.register_buffer("known", torch.zeros(rows, numbers))
        self.register_buffer("value", torch.zeros(rows))

    def fit(self, rows) -> None:
        place = torch.arange(len(self.known)) % len(rows.target)
        self.known, self.value = rows.inputs[0][place], rows.target[place]

    def forward(self, numbers, categories):
        distance = ((numbers[:, None, :] - self.known[None]) ** 2).sum(dim=2)
        return self.value[distance.argmin(dim=1)][:, None, None]
''',
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an installed package that is not ours."""
    source, target = tmp_path_factory.mktemp("package"), tmp_path_factory.mktemp("site")
    for name, content in PACKAGE.items():
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text(content, "utf-8")
    quiet = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "install", *quiet, "--target", str(target), str(source)], check=True)
    return target


@pytest.mark.parametrize("model", ["Straight", "Nearest"])
def test_a_package_from_elsewhere_goes_through_every_door(
    model: str, site: Path, workplace: Path, checkout: Path
) -> None:
    sums = {"SHA256": hashlib.sha256(BOLTS.encode()).hexdigest()}
    for language, file, content in blocks((checkout / "docs/extending.md").read_text("utf-8")):
        if language == "yaml" and "bolts" in file:
            (workplace / file).write_text(content.replace("SHA256", sums["SHA256"]), "utf-8")
    (workplace / "configs/model/theirs.yaml").write_text(f"_target_: plant_models.parts.{model}\n", "utf-8")
    more = {"PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}
    words = ["data=bolts", "model=theirs", "loss={_target_:plant_models.parts.Absolute,scale:2.0}"]
    words += [
        "evaluate.metrics=[plant_models.parts.median_error]",
        "trainer.max_epochs=60",
        "trainer.learning_rate=0.1",
        "split.folds=2",
    ]
    run(workplace, "dxai", "train", *words, **more)
    folder = next(workplace.glob(f"runs/bolts_{model.lower()}/*"))
    scores = json.loads((folder / "evaluate/metrics.json").read_text("utf-8"))
    assert scores["model"]["median_error"] < 8
    assert yaml.safe_load((folder / "train/settings.yaml").read_text("utf-8"))["loss"]["scale"] == 2.0
    run(workplace, "dxai", "release", str(folder), "--to", "models/bolts", **more)

    # A member firm has neither the package nor the training stack's classes: the graph is all it needs.
    (workplace / "rows.csv").write_text("heat\n905\n930\n", "utf-8")
    run(workplace, "dxai", "predict", "models/bolts", "rows.csv", "-o", "answer.csv", "--unsigned")
    answer = pl.read_csv(workplace / "answer.csv")["hardness_predicted"].to_numpy()
    assert np.all(np.abs(answer - [215, 290]) < 20)
    with running([str(workplace / "models/bolts")], workplace / "log") as server:
        status, _, told_by_server = server.ask("POST", "/models/bolts/predict", (workplace / "rows.csv").read_bytes())
    assert status == 200
    assert np.allclose(pl.read_csv(told_by_server)["hardness_predicted"].to_numpy(), answer)
