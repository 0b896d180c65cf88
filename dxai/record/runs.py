"""The folder of one run: what training leaves for evaluation and release."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import polars as pl
import torch
import yaml
from torch import nn

from dxai.config.settings import RunSettings, TrackingSettings, checked
from dxai.errors import DataError, NotFoundError
from dxai.files import write_whole
from dxai.record.provenance import Provenance, run_fingerprint, table_fingerprint


class Run:
    """A run folder: ``settings.yaml``, ``run.json``, ``held_out.parquet``, ``predictors/LABEL.pt``."""

    def __init__(self, folder: Path) -> None:
        if not (folder / "run.json").is_file():
            raise NotFoundError(
                "This is not the folder of a finished run.", where=str(folder),
                fix="Name a folder under runs/ that holds run.json; `dxai train` prints it at the end.",
            )  # fmt: skip
        self.folder = folder

    @staticmethod
    def write(folder: Path, settings: RunSettings, made_from: Provenance, held_out: pl.DataFrame) -> None:
        """Settings, provenance and held-out predictions; ``run.json`` comes last and says that all is there."""
        held_out.write_parquet(folder / "held_out.parquet", statistics=False)
        unsaid = {"tracking"} if settings.tracking == TrackingSettings() else set[str]()
        text = yaml.safe_dump(settings.model_dump(mode="json", exclude=unsaid), sort_keys=False, allow_unicode=True)
        write_whole(folder / "settings.yaml", text.encode())
        write_whole(folder / "run.json", made_from.model_dump_json(indent=2).encode())

    @staticmethod
    def write_predictor(folder: Path, label: str, predictor: nn.Module) -> None:
        """The weights and fitted statistics of one fit."""
        (folder / "predictors").mkdir(exist_ok=True)
        buffer = io.BytesIO()
        torch.save(predictor.state_dict(), buffer)
        write_whole(folder / "predictors" / f"{label}.pt", buffer.getvalue())

    @property
    def settings(self) -> RunSettings:
        """As they were when the run was made."""
        return checked(yaml.safe_load((self.folder / "settings.yaml").read_text("utf-8")))

    def settings_now(self, now: RunSettings | None) -> RunSettings:
        """The run's settings with the sections that do not concern training as they are ``now``."""
        if now is None:
            return self.settings
        sections = ("data", "evaluate", "release", "tracking")
        return self.settings.model_copy(update={name: getattr(now, name) for name in sections})

    @property
    def provenance(self) -> Provenance:
        """What the run was made from."""
        return Provenance.model_validate_json((self.folder / "run.json").read_text("utf-8"))

    @property
    def fingerprint(self) -> str:
        """Finds this run in MLflow."""
        return run_fingerprint(self.settings, self.provenance)

    @property
    def held_out(self) -> pl.DataFrame:
        """Predictions of rows that the fit which made them did not see."""
        return pl.read_parquet(self.folder / "held_out.parquet")

    def refuse_other_table(self, table: pl.DataFrame, on_disk: str = "") -> None:
        """Raise a DataError when the table, or rows on disk of this sha256, are not what the run was trained on."""
        if (on_disk or table_fingerprint(table)) != self.provenance.data:
            raise DataError(
                f"The table {self.settings.data.name!r} has changed since this run was trained.",
                where=str(self.folder),
                fix="Train again.",
            )

    def state(self, label: str) -> dict[str, Any]:
        """Weights of one fit; only tensors are loaded, never code."""
        state: dict[str, Any] = torch.load(self.folder / "predictors" / f"{label}.pt", weights_only=True)
        return state
