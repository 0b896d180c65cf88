"""Other manifests of a bundle: alone, with the files they list, or rightly signed by a hostile publisher."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from dxai.bundle.manifest import COUNT_LIMIT, MANIFEST, SIGNATURE, file_entry
from tests.trials.tampering.contents import flip
from tests.trials.tampering.target import Target, any_listed, compact, listing, pretty


def manifest_field(random: Random, target: Target) -> None:
    record = json.loads(target.files[MANIFEST])
    changes = {"name": "other", "version": "9.9.9", "task": "demand", "context": 3, "code": "x", "settings": {}}
    name = random.choice(sorted(changes))
    target.put(MANIFEST, pretty({**record, name: changes[name]}))


def manifest_recomputed(random: Random, target: Target) -> None:
    """A file and its entry are changed together: only the signature can tell."""
    name = any_listed(random, target)
    files = listing(target, {**target.files, name: flip(random, target.files[name], b"")})
    target.put(name, files[name])
    target.put(MANIFEST, files[MANIFEST])


def manifest_with_more(_random: Random, target: Target) -> None:
    files = listing(target, {**target.files, "more.bin": b"more"})
    target.put("more.bin", b"more")
    target.put(MANIFEST, files[MANIFEST])


def manifest_with_less(random: Random, target: Target) -> None:
    name = any_listed(random, target)
    target.free(name)
    target.put(MANIFEST, listing(target, {n: c for n, c in target.files.items() if n != name})[MANIFEST])


def manifest_reformatted(random: Random, target: Target) -> None:
    data = target.files[MANIFEST]
    target.put(MANIFEST, random.choice((compact(json.loads(data)), data + b"\n", data.replace(b"\n", b"\r\n"))))


def manifest_doubled_key(random: Random, target: Target) -> None:
    data, name = target.files[MANIFEST], any_listed(random, target)
    old = random.choice((b'"name":', b'"files":', b'"version":', f'"{name}":'.encode()))
    first = random.choice((data[data.index(old) + len(old) :].split(b"\n")[0].strip(b" ,{") or b"{}", b'"x"', b"{}"))
    target.put(MANIFEST, data.replace(old, old + first + b"," + old, 1))


def manifest_and_signature_of_other(_random: Random, target: Target) -> None:
    target.put(MANIFEST, target.other[MANIFEST])
    target.put(SIGNATURE, target.other[SIGNATURE])


ODD_ENTRIES: tuple[Any, ...] = (
    {}, None, [], "", 0, {"size": -1}, {"size": 1.5}, {"size": "1"}, {"size": 2**70}, {"size": True},
    {"size": 1 << 40}, {"sha256": ""}, {"sha256": "0" * 63}, {"sha256": "A" * 64}, {"sha256": "0" * 64 + "\n"},
    {"more": 1}, {"size": 1e400},
)  # fmt: skip


def manifest_odd_entry(random: Random, target: Target) -> None:
    """An entry that is no size and sha256, rightly signed."""
    record, odd = json.loads(target.files[MANIFEST]), random.choice(ODD_ENTRIES)
    name = any_listed(random, target)
    record["files"][name] = {**record["files"][name], **odd} if isinstance(odd, dict) and odd else odd
    target.sign({**target.files, MANIFEST: pretty(record)})


ODD_LISTED = (
    "../x", "..", ".", "", "/etc/passwd", "/x", "a/../../x", "a//b", "a/", "./a", "a\\b", "..\\x", "C:x", "C:\\x",
    "x.", "x ", " x", "x\0", "x\n", ".git/config", ".gitattributes", ".hidden", "a/.b", "a/b/c/d/e", "x" * 201,
    "x" * 100_000, "한글", "\u202ex", "\x1b[2J", "manifest.json", "model.sig", "MODEL.onnx", "model.ONNX", "~", "-x",
    "$x", "*", "a:b", "%2e", "a" + "\n" * 40, "\\\\host\\share", "//host/share", "a\tb", "\x7f", "é", "...", "x..y",
    ".x.",
)  # fmt: skip


def manifest_odd_name(random: Random, target: Target) -> None:
    """A name that some file system reads as another place, listed and rightly signed."""
    record, name = json.loads(target.files[MANIFEST]), random.choice(ODD_LISTED)
    record["files"][name] = file_entry(b"x").model_dump()
    target.sign({**target.files, MANIFEST: pretty(record)})


ODD_FIELDS: tuple[tuple[str, Any], ...] = (
    ("name", "../x"), ("name", "/x"), ("name", "X"), ("name", ""), ("name", "x" * 65), ("name", "x\n"),
    ("name", "a--b"), ("name", None), ("version", "1"), ("version", "../1.0.0"), ("version", "1.0.0\n"),
    ("version", "01.0.0"), ("version", "1.0.0-rc1"), ("version", "9999999.0.0"), ("version", "١.0.0"), ("files", []),
    ("files", None), ("settings", 1), ("more", 1), ("a\nb\nc\nd\ne\nf\ng\nh", 1), ("\x1b[2J", 1), ("x" * 100_000, 1),
    ("", 1), ("context", "many"), ("versions", {"a": 1}), ("code", None),
)  # fmt: skip


def manifest_odd_field(random: Random, target: Target) -> None:
    name, value = random.choice(ODD_FIELDS)
    target.sign({**target.files, MANIFEST: pretty({**json.loads(target.files[MANIFEST]), name: value})})


def manifest_too_many(_random: Random, target: Target) -> None:
    record = json.loads(target.files[MANIFEST])
    record["files"] |= {f"m{number}": file_entry(b"x").model_dump() for number in range(COUNT_LIMIT)}
    target.sign({**target.files, MANIFEST: pretty(record)})


NO_MANIFESTS = (
    b"", b"{}", b"[]", b"null", b"0", b'""', b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe\0", b"NaN", b"\0" * 100,
    b" " * (5 << 20), b'{"files":{' + b'"a":0,' * 500_000, b'{"name":"\xed\xa0\x80"}', b'{"name":"\\ud800"}',
    b"9" * 100_000, b'"' + b"x" * 100_000 + b'"', b'{"name":1e999999}', b"{'name':1}", b"\x1b[2J",
)  # fmt: skip


def no_manifest(random: Random, target: Target) -> None:
    target.put(MANIFEST, random.choice(NO_MANIFESTS))


def manifest_other_encoding(random: Random, target: Target) -> None:
    text = target.files[MANIFEST].decode()
    target.put(MANIFEST, random.choice((b"\xef\xbb\xbf" + text.encode(), text.encode("utf-16"), text.encode("utf-32"))))
