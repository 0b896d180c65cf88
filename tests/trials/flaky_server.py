"""python -m tests.trials.flaky_server --size ci|release [--seed N]

Rounds of `dxai pull` from a web server that cuts, stalls, lies about ranges and lengths, refuses, redirects, encodes
and sends other files. Each round is to end with the released bytes or with one short message and exit code 3, 4 or 5;
the store shows no bundle that does not verify, and no scraps lie outside of the folder of the unfinished pull. Then the
server mends its ways, and the next pull is to go on and end well.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from pathlib import Path

from dxai.api import open_verified
from dxai.bundle.folder import Bundle
from dxai.catalog.store import HOME, Store
from tests.trials.misbehaviour import Misbehaviour
from tests.trials.scene import NAME, Answer, Finding, Publisher, Setting, dxai_here, is_short, run, small_bundle
from tests.trials.web import CatalogServer

ROUNDS = {"ci": 30, "release": 1_000}
SHARES = (0.02, 0.1, 0.3)
"""Of the requests of a round that meet trouble."""

_PLACES = re.compile(
    r"catalogs/\w{16}/(\.lock|root\.json|index\.json|catalog\.json|metadata/(root_history/\d+\.)?\w+\.json)"
    rf"|accepted/[\w-]+\.json|locks/[\w.-]+\.lock|models/{NAME}/(\.1\.0\.0\.partial|1\.0\.0)/.+"
)
"""Files that a store may hold, finished or not."""


def problems(answer: Answer, home: Path, released: Bundle) -> list[str]:
    """What is wrong with the end of a pull."""
    found = []
    if answer.code not in (0, 3, 4, 5):
        found.append(f"exit code {answer.code}: {answer.err[-300:]}")
    elif answer.code and not ("Traceback" not in answer.err and is_short(answer.message)):
        found.append(f"not one short message: {answer.err!r}")
    shown = Store().bundles()
    if bool(shown) != (answer.code == 0):
        found.append(f"exit code {answer.code}, however the store shows {shown}")
    try:
        if shown and open_verified(NAME).files.keys() != {*released.files, "model.sig"}:
            found.append("another bundle")
        if shown and open_verified(NAME).digest != released.digest:
            found.append("other bytes")
    except Exception as error:
        found.append(f"partial bundle visible: {error!r}")
    names = [str(path.relative_to(home)) for path in home.rglob("*") if not path.is_dir()]
    return found + [f"left behind: {name}" for name in names if not _PLACES.fullmatch(name)]


def flaky_server(setting: Setting) -> Finding:
    """So many rounds."""
    found, codes, home = Finding(), Counter[int](), setting.folder / "home"
    released = small_bundle(setting.folder / "bundle", ballast=300_000)
    publisher = Publisher.start(setting.folder, released)
    stranger = Publisher.start(setting.folder / "stranger", small_bundle(setting.folder / "evil", slope=0.9))
    os.environ[HOME], bundle = str(home), Bundle.open(released)
    with CatalogServer(stranger.catalog.folder) as other:
        trouble = Misbehaviour(setting.random, other.url)
        with CatalogServer(publisher.catalog.folder, trouble=trouble) as server:
            words = ("pull", NAME, "--from", server.url, "--root", str(publisher.root), "--accept-terms")
            for number in range(ROUNDS[setting.size]):
                trouble.begin(setting.random.choice(SHARES))
                answer = dxai_here(*words, home=home)
                told = problems(answer, home, bundle)
                trouble.end()
                told += [f"honest server: {text}" for text in _honest(words, home, bundle)]
                found.broken += [f"{text} (round {number}: {trouble.told()})" for text in told]
                codes[answer.code] += 1
                shutil.rmtree(home / "models" if number % 3 else home)
    found.facts = {
        "n": codes.total(), "by_exit_code": dict(sorted(codes.items())), "troubles": trouble.met.total(),
        "kinds_of_trouble": len(trouble.met), "partial_bundles_seen": sum("partial" in text for text in found.broken),
    }  # fmt: skip
    return found


def _honest(words: tuple[str, ...], home: Path, released: Bundle) -> list[str]:
    answer = dxai_here(*words, home=home)
    told = problems(answer, home, released)
    names = {path.name for path in (home / "models" / NAME).glob("*")}
    return told + ([f"ended with {answer.code}: {answer.message}"] if answer.code or names != {"1.0.0"} else [])


if __name__ == "__main__":
    run("flaky_server", __doc__, flaky_server)
