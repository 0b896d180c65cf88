"""A sweep finds the best settings: its space is checked before the first trial, each trial has one result."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from test_own_data import DEMAND, castings, data_folder, parts, quality

pytest.importorskip("optuna")

from dxai.cli.main import cli
from dxai.config.compose import settings_from
from dxai.config.sweep import SweepSettings, sweep_plan, written
from dxai.data.own import with_own_data
from dxai.errors import DxaiError, InterruptedRunError, ModelError, NotFoundError, SettingsError
from dxai.record.runs import Run
from dxai.record.study import Study
from dxai.sweep import Sweep

SMALL = ["model=linear", "split.folds=3", "folds_at_once=1", "trainer.max_epochs=2", "evaluate.permutations=1"]
RATE = "sweep.space.trainer.learning_rate={low: 0.001, high: 0.1, log: true}"


@pytest.fixture
def workplace(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of its own with small tables."""
    for name in ("configs", "contracts"):
        shutil.copytree(checkout / name, tmp_path / name)
    data_folder(tmp_path / "castings", quality(), castings())
    data_folder(tmp_path / "spares", DEMAND, parts())
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Watched:
    """Notes what a sweep tells, and calls back when so many trials have begun."""

    def __init__(self, at: int = -1) -> None:
        self.at_trial, self.begun, self.lines, self.places = at, 0, list[str](), list[tuple[int, int, str]]()

    def at(self, done: int, trials: int, best: str) -> None:
        self.places.append((done, trials, best))

    @contextmanager
    def trial(self) -> Iterator[Watched]:
        self.begun += 1
        yield self

    def start(self, name: str, fits: int) -> None:
        self.fits = 0

    def step(self, label: str, share: float, told: str) -> None:
        self.fits += share == 1
        if self.begun == self.at_trial and self.fits == 2:
            raise KeyboardInterrupt

    def told(self, line: str) -> None:
        self.lines.append(line)


# --- what is asked for ------------------------------------------------------------------------------------------------


def refusal(workplace: Path, *words: str) -> str:
    with pytest.raises(SettingsError) as caught:
        Sweep.begin([f"data={workplace / 'castings'}", *words], workplace)
    assert not (workplace / "runs").exists()
    return caught.value.message()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["sweep=tabn"], ["no configs/sweep/tabn.yaml, did you mean 'tabm'?"]),
        (["sweep=tabm", "sweep.trails=3"], ["sweep.trails: there is no such key. Did you mean 'sweep.trials'?"]),
        (["sweep=tabm", "sweep.pruner=best"], ["sweep.pruner=best", "hyperband"]),
        (["model=linear"], ["sweep.space is empty"]),
        (["sweep.space.seed=3"], ["sweep.space.seed: must be [VALUE", "3 is not"]),
        (["sweep.space.seed={low: 1, hig: 3}"], ["sweep.space.seed: high is missing", "did you mean 'high'?"]),
        (["sweep.space.seed={low: 3, high: 3}"], ["sweep.space.seed: low must be below high"]),
        (["sweep=tabm", "sweep.space.model.kk=[1]"], ["model.kk: there is no such key", "Did you mean 'model.k'?"]),
        (["sweep=tabm", "sweep.space.model.k=[4, many]"], ["model.k=many"]),
        (["sweep=tabm", "model.k=4"], ["model.k: given a value and swept", "sweep.space.model.k=null"]),
        (["sweep.space.model=[ridge, nhitz]"], ["model=nhitz: there is no configs/model/nhitz.yaml"]),
        (["sweep=nhits"], ["model=nhits", "not made for that"]),
        (["sweep=tabm", "sweep.storage='nosuchdb://host/name'"], ["The study cannot be opened", "sweep.storage"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_by_key_before_the_first_trial(
    words: list[str], told: list[str], workplace: Path
) -> None:
    message = refusal(workplace, *words)
    for text in told:
        assert text in message


@pytest.mark.slow
def test_every_shipped_space_fits_its_model(workplace: Path) -> None:
    names = sorted(path.stem for path in (workplace / "configs/sweep").glob("*.yaml"))
    assert names
    for name in names:
        data = "spares" if name == "nhits" else "castings"
        plan = sweep_plan(with_own_data([f"data={workplace / data}", f"sweep={name}"], workplace), workplace)
        assert plan.first(workplace)
        assert set(plan.settings.dimensions) == set(plan.settings.space)


def test_numbers_of_a_space_are_read_as_such(workplace: Path) -> None:
    words = ["sweep=tabm", "sweep.space.trainer.learning_rate={low: 1e-5, high: 1e-1, log: true}",
             "sweep.space.model.k=null", "sweep.space.model.blocks={low: 1, high: 4}"]  # fmt: skip
    plan = sweep_plan(words, workplace)
    dimensions: dict[str, Any] = plan.settings.dimensions
    assert plan.words == ("model=tabm",)
    assert "model.k" not in dimensions
    assert (dimensions["trainer.learning_rate"].low, dimensions["trainer.learning_rate"].whole) == (1e-5, False)
    assert dimensions["model.blocks"].whole
    assert dimensions["model.width"] == ("64", "128", "256")


@pytest.mark.parametrize("value", [8, 0.1, 1e-7, "tabm", "a b", "null", True, None, [8, 4, 1], ["a,b", "=c"]])
def test_a_value_written_is_read_as_the_same(value: Any) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    assert OverridesParser.create().parse_override(f"key={written(value)}").value() == value


def test_train_points_to_the_verb(workplace: Path) -> None:
    with pytest.raises(DxaiError) as caught:
        CliRunner().invoke(cli, ["train", "experiment=concrete", "sweep=tabm"], catch_exceptions=False)
    assert "dxai sweep experiment=concrete sweep=tabm" in caught.value.fix


# --- trials of a study ------------------------------------------------------------------------------------------------


def study(folder: Path, place: str = "00", better: str = "less", **settings: Any) -> Study:
    folder.mkdir(exist_ok=True)
    space = {"rate": {"low": 0.1, "high": 1.0}, "size": ["4", "8"]}
    return Study(folder, place, SweepSettings(trials=3, space=space, **settings), better, 9, {"table": "a"})


@pytest.mark.slow
def test_a_trial_whose_process_is_gone_is_given_again_as_it_was(tmp_path: Path) -> None:
    with study(tmp_path).claim() as first:
        assert first is not None
        with study(tmp_path).claim() as second:
            assert second is not None
            assert (first.number, second.number) == (0, 1)
            study(tmp_path).tell(second, "ended", 2.0, {"seconds": 1.0})
    with study(tmp_path).claim() as again:
        assert again is not None
        assert (again.number, again.parameters) == (0, first.parameters)
        study(tmp_path).tell(again, "failed", None, {"problem": "diverged"})
    with study(tmp_path).claim() as last:
        assert last is not None
        study(tmp_path).tell(last, "ended", 1.0, {})
    found = study(tmp_path)
    with found.claim() as none:
        assert none is None
    assert [(t.number, t.state, t.value) for t in found.trials] == [
        (0, "failed", None), (1, "ended", 2.0), (2, "ended", 1.0),
    ]  # fmt: skip
    assert found.best is not None
    assert found.best.number == 2


@pytest.mark.slow
def test_machines_share_a_study_and_take_no_trial_of_each_other(tmp_path: Path) -> None:
    shared = {"storage": f"sqlite:///{tmp_path / 'shared.db'}", "study": "ours", "better": "more"}
    one, other = study(tmp_path / "one", "01", **shared), study(tmp_path / "two", "02", **shared)
    with one.claim() as mine, one.claim() as also:
        assert mine is not None
        assert also is not None
        one.tell(mine, "ended", 1.0, {})
    with other.claim() as theirs:
        assert theirs is not None
        assert theirs.number == 2
        other.tell(theirs, "ended", 3.0, {})
    with other.claim() as none:
        assert none is None
    assert one.best is not None
    assert one.best.number == 2
    with one.claim() as again:
        assert again is not None
        assert (again.number, again.parameters) == (1, also.parameters)
    with pytest.raises(SettingsError, match="'ours' is about something else: other table"):
        Study(tmp_path / "one", "01", SweepSettings(space={"a": ["1"]}, storage=shared["storage"], study="ours"),
              "more", 9, {"table": "b"})  # fmt: skip


def test_a_database_without_a_driver_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="The study cannot be opened") as caught:
        study(tmp_path, storage="nosuchdb://host/name")
    assert caught.value.where == "sweep.storage"


# --- whole sweeps -----------------------------------------------------------------------------------------------------


def began(workplace: Path, *words: str, data: str = "castings") -> Sweep:
    return Sweep.begin([f"data={workplace / data}", *words], workplace)


def results(sweep: Sweep) -> list[tuple[Any, ...]]:
    return [(t.number, t.state, t.value, dict(t.parameters)) for t in sweep.study.trials]


@pytest.mark.slow(seconds=30)
def test_a_sweep_that_was_stopped_ends_with_the_results_of_an_unbroken_one(workplace: Path) -> None:
    words = [*SMALL, RATE, "sweep.trials=4", "sweep.pruner=none"]
    whole = began(workplace, *words)
    expected = whole.run(Watched())
    broken = began(workplace, *words)
    with pytest.raises(InterruptedRunError) as caught:
        broken.run(Watched(at=2))
    assert "1 of 4 trials" in caught.value.problem
    assert f"dxai sweep --resume {broken.folder.relative_to(workplace)}" in caught.value.fix
    newest = Sweep.newest(workplace)
    assert newest.folder == broken.folder
    again = Watched()
    outcome = newest.run(again)
    assert results(newest) == results(whole)
    assert len({str(parameters) for *_, parameters in results(whole)}) == 4
    assert [line.partition(":")[0] for line in again.lines] == ["trial 1", "trial 2", "trial 3"]
    assert again.places[-1][:2] == (4, 4)
    assert (outcome.best.number, outcome.best.value) == (expected.best.number, expected.best.value)
    with pytest.raises(NotFoundError):
        Sweep.newest(workplace)
    for name in ("report.html", "figures/history.png", "figures/slices-0.png"):
        assert (outcome.report / name).stat().st_size
    assert outcome.command in json.loads((outcome.report / "summary.json").read_text("utf-8"))["notes"][1]
    assert outcome.run is not None
    metrics = json.loads((outcome.run / "evaluate/metrics.json").read_text("utf-8"))
    assert metrics["model"]["rmse"] == pytest.approx(outcome.best.value, rel=1e-4)
    given = shlex.split(outcome.command)[2:]
    settings = settings_from(with_own_data(given, workplace), checkout=workplace)
    assert settings.model_dump() == Run(outcome.run / "train").settings.model_dump()


@pytest.mark.slow(seconds=15)
def test_a_trial_that_fails_is_a_trial_and_not_the_end(workplace: Path) -> None:
    sweep = began(workplace, *SMALL, "sweep.space.trainer.learning_rate=[0.01, 1e30]", "sweep.trials=4")
    watched = Watched()
    outcome = sweep.run(watched)
    states = {t.parameters["trainer.learning_rate"]: t.state for t in sweep.study.trials}
    assert states["0.01"] == "ended"
    assert states["1e+30"] == "failed"
    assert any("diverged" in line for line in watched.lines)
    assert outcome.best.parameters["trainer.learning_rate"] == "0.01"
    failed = [t.number for t in sweep.study.trials if t.state == "failed"]
    assert not any((sweep.folder / str(number)).exists() for number in failed)
    assert "diverged" in (outcome.report / "report.html").read_text("utf-8")


@pytest.mark.slow(seconds=10)
def test_a_sweep_of_failures_says_why(workplace: Path) -> None:
    sweep = began(workplace, *SMALL, "sweep.space.trainer.learning_rate=[1e30]", "sweep.trials=2")
    with pytest.raises(ModelError, match="None of 2 trials has ended well; the first: The loss is"):
        sweep.run(Watched())


@pytest.mark.slow(seconds=30)
@pytest.mark.parametrize("data", ["castings", "spares"])
def test_trials_that_promise_little_end_early(data: str, workplace: Path) -> None:
    words = ["split.folds=3", "model=linear", "trainer.max_epochs=3"]
    if data == "spares":
        words = ["model=dlinear", "trainer.max_epochs=6", "split.origins=1"]
    sweep = began(workplace, *words, "folds_at_once=1", RATE, "sweep.trials=7", data=data)
    watched = Watched()
    outcome = sweep.run(watched)
    pruned = [t.number for t in sweep.study.trials if t.state == "pruned"]
    assert pruned
    assert outcome.best.number not in pruned
    assert sum(": pruned" in line for line in watched.lines) == len(pruned)
    assert not any((sweep.folder / str(number)).exists() for number in pruned)
    assert f"{len(pruned)} were ended early" in (outcome.report / "report.md").read_text("utf-8")
