"""python -m tests.trials.killed_conversion --size ci|release [--seed N]

`dxai data convert` of one large CSV file (20 MB; 1 GB at release size, on disk, gone afterwards) in CP949, with decimal
commas, Korean headers, another unit and another spelling of dates and classes; once in the order of the file, once
sorted. First it runs undisturbed on a terminal: its peak of memory is told, and its progress bar must be seen. Then it
is killed (SIGKILL) at random moments: the output is not there, or is the one that stood there before, or is whole.
What a death leaves behind is told; the same command given again must end well, with the same bytes.
"""

from __future__ import annotations

import hashlib
import os
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.trials.scene import Finding, Setting, dxai_command, environment_of, run

MEGABYTES = {"ci": 20, "release": 1_000}
KILLS = {"ci": 5, "release": 20}
PEAK_MB = 1_000
ORDERS = ("--keep-order", "--sort")
OLD = b"the output of an earlier run"

_CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: furnace
version: 1.0.0
status: active
description: {purpose: Tell bad lots.}
customProperties: [{property: titleEn, value: Furnace}, {property: titleKo, value: 로}]
schema:
  - name: lots
    logicalType: object
    customProperties: [{property: task, value: quality}, {property: timeZone, value: Asia/Seoul}]
    properties:
      - name: lot
        logicalType: string
        required: true
        customProperties: [{property: role, value: group}, {property: titleEn, value: Lot}, {property: titleKo, value: 로트}]
      - name: temperature
        logicalType: number
        required: true
        customProperties: [{property: role, value: feature}, {property: unit, value: K}, {property: titleEn, value: Temperature}, {property: titleKo, value: 온도}]
      - name: pressure
        logicalType: number
        customProperties: [{property: role, value: feature}, {property: unit, value: MPa}, {property: titleEn, value: Pressure}, {property: titleKo, value: 압력}]
      - name: measured
        logicalType: timestamp
        required: true
        customProperties: [{property: role, value: time}, {property: titleEn, value: Measured}, {property: titleKo, value: 측정}]
      - name: verdict
        logicalType: string
        required: true
        quality: [{metric: invalidValues, mustBe: 0, arguments: {validValues: [good, bad]}}]
        customProperties: [{property: role, value: target}, {property: titleEn, value: Verdict}, {property: titleKo, value: 판정}]
"""  # noqa: E501
_MAPPING = """
contract: furnace
file: {encoding: cp949, delimiter: ";", decimal: ",", thousands: "."}
missing: ["-"]
columns:
  lot: {from: 로트}
  temperature: {from: 온도(℃), unit: Cel}
  pressure: {from: 압력(kgf/cm2), unit: kgf/cm2}
  measured: {from: 측정일시, date: "%d.%m.%Y %H:%M:%S"}
  verdict: {from: 판정, values: {양품: good, 불량: bad}}
"""
_LINES = 50_000


@dataclass
class Ended:
    """How a conversion ended: its exit code (negative: the signal), what its terminal showed, its figures."""

    code: int
    shown: str
    seconds: float
    peak_mb: int


class Conversion:
    """The command in a folder of its own, on a terminal.

    Args:
        folder: Holds the file, the contract and the mapping; the outputs go into ``out``.
    """

    def __init__(self, folder: Path, megabytes: int, random: Random) -> None:
        self.folder, self.out = folder, folder / "out"
        self.target = self.out / "furnace.parquet"
        (folder / "furnace.contract.yaml").write_text(_CONTRACT, "utf-8")
        (folder / "furnace.mapping.yaml").write_text(_MAPPING, "utf-8")
        lines = "".join(_line(random) for _ in range(_LINES)).encode("cp949")
        with (folder / "furnace.csv").open("wb") as file:
            file.write("로트;온도(℃);압력(kgf/cm2);측정일시;판정\n".encode("cp949"))
            for _ in range(max(1, (megabytes << 20) // len(lines))):
                file.write(lines)

    def run(self, order: str, *, kill_after: float | None = None) -> Ended:
        """Run until it ends, or is killed after so many seconds."""
        names = [self.folder / f"furnace.{end}" for end in ("csv", "contract.yaml", "mapping.yaml")]
        words = ["data", "convert", names[0], "-c", names[1], "-m", names[2], "-o", self.target, order]
        terminal, inner = pty.openpty()
        environment = environment_of(self.folder, TERM="xterm")
        started = time.monotonic()
        process = subprocess.Popen(dxai_command(*words), stdout=subprocess.DEVNULL, stderr=inner, env=environment)
        os.close(inner)
        shown: list[bytes] = []
        reader = threading.Thread(target=_read, args=(terminal, shown))
        reader.start()
        killer = threading.Timer(kill_after, os.kill, (process.pid, signal.SIGKILL)) if kill_after else None
        if killer:
            killer.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
        if killer:
            killer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)  # it was waited for here, for the sake of its figures
        reader.join()
        os.close(terminal)
        screen = b"".join(shown).decode(errors="replace")
        return Ended(process.returncode, screen, seconds, usage.ru_maxrss >> 10)

    @property
    def digest(self) -> str:
        """Of the output; empty where there is none."""
        if not self.target.exists():
            return ""
        with self.target.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @property
    def scraps(self) -> list[str]:
        """What lies beside the output and its log."""
        return sorted(p.name for p in self.out.iterdir() if p.name not in (self.target.name, "furnace-conversion.json"))


def _line(random: Random) -> str:
    pressure = f"{random.randint(0, 2)}.{random.randint(0, 999):03d},{random.randint(0, 99):02d}"
    return (
        f"{random.randint(0, 9999):04d};{random.uniform(700, 900):.1f}".replace(".", ",")
        + f";{'-' if random.random() < 0.01 else pressure}"
        + f";{random.randint(1, 28):02d}.{random.randint(1, 12):02d}.2025 {random.randint(0, 23):02d}:15:00"
        + f";{random.choice(('양품', '양품', '불량'))}\n"
    )


def _read(terminal: int, shown: list[bytes]) -> None:
    while True:
        try:
            block = os.read(terminal, 1 << 16)
        except OSError:  # nobody writes to it any more
            return
        shown.append(block)


@contextmanager
def _room(setting: Setting) -> Iterator[Path]:
    """A folder with room for the file and what is made of it: on disk at release size."""
    if not setting.is_release:
        yield setting.folder
        return
    with tempfile.TemporaryDirectory(prefix="killed-conversion-") as folder:
        if shutil.disk_usage(folder).free < (needed := MEGABYTES[setting.size] << 22):
            sys.exit(f"{folder}: {needed >> 30} GB of free space are needed.")
        yield Path(folder)


@dataclass
class Told:
    """What one order showed: figures to read, what was wrong, and the counts that the promise is made of."""

    facts: dict[str, object]
    broken: list[str]
    peak_mb: int
    half: int
    progress_bar: bool
    again: bool


def killed_conversion(setting: Setting) -> Finding:
    """Both orders: undisturbed, killed, and again."""
    found, kills = Finding(), KILLS[setting.size]
    with _room(setting) as folder:
        conversion = Conversion(folder, MEGABYTES[setting.size], setting.random)
        found.facts = {"n": kills, "file_mb": (folder / "furnace.csv").stat().st_size >> 20}
        shares = zip(ORDERS, (kills - kills // 2, kills // 2), strict=True)
        told = {order: _one_order(conversion, order, share, setting.random) for order, share in shares}
    each = told.values()
    found.facts |= {
        "peak_mb": max(one.peak_mb for one in each), "half": sum(one.half for one in each),
        "progress_bars": sum(one.progress_bar for one in each), "again": sum(one.again for one in each),
        **{order.strip("-"): one.facts for order, one in told.items()},
    }  # fmt: skip
    found.broken = [f"{order}: {text}" for order, one in told.items() for text in one.broken]
    return found


def _one_order(conversion: Conversion, order: str, kills: int, random: Random) -> Told:
    conversion.out.mkdir()
    whole, digest = conversion.run(order), conversion.digest
    broken = [] if whole.code == 0 and digest else [f"undisturbed it ended with {whole.code}: {whole.shown[-300:]}"]
    broken += [] if (bar := "━" in whole.shown) else [f"no progress bar: {whole.shown[:300]!r}"]
    moments = [random.uniform(0.05, 1.02) * whole.seconds for _ in range(kills)]
    ends = [_death(conversion, order, moment, digest, old=bool(i % 2)) for i, moment in enumerate(moments)]
    half = [f"killed after {m:.1f} s: the output is {end}" for m, end in zip(moments, ends, strict=True) if "!" in end]
    left = len(conversion.scraps)
    again = conversion.run(order)
    if not (well := again.code == 0 and conversion.digest == digest):
        broken.append(f"the same command again ended with {again.code}, or other bytes: {again.shown[-300:]}")
    peak = max(whole.peak_mb, again.peak_mb)
    broken += [f"{peak} MB of memory"] if peak > PEAK_MB else []
    facts = {
        "seconds": round(whole.seconds, 1), "peak_mb": peak, "output_mb": conversion.target.stat().st_size >> 20,
        "after_death": dict(sorted(Counter(ends).items())), "scraps": left, "scraps_later": len(conversion.scraps),
    }  # fmt: skip
    shutil.rmtree(conversion.out)
    return Told(facts, broken + half, peak, len(half), bar, well)


def _death(conversion: Conversion, order: str, moment: float, digest: str, *, old: bool) -> str:
    """What stands there after a death at this moment; with an exclamation mark what must not."""
    conversion.target.unlink(missing_ok=True)
    if old:
        conversion.target.write_bytes(OLD)
    conversion.run(order, kill_after=moment)
    before = {hashlib.sha256(OLD).hexdigest(): "the old one"} if old else {"": "absent"}
    return {digest: "whole", **before}.get(conversion.digest, "half, or gone!")


if __name__ == "__main__":
    run("killed_conversion", __doc__, killed_conversion)
