"""A run that is not finished: beside its folder lies another with every fit that ended and checkpoints of the rest."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout
from torch import nn

from dxai.config.settings import RunSettings, checked
from dxai.errors import InterruptedRunError, NoSpaceError, NotFoundError, SettingsError
from dxai.files import short, write_durably
from dxai.learn.fitting import Epoch
from dxai.learn.states import load, save
from dxai.record.provenance import Provenance

_WITHOUT_EFFECT = ("folds_at_once", "evaluate", "release")
"""Settings that no fit depends on."""


class UnfinishedRun:
    """The folder of what is done so far.

    ``settings.yaml``; ``origin.json``, what the fits are made from; ``LABEL.fit`` of fits that ended; ``LABEL.ckpt`` of
    others. It is there from the start of a run, survives whatever ends the process, and goes with the run's end.

    Args:
        run: Folder of the run that is to be, such as ``runs/NAME/DATE/train``.
    """

    def __init__(self, run: Path) -> None:
        self.run, self.folder = run, run.with_name(f"{run.name}.unfinished")

    @property
    def exists(self) -> bool:
        """Whether there is anything to resume."""
        return (self.folder / "origin.json").is_file()

    @property
    def begun(self) -> int:
        """When, in nanoseconds, the run was begun or last resumed."""
        return (self.folder / "origin.json").stat().st_mtime_ns

    @property
    def in_use(self) -> bool:
        """Whether a process works on it."""
        try:
            with self._alone():
                return False
        except InterruptedRunError:
            return True

    @property
    def settings(self) -> RunSettings:
        """As the run was begun.

        Raises:
            NotFoundError: There is no such run.
        """
        if not self.exists:
            raise NotFoundError(
                "There is no unfinished run here.", where=str(self.run.parent),
                fix="Name a folder under runs/ that an interrupted `dxai train` has told, or `last`.",
            )  # fmt: skip
        return checked(yaml.safe_load((self.folder / "settings.yaml").read_text("utf-8")))

    @contextmanager
    def working(self, settings: RunSettings, made_from: Provenance, checkout: Path, *, resume: bool) -> Iterator[None]:
        """Work on the run alone; what is done is kept when the block is interrupted, and goes when it ends well.

        Raises:
            NotFoundError: There is nothing to resume.
            SettingsError: What is there was made from another table, other settings, code or versions.
            InterruptedRunError: Another process is at it; or the block was interrupted, and this says how to resume.
            NoSpaceError: The disk is full, likewise.
        """
        origin = _origin(settings, made_from, checkout)
        if resume:
            self._refuse_other(origin)
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._alone():
            self._tidy(all_of_it=not resume)
            text = yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
            write_durably(self.folder / "settings.yaml", text.encode())
            write_durably(self.folder / "origin.json", json.dumps(origin, indent=2).encode())
            try:
                yield
            except (InterruptedRunError, KeyboardInterrupt):
                raise InterruptedRunError(f"Training was interrupted; {self._kept}", fix=self._fix) from None
            except NoSpaceError as error:
                raise NoSpaceError(
                    f"{error.problem} {self._kept.capitalize()}", where=error.where, fix=f"Free some space. {self._fix}"
                ) from None
            else:
                shutil.rmtree(self.folder, ignore_errors=True)
            finally:
                if not self._parts:
                    shutil.rmtree(self.folder, ignore_errors=True)

    def store(self, label: str, predictor: nn.Module, curve: list[Epoch]) -> None:
        """Keep a fit that ended."""
        losses = [(epoch.number, epoch.fit_loss, epoch.watched_loss) for epoch in curve]
        save({"state": predictor.state_dict(), "curve": losses}, self.folder / f"{label}.fit")
        self.checkpoint(label).unlink(missing_ok=True)

    def stored(self, label: str) -> tuple[Mapping[str, Any], list[Epoch]] | None:
        """State and curve of a fit that ended; None where it has not."""
        found = load(self.folder / f"{label}.fit")
        return None if found is None else (found["state"], [Epoch(*epoch) for epoch in found["curve"]])

    def checkpoint(self, label: str) -> Path:
        """Where a fit keeps how far it is."""
        return self.folder / f"{label}.ckpt"

    @property
    def _parts(self) -> list[Path]:
        return [*self.folder.glob("*.fit"), *self.folder.glob("*.ckpt")]

    @property
    def _kept(self) -> str:
        fits, partly = (len(list(self.folder.glob(f"*.{kind}"))) for kind in ("fit", "ckpt"))
        if not fits + partly:
            return "nothing half-written is left."
        return f"{fits} {'fit is' if fits == 1 else 'fits are'} kept" + (f", {partly} in part." if partly else ".")

    @property
    def _fix(self) -> str:
        if not self._parts:
            return "Give the command again: it trains anew."
        return f"Give the command `dxai train --resume {short(self.run.parent)}`: it goes on from there."

    @contextmanager
    def _alone(self) -> Iterator[None]:
        lock = FileLock(self.folder / ".lock", timeout=0)  # the system lets it go with the process, however that ends
        try:
            lock.acquire()
        except Timeout:
            raise InterruptedRunError(
                "Another process is training this run.", where=str(self.run.parent), fix="Wait for it, or stop it."
            ) from None
        try:
            yield
        finally:
            lock.release()

    def _tidy(self, *, all_of_it: bool) -> None:
        """Take away what a death has left half-written, or all of an earlier attempt."""
        for part in (*self.folder.glob(".*.part"), *(self._parts if all_of_it else [])):
            part.unlink(missing_ok=True)
        for scrap in self.run.parent.glob(f".{self.run.name}.*"):
            if scrap.suffix != ".old":
                shutil.rmtree(scrap, ignore_errors=True)

    def _refuse_other(self, origin: Mapping[str, str]) -> None:
        assert self.settings  # told here where there is nothing
        known = json.loads((self.folder / "origin.json").read_text("utf-8"))
        if changed := [name for name in {**known, **origin} if known.get(name) != origin.get(name)]:
            raise SettingsError(
                f"This run cannot be resumed, because its fits would not match: changed since it was begun: "
                f"{', '.join(changed)}.",
                where=str(self.folder), fix="Change it back, or train anew without --resume.",
            )  # fmt: skip


def _origin(settings: RunSettings, made_from: Provenance, checkout: Path) -> dict[str, str]:
    """By name, in words, all that a fit depends on."""
    told = {"table": made_from.data, "contract": made_from.contract, "code of dxai": made_from.code}
    digest = hashlib.sha256()
    for file in sorted((checkout / "custom").rglob("*.py")):
        digest.update(file.relative_to(checkout).as_posix().encode() + hashlib.sha256(file.read_bytes()).digest())
    told |= {"code in custom/": digest.hexdigest(), **{f"version of {n}": v for n, v in made_from.packages.items()}}
    shaping = settings.model_dump(mode="json", exclude=set(_WITHOUT_EFFECT))
    return told | {f"setting {key}": json.dumps(value, sort_keys=True) for key, value in shaping.items()}
