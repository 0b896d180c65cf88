"""`dxai leaderboard` ranks the runs on the same rows and split, and says how sure that is and what it cost."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result
from documents import run_together
from sklearn.metrics import root_mean_squared_error
from test_own_data import DEMAND, castings, data_folder, parts, quality

from dxai.cli.main import cli
from dxai.errors import InterruptedRunError, NotFoundError
from dxai.learn.fold_answers import FoldAnswers
from dxai.metrics import METRICS
from dxai.record.bootstrap import interval, score_draws
from dxai.record.cost import cost_recorded, cpu_seconds
from dxai.record.leaderboard import Board, leaderboard
from dxai.record.leaderboard_report import table, write_page
from dxai.record.runs import Run
from dxai.record.unfinished import UnfinishedRun

pytestmark = pytest.mark.slow

ROWS = "evaluate.permutations=1 split.folds=4"
RUNS = [
    f"dxai train data=castings model=linear trainer.max_epochs=2 {ROWS} hydra.run.dir=runs/far",
    f"dxai train data=castings model=ridge {ROWS} hydra.run.dir=runs/near",
    f"dxai train data=castings model=ridge split=ordered {ROWS} hydra.run.dir=runs/later",
    "dxai train data=spares model=experts split.origins=2 hydra.run.dir=runs/spares",
    "dxai release runs/near --to models/castings",
]


@pytest.fixture(scope="module")
def runs(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with three runs on castings, of which one is released and one split by time, and one on demand."""
    folder = tmp_path_factory.mktemp("leaderboard")
    for name in ("configs", "contracts"):
        shutil.copytree(checkout / name, folder / name)
    data_folder(folder / "castings", quality(), castings())
    data_folder(folder / "spares", DEMAND, parts())
    run_together(folder, RUNS)
    return folder


@pytest.fixture
def here(runs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the person stands."""
    monkeypatch.chdir(runs)
    return runs


@pytest.fixture
def grouped(here: Path) -> Board:
    """The board of castings by melts."""
    boards = leaderboard(here / "runs", here, "casting-weights").boards
    return next(board for board in boards if board.split["kind"] == "grouped")


def dxai(*words: str) -> Result:
    return CliRunner().invoke(cli, ["leaderboard", *words])


def test_runs_of_one_split_are_ranked_with_their_best_baselines(grouped: Board) -> None:
    by_run = {row.run: row for row in grouped.standings}
    scores = [row.score for row in grouped.standings]
    assert scores == sorted(scores)
    assert by_run.keys() == {"runs/near", "runs/far", ""}
    assert by_run["runs/near"].score < by_run["runs/far"].score
    baseline = by_run[""]
    known = json.loads(Path("runs/far/evaluate/metrics.json").read_text("utf-8"))
    assert (baseline.kind, baseline.model) == ("baseline", "linear")
    assert baseline.score == known["yardstick"]["linear"]["rmse"]
    assert [grouped.ranks[scores.index(by_run[name].score)] for name in ("runs/near", "runs/far", "")] == [1, 2, None]


def test_runs_of_equal_score_share_a_place(here: Path, tmp_path: Path) -> None:
    for name, run in (("one", "near"), ("same", "near"), ("third", "far")):
        shutil.copytree(Path("runs", run), tmp_path / name)
    (board,) = leaderboard(tmp_path, here).boards
    assert [rank for rank in board.ranks if rank] == [1, 1, 3]
    second = [row for row in board.standings if row.kind == "model"][1]
    assert (second.difference, second.difference_interval) == (0.0, (0.0, 0.0))


def test_scores_coverage_and_random_gap_are_those_of_the_reports(grouped: Board) -> None:
    for row in grouped.standings:
        if row.kind == "model":
            known = json.loads(Path(row.run, "evaluate/metrics.json").read_text("utf-8"))
            assert row.score == pytest.approx(known["model"]["rmse"], rel=1e-5)
            assert row.coverage == pytest.approx(known["model"]["coverage"], rel=1e-5)
            assert row.random == pytest.approx(known["random_split"]["rmse"], rel=1e-5)
            assert row.gap == pytest.approx(-known["random_split"]["rmse_gap"], abs=1e-5)


def test_each_split_and_table_has_a_board_of_its_own(here: Path) -> None:
    boards = leaderboard(here / "runs", here).boards
    assert [(b.task, b.split["kind"], b.clusters) for b in boards] == [
        ("casting-weights", "grouped", "groups"),
        ("casting-weights", "ordered", "rows"),
        ("spare-parts", "rolling", "series"),
    ]
    assert boards[2].metric.name == "wql"
    assert boards[2].standings[0].random is None


def test_intervals_are_those_of_a_bootstrap_of_groups(grouped: Board) -> None:
    """Computed here by squared errors summed over melts, with other random numbers and more draws."""
    melts, random = castings()["melt"].rank("dense").to_numpy() - 1, np.random.default_rng(7)

    def errors(run: str) -> list[np.ndarray]:
        """Per fold the squared errors ``[melts, 4]``: a melt has four rows."""
        held_out = Run(Path(run, "train")).held_out.filter(split="grouped").sort("fold", "row")
        squared = ((pl.col("truth") - pl.col("prediction")) ** 2).cast(pl.Float64)
        folds = held_out.with_columns(squared.alias("error")).partition_by("fold", maintain_order=True)
        return [
            fold["error"].to_numpy()[np.argsort(melts[fold["row"]], kind="stable")].reshape(-1, 4) for fold in folds
        ]

    near, far = errors("runs/near"), errors("runs/far")
    drawn = []
    for _ in range(4000):
        picks = [random.integers(0, len(fold), len(fold)) for fold in near]
        drawn.append([np.mean([np.sqrt(f[p].mean()) for f, p in zip(run, picks, strict=True)]) for run in (near, far)])
    draws = np.array(drawn)
    best, second = (next(row for row in grouped.standings if row.run == f"runs/{name}") for name in ("near", "far"))
    for found, values in (
        (best.interval, draws[:, 0]),
        (second.interval, draws[:, 1]),
        (second.difference_interval, draws[:, 1] - draws[:, 0]),
    ):
        expected = np.quantile(values, [0.05, 0.95])
        assert found == pytest.approx(expected, abs=0.08 * float(np.ptp(expected)))
    assert best.difference is best.difference_interval is None
    assert second.difference == pytest.approx(second.score - best.score)


def test_draws_of_two_runs_are_paired_and_rows_of_a_group_stay_together() -> None:
    random, metric = np.random.default_rng(0), METRICS["rmse"]
    truth, error = random.normal(size=60), random.normal(size=60)

    def fold(errors: np.ndarray, repeat: int = 1) -> FoldAnswers:
        arrays = {"truth": np.repeat(truth, repeat), "prediction": np.repeat(truth + errors, repeat)}
        return FoldAnswers(arrays, np.repeat(np.arange(60), repeat), {})

    draws = score_draws([fold(error)], metric)
    assert score_draws([fold(2 * error)], metric) == pytest.approx(2 * draws)  # the same samples for both
    assert score_draws([fold(error, repeat=3)], metric) == pytest.approx(draws)  # copies of rows bring no certainty
    low, high = interval(draws)
    assert low < root_mean_squared_error(truth, truth + error) < high


def test_a_cluster_counts_in_all_of_its_folds_and_no_fold_is_ever_empty() -> None:
    ones = {"truth": np.zeros(2), "prediction": np.array([1.0, 3.0])}
    both = [FoldAnswers(ones, np.array([0, 1]), {})] * 2
    assert set(np.round(score_draws(both, METRICS["mae"]), 6)) == {
        1.0,
        2.0,
        3.0,
    }  # never one series here, the other there
    apart = [FoldAnswers(ones, np.array([0, 0]), {}), FoldAnswers(ones, np.array([1, 1]), {})]
    assert set(score_draws(apart, METRICS["mae"])) == {2.0}


def test_cost_is_told_of_trainings_and_of_the_released_model(grouped: Board) -> None:
    near, far = (next(row for row in grouped.standings if row.run == f"runs/{name}") for name in ("near", "far"))
    assert near.model_bytes == Path("models/castings/model.onnx").stat().st_size
    assert far.model_bytes is None
    assert near.cpu_seconds is not None and far.cpu_seconds is not None
    assert 0 < near.cpu_seconds < 600
    assert sorted(path.name for path in Path("runs/near").iterdir()) == ["cost.json", "evaluate", "train"]


def test_cost_of_a_resumed_training_adds_up_and_one_without_a_fit_leaves_none(tmp_path: Path) -> None:
    def spent(*, resume: bool) -> float:
        with cost_recorded(tmp_path, resume=resume):
            begin = time.process_time()
            while time.process_time() < begin + 0.2:
                pass
        return cpu_seconds(tmp_path) or 0.0

    assert spent(resume=False) == 0.0
    assert not list(tmp_path.iterdir())
    (tmp_path / "train.unfinished").mkdir()
    assert 0.2 <= spent(resume=False) < 60
    (tmp_path / "cost.json").write_text('{"cpu_seconds": 100.0}', "utf-8")
    assert 100.2 <= spent(resume=True) < 160
    assert spent(resume=False) < 60


def test_unfinished_runs_runs_of_other_data_and_unreadable_ones_are_counted(runs: Path, tmp_path: Path) -> None:
    place = shutil.copytree(runs, tmp_path / "checkout")
    settings, made_from = Run(place / "runs/near/train").settings, Run(place / "runs/near/train").provenance
    unfinished = UnfinishedRun(place / "runs/stopped/train")
    with pytest.raises(InterruptedRunError), unfinished.working(settings, made_from, place, resume=False):
        unfinished.checkpoint("grouped-0").write_bytes(b"half a fit")
        raise KeyboardInterrupt
    (place / "runs/spares/train/settings.yaml").write_text("model: {}\n", "utf-8")
    castings(84).write_parquet(runs / "castings/table.parquet")  # where the runs know their table to be
    try:
        found = leaderboard(place / "runs", place)
    finally:
        castings().write_parquet(runs / "castings/table.parquet")
    assert (found.boards, found.unfinished, found.other_data, found.unreadable) == ((), 1, 3, 1)


def test_unknown_task_is_answered_with_the_nearest(here: Path) -> None:
    refused = dxai("spare-part")
    assert isinstance(refused.exception, NotFoundError)
    assert "no finished run of 'spare-part'" in refused.exception.problem
    assert refused.exception.fix == "Did you mean spare-parts?"
    far_off = dxai("zzz").exception
    assert isinstance(far_off, NotFoundError)
    assert far_off.fix == "Tasks with runs: casting-weights, spare-parts."


def test_folder_without_runs_says_how_to_make_one(here: Path, tmp_path: Path) -> None:
    refused = dxai("--runs", str(tmp_path)).exception
    assert isinstance(refused, NotFoundError)
    assert "dxai train" in refused.fix


def test_terminal_shows_a_line_per_row_and_json_too(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    told = dxai("spare-parts")
    assert told.exit_code == 0, told.output
    assert "Spare parts (spare-parts): rolling, origins 2" in told.stdout
    (line,) = [line for line in told.stdout.splitlines() if "runs/spares" in line]
    assert line.split()[:3] == ["1", "runs/spares", "experts"]
    assert "held-out series" in " ".join(told.stdout.split())
    lines = [json.loads(line) for line in dxai("casting-weights", "--json").stdout.splitlines()]
    assert len(lines) == 5
    assert [line["rank"] for line in lines if line["split"]["kind"] == "grouped" and line["run"]] == [1, 2]
    assert {line["metric"] for line in lines} == {"rmse"}
    assert {line["run"] for line in lines} == {"runs/near", "runs/far", "runs/later", ""}


@pytest.mark.parametrize(("language", "words"), [("en", "to the best"), ("ko", "1위와의 차이")])
def test_page_holds_the_tables_and_pictures_in_both_languages(
    language: str, words: str, here: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    told = dxai("-o", str(page), "--language", language)
    assert told.exit_code == 0, told.output
    text = page.read_text("utf-8")
    assert text.startswith("<!DOCTYPE html>") and f'<html lang="{language}">' in text
    assert words in text
    assert text.count("data:image/png;base64,") == 3
    assert "<td>runs/near</td>" in text and "http" not in text.replace("data:image", "")


def test_columns_that_no_run_fills_are_left_out(here: Path) -> None:
    (board,) = leaderboard(here / "runs", here, "spare-parts").boards
    head = table(board).head
    assert "coverage (80 %)" in head
    assert "random split" not in head and "MB" not in head and "to the best" not in head


def test_names_on_the_page_cannot_become_markup(here: Path, tmp_path: Path) -> None:
    shutil.copytree("runs/near", tmp_path / "runs" / "<b>near")
    write_page(leaderboard(tmp_path / "runs", here), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text("utf-8")
    assert "&lt;b&gt;near" in text and "<b>near" not in text
