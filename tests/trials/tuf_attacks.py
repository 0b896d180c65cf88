"""python -m tests.trials.tuf_attacks --size ci|release [--seed N]

A firm that has pulled from a catalog meets a forged one in its place: old, frozen, mixed, signed by others, endless,
unreadable, or genuine in its metadata and false in what it leads to. `dxai pull` is to refuse each with its own
sentence and exit code 5 (4 for changed bytes, 3 for bytes that are not there), to leave the models and the trusted keys
of the store as they were, and to work again as soon as the owner has restored the catalog. Then the good paths:
replaced keys of every role and a long chain of roots are followed without a word.

The release size runs each attack from a folder and from a web server, every command in a process of its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

from dxai.catalog.ceremony import rotate
from dxai.catalog.pull import Watcher, pull
from dxai.catalog.store import Store
from dxai.errors import DxaiError
from tests.trials.forging import metadata, targets
from tests.trials.forging.forge import NEW, OLD, Attack, Forge
from tests.trials.scene import NAME, Answer, Finding, Setting, dxai, dxai_here, run
from tests.trials.web import CatalogServer

Command = Callable[..., Answer]


def problems(forge: Forge, attack: Attack, command: Command) -> list[str]:
    """What is wrong with the refusal of an attack, with what it leaves, and with the way back."""
    _pull(forge, NEW, forge.first_root)
    attack.forge(forge)
    kept = forge.kept()
    options = ["--from", forge.place, "--accept-terms", *attack.options(forge)]
    answer = command("pull", attack.wanted, *options, home=forge.home)
    found = []
    if answer.code != attack.code:
        found.append(f"exit code {answer.code} instead of {attack.code}: {answer.err}")
    elif attack.words not in answer.message:
        found.append(f"does not say {attack.words!r}: {answer.message}")
    if answer.code and not answer.is_short:
        found.append(f"not one short message: {answer.err!r}")
    if forge.kept() != kept:
        found.append("the store has changed")
    attack.repair(forge)
    try:
        _pull(forge, OLD, None)
    except (DxaiError, OSError, AssertionError) as error:
        found.append(f"a genuine pull does not work afterwards: {error}")
    return found


def _pull(forge: Forge, version: str, trust: bytes | None) -> None:
    client, store = forge.client(trust), Store(forge.home)
    pull(client, store, client.refresh().find(NAME, version, where=""), Watcher(lambda *_: True))
    assert (NAME, version) in store.bundles()


def attacked(template: Path, name: str, attack: Attack, *, web: bool, command: Command) -> list[str]:
    """The problems of one attack, in a world of its own."""
    folder = Path(shutil.copytree(template, template.with_name("world")))
    forge = Forge(folder)
    try:
        with CatalogServer(forge.catalog) as server:
            forge.place = server.url if web else forge.place
            return [f"{name} ({'web' if web else 'folder'}): {told}" for told in problems(forge, attack, command)]
    finally:
        shutil.rmtree(folder)


def followed(folder: Path, command: Command) -> list[str]:
    """What goes wrong while the owner replaces keys and the firm goes on pulling."""
    forge, broken = Forge(folder), list[str]()
    catalog, home = forge.publisher.catalog, forge.home
    (folder / "first.json").write_bytes(forge.first_root)

    def follow(step: str, home: Path = home, *options: str) -> None:
        shutil.rmtree(home / "models", ignore_errors=True)
        answer = command("pull", NAME, "--from", forge.place, "--accept-terms", *options, home=home)
        if answer.code or command("verify", NAME, home=home).code:
            broken.append(f"{step}: {answer.err}")

    follow("first pull", home, "--root", str(folder / "first.json"))
    for role in ("root", "targets", "snapshot", "timestamp", "bundle"):
        rotate(role, catalog, forge.keys)
        follow(f"new {role} key")
    rotate("bundle", catalog, forge.keys, revoke=True)
    follow("revoked bundle key")
    catalog.refresh(forge.keys)
    follow("refresh")
    for _ in range(5):
        rotate("root", catalog, forge.keys)
    follow("five new roots")
    follow("first pull with the first root", folder / "late", "--root", str(folder / "first.json"))
    return [f"good path: {text}" for text in broken]


def tuf_attacks(setting: Setting) -> Finding:
    """Every attack, then every good path."""
    attacks = {**dict(metadata.attacks()), **dict(targets.attacks())}
    command = dxai if setting.is_release else dxai_here
    found, sources, runs = Finding(), cycle((False, True)), 0
    template = Forge.prepare(setting.folder / "template")
    for name, attack in attacks.items():
        for web in (False, True) if setting.is_release else (next(sources),):
            found.broken += attacked(template, name, attack, web=web, command=command)
            runs += 1
    found.broken += followed(template, command)
    accepted = sum("exit code 0" in text for text in found.broken)
    found.facts = {"kinds": len(attacks), "n": runs, "accepted": accepted, "good_paths": 10}
    return found


if __name__ == "__main__":
    run("tuf_attacks", __doc__, tuf_attacks)
