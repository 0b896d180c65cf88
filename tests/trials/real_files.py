"""python -m tests.trials.real_files --size ci|release [--seed N] [--verbose]

Files like those that firms really have (`firm_files`), through the doors: `dxai data describe`, `init` with its draft
taken as it is, `convert`, `check`, and training up to its first fit; rows in other units and spellings through
`predict`, `dxai check`, the server and `dxai.load` of a small bundle. Each door is right when it gives the right
values, refuses with a message that names the matter, or asks a person with a "decide" (or a care of `describe`) that
names it; otherwise it is unclear (refused for a cause that does not name it), silently wrong, or it crashes. --verbose
prints one line per file and door. The release size makes the files several times, of other numbers.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from random import Random
from typing import Any, Literal

from tests import conftest  # first: it makes the arithmetic portable

import numpy as np  # isort: skip
import polars as pl  # isort: skip
import torch  # isort: skip

from dxai.api import load
from dxai.bundle.folder import Bundle
from dxai.config.compose import settings_from
from dxai.contract import Contract, load_contract
from dxai.data.own import with_own_data
from dxai.errors import DxaiError
from dxai.inference.model import Model
from dxai.learn.demand import DemandTask
from dxai.learn.families import task_of
from dxai.record import figures
from dxai.serve.refusal import Refusal
from dxai.serve.served import ServedModel
from dxai.serve.table import predict_table
from tests.trials.firm_files import DEMAND, FirmFile, as_csv, firm_files, weekly
from tests.trials.scene import Answer, Finding, Setting, dxai_here, run

ROUNDS = {"ci": 1, "release": 10}
CHECKOUT = Path(__file__).resolve().parents[2]
Verdict = Literal["right", "unclear", "silently wrong", "crash"]
"""``unclear``: it refuses, or takes care, and does not name the matter."""


@dataclass(frozen=True)
class Judgement:
    """What a door made of a file.

    Attributes:
        said: The end of what it said, or the value that is wrong.
    """

    kind: str
    name: str
    door: str
    verdict: Verdict
    said: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.verdict:14} {self.kind:18} {self.name:26} {self.door:9} {self.said}"


def crashed(answer: Answer) -> bool:
    """Whether a command told a defect, hung, or printed a traceback."""
    return answer.code < 0 or "a defect of dxai" in answer.err or "Traceback" in answer.err


def names(pattern: str, text: str) -> str:
    """The line that names the matter; empty: none does."""
    return next((line.strip() for line in text.splitlines() if pattern and re.search(pattern, line)), "")


# A file through the doors of `dxai data`, and to the first fit


class Doors:
    """One file on its way: every door works on what the door before it wrote."""

    def __init__(self, file: FirmFile, folder: Path) -> None:
        self.file, self.home = file, folder
        self.source = folder / f"file{file.suffix}"
        self.source.write_bytes(file.content)
        self.own, self.asked = folder / "own", ""

    def judged(self) -> Iterator[Judgement]:
        """The judgement of every door that was reached."""
        for door in (self.describe, self.init, self.convert, self.check, self.train):
            if (found := door()) is not None:
                yield Judgement(self.file.kind, self.file.name, door.__name__, found[0], found[1].strip()[:150])

    def describe(self) -> tuple[Verdict, str] | None:
        """Care is taken, or the types are right."""
        words = () if "--kind" in self.file.words else self.file.words
        answer = self._dxai("describe", self.source, *words, "--report", self.home / "seen.html")
        if not self.file.told or "--kind" in self.file.words:
            return ("crash", answer.err) if crashed(answer) else None
        if answer.code:
            return self._refused(answer)
        care = answer.out.partition("\ncolumn ")[0]  # what follows are the columns
        if line := names(self.file.told, care):
            return "right", line
        return None if self.file.truth or self.file.kinds else ("silently wrong", "no care was told")

    def init(self) -> tuple[Verdict, str] | None:
        """The draft asks a person, or has the right kinds and roles."""
        answer = self._dxai("init", self.source, *self.file.words, "--name", "press", "--to", self.own, "--yes")
        if answer.code:
            return self._refused(answer)
        drafts = "".join((self.own / name).read_text("utf-8") for name in ("contract.yaml", "mapping.yaml"))
        asking = [line for line in (drafts + answer.out).splitlines() if "decide:" in line]
        self.asked = names(self.file.told, "\n".join(asking))
        if self.asked:
            return "right", self.asked
        if self.file.kinds:
            return self._kinds()
        if self.file.truth is None and self.file.told:
            return "silently wrong", "no decide names it"
        return None

    def _kinds(self) -> tuple[Verdict, str]:
        try:
            columns = load_contract(self.own / "contract.yaml").columns
        except DxaiError as error:
            return "unclear", error.problem
        drafted = {c.title_ko: f"{c.kind} {c.role} {c.unit}" for c in columns}
        wrong = {title: drafted.get(title, "no such column") for title, pattern in self.file.kinds.items()
                 if not re.match(pattern, drafted.get(title, ""))}  # fmt: skip
        return ("silently wrong", f"{wrong}, not {self.file.kinds}") if wrong else ("right", str(self.file.kinds))

    def convert(self) -> tuple[Verdict, str] | None:
        """The table holds what the file says, or a person was asked, or it is refused by name."""
        if not (self.own / "contract.yaml").is_file():
            return None
        out, given = self.own / "table.parquet", (self.own / name for name in ("contract.yaml", "mapping.yaml"))
        contract, mapping = given
        answer = self._dxai("convert", self.source, "-c", contract, "-m", mapping, "-o", out, "--keep-order")
        if answer.code:
            return self._refused(answer)
        wrong = differing(pl.read_parquet(out), load_contract(contract), self.file.truth or {})
        if wrong and not self.asked:
            return "silently wrong", wrong
        if self.file.truth is None and self.file.told and not self.asked:
            return ("silently wrong", "taken as it is") if self.file.checked is None else None
        return ("right", wrong and f"asked: {self.asked}") if self.file.truth or self.asked else None

    def check(self) -> tuple[Verdict, str] | None:
        """What training would refuse is refused; what it leaves out is told."""
        if self.file.checked is None or not (self.own / "table.parquet").is_file():
            return None
        answer = self._dxai("check", self.own / "table.parquet", "-c", self.own / "contract.yaml")
        if crashed(answer):
            return "crash", answer.err
        line = names(self.file.checked, answer.out + answer.err)
        if not self.file.checked:
            return ("unclear", f"refused: {answer.message}") if answer.code else ("right", "no violation")
        if line:
            return "right", line
        return ("unclear", answer.message) if answer.code else ("silently wrong", "no violation, not a word")

    def train(self) -> tuple[Verdict, str] | None:
        """To the first fit."""
        if self.file.refused is None or not (self.own / "table.parquet").is_file():
            return None
        told = ""
        try:
            words = with_own_data([f"data={self.own}"], CHECKOUT)
            assert task_of(settings_from(words, checkout=CHECKOUT), CHECKOUT).folds
        except DxaiError as error:
            told = error.message()
        except Exception as error:
            return "crash", repr(error)
        if not told:
            return ("silently wrong", "not refused") if self.file.refused else ("right", "taken")
        line = names(self.file.refused, told)
        return ("right", line) if line else ("unclear", f"refused: {told}")

    def _refused(self, answer: Answer) -> tuple[Verdict, str]:
        if crashed(answer):
            return "crash", answer.err
        said = (answer.message if "dxai: " in answer.err else answer.err + answer.out).replace(str(self.home), "")
        line = names(self.file.told or "$^", said)
        return ("right", f"refused: {line}") if line else ("unclear", f"refused: {said!r}")

    def _dxai(self, verb: str, *words: str | Path) -> Answer:
        return dxai_here("data", verb, *words, home=self.home)


def differing(table: pl.DataFrame, contract: Contract, truth: dict[str, list[Any]]) -> str:
    """The first value that is not what the file says."""
    names_of = {column.title_ko: column.name for column in contract.columns}
    for title, values in truth.items():
        if title not in names_of:
            return f"no column {title!r} among {list(names_of)}"
        found = table[names_of[title]].to_list()
        if len(found) != len(values):
            return f"{len(found)} rows, not {len(values)}"
        for row, (one, other) in enumerate(zip(found, values, strict=True), 2):
            if not _same(one, other):
                return f"{title!r}, row {row}: {one!r}, not {other!r}"
    return ""


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    if isinstance(one, date) and not isinstance(one, datetime) and isinstance(other, datetime):
        return one == other.date()
    return bool(one == other)


# Rows through the doors of a model

_PRESSURE, _PLANT = [20.0, 35.5, 90.0], ["부산", "창원", "Ulsan"]
_MELT = [690.0, 700.0, 712.5]
_HARDNESS = [85.0, 93.1, 108.75]
ROWS: dict[str, tuple[str, dict[str, list[Any]], str]] = {
    "same unit": ("01 units", {"pressure (MPa)": _PRESSURE, "melt (℃)": _MELT}, ""),
    "psi": ("01 units", {"pressure (psi)": [x * 145.0377 for x in _PRESSURE]}, r"\(psi\)' is in"),
    "kgf/cm²": ("01 units", {"pressure (kgf/cm²)": [x * 10.19716 for x in _PRESSURE]}, r"is in .*MPa"),
    "kPa, in range": ("01 units", {"pressure (kPa)": [21.0, 36.0, 91.0]}, r"\(kPa\)' is in"),
    "kelvin": ("01 units", {"melt (K)": [x + 273.15 for x in _MELT]}, r"\(K\)' is in"),
    "fahrenheit in Korean": ("01 units", {"용탕 온도(℉)": [x * 1.8 + 32 for x in _MELT]}, r"is in \[degF\]"),
    "another dimension": ("01 units", {"pressure (rpm)": _PRESSURE}, r"pressure \(rpm\)"),
    "unknown unit": ("01 units", {"melt (wumpus)": _MELT}, r"wumpus"),
    "unseen": ("13 spellings", {"plant": ["부산", "창원", "Seoul"]}, r"Seoul|never saw|unseen"),
    "upper case": ("13 spellings", {"plant": ["부산", "창원", "ULSAN"]}, r"calls it 'Ulsan'"),
    "full width": ("13 spellings", {"plant": ["부산", "창원", "Ｕｌｓａｎ"]}, r"calls it 'Ulsan'"),
    "zero in front": ("13 spellings", {"plant": ["부산", "창원", "00Ulsan"]}, r"calls it 'Ulsan'"),
}  # fmt: skip
"""Changes of sound rows: kind, columns, and what a door must say; empty: it predicts what it should."""


def rows_with(changes: dict[str, list[Any]]) -> pl.DataFrame:
    """Sound rows; a changed column takes the place of the one that it means."""
    sound = {"pressure": _PRESSURE, "melt": _MELT, "plant": _PLANT}
    for name, values in changes.items():
        known = "melt" if name.startswith("용탕") else name.partition(" ")[0]
        sound = {name if key == known else key: values if key == known else cells for key, cells in sound.items()}
    return pl.DataFrame(sound)


def through_a_model(folder: Path) -> Iterator[Judgement]:
    """Every change of rows through every door of the bundle."""
    make: Callable[..., Path] = conftest._make_bundle
    place = make(folder / "bundle")
    bundle = Bundle.open(place)
    served = ServedModel(bundle, Model(bundle.read("model.onnx"), bundle.contract))
    loaded = load(place, unsigned=True)
    for name, (kind, changes, told) in ROWS.items():
        rows, home = rows_with(changes), folder / "home"
        home.mkdir(exist_ok=True)
        rows.write_csv(home / "rows.csv")
        rows.with_columns(hardness=pl.Series(_HARDNESS)).write_csv(home / "measured.csv")

        def predicted(home: Path = home) -> tuple[str, list[float]]:
            out = home / "answers.csv"
            out.unlink(missing_ok=True)
            answer = dxai_here("predict", place, home / "rows.csv", "-o", out, "--unsigned", home=home)
            if crashed(answer):
                raise RuntimeError(answer.err)
            return answer.out + answer.err, pl.read_csv(out)["hardness_predicted"].to_list() if out.is_file() else []

        def checked(home: Path = home) -> tuple[str, list[float]]:
            report = home / "report.html"
            answer = dxai_here("check", place, home / "measured.csv", "--report", report, "--unsigned", home=home)
            if crashed(answer):
                raise RuntimeError(answer.err)
            return answer.out + answer.err, _HARDNESS

        def in_python(rows: pl.DataFrame = rows) -> tuple[str, list[float]]:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                values = loaded.predict(rows)["hardness_predicted"].to_list()
            return "\n".join(str(warning.message) for warning in caught), values

        def served_rows(rows: pl.DataFrame = rows) -> tuple[str, list[float]]:
            body = rows.write_csv().encode()
            answer = predict_table(served, body, "stop", 100, convert_units=False, carry_forward=False, as_json=False)
            said = "\n".join(f"{key}: {value}" for key, value in answer.headers.items())
            return said.replace("x-dxai-unseen: 0", ""), pl.read_csv(answer.body)["hardness_predicted"].to_list()

        for door, ask in (("predict", predicted), ("check", checked), ("load", in_python), ("serve", served_rows)):
            yield Judgement(kind, name, door, *_model_verdict(ask, told))


def _model_verdict(ask: Callable[[], tuple[str, list[float]]], told: str) -> tuple[Verdict, str]:
    try:
        said, values = ask()
    except (DxaiError, Refusal) as error:
        said, values = str(getattr(error, "problem", error)), []
    except Exception as error:
        return "crash", repr(error)[:150]
    if told:
        line = names(told, said)
        if line:
            return "right", line[:150]
        vague = not values or "with care" in said
        return ("unclear" if vague else "silently wrong"), f"predicted {values} with: {said[-150:]!r}"
    right = len(values) == 3 and all(math.isclose(a, b, rel_tol=1e-4) for a, b in zip(values, _HARDNESS, strict=True))
    return ("right", str(values)) if right else ("silently wrong", f"{values}: {said[-100:]!r}")


# Units of the target

_SCALES = (1e-9, 1e-3, 1.0, 1e9)


def small_units(folder: Path, random: Random) -> Iterator[Judgement]:
    """20: the same demand in another unit looks the same to a model."""
    rows, seen = weekly(random, 4, 110), list[Any]()
    for number, factor in enumerate(_SCALES):
        home = folder / f"scale-{number}"
        home.mkdir()
        scaled = [rows[0], *([*row[:2], row[2] * factor] for row in rows[1:])]
        doors = Doors(FirmFile("20 small unit", f"x {factor:g}", as_csv(scaled), words=DEMAND, refused=""), home)
        doors.init()
        doors.convert()
        found = doors.train() or ("silently wrong", "no table was made")
        if found[0] == "right":
            words = with_own_data([f"data={doors.own}", "model=nhits"], CHECKOUT)
            task = task_of(settings_from(words, checkout=CHECKOUT), CHECKOUT)
            assert isinstance(task, DemandTask)
            history = torch.as_tensor(task.panel.history(task.context))
            seen.append(task.predictor().scaled.scale.fit(history)(history)[0])
            if not torch.allclose(seen[0], seen[-1], atol=1e-4):
                found = ("silently wrong", f"scaled to {float(seen[-1].mean()):g}, not {float(seen[0].mean()):g}")
        yield Judgement("20 small unit", doors.file.name, "train", *found)


def korean_pictures(folder: Path) -> Iterator[Judgement]:
    """16: a picture of a column with a Korean title gives no raw warning."""
    place, numbers = folder / "picture.png", np.arange(9, dtype=np.float32)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figures.predicted_true(place, numbers, numbers, label="압축 강도", unit="MPa")
    told = "; ".join(str(warning.message) for warning in caught)[:150]
    yield Judgement("16 pictures", "압축 강도", "train", "silently wrong" if told else "right", told)


# Names and roles


def names_and_roles(folder: Path) -> Iterator[Judgement]:
    """02, 03, 05: folders of runs, folders called like data sets, roles without effect."""
    program = f"from dxai.config.compose import unused; print(unused({str(folder / 'runs' / 'now')!r}))"
    command = [sys.executable, "-c", program]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    runs = {process.communicate()[0].strip() for process in started}
    verdict: Verdict = "right" if len(runs) == 3 else "silently wrong"
    yield Judgement("02 run folders", "three at once", "train", verdict, f"{len(runs)} folders")
    before = Path.cwd()
    for name in ("retail", "concrete", "own"):
        place = folder / name
        place.mkdir()
        (place / "contract.yaml").write_text("id: x\n", "utf-8")
        os.chdir(folder)
        try:
            with_own_data([f"data={name}"], CHECKOUT)
            found: tuple[Verdict, str] = ("silently wrong", "taken")
        except DxaiError as error:
            found = ("right" if f"data=./{name}" in error.message() else "silently wrong", error.problem)
        finally:
            os.chdir(before)
        yield Judgement("03 names", name, "train", *found)
    rows = [["product", "week", "promo", "qty"]]
    for s in range(4):
        rows += [
            [f"P{s}", f"{2014 + i // 12}-{i % 12 + 1:02d}-28", str(i % 5 // 4), str(5 + i % 7)] for i in range(120)
        ]
    for role, told in (
        ("known_future", ""),
        ("static", r"'promo' has the role static, however series 'P0' has several"),
    ):
        file = FirmFile("05 promotion", role, as_csv(rows), words=("--kind", "demand", "--series", "product", "--time",
                        "week", "-t", "qty"), told="promo", refused=told)  # fmt: skip
        home = folder / role
        home.mkdir()
        doors = Doors(file, home)
        if doors.init() is None or doors.convert() is None:
            yield Judgement(file.kind, role, "init", "silently wrong", "nothing was asked")
        contract = doors.own / "contract.yaml"
        text = contract.read_text("utf-8")
        at = text.index("role, value: ignore", text.index("name: promo"))
        contract.write_text(text[:at] + text[at:].replace("value: ignore", f"value: {role}", 1), "utf-8")
        yield Judgement(file.kind, role, "train", *(doors.train() or ("silently wrong", "no table was made")))


# The trial


def real_files(setting: Setting, *, verbose: bool = False) -> Finding:
    """Every kind, so many times."""
    os.environ["COLUMNS"], found = "300", Finding()
    judgements: list[Judgement] = []
    for number in range(ROUNDS[setting.size]):
        folder = setting.folder / str(number)
        folder.mkdir()
        judgements += through_a_model(folder) if number == 0 else ()
        judgements += names_and_roles(folder)
        judgements += small_units(folder, Random(setting.seed + number))
        judgements += korean_pictures(folder)
        for i, file in enumerate(firm_files(Random(setting.seed + number))):
            home = folder / f"file-{i}"
            home.mkdir()
            judgements += Doors(file, home).judged()
            shutil.rmtree(home)
    if verbose:
        for judgement in judgements:
            print(judgement)  # noqa: T201
    count = Counter(judgement.verdict for judgement in judgements)
    found.broken = [f"{j.kind}, {j.name}, {j.door}: {j.verdict}: {j.said}" for j in judgements if j.verdict != "right"]
    kinds = {judgement.kind for judgement in judgements}
    mended = kinds - {judgement.kind for judgement in judgements if judgement.verdict != "right"}
    found.facts = {
        "n": len(judgements), "cases": len({(j.kind, j.name) for j in judgements}), "kinds": len(kinds),
        "right": count["right"], "unclear": count["unclear"], "silently_wrong": count["silently wrong"],
        "crashes": count["crash"], "whole_kinds": sorted(mended),
    }  # fmt: skip
    return found


if __name__ == "__main__":
    wants = "--verbose" in sys.argv
    sys.argv = [word for word in sys.argv if word != "--verbose"]
    run("real_files", __doc__, lambda setting: real_files(setting, verbose=wants))
