"""python -m tests.trials.path_traversal --size ci|release [--seed N]

Names that lead elsewhere, in every place where a name comes in: the files, name and version of a rightly signed
manifest and of a rightly signed index, the hashes of signed metadata, links in the folders of a bundle and of a
catalog, and the words of commands. First those written by hand, then those that Hypothesis makes up. An audit hook sees
every file that is opened, listed, made, renamed or removed: each must lie in the bundle, the catalog or the store; the
files beside them must keep content, time of change and time of reading.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import hypothesis
from hypothesis import strategies as st

import dxai
from dxai.api import open_verified
from dxai.bundle.manifest import MANIFEST, SIGNATURE, file_entry, is_plain
from dxai.catalog.store import HOME
from dxai.errors import DxaiError
from tests.trials.forging.forge import NEW, OLD, Forge
from tests.trials.forging.targets import index_entry, signed_path
from tests.trials.scene import NAME, Finding, Setting, dxai_here, is_short, run
from tests.trials.tampering.target import Target, pretty

EXAMPLES = {"ci": 200, "release": 10_000}

UP = "../" * 9
NAMES = (
    "..", ".", "", "/", "../x", "../../x", f"{UP}canary/secret", "../canary/secret", "./../x", "a/../../x", "a/../x",
    "a/..", "a/.", "./a", "a//b", "//a", "a/", "/etc/passwd", "//etc/passwd", "///x", "/dev/null",
    "/proc/self/environ", "~", "~/x", "~root/x", "$HOME/x", "${HOME}", "`id`", "$(id)", "%2e%2e/x", "%2e%2e%2fx",
    "..%2fx", "..%5cx", "%00", "..%c0%afx", "a%00", "..\\x", "..\\..\\x", "a\\..\\..\\x", "\\x", "\\\\host\\share\\x",
    "//host/share/x", "C:", "C:x", "C:\\x", "C:/x", "c:..\\x", "\\\\?\\C:\\x", "\\\\.\\pipe\\x", "file:///etc/passwd",
    "http://127.0.0.1/x", "x\0", "../x\0.bin", "\0", "x\n", "\n", "x\r", "x\t", "\x1b[2J", "\x7f", "x ", " x", "x.",
    "...", "....//x", "..;/x", ".../x", ".x", ".git/config", ".gitattributes", "a/.git/hooks/post-checkout", "-",
    "-rf", "--help", "*", "?", "[a-z]", "{a,b}", "|x", "<x", ">x", ":x", "x:y", "x::$DATA", "CON", "NUL", "con.txt",
    "COM1", "LPT1.bin", "x" * 201, "x" * 256, "x" * 5000, "a/" * 200 + "x", "\uff0e\uff0e/x", "\u2025/x",
    "\u2024\u2024/x", "..\u2215x", "..\uff0fx", "..\u29f8x", "..\uff3cx", "\u202ex", "\u200b..", "é", "e\u0301",
    "한글", "\udcff", "manifest.json", "MANIFEST.json", "model.sig", "Model.onnx", "model.onnx/x", "golden", "models",
    "locks", "catalogs", f"../../../{MANIFEST}", f"../{NAME}/{OLD}", f".{NEW}.partial", f".{NEW}.removed",
)  # fmt: skip

_WATCHED = {
    "open": (0,), "os.listdir": (0,), "os.scandir": (0,), "os.mkdir": (0,), "os.rename": (0, 1), "os.remove": (0,),
    "os.rmdir": (0,), "os.symlink": (1,), "os.link": (0, 1), "os.truncate": (0,), "os.utime": (0,), "os.chmod": (0,),
    "os.chown": (0,), "os.mkfifo": (0,), "os.mknod": (0,), "shutil.rmtree": (0,), "shutil.move": (0, 1),
    "shutil.copyfile": (0, 1), "shutil.copytree": (0, 1), "os.setxattr": (0,), "os.removexattr": (0,),
}  # fmt: skip


class Watch:
    """Sees what this process does to files, inside `within`.

    Attributes:
        strayed: Every event with a path outside of the allowed folders.
    """

    def __init__(self) -> None:
        self.strayed: list[str] = []
        self._allowed: tuple[Path, ...] | None = None
        sys.addaudithook(self._see)

    @contextmanager
    def within(self, *allowed: Path) -> Iterator[None]:
        """Only files below these folders may be touched."""
        self._allowed = (*(folder.resolve() for folder in allowed), *_PYTHON)
        try:
            yield
        finally:
            self._allowed = None

    def _see(self, event: str, arguments: tuple[Any, ...]) -> None:
        allowed, self._allowed = self._allowed, None  # looking at a path is no event of the trial
        if allowed is None:
            return
        try:
            for at in _WATCHED.get(event, ()):
                given = arguments[at]
                if isinstance(given, str | bytes | Path):
                    place = Path(os.fsdecode(given))
                    path = place.parent.resolve() / place.name  # a link is itself in its folder, wherever it leads
                    if not any(path.is_relative_to(folder) for folder in allowed):
                        self.strayed.append(f"{event} {given!r}"[:200])
        finally:
            self._allowed = allowed


_PYTHON = tuple(Path(place).resolve() for place in (sys.prefix, sys.base_prefix, dxai.__path__[0]))
"""Where modules are imported from."""


class Ground:
    """A bundle, a catalog and a store, with canaries all around them.

    Attributes:
        broken: What went wrong so far.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.watch, self.broken, self.cases = folder, Watch(), list[str](), 0
        self.inner = folder / "a/b/c"
        template = Forge.prepare(self.inner / "template")
        self.forge = Forge(Path(shutil.copytree(template, self.inner / "world")))
        self.key = self.forge.keys.bundle_key(set(self.forge.publisher.catalog.bundle_keys))
        files = {path: self.forge.target(path).read_bytes() for path in _files_of(self.forge)}
        self.target = Target(self.inner / "bundle", files, files, self.key)
        self.public, self.root, self.home = (
            self.forge.keys.folder / "bundle.pub",
            self.forge.publisher.root,
            self.forge.home,
        )
        self.catalog = Path(shutil.copytree(self.forge.catalog, self.inner / "catalog"))
        self.allowed = (self.target.folder, self.forge.catalog, self.home, self.forge.keys.folder, self.inner / "here")
        for place in (folder, folder / "a", self.inner, self.inner / "world"):
            (place / "canary").mkdir(parents=True, exist_ok=True)
            for name in ("secret", MANIFEST, "timestamp.json"):
                (place / "canary" / name).write_bytes(b"canary")
        with self.watch.within(*self.allowed):
            os.listdir(folder)  # noqa: PTH208
        assert self.watch.strayed, "the watch is blind"
        self.watch.strayed.clear()
        self.canaries = {path: _state(path) for path in sorted(folder.rglob("canary/*"))}

    def run(self, place: str, name: object, act: Callable[[], object]) -> None:
        """Let dxai meet one name; ``act`` raises what dxai refuses it with."""
        self.cases += 1
        case = f"{place} {str(name)[:60]!r}"
        before = set(os.listdir(self.folder)) | set(os.listdir(self.inner))  # noqa: PTH208
        try:
            with self.watch.within(*self.allowed):
                accepted = act()
        except DxaiError as error:
            accepted = False
            if not is_short(f"dxai: {error.message()}"):
                self.broken.append(f"{case}: not one short message: {error.message()!r}")
        except Exception as error:
            accepted = False
            self.broken.append(f"{case}: crashed: {error!r}")
        if accepted:
            self.broken.append(f"{case}: ACCEPTED")
        self.broken += [f"{case}: outside: {event}" for event in self.watch.strayed]
        self.watch.strayed.clear()
        if set(os.listdir(self.folder)) | set(os.listdir(self.inner)) != before:  # noqa: PTH208
            self.broken.append(f"{case}: something new lies outside")

    def command(self, *words: str) -> bool:
        """Run a command here that is to refuse: in one short message, or as a usage error."""
        answer = dxai_here(*words, home=self.home)
        own = not all(word.isprintable() for word in words)  # who types it may see it
        if answer.code not in (0, 2, 3, 4, 5) or not (answer.code in (0, 2) or own or answer.is_short):
            raise AssertionError(f"exit code {answer.code}: {answer.err}")
        return answer.code == 0

    def look_at_canaries(self) -> None:
        """Nobody has read or written them."""
        for path, state in self.canaries.items():
            if _state(path) != state:
                self.broken.append(f"canary {path.relative_to(self.folder)}: touched")


def _files_of(forge: Forge) -> list[str]:
    start = f"models/{NAME}/{OLD}/"
    return [path.removeprefix(start) for path in forge.files.targets().targets if path.startswith(start)]


def _state(path: Path) -> tuple[int, int, int, int]:
    info = path.stat()
    return info.st_size, info.st_mtime_ns, info.st_atime_ns, info.st_ino


# Where names come in


def in_manifest(ground: Ground, name: str) -> None:
    """A file of that name in a manifest that the right key has signed."""

    def act() -> bool:
        return bool(open_verified(ground.target.folder, key=ground.public)) and not is_plain(name)

    record = json.loads(ground.target.files[MANIFEST])
    record["files"][name] = file_entry(b"canary").model_dump()
    try:
        ground.target.sign({**ground.target.files, MANIFEST: pretty(record)})
    except (UnicodeEncodeError, ValueError):
        ground.target.put(MANIFEST, json.dumps(record).encode())  # a name that no file can have
    ground.run("file in manifest", name, act)
    ground.target.restore()


def in_manifest_fields(ground: Ground, name: str) -> None:
    """That name and version of a bundle, in a manifest that the right key has signed."""
    for field in ("name", "version"):
        record = {**json.loads(ground.target.files[MANIFEST]), field: name}
        ground.target.sign({**ground.target.files, MANIFEST: json.dumps(record).encode()})
        if field == "name" and name in ("x" * 5, "models", "locks", "golden", "catalogs"):
            ground.target.restore()  # a name like any other
            continue
        ground.run(f"{field} in manifest", name, lambda: open_verified(ground.target.folder, key=ground.public))
        ground.target.restore()


def in_index(ground: Ground, name: str) -> None:
    """That file, name and version in an index that the right keys have signed."""
    for field, value in (("files", [MANIFEST, name]), ("name", name), ("version", name)):
        index_entry(**{field: value})(ground.forge)
        word = {"files": f"{NAME}@{OLD}", "name": name, "version": f"{NAME}@{name}"}[field]
        if word != f"{NAME}@":  # the newest version
            _pull(ground, f"{field} in index", name, word)
        _start_again(ground)


def in_hash(ground: Ground, name: str) -> None:
    """That sha256 of a file in signed metadata: the file's name is made of it."""
    if "\udcff" in name:
        return  # no signed metadata can hold it
    signed_path(name)(ground.forge)
    _pull(ground, "hash in metadata", name, f"{NAME}@{OLD}")
    _start_again(ground)


def _pull(ground: Ground, place: str, name: str, word: str) -> None:
    options = ("--from", str(ground.forge.catalog), "--root", str(ground.root), "--accept-terms")
    ground.run(place, name, lambda: ground.command("pull", *options, "--", word) and not is_plain(name))


def _start_again(ground: Ground) -> None:
    """The catalog as it was, and an empty store."""
    shutil.rmtree(ground.forge.catalog)
    shutil.copytree(ground.catalog, ground.forge.catalog)
    shutil.rmtree(ground.home, ignore_errors=True)


def in_words(ground: Ground, name: str) -> None:
    """That word of a command."""
    if "\0" in name or "\udcff" in name:
        return  # no command line can hold it
    rows, out = str(ground.target.folder / "golden/rows.csv"), str(ground.home / "out.csv")
    catalog, root = f"--from={ground.forge.catalog}", f"--root={ground.root}"
    for words in (
        ("pull", catalog, root, "--accept-terms", "--", name),
        ("pull", catalog, root, "--accept-terms", "--", f"{NAME}@{name}"),
        ("remove", "--", name), ("remove", "--", f"{NAME}@{name}"), ("inspect", "--", name), ("verify", "--", name),
        ("predict", "-o", out, "--", name, rows), ("search", f"--from={name}", root),
        ("pull", f"--from={name}", root, "--accept-terms", "--", NAME),
    ):  # fmt: skip
        if words[-1] != f"{NAME}@" or words[0] != "pull":  # the newest version
            ground.run(" ".join(words[:2])[:20], name, partial(ground.command, *words))


# Links


def links(ground: Ground) -> None:
    """Links out of a catalog and out of a bundle."""
    secrets = sorted({path.parent for path in ground.canaries})
    for secret in secrets:
        for path in (
            "metadata/timestamp.json",
            f"metadata/{ground.forge.newest('targets').name}",
            "metadata",
            "targets",
        ):
            _replace(ground.forge.catalog / path, secret / "timestamp.json" if path.endswith(".json") else secret)
            _pull(ground, "link in catalog", f"../{path}", f"{NAME}@{OLD}")
            _start_again(ground)
        for file in ("model.onnx", "terms.json", MANIFEST):
            _replace(ground.forge.target(file), secret / "secret")
            _pull(ground, "link in targets", f"../{file}", f"{NAME}@{OLD}")
            _start_again(ground)
        for file in ("model.onnx", "golden", MANIFEST, SIGNATURE):
            ground.target.free(file).symlink_to(secret / "secret")
            ground.run("link in bundle", file, lambda: open_verified(ground.target.folder, key=ground.public))
            ground.target.restore()


def _replace(place: Path, by: Path) -> None:
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    place.symlink_to(by)


# Made up

_PARTS = st.sampled_from(
    ["..", ".", "", "a", "models", "canary", "secret", "/", "\\", "\0", "\n", ":", "~", "%2e", "．", "é"]
)
MADE_UP = st.one_of(
    st.lists(_PARTS, min_size=1, max_size=8).map("/".join), st.lists(_PARTS, min_size=1, max_size=5).map("".join),
    st.text(max_size=40), st.from_regex(r"[A-Za-z0-9_.\-/]{1,30}", fullmatch=True),
)  # fmt: skip


def made_up(ground: Ground, examples: int, seed: int) -> None:
    """Names from Hypothesis in the manifest, in words, and, of every tenth, in signed catalogs, which take longer."""

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    @hypothesis.given(MADE_UP)
    def meet(name: str) -> None:
        in_manifest(ground, name)
        if ground.cases % 10 == 0:
            in_index(ground, name)

    meet()


def path_traversal(setting: Setting) -> Finding:
    """Every name in every place."""
    ground, here = Ground(setting.folder), setting.folder / "a/b/c/here"
    here.mkdir()
    os.chdir(here)
    os.environ[HOME], os.environ["TMPDIR"] = str(ground.home), str(here)
    ground.command("verify", str(ground.target.folder))  # imports happen before the watch
    for number, name in enumerate(NAMES):
        slow = (in_index, in_hash) if setting.is_release or number % 4 == 0 else ()
        for place in (in_manifest, in_manifest_fields, in_words, *slow):
            place(ground, name)
    links(ground)
    by_hand = ground.cases
    made_up(ground, EXAMPLES[setting.size], setting.seed)
    ground.look_at_canaries()
    os.chdir("/")
    facts = {"names": len(NAMES), "cases_by_hand": by_hand, "made_up": EXAMPLES[setting.size], "n": ground.cases}
    outside = sum(": outside: " in text or ": touched" in text for text in ground.broken)
    return Finding({**facts, "outside": outside}, ground.broken)


if __name__ == "__main__":
    run("path_traversal", __doc__, path_traversal)
