"""A third kind of task, made here: failures per hour, from training to a prediction, without an edit in dxai/.

Whoever adds a kind says what its graph gives (signature), how it is scored (metrics), fitted (task) and told (report).
Export, parity, golden rows, bundle, walk, sandbox and prediction are asked, not changed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray
from test_own_data import castings, data_folder, quality
from torch import Tensor, nn
from torch.nn import functional

from dxai import metrics
from dxai.config.compose import settings_from
from dxai.config.settings import RunSettings
from dxai.contract import Contract
from dxai.contract import model as contract_model
from dxai.contract.signature import SIGNATURES, Signature, of_rows
from dxai.data.batch import target_array
from dxai.data.own import with_own_data
from dxai.data.splits import Fold, Rows
from dxai.errors import SettingsError
from dxai.evaluate import evaluate
from dxai.inference.loader import load_model
from dxai.inference.predict import Prediction
from dxai.learn.families import TASKS, task_of
from dxai.learn.fitting import Loss
from dxai.learn.fold_answers import FoldAnswers
from dxai.learn.predictor import RowPredictor
from dxai.learn.rows import Array, Columns, RowTask
from dxai.record.findings import Findings
from dxai.record.progress import fit_bar
from dxai.record.quality_report import score_table
from dxai.record.report import Report, Verdict
from dxai.record.reports import REPORTS
from dxai.release import release
from dxai.train import train

pytestmark = pytest.mark.slow(seconds=12)


def deviance(truth: Array, prediction: Array) -> float:
    """Mean deviance of Poisson counts from their rates: 0 is perfect (McCullagh and Nelder 1989)."""
    ratio = np.where(truth > 0, truth / prediction, 1.0)
    return float(2 * np.mean(truth * np.log(ratio) - (truth - prediction)))


def signature(contract: Contract) -> Signature:
    """One answer: the rate."""
    return of_rows(contract, f"{contract.target.name}_rate")


class RatePredictor(RowPredictor):
    """Raw columns to failures per hour, which are never negative."""

    start: Tensor

    def __init__(self, contract: Contract, network: nn.Module) -> None:
        super().__init__(contract, network)
        self.register_buffer("start", torch.zeros(()))

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        members = self.network(*self.transform(inputs)).squeeze(2) + self.start
        return {self.output_names[0]: members.mean(dim=1).exp()}


class RateTask(RowTask[RatePredictor]):
    """Counts, fitted by their likelihood."""

    def __init__(self, contract: Contract, table: pl.DataFrame, settings: RunSettings) -> None:
        super().__init__(contract, table, settings)
        self.values = target_array(self.table, contract)

    @property
    def spread(self) -> float:
        return float(self.values.mean())

    def predictor(self) -> RatePredictor:
        return RatePredictor(self.contract, self.sized_network())

    def prepare(self, predictor: RatePredictor, rows: Rows) -> Loss:
        predictor.start = torch.tensor(float(np.log(self.values[rows].mean())))

        def likelihood(members: Tensor, counts: Tensor) -> Tensor:
            rates = members.squeeze(2) + predictor.start
            return functional.poisson_nll_loss(rates, counts[:, None].expand_as(rates))

        return self.loss(likelihood)

    def truth(self, predictor: RatePredictor, values: Array) -> Tensor:
        return torch.as_tensor(values)

    def raw(self, predictor: RatePredictor, columns: Columns) -> Array:
        return predictor.predict(columns)[predictor.output_names[0]]

    def settle(self, predictor: RatePredictor, raw: Array, truth: Array) -> None:
        """Let other rows have as many failures as they are said to have."""
        predictor.start = predictor.start + float(np.log(truth.mean() / raw.mean()))

    def answers(self, predictor: RatePredictor, columns: Columns) -> dict[str, Array]:
        return {"prediction": predictor.predict(columns)[predictor.output_names[0]]}

    def row_scores(self, rows: pl.DataFrame) -> dict[str, float]:
        return metrics.score(self.metrics, **self.rows_answers(rows, np.arange(len(rows))).arrays)

    def rows_answers(self, rows: pl.DataFrame, clusters: NDArray[np.int64]) -> FoldAnswers:
        return FoldAnswers({name: rows[name].to_numpy() for name in ("truth", "prediction")}, clusters, {})

    def yardsticks(self, fold: Fold, train: Array, test: Array) -> dict[str, Array]:
        return {"mean": np.full(len(test), self.values[fold.fit].mean())}

    def yardstick_score(self, answer: Array, truth: Array, other: Array, known: Array) -> dict[str, float]:
        return metrics.score(self.metrics, truth=truth, prediction=answer)

    def error(self, predictor: RatePredictor, columns: Columns, rows: Rows) -> float:
        return deviance(self.values[rows], self.answers(predictor, columns)["prediction"])

    def plots(self, held_out: pl.DataFrame) -> dict[str, pl.DataFrame]:
        return {"rate": held_out.select("truth", "prediction")}


def report(made: Findings[RateTask]) -> Report:
    """A table and a verdict."""
    lead = metrics.lead("rate")
    return Report(
        title=made.task.contract.title_en, verdict=Verdict.of(lead, "", made.scores), notes=(),
        scores=score_table(made.task, made.scores), figures=(), facts=made.facts,
    )  # fmt: skip


@pytest.fixture
def rates(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The kind of task, known for as long as the test runs."""
    monkeypatch.setattr(contract_model, "TASKS", contract_model.TASKS)
    contract_model.TASKS.append("rate")
    monkeypatch.setitem(SIGNATURES, "rate", signature)
    monkeypatch.setitem(metrics.METRICS, "deviance", metrics.Metric(deviance, "deviance", digits=".3f"))
    monkeypatch.setitem(metrics.LISTS, "rate", ("deviance", "mae"))
    monkeypatch.setitem(TASKS, "rate", RateTask)
    monkeypatch.setitem(REPORTS, "rate", report)
    yield
    contract_model.TASKS.remove("rate")


CONTRACT = quality("random", "").replace("value: quality", "value: rate").replace("weight", "failures")


def furnaces(rows: int = 240) -> pl.DataFrame:
    """Failures that rise with heat."""
    table = castings(rows).rename({"weight": "failures"})
    rate = ((table["heat"] - 1400) / 20).to_numpy()
    failures = np.random.default_rng(1).poisson(np.exp(0.5 + 0.8 * rate))
    return table.with_columns(failures=pl.Series(failures, dtype=pl.Float64))


def made_settings(workplace: Path, folder: Path) -> RunSettings:
    short = ("model=linear", "trainer.max_epochs=60", "trainer.learning_rate=0.05", "split.folds=2", "split=random")
    words = with_own_data([f"data={folder}", "experiment=quality", *short, "evaluate.permutations=1"], workplace)
    return settings_from(words, checkout=workplace)


@pytest.mark.usefixtures("rates")
def test_a_third_kind_of_task_goes_from_rows_to_a_prediction(checkout: Path, tmp_path: Path) -> None:
    shutil.copytree(checkout / "configs", tmp_path / "configs")
    folder, table = data_folder(tmp_path / "furnaces", CONTRACT, furnaces()), furnaces()
    settings = made_settings(tmp_path, folder)
    with fit_bar() as bar:
        run = train(settings, tmp_path / "run/train", tmp_path, bar)
    evaluation = evaluate(run, tmp_path / "run/evaluate", tmp_path)
    scores = evaluation.scores
    assert scores["model"]["deviance"] < 0.8 * scores["yardstick"]["mean"]["deviance"]
    assert "The model beats its best yardstick: deviance" in evaluation.report.verdict.sentence
    assert evaluation.report.scores.head[1:] == ("deviance", "MAE [kg]")
    assert (evaluation.folder / "report.html").is_file()

    bundle = release(run, evaluation.folder, tmp_path / "model", tmp_path)
    model = load_model(bundle)
    assert model.columns == ["failures_rate"]
    answer = pl.concat(Prediction(model).blocks([table.select("heat").cast(pl.String)]))
    assert answer.columns == ["heat", "failures_rate"]
    expected = np.exp(0.5 + 0.8 * (table["heat"].to_numpy() - 1400) / 20)
    assert np.corrcoef(answer["failures_rate"].to_numpy(), expected)[0, 1] > 0.95
    assert (answer["failures_rate"] > 0).all()


def test_a_kind_of_task_that_nobody_made_known_is_refused(workplace_of_own: Path) -> None:
    with pytest.raises(Exception, match="task: should be 'quality' or 'demand', not 'rate'"):
        made_settings(workplace_of_own, data_folder(workplace_of_own / "furnaces", CONTRACT, furnaces()))


@pytest.fixture
def workplace_of_own(checkout: Path, tmp_path: Path) -> Path:
    shutil.copytree(checkout / "configs", tmp_path / "configs")
    return tmp_path


@pytest.mark.usefixtures("rates")
def test_a_model_of_another_kind_is_refused(workplace_of_own: Path) -> None:
    folder = data_folder(workplace_of_own / "furnaces", CONTRACT, furnaces())
    words = with_own_data([f"data={folder}", "experiment=quality", "model=nhits"], workplace_of_own)
    settings = settings_from(words, checkout=workplace_of_own)
    with pytest.raises(SettingsError, match="model=nhits is not made for that"):
        task_of(settings, workplace_of_own)
