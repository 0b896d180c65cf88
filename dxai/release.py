"""Release: an evaluated run in, a bundle out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl

from dxai.bundle.folder import Bundle
from dxai.bundle.manifest import (
    CARD,
    CONTRACT,
    GOLDEN_OUTPUTS,
    GOLDEN_ROWS,
    METRICS,
    MODEL,
    PROFILE,
    PROVENANCE,
    SBOM,
    TERMS,
    Manifest,
    write_manifest,
)
from dxai.config.settings import RunSettings
from dxai.contract import Contract, load_contract
from dxai.contract.terms import Terms
from dxai.data.output import write_table
from dxai.data.table import contract_of, contract_path, terms_of_data
from dxai.errors import NotFoundError, SettingsError
from dxai.files import whole_folder
from dxai.inference.loader import load_model
from dxai.inference.model import Model
from dxai.inference.predict import Prediction
from dxai.learn.families import AnyTask, task_of
from dxai.record.provenance import bundle_code
from dxai.record.runs import Run
from dxai.record.seeding import settle
from dxai.record.tracking.tracker import Tracker
from dxai.ship.card import card
from dxai.ship.export import export
from dxai.ship.golden import TrainedModel
from dxai.ship.parity import Parity, parity
from dxai.ship.sbom import ml_bom
from dxai.ship.slsa import provenance_statement


def release(run: Run, evaluation: Path, folder: Path, checkout: Path, now: RunSettings | None = None) -> Bundle:
    """Export the run's final predictor, prove it, and write the bundle.

    Args:
        run: As `dxai.train.train` left it.
        evaluation: Folder that `dxai.evaluate.evaluate` wrote.
        folder: Where the bundle goes; takes its place whole, or not at all.
        checkout: Holds configs/, data/ and mlflow.db.
        now: Takes the place of the run's own settings where they do not concern training.

    Raises:
        NotFoundError: The run has not been evaluated.
        SettingsError: The folder holds a model of another contract.
        DataError: The table is not the one that the run was trained on.
        ModelError: The exported graph does not repeat the trained model; nothing is written.
    """
    if not (evaluation / "summary.json").is_file():
        raise NotFoundError(
            "This run has no evaluation.", where=str(evaluation), fix=f"dxai evaluate {run.folder.parent}"
        )
    settings = run.settings_now(now)
    settle(settings.seed, settings.threads)
    _refuse_other_model(folder, contract_of(settings.data, checkout))
    task, terms = task_of(settings, checkout), terms_of_data(settings.data, checkout)
    run.refuse_other_table(task.table, task.data_on_disk)
    predictor = task.shipped(task.restored(run.state("final")))
    graph = export(predictor, task.contract, context=task.context)
    model = Model(graph, task.contract, context=task.context, shortest=task.shortest_history)
    proven = parity(
        predictor, task.parity_cases(), model, scale=task.spread, tolerance=settings.release.tolerance
    )  # fmt: skip
    with whole_folder(folder) as work:
        (work / MODEL).write_bytes(graph)
        shutil.copyfile(contract_path(settings.data, checkout), work / CONTRACT)
        if any((evaluation / "figures").iterdir()):
            shutil.copytree(evaluation / "figures", work / "figures")
        shutil.copyfile(evaluation / "metrics.json", work / METRICS)
        (work / CARD).write_text(_card(task, terms, evaluation, model, proven), "utf-8")
        _write_golden(task, TrainedModel(predictor, task.context), work)
        _write_records(task, terms, _manifest(task, run), work)
        load_model(Bundle.open(work))  # what a firm's careful loader would refuse does not leave
    _log(run, settings, folder, checkout)
    return Bundle.open(folder)


def _refuse_other_model(folder: Path, contract: Contract) -> None:
    """Raise SettingsError when the folder holds a model of another contract: it would be gone."""
    there = folder / CONTRACT
    if there.is_file() and (known := load_contract(there).id) != contract.id:
        raise SettingsError(
            f"This folder holds a model of another contract, {known!r}; this run's is {contract.id!r}.",
            where=str(folder), fix="Name another folder with --to, or take the old one away.",
        )  # fmt: skip


def _card(task: AnyTask, terms: Terms, evaluation: Path, model: Model, proven: Parity) -> str:
    settings = task.settings
    return card(
        task.contract, terms, bundle=settings.release.bundle, version=settings.release.version,
        context=model.context, shortest=model.contract.minimum_history, outputs=model.outputs, parity=proven,
        summary=json.loads((evaluation / "summary.json").read_text("utf-8")),
        figures=sorted(p.name for p in (evaluation / "figures").iterdir()),
    )  # fmt: skip


def _write_golden(task: AnyTask, model: Model, work: Path) -> None:
    """A few rows with the outputs that a healthy copy of the model gives, through the same door as a firm's rows."""
    (work / GOLDEN_ROWS).parent.mkdir()
    task.golden_rows().write_csv(work / GOLDEN_ROWS)
    rows = pl.read_csv(work / GOLDEN_ROWS, infer_schema=False)
    write_table(Prediction(model).blocks([rows]), work / GOLDEN_OUTPUTS)


def _write_records(task: AnyTask, terms: Terms, manifest: Manifest, work: Path) -> None:
    """What programs read: terms, profile, parts list, provenance and, last of all, the manifest."""
    metrics = json.loads((work / METRICS).read_text("utf-8"))
    (work / TERMS).write_text(terms.model_dump_json(indent=2) + "\n", "utf-8")
    (work / PROFILE).write_text(task.profile().model_dump_json(indent=2) + "\n", "utf-8")
    (work / SBOM).write_text(ml_bom(work, manifest, task.contract, terms, metrics), "utf-8")
    (work / PROVENANCE).write_text(provenance_statement(work, manifest), "utf-8")
    write_manifest(work, manifest)


def _manifest(task: AnyTask, run: Run) -> Manifest:
    settings, made_from = task.settings, run.provenance
    return Manifest(
        name=settings.release.bundle,
        version=settings.release.version,
        task=task.contract.task,
        context=task.context,
        shortest_history=task.shortest_history,
        files={},
        versions=made_from.packages,
        settings=settings.model_dump(
            mode="json", exclude={"data": {"path"}, "tracking": True}
        ),  # where a firm keeps its data, and what it logs to, stays there
        data_sha256=made_from.data,
        code=bundle_code(made_from),
    )


def _log(run: Run, settings: RunSettings, folder: Path, checkout: Path) -> None:
    with Tracker(checkout, settings.tracking).earlier(run.settings.data.name, run.fingerprint) as tracked:
        tracked.log_folder(folder, "bundle")
        tracked.register(folder, f"{settings.release.bundle} {settings.release.version}")
