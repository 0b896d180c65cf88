"""The leaderboard for people: one table per board, the same cells on the terminal and on an HTML page."""

from __future__ import annotations

import base64
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from dxai.contract.terms import Text
from dxai.files import write_whole
from dxai.metrics import METRICS, Metric
from dxai.record.bootstrap import LEVEL
from dxai.record.figures import ACCENT, MUTED, canvas
from dxai.record.leaderboard import Board, Leaderboard, Standing
from dxai.record.report import Table, templates

Language = Literal["en", "ko"]

_MOST_DRAWN = 30
"""Runs in a picture."""
_TEXTS = {
    "title": Text(en="Leaderboard", ko="순위표"),
    "place": Text(en="place", ko="순위"),
    "run": Text(en="run", ko="실행"),
    "model": Text(en="model", ko="모델"),
    "baseline": Text(en="baseline", ko="단순 기준"),
    "difference": Text(en="to the best", ko="1위와의 차이"),
    "random": Text(en="random split", ko="무작위 분할"),
    "cpu": Text(en="CPU s", ko="CPU 초"),
    "size": Text(en="MB", ko="MB"),
    "speed": Text(en="rows/s", ko="행/초"),
    "data": Text(en="rows, sha256", ko="행, sha256"),
    "groups": Text(en="groups", ko="그룹"),
    "rows": Text(en="rows", ko="행"),
    "series": Text(en="series", ko="시계열"),
    "intervals": Text(
        en="In brackets: {level:.0%} intervals by a bootstrap of the held-out {clusters}; of a difference, paired. "
        "They do not tell how far another training would move. A difference whose interval holds 0 is not shown to be "
        "one.",
        ko="괄호: 학습에 쓰지 않은 {clusters} 단위로 부트스트랩한 {level:.0%} 구간. 차이는 짝지은 표본으로 구합니다. "
        "다시 학습할 때의 변동은 담지 않습니다. 구간에 0이 들어 있으면 차이가 입증되지 않은 것입니다.",
    ),
    "gap": Text(
        en="Random split: the score that rows at random would have promised, and how far it is from the honest one.",
        ko="무작위 분할: 행을 무작위로 나누었을 때의 점수와 정직한 점수와의 차이입니다.",
    ),
    "picture": Text(
        en="Scores of the best {most} runs at most with their intervals; dashed: the best baselines.",
        ko="상위 실행(최대 {most}개)의 점수와 구간. 점선은 가장 좋은 단순 기준입니다.",
    ),
    "unfinished": Text(
        en="{count} unfinished, not counted: dxai train --resume last",
        ko="끝나지 않은 실행 {count}개는 제외: dxai train --resume last",
    ),
    "other_data": Text(
        en="{count} on a table or contract that has changed since, not counted: train again",
        ko="그 뒤 바뀐 데이터나 계약의 실행 {count}개는 제외: 다시 학습하십시오",
    ),
    "unreadable": Text(
        en="{count} that this version cannot read, not counted: train again",
        ko="이 버전이 읽지 못하는 실행 {count}개는 제외: 다시 학습하십시오",
    ),
}  # fmt: skip


def table(board: Board, language: Language = "en") -> Table:
    """The rows of a board as text; a column that no row fills is left out.

    Args:
        board: Its standings, the best first.
        language: Of the heads.
    """
    metric, baseline = board.metric, _say("baseline", language)
    columns = {
        _say("place", language): [str(rank or "") for rank in board.ranks],
        _say("run", language): [row.run or baseline for row in board.standings],
        _say("model", language): [row.model for row in board.standings],
        metric.title(board.unit, language): [_score(r, metric) for r in board.standings],
        _say("difference", language): [_difference(row, metric) for row in board.standings],
        METRICS["coverage"].title(language=language): [
            "" if row.coverage is None else METRICS["coverage"].printed(row.coverage) for row in board.standings
        ],
        _say("random", language): [_random(row, metric) for row in board.standings],
        _say("cpu", language): [_number(row.cpu_seconds, ",.0f") for row in board.standings],
        _say("size", language): [_number(row.model_bytes and row.model_bytes / 1e6, ".2f") for row in board.standings],
        _say("speed", language): [_number(row.rows_per_second, ",.0f") for row in board.standings],
    }
    filled = {head: cells for head, cells in columns.items() if any(cells)}
    return Table(tuple(filled), tuple(zip(*filled.values(), strict=True)))


def title(board: Board, language: Language = "en") -> str:
    """What is compared: data set and split."""
    split = ", ".join(f"{name} {value}" for name, value in board.split.items() if name != "kind")
    named = board.title_ko if language == "ko" else board.title_en
    return f"{named} ({board.task}): {board.split['kind']}, {split}"


def left_out(found: Leaderboard, language: Language = "en") -> list[str]:
    """A line for every reason why runs are on no board."""
    counts = {"unfinished": found.unfinished, "other_data": found.other_data, "unreadable": found.unreadable}
    return [_say(reason, language, count=count) for reason, count in counts.items() if count]


def notes(board: Board, language: Language = "en") -> list[str]:
    """How to read the intervals and the random split."""
    told = [_say("intervals", language, level=LEVEL, clusters=_say(board.clusters, language))]
    return told + ([_say("gap", language)] if any(row.random is not None for row in board.standings) else [])


def write_page(found: Leaderboard, target: Path, language: Language = "en") -> None:
    """Write one HTML file that needs nothing but itself.

    Raises:
        NoSpaceError: The disk is full.
        SettingsError: Writing there is not permitted.
    """
    boards = [
        {
            "title": title(board, language), "table": table(board, language), "notes": notes(board, language),
            "data": f"{_say('data', language)}: {board.data}",
            "picture": _picture(board), "caption": _say("picture", language, most=_MOST_DRAWN),
        }
        for board in found.boards
    ]  # fmt: skip
    page = templates().get_template("leaderboard.html.j2").render(
        language=language, title=_say("title", language), boards=boards, left_out=left_out(found, language)
    )  # fmt: skip
    write_whole(target, page.encode())


def _picture(board: Board) -> str:
    """Scores and intervals of the runs, as a PNG file in base64."""
    runs = [row for row in board.standings if row.kind == "model"][:_MOST_DRAWN]
    ranks = [rank for rank in board.ranks if rank][:_MOST_DRAWN]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "scores.png"
        with canvas(path, 7.6, 1.2 + 0.36 * len(runs)) as (axes,):
            for place, row in enumerate(runs):
                axes.plot(row.score, place, "o", color=ACCENT)
                if row.interval:
                    axes.plot(row.interval, (place, place), color=ACCENT, linewidth=1.6)
            for row in board.standings:
                if row.kind == "baseline":
                    axes.axvline(row.score, color=MUTED, linestyle="--", linewidth=1)
                    axes.text(row.score, -0.75, row.model, ha="center", va="bottom", fontsize=8)
            axes.set_yticks(range(len(runs)), [f"{rank} {row.model}" for rank, row in zip(ranks, runs, strict=True)])
            axes.set_ylim(len(runs) - 0.4, -0.8)
            axes.set_xlabel(board.metric.title(board.unit))
        return base64.b64encode(path.read_bytes()).decode()


def _say(name: str, language: Language, **values: object) -> str:
    text = _TEXTS[name]
    return (text.ko if language == "ko" else text.en).format(**values)


def _score(row: Standing, metric: Metric) -> str:
    if row.interval is None:
        return metric.printed(row.score)
    low, high = (metric.printed(bound) for bound in row.interval)
    return f"{metric.printed(row.score)} ({low} … {high})"


def _difference(row: Standing, metric: Metric) -> str:
    if row.difference is None or row.difference_interval is None:
        return ""
    low, high = (_signed(bound, metric) for bound in row.difference_interval)
    return f"{_signed(row.difference, metric)} ({low} … {high})"


def _random(row: Standing, metric: Metric) -> str:
    return "" if row.random is None or row.gap is None else f"{metric.printed(row.random)} ({_signed(row.gap, metric)})"


def _signed(value: float, metric: Metric) -> str:
    return f"{'−' if value < 0 else '+'}{metric.printed(abs(value))}"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
