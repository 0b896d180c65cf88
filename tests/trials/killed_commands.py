"""python -m tests.trials.killed_commands --size ci|release [--seed N]

`dxai pull`, `dxai search` and `dxai remove`, each killed (SIGKILL) just before every single change that it makes to a
file, one death after the other. After each death the model that was pulled before must still verify, the store must
show no bundle that does not verify, and the same command given again must end well. Both sizes are the same.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from dxai.api import open_verified
from dxai.bundle.folder import Bundle
from dxai.catalog.ceremony import rotate
from dxai.catalog.store import HOME, Store
from tests.trials.forging.forge import NEW, OLD, Forge
from tests.trials.scene import NAME, Finding, Setting, dxai_here, run

_CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.symlink", "os.link", "os.truncate", "os.chmod"}


@dataclass(frozen=True)
class Case:
    """A command that is killed.

    Attributes:
        words: Of the command.
        shows: Versions that the store shows when it has ended well.
        anew: The pulled bundle was signed anew: until the command has ended, the old signature counts no more.
    """

    words: tuple[str, ...]
    shows: tuple[str, ...]
    anew: bool = False


def killed(words: Sequence[str], home: Path, at: int) -> bool:
    """Run a command in a fork that kills itself before its change number ``at``; False when it makes fewer."""
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL
    left = at

    def see(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if writes or event in _CHANGES:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(see)
    os._exit(max(0, dxai_here(*words, home=home).code))


def problems(case: Case, home: Path) -> list[str]:
    """What is wrong after a death, and after the same command is given again."""
    os.environ[HOME] = str(home)
    told = []
    try:
        for name, version in Store().bundles():
            Bundle.open(Store().place(name, version)) if case.anew else open_verified(f"{name}@{version}")
    except Exception as error:
        told.append(f"what the store shows is not whole: {error!r}")
    if (NAME, NEW) not in Store().bundles() and not case.anew:
        told.append("the model that was pulled before is gone")
    again = dxai_here(*case.words, home=home)
    if again.code and not (case.words[0] == "remove" and again.code == 3):  # it was removed before it died
        told.append(f"the same command again ends with {again.code}: {again.message}")
    shown = [version for _, version in Store().bundles()]
    return told if shown == list(case.shows) else [*told, f"afterwards the store shows {shown}"]


def deaths(case: Case, home: Path, folder: Path) -> tuple[int, list[str]]:
    """How often a command died, and what was wrong then."""
    started, broken = shutil.copytree(home, folder / "started", symlinks=True), list[str]()
    for at in count():
        shutil.rmtree(home)
        shutil.copytree(started, home, symlinks=True)
        if not killed(case.words, home, at):
            shutil.rmtree(started)
            return at, broken
        broken += [f"killed before change {at}: {told}" for told in problems(case, home)]
    raise AssertionError("it never ends")


def killed_commands(setting: Setting) -> Finding:
    """Each command, killed at each step; each one goes on from where the one before has ended."""
    found, died = Finding(), dict[str, int]()
    forge = Forge(Forge.prepare(setting.folder / "world"))
    place = ("--from", forge.place)
    first = dxai_here(
        "pull", f"{NAME}@{NEW}", *place, "--root", forge.publisher.root, "--accept-terms", home=forge.home
    )
    assert first.code == 0, first
    cases = {
        "search": Case(("search", *place), (NEW,)),
        "search with a trust root": Case(("search", *place, "--root", str(forge.publisher.root)), (NEW,)),
        "pull": Case(("pull", f"{NAME}@{OLD}", *place, "--accept-terms"), (NEW, OLD)),
        "remove": Case(("remove", f"{NAME}@{OLD}"), (NEW,)),
        "pull anew": Case(("pull", NAME, *place), (NEW,), anew=True),
    }
    for what, case in cases.items():
        if case.anew:
            rotate("bundle", forge.publisher.catalog, forge.keys, revoke=True)
        else:
            forge.publisher.catalog.refresh(forge.keys)  # there is something to read
        died[what], broken = deaths(case, forge.home, setting.folder)
        found.broken += [f"{what}: {told}" for told in broken]
    found.facts = {"n": sum(died.values()), "deaths": died}
    return found


if __name__ == "__main__":
    run("killed_commands", __doc__, killed_commands)
