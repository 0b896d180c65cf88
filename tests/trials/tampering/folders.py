"""Other files in the folder of a bundle: fewer, more, odd names, links, devices."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from random import Random

from dxai.bundle.manifest import COUNT_LIMIT, MANIFEST, MODEL
from tests.trials.tampering.target import Target, any_but_manifest, listing


def missing(random: Random, target: Target) -> None:
    target.free(any_but_manifest(random, target))


def missing_several(random: Random, target: Target) -> None:
    for name in random.sample(sorted(set(target.files) - {MANIFEST}), random.randrange(2, len(target.files))):
        target.free(name)


def missing_manifest(_random: Random, target: Target) -> None:
    target.free(MANIFEST)


def renamed(random: Random, target: Target) -> None:
    name = any_but_manifest(random, target)
    target.free(name)
    target.put(f"{name}{random.choice('~_x1')}", target.files[name])


def upper_case(random: Random, target: Target) -> None:
    name = any_but_manifest(random, target)
    target.free(name)
    target.put(name.upper(), target.files[name])


def case_clash(random: Random, target: Target) -> None:
    name = random.choice(sorted(target.files))
    target.put(random.choice((name.upper(), name.title(), name.swapcase())), target.files[name])


def extra(random: Random, target: Target) -> None:
    name = "".join(random.choices("abcdefghijklmnopqrstuvwxyz0123456789-_", k=random.randrange(1, 40)))
    target.put(random.choice(("", "golden/", "figures/", "more/")) + name + ".bin", random.randbytes(5))


ODD_NAMES = (
    ".gitattributes", ".git/config", ".git/hooks/post-checkout", ".DS_Store", "golden/.hidden", "__pycache__/m.pyc",
    "model.onnx.", "model.onnx ", " model.onnx", "model.onnx:stream", "model.onnx\n", "m\u043edel.onnx",
    "model\\.onnx", "\x1b[2Jmodel.onnx", "\u202exnno.ledom", "..\\..\\x", "CON", "aux.txt", "~", "-rf", "*", "$(id)",
    "'", '"', "x" * 255, "manifest.json~", "model.sig.bak", "Manifest.json", "a/b/c/d/e/f/g/h/x", "\udcff\udcfe",
    "한글.txt", "%2e%2e",
)  # fmt: skip


def odd_name(random: Random, target: Target) -> None:
    target.put(random.choice(ODD_NAMES), random.choice((b"", b"[core]\n", target.files[MODEL])))


def empty_folder(random: Random, target: Target) -> None:
    target.free(random.choice(("empty", ".git", "golden/empty", "a/b/c/d/e/f", "models"))).mkdir()


def folder_for_file(random: Random, target: Target) -> None:
    place = target.free(random.choice(sorted(target.files)))
    place.mkdir()
    if random.random() < 0.5:
        (place / "x").write_bytes(b"x")


def symlink(random: Random, target: Target) -> None:
    name = random.choice(sorted(target.files))
    place, source = target.free(name), target.outside / name
    place.symlink_to(random.choice((source, Path(os.path.relpath(source, place.parent)))))


def symlink_away(random: Random, target: Target) -> None:
    place = target.free(random.choice(sorted(target.files)))
    place.symlink_to(random.choice(("nowhere", place.name, "/dev/zero", "/proc/self/mem", "/", "..")))


def symlink_extra(random: Random, target: Target) -> None:
    target.free("latest").symlink_to(random.choice((MODEL, "golden", target.outside, "nowhere", "latest")))


def symlink_folder(random: Random, target: Target) -> None:
    name = random.choice([n for n in target.files if "/" in n]).split("/")[0]
    target.free(name).symlink_to(target.outside / name)


def hard_link(random: Random, target: Target) -> None:
    name = random.choice(sorted(target.files))
    target.free(name).hardlink_to(target.outside / name)


def hard_link_inside(random: Random, target: Target) -> None:
    one, other = random.sample(sorted(target.files), 2)
    target.free(one).hardlink_to(target.folder / other)


def pipe(random: Random, target: Target) -> None:
    os.mkfifo(target.free(random.choice([*sorted(target.files), "pipe"])))


def device(random: Random, target: Target) -> None:
    place = target.free(random.choice([*sorted(target.files), "zero"]))
    try:
        os.mknod(place, stat.S_IFCHR | 0o666, os.makedev(1, random.choice((3, 5, 8))))
    except PermissionError:
        os.mkfifo(place)  # only root makes devices


def crowd(random: Random, target: Target) -> None:
    for number in range(COUNT_LIMIT + random.randrange(5)):
        target.put(f"crowd/{number}", b"")
    target.put("zzz", b"")


def full_bundle_and_one(random: Random, target: Target) -> None:
    """As many files as a manifest may list, rightly signed, and then one that is not listed."""
    inner = [n for n in target.files if "/" in n]
    names = [f"m{number}" for number in range(COUNT_LIMIT + 2 - len(target.files))]
    assert inner
    files = listing(target, {**target.files, **dict.fromkeys(names, b"x")})
    target.sign(files)
    target.put(f"zzz{random.randrange(99)}", b"not listed")
