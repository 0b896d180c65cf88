"""Other bytes in a file of a bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from tests.trials.tampering.target import Change, Files, Kind, Target


def flip(random: Random, data: bytes, _other: bytes) -> bytes:
    at = random.randrange(len(data))
    return data[:at] + bytes((data[at] ^ 1 << random.randrange(8),)) + data[at + 1 :]


def truncate(random: Random, data: bytes, _other: bytes) -> bytes:
    return data[: random.randrange(len(data))]


def extend(random: Random, data: bytes, _other: bytes) -> bytes:
    return data + random.choice((b"\n", b" ", b"\0", random.randbytes(random.randrange(1, 5000))))


def zero(random: Random, data: bytes, _other: bytes) -> bytes:
    at, length = random.randrange(len(data)), random.choice((1, 16, 512, 4096))
    return data[:at] + bytes(len(data[at : at + length])) + data[at + length :]


def insert(random: Random, data: bytes, _other: bytes) -> bytes:
    at = random.randrange(len(data))
    return data[:at] + random.randbytes(1) + data[at:]


def graft(_random: Random, _data: bytes, other: bytes) -> bytes:
    return other


def kinds(files: Files, other: Files) -> Iterator[tuple[str, Kind]]:
    """Every file and every class of change, and every pair of files that change places."""
    for name in files:
        for change in (flip, truncate, extend, zero, insert, graft):
            if change is graft and files[name] == other[name]:
                continue
            yield f"{change.__name__} {name}", Kind(_changed(name, change))
    for name in files:
        yield f"swap {name}", Kind(_swapped(name))


def _changed(name: str, change: Callable[[Random, bytes, bytes], bytes]) -> Change:
    def changed(random: Random, target: Target) -> None:
        data = target.files[name]
        while (new := change(random, data, target.other[name])) == data:
            pass
        target.put(name, new)

    return changed


def _swapped(name: str) -> Change:
    def swapped(random: Random, target: Target) -> None:
        other = random.choice([n for n, c in target.files.items() if c != target.files[name]])
        target.put(name, target.files[other])
        target.put(other, target.files[name])

    return swapped
