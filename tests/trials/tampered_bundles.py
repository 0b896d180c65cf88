"""python -m tests.trials.tampered_bundles --size ci|release [--seed N] [--bundle DIR --bundle OTHER]

Signed bundles changed in every way a download or a hostile hand can change one, each opened through the door of
`dxai predict` (`dxai.api.open_verified`), and a sample through the command itself. Not one is to be accepted; each is
to be refused in one short message with exit code 4, or 5 where the key is a stranger's.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import ModuleType

from cryptography.hazmat.primitives.asymmetric import ec

from dxai.api import open_verified
from dxai.bundle import signing
from dxai.bundle.folder import Bundle
from dxai.bundle.manifest import SIGNATURE
from dxai.errors import DxaiError, NotFoundError, TrustError
from tests.trials.scene import Finding, Setting, dxai, is_short, run, small_bundle
from tests.trials.tampering import contents, folders, manifests, signatures
from tests.trials.tampering.target import Change, Files, Kind, Target, hint_of

COUNTS = {"ci": 6, "release": 5_000}
"""Tampered bundles of every kind."""
COMMANDS = {"ci": 8, "release": 400}
"""Kinds that go through the command as well."""

ANOTHER_CODE: dict[Change, int] = {
    signatures.by_stranger: TrustError.exit_code,
    signatures.by_stranger_changed: TrustError.exit_code,
    signatures.other_hint: TrustError.exit_code,
    folders.missing_manifest: NotFoundError.exit_code,  # a folder without a manifest is no bundle
}


def kinds_of(files: Files, other: Files) -> dict[str, Kind]:
    """All kinds by name: every file and class of bytes, and every function of the other modules."""
    kinds = dict(contents.kinds(files, other))
    for module in (folders, signatures, manifests):
        kinds |= {change.__name__: Kind(change, ANOTHER_CODE.get(change, Kind.code)) for change in _changes(module)}
    return kinds


def _changes(module: ModuleType) -> list[Change]:
    own = [value for value in vars(module).values() if getattr(value, "__module__", "") == module.__name__]
    return [value for value in own if callable(value) and not value.__name__.startswith("_")]


def judge(target: Target, kind: Kind, key: Path) -> str:
    """What is wrong with the refusal; nothing when it is as it should be."""
    try:
        open_verified(target.folder, key=key)
    except DxaiError as error:
        if error.exit_code not in _codes(kind, target):
            return f"exit code {error.exit_code}: {error.message()}"
        return "" if is_short(f"dxai: {error.message()}") else f"not one short message: {error.message()!r}"
    except Exception as error:
        return f"crashed: {error!r}"
    return "ACCEPTED"


def _codes(kind: Kind, target: Target) -> set[int]:
    """The exit code; that of a stranger as well, where a changed byte made another key's name of the hint."""
    place = target.folder / SIGNATURE
    try:
        hint = signing._opened(place.read_bytes() if place.is_file() else b"")[2]
    except (ValueError, KeyError, TypeError, IndexError, RecursionError, OSError):
        return {kind.code}
    return {kind.code} if hint == hint_of(target) else {kind.code, TrustError.exit_code}


def judge_command(target: Target, kind: Kind, key: Path, home: Path) -> str:
    """The same of the command."""
    answer = dxai("verify", target.folder, "--key", key, home=home)
    if answer.code not in _codes(kind, target) or answer.out:
        return f"exit code {answer.code}: {answer.out or answer.err}"
    return "" if answer.is_short else f"not one short message: {answer.err!r}"


def prepare(setting: Setting) -> tuple[Target, Path]:
    """Two bundles signed with one key; the first is the one to change."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = setting.folder / "bundle.pub"
    public.write_bytes(signing.public_pem(key.public_key()))
    folders = setting.bundles or tuple(
        small_bundle(setting.folder / name, name=name, slope=slope) for name, slope in (("one", 0.5), ("two", 0.7))
    )
    opened = [Bundle.open(folder) for folder in (folders * 2)[:2]]
    contents = [{**bundle.files, SIGNATURE: signing.sign(bundle, key)} for bundle in opened]
    return Target(setting.folder / "bundle", contents[0], {**contents[0], **contents[1]}, key), public


def tampered_bundles(setting: Setting) -> Finding:
    """Tamper, in every way, so many times."""
    target, key = prepare(setting)
    home = setting.folder / "home"
    kinds = kinds_of(target.files, target.other)
    found, codes = Finding(), Counter[int]()
    assert open_verified(target.folder, key=key).manifest.name  # untouched it is accepted
    chosen = set(setting.random.sample(sorted(kinds), min(COMMANDS[setting.size], len(kinds))))
    for name, kind in kinds.items():
        for number in range(COUNTS[setting.size]):
            kind.change(setting.random, target)
            problems = [judge(target, kind, key)]
            if number == 0 and name in chosen:
                problems.append(judge_command(target, kind, key, home))
            found.broken += [f"{name}: {problem}" for problem in problems if problem]
            codes[kind.code] += 1
            target.restore()
    assert open_verified(target.folder, key=key).manifest.name
    found.facts = {
        "kinds": len(kinds), "of_each": COUNTS[setting.size], "n": codes.total(), "by_exit_code": dict(codes),
        "through_the_command": len(chosen), "accepted": sum(": ACCEPTED" in text for text in found.broken),
        "broken_kinds": sorted({text.partition(":")[0] for text in found.broken}),
    }  # fmt: skip
    return found


if __name__ == "__main__":
    run("tampered_bundles", __doc__, tampered_bundles)
