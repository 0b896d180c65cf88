"""python -m tests.trials.concurrent_pulls --size ci|release [--seed N]

Many processes run `dxai pull` of the same model into the same empty store, from a web server, and one of them is killed
(SIGKILL) on the way: every other time whichever is downloading, otherwise any at a random moment. In each round the
graph is to come over the wire once, but for the piece that died with a process; all survivors are to end with 0 and the
store is to hold the released bytes. Another process opens whatever the store shows, again and again: never a bundle
that does not verify.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

from dxai.api import open_verified
from dxai.bundle.folder import Bundle
from dxai.bundle.manifest import MODEL
from dxai.catalog.store import HOME, Store
from tests.trials.scene import NAME, Finding, Publisher, Setting, dxai_command, environment_of, run, small_bundle
from tests.trials.web import CatalogServer

PROCESSES, ROUNDS = {"ci": 8, "release": 32}, {"ci": 3, "release": 50}
BALLAST = 2 << 20
"""Bytes of the graph; with the server's pauses its download takes about half a second."""
IN_FLIGHT = 1 << 20
"""Bytes that may die with a process: a block that it reads before it writes, and what waits in the sockets."""

Process = subprocess.Popen[bytes]


def watch(homes: Path) -> None:
    """Open whatever any store below a folder shows until a file ``stop`` is there; print what was seen."""
    looks, seen, partial = 0, 0, list[str]()
    while not (homes / "stop").exists():
        looks += 1
        for home in homes.glob("*"):
            os.environ[HOME] = str(home)
            for name, version in Store().bundles():
                try:
                    open_verified(f"{name}@{version}")
                    seen += 1
                except Exception as error:
                    if home.exists():  # its round is still on
                        partial.append(f"partial bundle visible: {error!r}"[:300])
        time.sleep(0.005)
    print(json.dumps([looks, seen, partial]))  # noqa: T201


def pulls(count: int, url: str, root: Path, home: Path) -> list[Process]:
    """So many processes that pull the model."""
    command = dxai_command("pull", NAME, "--from", url, "--root", root, "--accept-terms")
    return [
        subprocess.Popen(command, env=environment_of(home), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for _ in range(count)
    ]


def kill_one(random: Random, processes: Sequence[Process], *, downloading: bool) -> Process | None:
    """Kill the process that downloads the graph, or any; None when all ended before."""
    until, moment = time.monotonic() + 60, random.random()
    if downloading:
        while time.monotonic() < until and any(p.poll() is None for p in processes):
            for process in _with_part_open(processes):
                time.sleep(moment * 0.4)
                process.kill()
                return process
    else:
        time.sleep(moment * 0.25 * len(processes))
    alive = [process for process in processes if process.poll() is None]
    if not alive:
        return None
    victim = random.choice(alive)
    victim.kill()
    return victim


def _with_part_open(processes: Sequence[Process]) -> Iterator[Process]:
    for process in processes:
        try:
            for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
                if descriptor.readlink().name == f".{MODEL}.part":
                    yield process
        except OSError:
            continue  # it has ended, or the descriptor is closed


def one_round(setting: Setting, home: Path, server: CatalogServer, root: Path, *, downloading: bool) -> list[str]:
    """What went wrong while all pull and one is killed."""
    processes = pulls(PROCESSES[setting.size], server.url, root, home)
    victim = kill_one(setting.random, processes, downloading=downloading)
    broken = []
    for process in processes:
        _, err = process.communicate(timeout=300)
        if process is not victim and process.returncode != 0:
            broken.append(f"survivor ended with {process.returncode}: {err.decode(errors='replace')[-400:]}")
    return broken


def kept(home: Path, released: Bundle, root: Path) -> list[str]:
    """What is wrong with the store after a round."""
    os.environ[HOME] = str(home)
    try:
        bundle = open_verified(NAME, key=root.with_name("bundle.pub"))
    except Exception as error:
        return [f"no sound bundle after the round: {error!r}"]
    names = {path.name for path in (home / "models" / NAME).iterdir()}
    left = [f"left beside the bundle: {sorted(names)}"] if names != {"1.0.0"} else []
    return left + ([] if bundle.digest == released.digest else ["another bundle"])


def concurrent_pulls(setting: Setting) -> Finding:
    """So many rounds."""
    found, homes = Finding(), setting.folder / "homes"
    homes.mkdir()
    released = small_bundle(setting.folder / "bundle", ballast=BALLAST)
    publisher = Publisher.start(setting.folder, released)
    size, sent, once, killed = (released / MODEL).stat().st_size, list[int](), 0, 0
    watcher = subprocess.Popen([sys.executable, "-m", __spec__.name, "--watch", homes], stdout=subprocess.PIPE)
    try:
        with CatalogServer(publisher.catalog.folder, pause=0.01) as server:
            for number in range(ROUNDS[setting.size]):
                server.sent.clear()
                home, downloading = homes / str(number), number % 2 == 0
                told = one_round(setting, home, server, publisher.root, downloading=downloading)
                sent.append(sum(count for path, count in server.sent.items() if path.endswith(f".{MODEL}")))
                if not size <= sent[-1] <= size + IN_FLIGHT:
                    told.append(f"{sent[-1]} bytes of {MODEL} were sent, which has {size}")
                told += kept(home, Bundle.open(released), publisher.root)
                found.broken += [f"round {number}: {text}" for text in told]
                once, killed = once + (sent[-1] == size), killed + downloading
                shutil.rmtree(home.rename(setting.folder / "done"))
        (homes / "stop").touch()
        looks, seen, partial = json.loads(watcher.communicate(timeout=60)[0])
    finally:
        watcher.kill()
    found.broken += partial
    found.facts = {
        "processes": PROCESSES[setting.size], "rounds": len(sent), "killed_while_downloading": killed,
        "rounds_with_exactly_one_download": once, "most_sent_over_size": round(max(sent) / size, 3),
        "looks_at_the_store": looks, "bundles_seen": seen, "partial_bundles_seen": len(partial),
    }  # fmt: skip
    return found


if __name__ == "__main__":
    if sys.argv[1:2] == ["--watch"]:
        watch(Path(sys.argv[2]))
    else:
        run("concurrent_pulls", __doc__, concurrent_pulls)
