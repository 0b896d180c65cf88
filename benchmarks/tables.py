"""python -m benchmarks.tables --data FOLDER [--model NAME …] [--sets NAME …] [--seeds N …] [--json]: dxai and peers.

Quality prediction on the same folds and one CPU thread: dxai's models as `dxai train` fits and calibrates them,
LightGBM and, where it is installed, CatBoost, both as they come; AutoGluon (medium quality) where --autogluon names the
Python of an environment that has it. FOLDER holds the public files (UCI): concrete_compressive_strength.csv,
steel_plates_faults.csv, ai4i2020.csv, korea_steel_industry_energy.csv; a set whose file is missing is left out. Means
and standard errors are over the folds of all seeds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold

from dxai import metrics
from dxai.arithmetic import make_portable
from dxai.config.compose import find_checkout, settings_from
from dxai.contract import Column, Contract
from dxai.data.splits import Fold
from dxai.errors import DxaiError
from dxai.learn.families import task_for
from dxai.learn.rows import RowFold, RowTask
from dxai.learn.transform import encode

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Set:
    """A table with its contract and the folds of which all models are asked."""

    name: str
    contract: Contract
    table: pl.DataFrame
    folds: list[Fold]
    split: str = "random"

    @property
    def truth(self) -> NDArray[Any]:
        """Numbers, or numbers of classes ``[rows]``."""
        target = self.table[self.contract.target.name]
        if not self.contract.classes:
            return target.to_numpy()
        return target.replace_strict({c: i for i, c in enumerate(self.contract.classes)}).to_numpy()


Scores = dict[str, float]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", nargs="*", default=["portfolio budget=quick", "portfolio"])
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--peers", nargs="*", default=list(PEERS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2], help="of the folds")
    parser.add_argument("--autogluon", type=Path, help="Python of an environment with autogluon.tabular")
    parser.add_argument("--json", action="store_true", help="one line per set and model")
    options = parser.parse_args()
    for name in options.sets:
        try:
            measured = [SETS[name](options.data, seed) for seed in options.seeds]
        except FileNotFoundError as missing:
            print(f"{name}: left out, {missing.filename} is missing", file=sys.stderr)  # noqa: T201
            continue
        if all(folds_of(each) == folds_of(measured[0]) for each in measured):
            measured = measured[:1]  # in time order there is one split
        for model, ask in asked(options.peers, options.model, options.autogluon).items():
            print(told(name, model, measured, ask, as_json=options.json), flush=True)  # noqa: T201


def asked(peers: Sequence[str], models: Sequence[str], autogluon: Path | None) -> dict[str, Ask]:
    """What is measured, by name."""
    found: dict[str, Ask] = {}
    for name in peers:
        if (fit := PEERS[name]()) is not None:
            found[name] = partial(_peer, fit)
    if autogluon:
        found["AutoGluon"] = partial(_peer, partial(_autogluon, autogluon))
    return found | {f"dxai {model}": partial(_dxai, model) for model in models}


def told(name: str, model: str, measured: Sequence[Set], ask: Ask, *, as_json: bool) -> str:
    """One line: means and standard errors over all folds, processor seconds of one fit."""
    begun = _processor_seconds()
    found = [ask(each) for each in measured]
    count = sum(len(each.folds) for each in measured)
    seconds = round((_processor_seconds() - begun) / count, 1)
    scores = [fold for folds, _ in found for fold in folds]
    means = {key: _mean([fold[key] for fold in scores]) for key in scores[0]}
    line: dict[str, Any] = {"set": name, "model": model, "metrics": means, "cpu_s": seconds}
    held_out = [frame for _, frame in found if frame is not None]
    if held_out and "lower" in held_out[0].columns:
        line["fifths"] = fifths(pl.concat(held_out))
    if as_json:
        return json.dumps(line)
    words = "  ".join(f"{metric} {mean:.4g} ±{error:.2g}" for metric, (mean, error) in means.items())
    covered = f"  coverage of fifths {line['fifths']}" if "fifths" in line else ""
    return f"{name:17} {model:28} {words}  {seconds} CPU s a fit{covered}"


def fifths(held_out: pl.DataFrame) -> list[float]:
    """Share of truths inside the interval in fifths of the rows by prediction."""
    inside = (pl.col("truth") >= pl.col("lower")) & (pl.col("truth") <= pl.col("upper"))
    ordered = held_out.sort("prediction").select(inside).to_series().to_numpy()
    return [round(float(part.mean()), 3) for part in np.array_split(ordered, 5)]


def folds_of(measured: Set) -> list[list[int]]:
    """The test rows of every fold."""
    return [fold.test.tolist() for fold in measured.folds]


def _mean(values: Sequence[float]) -> tuple[float, float]:
    error = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return round(float(np.mean(values)), 5), round(float(error), 5)


def _processor_seconds() -> float:
    """Of this process and of those that it has waited for."""
    return sum(os.times()[:4])


# --- dxai -------------------------------------------------------------------------------------------------------------


def _dxai(model: str, measured: Set) -> tuple[list[Scores], pl.DataFrame]:
    """Fitted fold by fold, each calibrated by the answers of the others, as `dxai train` does."""
    settings = settings_from(
        ["experiment=quality", f"split={measured.split}", *f"model={model}".split()], checkout=find_checkout()
    )
    task: RowTask[Any] = task_for(measured.contract, measured.table, settings)  # type: ignore[assignment]
    folds = [RowFold("test", number, fold) for number, fold in enumerate(measured.folds)]
    fitted = [task.fit(fold)[0].eval() for fold in folds]
    raw = [
        task.raw(one, encode(task.codec.encode(measured.table[fold.rows.test]).arrays, measured.contract))
        for one, fold in zip(fitted, folds, strict=True)
    ]
    for number, one in enumerate(fitted):
        others = [other for other in range(len(folds)) if other != number] or [number]
        known = np.concatenate([task.values[folds[other].rows.test] for other in others])
        task.settle(one, np.concatenate([raw[other] for other in others]), known)
    held_out = [task.held_out(one, fold) for one, fold in zip(fitted, folds, strict=True)]
    wanted: tuple[str, ...] = (
        ("pr_auc", "log_loss", "accuracy") if measured.contract.classes else ("rmse", "mae", "coverage")
    )
    if len(folds) == 1:  # nothing but its own test to calibrate by
        wanted = tuple(name for name in wanted if name != "coverage")
        held_out = [frame.drop("lower", "upper", strict=False) for frame in held_out]
    scores = [task.row_scores(task.held_out(one, fold)) for one, fold in zip(fitted, folds, strict=True)]
    return [{name: fold[name] for name in wanted} for fold in scores], pl.concat(held_out)


# --- peers ------------------------------------------------------------------------------------------------------------

Fit = Callable[[pl.DataFrame, NDArray[Any], pl.DataFrame, bool], Floats]


def _lightgbm() -> Fit:
    def fit(known: pl.DataFrame, truth: NDArray[Any], asked: pl.DataFrame, of_classes: bool) -> Floats:
        kind = lightgbm.LGBMClassifier if of_classes else lightgbm.LGBMRegressor
        coded = [_coded(frame, known) for frame in (known, asked)]
        texts = [i for i, type_ in enumerate(known.dtypes) if type_ == pl.String]
        made = kind(n_jobs=1, verbosity=-1).fit(coded[0], truth, categorical_feature=texts or "auto")
        return np.asarray(made.predict_proba(coded[1]) if of_classes else made.predict(coded[1]))

    return fit


def _catboost() -> Fit | None:
    try:
        import catboost  # type: ignore[import-not-found]
    except ImportError:
        return None

    def fit(known: pl.DataFrame, truth: NDArray[Any], asked: pl.DataFrame, of_classes: bool) -> Floats:
        kind = catboost.CatBoostClassifier if of_classes else catboost.CatBoostRegressor
        texts = [name for name, type_ in known.schema.items() if type_ == pl.String]
        frames = [frame.with_columns(pl.col(pl.String).fill_null("missing")).to_pandas() for frame in (known, asked)]
        made = kind(thread_count=1, verbose=0, random_seed=0, allow_writing_files=False)
        made.fit(frames[0], truth, cat_features=texts)
        return np.asarray(made.predict_proba(frames[1]) if of_classes else made.predict(frames[1]))

    return fit


Ask = Callable[[Set], tuple[list[Scores], pl.DataFrame | None]]
"""A set to the scores of its folds and, of a model with intervals, the held-out rows."""
PEERS: dict[str, Callable[[], Fit | None]] = {"LightGBM": _lightgbm, "CatBoost": _catboost}


def _coded(frame: pl.DataFrame, known: pl.DataFrame) -> Floats:
    texts = {
        name: known[name].unique().sort().drop_nulls().to_list() for name in known.select(pl.col(pl.String)).columns
    }
    return frame.with_columns(
        pl.col(name).replace_strict({text: i for i, text in enumerate(values)}, default=None, return_dtype=pl.Float64)
        for name, values in texts.items()
    ).cast(pl.Float64).to_numpy()  # fmt: skip


def _autogluon(python: Path, known: pl.DataFrame, truth: NDArray[Any], asked: pl.DataFrame, of_classes: bool) -> Floats:
    """In a process of its own Python; see benchmarks/autogluon_fit.py."""
    with tempfile.TemporaryDirectory() as folder:
        known.with_columns(pl.Series("target", truth)).write_parquet(f"{folder}/known.parquet")
        asked.write_parquet(f"{folder}/asked.parquet")
        program = Path(__file__).with_name("autogluon_fit.py")
        words = [str(python), str(program), folder, "classes" if of_classes else "number"]
        subprocess.run(words, check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
        said: Floats = np.load(f"{folder}/said.npy")
    return said


def _peer(fit: Fit, measured: Set) -> tuple[list[Scores], None]:
    return [_peer_scores(measured, fit, fold) for fold in measured.folds], None


def _peer_scores(measured: Set, fit: Fit, fold: Fold) -> dict[str, float]:
    features, truth = measured.table.select(c.name for c in measured.contract.features), measured.truth
    of_classes = bool(measured.contract.classes)
    said = fit(features[fold.fit], truth[fold.fit], features[fold.test], of_classes)
    known = truth[fold.test]
    if not of_classes:
        return {"rmse": metrics.rmse(known, said), "mae": metrics.mae(known, said)}
    counts = np.bincount(truth)
    positive = int(counts.argmin()) if len(counts) == 2 else None
    return {
        "pr_auc": metrics.pr_auc(known, said, positive), "log_loss": metrics.log_loss(known, said),
        "accuracy": metrics.accuracy(known, said.argmax(axis=1)),
    }  # fmt: skip


# --- the sets ---------------------------------------------------------------------------------------------------------


def _contract(name: str, table: pl.DataFrame, target: str, group: Sequence[str]) -> Contract:
    def column(called: str) -> Column:
        if table[called].dtype == pl.Datetime:
            return Column(name=called, kind="timestamp", role="time", title_en=called, title_ko=called)
        role, of_text = "target" if called == target else "feature", table[called].dtype == pl.String
        classes = table[called].unique().sort().to_list() if of_text else ()
        return Column(
            name=called, kind="category" if of_text else "number", role=role, categories=tuple(classes),
            title_en=called, title_ko=called,
        )  # fmt: skip

    return Contract(
        id=name, version="1.0.0", title_en=name, title_ko=name, purpose="benchmark", task="quality",
        columns=tuple(map(column, table.columns)), group=tuple(group),
    )  # fmt: skip


def _made(
    name: str, table: pl.DataFrame, target: str, folds: Any, split: str = "random", group: Sequence[str] = ()
) -> Set:
    plain = table.rename({column: _plain(column) for column in table.columns})
    target = _plain(target)
    plain = plain.select(pl.exclude(target), target).with_columns(pl.col(pl.Int64).cast(pl.Float64))
    rows = [Fold(np.asarray(train), np.asarray(test)) for train, test in folds]
    return Set(name, _contract(name, plain, target, [_plain(column) for column in group]), plain, rows, split)


def _plain(column: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in column.lower()).strip("_")


def _concrete(folder: Path, seed: int, *, grouped: bool) -> Set:
    table = pl.read_csv(folder / "concrete_compressive_strength.csv", infer_schema_length=None)
    (*recipe, _, target), rows = table.columns, np.arange(len(table))
    mixes = table.select(pl.struct(recipe).rank("dense")).to_series().to_numpy()
    if grouped:
        folds = GroupKFold(5, shuffle=True, random_state=seed).split(rows, groups=mixes)
        return _made("concrete", table, target, folds, "grouped", recipe)
    return _made("concrete", table, target, KFold(5, shuffle=True, random_state=seed).split(rows))


def _steel_plates(folder: Path, seed: int) -> Set:
    table = pl.read_csv(folder / "steel_plates_faults.csv", infer_schema_length=None)
    faults = table.columns[-7:]
    named = pl.coalesce(pl.when(pl.col(fault) == 1).then(pl.lit(fault)) for fault in faults).alias("fault")
    table = table.select(pl.exclude(faults), named)
    return _made("steel-plates", table, "fault", _stratified(table["fault"], seed))


def _ai4i(folder: Path, seed: int) -> Set:
    table = pl.read_csv(folder / "ai4i2020.csv", infer_schema_length=None).drop(
        "UID", "Product ID", "TWF", "HDF", "PWF", "OSF", "RNF"
    )
    table = table.with_columns(pl.col("Machine failure").cast(pl.String))
    return _made("ai4i", table, "Machine failure", _stratified(table["Machine failure"], seed))


def _steel_energy(folder: Path, _: int) -> Set:
    table = pl.read_csv(folder / "korea_steel_industry_energy.csv", infer_schema_length=None)
    table = table.drop("CO2(tCO2)", *(name for name in table.columns if "Power_Factor" in name))
    table = table.with_columns(pl.col("date").str.to_datetime("%d/%m/%Y %H:%M"))
    rows, first = np.arange(len(table)), int(0.7 * len(table))
    return _made("steel-energy", table, "Usage_kWh", [(rows[:first], rows[first:])], "ordered")


def _stratified(truth: pl.Series, seed: int) -> Any:
    return StratifiedKFold(5, shuffle=True, random_state=seed).split(np.zeros(len(truth)), truth.to_numpy())


SETS: dict[str, Callable[[Path, int], Set]] = {
    "concrete-grouped": lambda folder, seed: _concrete(folder, seed, grouped=True),
    "concrete-random": lambda folder, seed: _concrete(folder, seed, grouped=False),
    "steel-plates": _steel_plates,
    "ai4i": _ai4i,
    "steel-energy": _steel_energy,
}


if __name__ == "__main__":
    make_portable()
    try:
        main()
    except DxaiError as error:
        sys.exit(str(error))
