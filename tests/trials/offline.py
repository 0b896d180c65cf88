"""python -m tests.trials.offline --size ci|release [--seed N] [--bundle DIR …]

Every command of a member firm that needs no network, after one pull from a web server, in a network namespace without
any network (`unshare -rn`; left out where this system forbids it). An audit hook in each process writes down every
socket, every name that is looked up and every connection; where `strace` is there, it writes down the sockets of native
code and of all child processes as well. No socket other than of this machine's own kind (AF_UNIX) is to be opened, and
every command is to end well.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from dxai.bundle.folder import Bundle
from tests.trials.scene import Finding, Publisher, Setting, dxai, dxai_command, environment_of, run, small_bundle
from tests.trials.web import CatalogServer

HOOK = """
import os, sys
def see(event, arguments):
    if event.split(".")[0] == "socket" and event not in ("socket.gethostname", "socket.sethostname"):
        family = int(arguments[1]) if event == "socket.__new__" else ""
        with open(os.environ["SOCKETS_SEEN"], "a") as file:
            file.write(f"{event} {family}\\n")
sys.addaudithook(see)
"""
_INNER = re.compile(r"socket\.__new__ 1\b")
_NATIVE = re.compile(r"socket\((AF_(?!UNIX)\w+|PF_(?!UNIX)\w+)")


@dataclass(frozen=True)
class Scene:
    """A store that holds a model, and how a command is watched.

    Attributes:
        shut: Command that takes the network away; nothing where that is forbidden.
        strace: Whether native code is watched.
    """

    folder: Path
    home: Path
    shut: list[str]
    strace: bool

    def problems(self, command: list[str]) -> list[str]:
        """What a command does wrong without a network."""
        seen, traced = self.folder / "seen", self.folder / "traced"
        for file in (seen, traced):
            file.write_text("")
        watched = ["strace", "-f", "-qq", "-e", "trace=socket", "-o", str(traced)] if self.strace else []
        done = subprocess.run(
            [*self.shut, *watched, *command], cwd=self.folder, timeout=120, check=False, capture_output=True,
            stdin=subprocess.DEVNULL,
            env=environment_of(self.home, PYTHONPATH=f"{self.folder / 'hook'}:{_CHECKOUT}", SOCKETS_SEEN=str(seen)),
        )  # fmt: skip
        told = [f"audit: {line}" for line in seen.read_text().splitlines() if not _INNER.match(line)]
        told += [f"native: {match[0]}" for match in _NATIVE.finditer(traced.read_text())]
        if done.returncode:
            told.append(f"exit code {done.returncode}: {done.stderr.decode(errors='replace')[-300:]}")
        return told


_CHECKOUT = Path(__file__).parents[2]


def commands(name: str, catalog: Path, url: str, bundle: Path, rows: Path, folder: Path) -> dict[str, list[str]]:
    """What a member firm does without a network."""
    table = f"pl.read_csv({str(rows)!r}, infer_schema_length=None)"
    program = f"import polars as pl; from dxai import load; load({name!r}).predict({table})"
    public, root = catalog.parent / "keys/bundle.pub", catalog.parent / "keys/root.json"
    told = {
        "--help": ("--help",), "search --help": ("search", "--help"), "list": ("list",),
        "search --offline": ("search", "--offline", "--from", url),
        "search a folder --offline": ("search", "--offline", "--from", catalog, "--root", root),
        "pull --offline": ("pull", name, "--offline", "--from", url),
        "pull from a folder --offline": (
            "pull", name, "--offline", "--from", catalog, "--root", root, "--accept-terms",
        ),
        "verify": ("verify", name), "verify a folder": ("verify", bundle, "--key", public),
        "inspect": ("inspect", name), "predict": ("predict", name, rows, "-o", folder / "out.csv"),
        "predict to Parquet": ("predict", name, rows, "-o", folder / "out.parquet"),
        "check": ("check", name, rows, "--report", folder / "report.html"),
        "completion": ("completion", "bash"),
    }  # fmt: skip
    run_all = {what: dxai_command(*words) for what, words in told.items()}
    return {**run_all, "load in Python": [sys.executable, "-c", program], "remove": dxai_command("remove", name)}


def shut_command() -> list[str]:
    """The command that runs another without a network, if this system lets it."""
    command = ["unshare", "-rn"]
    able = (
        shutil.which("unshare") and subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
    )
    return command if able else []


def offline(setting: Setting) -> Finding:
    """Each command once, for each bundle."""
    folder, found, ran = setting.folder, Finding(), 0
    (folder / "hook").mkdir()
    (folder / "hook/sitecustomize.py").write_text(HOOK)
    folders = setting.bundles or (small_bundle(folder / "bundle"),)
    publisher = Publisher.start(folder, *folders)
    scene = Scene(folder, folder / "home", shut_command(), strace=bool(shutil.which("strace")))
    _refuse_blind(scene)
    for bundle in folders:
        name = Bundle.open(bundle).manifest.name
        with CatalogServer(publisher.catalog.folder) as server:
            url = server.url
            dxai("pull", name, "--from", url, "--root", publisher.root, "--accept-terms", home=scene.home)
        signed = Path(shutil.copytree(scene.home / "models" / name / "1.0.0", folder / f"signed-{name}"))
        rows = bundle / "golden/rows.csv"
        for what, command in commands(name, publisher.catalog.folder, url, signed, rows, folder).items():
            found.broken += [f"{what}: {told}" for told in scene.problems(command)]
            ran += 1
    sockets = sum("audit:" in text or "native:" in text for text in found.broken)
    found.facts = {
        "commands": ran, "without_a_network": bool(scene.shut), "native_code_watched": scene.strace, "sockets": sockets,
    }  # fmt: skip
    return found


def _refuse_blind(scene: Scene) -> None:
    """The watch must see a socket."""
    told = scene.problems([sys.executable, "-c", "import socket; socket.socket(socket.AF_INET)"])
    assert any("audit:" in text for text in told), "the audit hook is blind"
    assert not scene.strace or any("native:" in text for text in told), "strace is blind"


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    run("offline", __doc__, offline)
