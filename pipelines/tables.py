"""python -m pipelines.tables: write the scores of the reference models into both READMEs and docs/sectors*.md.

What it says comes from dvc.yaml and from what git holds of each bundle: contract.yaml and metrics.json. So a clone
without the models' weights writes the same table.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from dxai.bundle.manifest import CARD, CONTRACT, METRICS
from dxai.catalog.site.words import unit, word
from dxai.contract import load_contract
from dxai.contract.terms import Text
from dxai.metrics import lead
from dxai.record.report import Verdict

Language = Literal["en", "ko"]

READMES: Mapping[str, Language] = {"README.md": "en", "README.ko.md": "ko"}
PAGES: Mapping[str, Language] = {"docs/sectors.md": "en", "docs/sectors.ko.md": "ko"}

_BEGIN, _END = "<!-- models: python -m pipelines.tables -->", "<!-- /models -->"
_CELLS = 8
"""Of a row in docs/sectors*.md."""
_HEADS = (
    Text(en="task", ko="과제"),
    Text(en="sector", ko="분야"),
    Text(en="data", ko="데이터"),
    Text(en="model", ko="모델"),
    Text(en="held-out score", ko="학습에 쓰지 않은 행의 점수"),
    Text(en="best baseline", ko="가장 좋은 단순 기준"),
)
_MODELS = {
    "portfolio": Text(en="portfolio", ko="포트폴리오"),
    "demand_portfolio": Text(en="trees and experts", ko="트리와 학습이 필요 없는 예측법"),
}
"""Models by their names in configs/model/ that people call in another way."""


@dataclass(frozen=True)
class Reference:
    """A model of models/ that a task of dvc.yaml makes.

    Attributes:
        folder: Of the bundle, relative to the checkout.
        model: Name of a file in configs/model/.
    """

    folder: Path
    model: str


def tasks(checkout: Path) -> dict[str, dict[str, str]]:
    """Names of dvc.yaml's tasks, and the configs and the bundle of each."""
    known: dict[str, dict[str, str]] = yaml.safe_load((checkout / "dvc.yaml").read_text("utf-8"))["vars"][0]["tasks"]
    return known


def references(checkout: Path) -> list[Reference]:
    """The tasks of dvc.yaml whose models git holds, in that order."""
    known = [Reference(Path("models") / task["bundle"], task["model"]) for task in tasks(checkout).values()]
    return [reference for reference in known if (checkout / reference.folder / METRICS).is_file()]


def models_table(checkout: Path, language: Language) -> str:
    """The table in Markdown: a row per reference model, its score beside that of the best baseline."""
    rows = [_HEADS, *(_row(checkout, reference) for reference in references(checkout))]
    lines = [f"| {' | '.join(getattr(text, language) for text in row)} |" for row in rows]
    return "\n".join([lines[0], "| --- " * len(_HEADS) + "|", *lines[1:]])


def with_table(readme: str, table: str) -> str:
    """A README with this table between its two comments.

    Raises:
        ValueError: It does not have the two comments.
    """
    before, begin, rest = readme.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"A README must hold {_BEGIN} and, below it, {_END}.")
    return f"{before}{begin}\n{table}\n{end}{after}"


def with_scores(page: str, checkout: Path, language: Language) -> str:
    """A page whose table names tasks in its second column, with their scores in the fourth, fifth and seventh.

    Score, best baseline, and what a random split would have promised; what people write beside them stays.
    """
    folders = {f"`{task}`": checkout / "models" / item["bundle"] for task, item in tasks(checkout).items()}
    lines = page.splitlines()
    for number, line in enumerate(lines):
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("| ") else []
        named = [folders[name] for name in folders if len(cells) == _CELLS and name in cells[1]]
        for folder in (folder for folder in named if (folder / METRICS).is_file()):
            cells[3], cells[4], cells[6] = (getattr(each, language) for each in _scores(folder))
            lines[number] = f"| {' | '.join(cells)} |"
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the READMEs of the checkout in which this is run."""
    checkout = Path.cwd()
    for name, language in READMES.items():
        readme = checkout / name
        readme.write_text(with_table(readme.read_text("utf-8"), models_table(checkout, language)), "utf-8")
    for name, language in PAGES.items():
        page = checkout / name
        page.write_text(with_scores(page.read_text("utf-8"), checkout, language), "utf-8")


def _row(checkout: Path, reference: Reference) -> tuple[Text, ...]:
    contract = load_contract(checkout / reference.folder / CONTRACT)
    card = (reference.folder / CARD).as_posix()
    ours, theirs, _ = _scores(checkout / reference.folder)
    return (
        _small(word("task", contract.task)), _small(word("sector", contract.sector)),
        Text(en=f"[{contract.title_en}]({card})", ko=f"[{contract.title_ko}]({card})"),
        _MODELS.get(reference.model, _plain(reference.model)), ours, theirs,
    )  # fmt: skip


def _scores(folder: Path) -> tuple[Text, Text, Text]:
    """Of a bundle: its score, that of the best baseline, and the score that a random split would have promised."""
    contract, scores = load_contract(folder / CONTRACT), json.loads((folder / METRICS).read_text("utf-8"))
    metric = lead(contract.family)
    verdict = Verdict.of(metric, contract.target.unit, scores)
    behind = f" {unit(verdict.unit).en}" if verdict.unit else ""
    ours, theirs = (f"{metric.printed(value)}{behind}" for value in (verdict.model, verdict.yardstick))
    baseline, twin = word("yardstick", verdict.name), scores.get("random_split", {}).get(metric.name)
    return (
        Text(en=f"{metric.en} {ours}", ko=f"{metric.ko or metric.en} {ours}"),
        Text(en=f"{theirs}, {_small(baseline).en}", ko=f"{theirs}, {baseline.ko}"),
        _plain("" if twin is None else metric.printed(twin)),
    )


def _plain(name: str) -> Text:
    words = name.replace("_", " ")
    return Text(en=words, ko=words)


def _small(text: Text) -> Text:
    """As it stands within a table."""
    return Text(en=text.en[:1].lower() + text.en[1:], ko=text.ko)


if __name__ == "__main__":
    main()
