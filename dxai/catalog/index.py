"""The index of a catalog: one entry per released version, for people and programs."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from dxai.bundle.folder import Bundle
from dxai.contract.terms import Text
from dxai.errors import NotFoundError, TrustError, nearest
from dxai.metrics import Metric, lead

INDEX = "index.json"


class Score(BaseModel):
    """The headline figure of a model beside that of its best yardstick."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str
    model: float
    yardstick: float
    yardstick_name: str


class Entry(BaseModel):
    """One version of one model.

    Attributes:
        files: Names of all its files, manifest and signature among them.
        size: Bytes of all files.
        digest: sha256 of the manifest.
        commit: Last git commit of code or settings in the checkout that it was published from; empty outside git.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    task: str
    sector: str
    title: Text
    purpose: Text
    target: str
    unit: str
    licence: str
    score: Score
    files: tuple[str, ...]
    size: int
    digest: str
    commit: str = ""

    @property
    def order(self) -> tuple[int, ...]:
        """Sorts versions from old to new."""
        return version_order(self.version)

    @property
    def folder(self) -> str:
        """Place of its files among the targets."""
        return f"models/{self.name}/{self.version}"


class Index(BaseModel):
    """All entries, by name, newest version first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: tuple[Entry, ...] = ()

    def with_entry(self, entry: Entry) -> Index:
        """The index with this entry in its place."""
        others = [e for e in self.models if (e.name, e.version) != (entry.name, entry.version)]
        newest_first = sorted([*others, entry], key=lambda e: e.order, reverse=True)
        return Index(models=tuple(sorted(newest_first, key=lambda e: e.name)))

    def find(self, name: str, version: str | None, *, where: str) -> Entry:
        """The named version, or the newest.

        Raises:
            NotFoundError: There is none; names what is nearest.
        """
        entries = [e for e in self.models if e.name == name]
        chosen = next((e for e in entries if version in (None, e.version)), None)
        if chosen is None:
            names = {e.name for e in self.models}
            hint = nearest(name, names)
            known = f"Versions: {', '.join(e.version for e in entries)}." if entries else ""
            fix = known or (
                f"Did you mean {hint!r}?" if hint else f"Models here: {', '.join(sorted(names)) or 'none'}."
            )
            word = f"{name}@{version}" if version else name
            raise NotFoundError(f"The catalog has no model {word!r}.", where=where, fix=fix)
        return chosen

    def search(self, word: str) -> list[Entry]:
        """Newest versions whose name, titles, purpose, sector, task or target hold the word."""
        newest = {e.name: e for e in reversed(self.models)}
        return [e for e in sorted(newest.values(), key=lambda e: e.name) if word.casefold() in _text(e)]


def version_order(version: str) -> tuple[int, ...]:
    """Numbers of a version, for sorting."""
    return tuple(int(part) for part in version.split("."))


def parse_index(content: bytes, *, where: str) -> Index:
    """Read an index that TUF has verified.

    Raises:
        TrustError: It cannot be read: this dxai is too old for the catalog.
    """
    try:
        return Index.model_validate_json(content)
    except ValidationError:
        fix = "Install a newer dxai."
        raise TrustError("The index of the catalog is not one that this dxai can read.", where=where, fix=fix) from None


def entry_of(bundle: Bundle, commit: str = "") -> Entry:
    """The entry of a signed bundle, published from a checkout at ``commit``."""
    contract, manifest = bundle.contract, bundle.manifest
    return Entry(
        name=manifest.name, version=manifest.version, task=contract.task, sector=contract.sector,
        title=Text(en=contract.title_en, ko=contract.title_ko),
        purpose=Text(en=contract.purpose, ko=contract.purpose_ko or contract.purpose),
        target=contract.target.name, unit=contract.target.unit, licence=bundle.terms.licence,
        score=_score(bundle.metrics, lead(contract.family)), files=tuple(sorted(bundle.files)),
        size=sum(map(len, bundle.files.values())), digest=bundle.digest, commit=commit,
    )  # fmt: skip


def _score(scores: dict[str, Any], metric: Metric) -> Score:
    yardsticks = {name: values[metric.name] for name, values in scores["yardstick"].items()}
    best = metric.best(yardsticks)
    return Score(
        metric=metric.name, model=scores["model"][metric.name], yardstick=yardsticks[best], yardstick_name=best
    )


def _text(entry: Entry) -> str:
    words = (entry.name, entry.sector, entry.task, entry.target, entry.licence)
    return "\n".join([*words, *entry.title.model_dump().values(), *entry.purpose.model_dump().values()]).casefold()
