"""What the trials share: small bundles, a catalog with its keys, the command, and the one line of JSON."""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, NoReturn

import numpy as np
import onnx
import polars as pl
from onnx import TensorProto, helper, numpy_helper

from dxai.bundle.folder import Bundle
from dxai.bundle.manifest import Manifest, write_manifest
from dxai.bundle.profile import profile_rows
from dxai.catalog.ceremony import make_keys
from dxai.catalog.keys import KeyRing
from dxai.catalog.repository import Catalog
from dxai.catalog.store import HOME
from dxai.cli.main import main
from dxai.contract import Contract, parse_contract
from dxai.contract.terms import Terms, Text
from dxai.data.output import write_table
from dxai.inference.model import Model
from dxai.inference.predict import Prediction

NAME = "small-strength"
MANY_LINES, MANY_LETTERS = 6, 600
"""What a short message does not exceed."""
SECONDS = 60
"""A command that takes longer hangs."""


# A bundle that needs no training


def small_bundle(
    folder: Path, *, name: str = NAME, version: str = "1.0.0", ballast: int = 0, slope: float = 0.5
) -> Path:
    """A bundle as `dxai release` writes it, around a straight line, in the given folder.

    Args:
        folder: Where it goes.
        name: Of the model.
        version: Of the model.
        ballast: Bytes that make model.onnx larger.
        slope: Makes another model.
    """
    for inner in ("golden", "figures"):
        (folder / inner).mkdir(parents=True)
    contract = parse_contract(json.dumps(_contract(name)), where=name)
    rows = pl.DataFrame({"cement": [100.0 + 7 * i for i in range(60)], "water": [150.0 + i % 9 for i in range(60)]})
    known = rows.with_columns(strength=pl.col("cement") * slope / 10)
    (folder / "contract.yaml").write_text(json.dumps(_contract(name)))
    (folder / "model.onnx").write_bytes(_line(slope, ballast))
    (folder / "card.md").write_text(f"# {name}\n")
    (folder / "figures/line.png").write_bytes(b"\x89PNG\r\n\x1a\n" + Random(slope).randbytes(500))
    (folder / "metrics.json").write_text('{"model": {"rmse": 1.0}, "yardstick": {"mean": {"rmse": 2.0}}}\n')
    (folder / "profile.json").write_text(profile_rows(known, contract).model_dump_json())
    terms = Terms(licence="CC0-1.0", citation="nobody", usage=Text(en=f"Use {name} freely.", ko="자유롭게 쓰십시오."))
    (folder / "terms.json").write_text(terms.model_dump_json())
    for record in ("sbom.cdx.json", "provenance.json"):
        (folder / record).write_text(json.dumps({"subject": name, "slope": slope}))
    _write_golden(folder, contract, rows.head(4))
    versions = {"onnx": onnx.__version__}
    manifest = Manifest(
        name=name, version=version, task="quality", files={}, versions=versions, settings={"slope": slope},
        data_sha256="0" * 64, code="0" * 64,
    )  # fmt: skip
    write_manifest(folder, manifest)
    return folder


def _contract(name: str) -> dict[str, Any]:
    def column(word: str, korean: str, role: str, unit: str, most: int) -> dict[str, Any]:
        told = {"role": role, "unit": unit, "titleEn": word.title(), "titleKo": korean}
        return {
            "name": word, "logicalType": "number", "required": True,
            "logicalTypeOptions": {"minimum": 0, "maximum": most}, "customProperties": _properties(told),
        }  # fmt: skip

    columns = [
        column("cement", "시멘트", "feature", "kg/m3", 1000), column("water", "물", "feature", "kg/m3", 400),
        column("strength", "강도", "target", "MPa", 200),
    ]  # fmt: skip
    table = {"name": "specimens", "logicalType": "object", "customProperties": _properties({"task": "quality"})}
    titles = {"titleEn": f"Strength by {name}", "titleKo": "강도", "purposeKo": "강도를 예측합니다."}
    return {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": name, "name": name, "version": "1.0.0",
        "status": "active", "domain": "materials", "description": {"purpose": "Predict a strength."},
        "customProperties": _properties(titles), "schema": [{**table, "properties": columns}],
    }  # fmt: skip


def _properties(told: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"property": name, "value": value} for name, value in told.items()]


def _line(slope: float, ballast: int) -> bytes:
    """strength = slope / 10 * cement; the ballast is summed and counts for nothing."""
    weights = np.frombuffer(Random(slope).randbytes(max(4, ballast) // 4 * 4), np.int32)
    constants = {"slope": np.float32(slope / 10), "zero": np.float32(0), "margin": np.float32(1), "ballast": weights}
    nodes = [
        helper.make_node("Cast", ["ballast"], ["weight"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["weight"], ["most"], keepdims=0),
        helper.make_node("Mul", ["most", "zero"], ["nothing"]),
        helper.make_node("Mul", ["water", "zero"], ["dry"]),
        helper.make_node("Mul", ["cement", "slope"], ["strong"]),
        helper.make_node("Sum", ["strong", "dry", "nothing"], ["strength_predicted"]),
        helper.make_node("Sub", ["strength_predicted", "margin"], ["strength_lower"]),
        helper.make_node("Add", ["strength_predicted", "margin"], ["strength_upper"]),
    ]
    graph = helper.make_graph(
        nodes, "line", [_vector(name) for name in ("cement", "water")],
        [_vector(f"strength_{bound}") for bound in ("predicted", "lower", "upper")],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 20)])
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _vector(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch"])


def _write_golden(folder: Path, contract: Contract, rows: pl.DataFrame) -> None:
    rows.write_csv(folder / "golden/rows.csv")
    texts = pl.read_csv(folder / "golden/rows.csv", infer_schema=False)
    model = Model((folder / "model.onnx").read_bytes(), contract)
    write_table(Prediction(model).blocks([texts]), folder / "golden/outputs.csv")


# A catalog


@dataclass(frozen=True)
class Publisher:
    """A ring of keys and the catalog that it signs.

    Attributes:
        keys: Ring; its folder holds ``root.json`` and ``bundle.pub``.
        catalog: Folder of the catalog.
    """

    keys: KeyRing
    catalog: Catalog

    @staticmethod
    def of(folder: Path) -> Publisher:
        """The keys and the catalog in a folder that `start` has filled."""
        return Publisher(KeyRing(folder / "keys"), Catalog(folder / "catalog"))

    @staticmethod
    def start(folder: Path, *bundles: Path, **ring: Any) -> Publisher:
        """New keys and a new catalog of these bundles, in ``folder``."""
        make_keys(folder / "keys", **ring)
        keys = KeyRing(folder / "keys")
        publisher = Publisher(keys, Catalog.make(folder / "catalog", keys))
        publisher.add(*bundles)
        return publisher

    def add(self, *bundles: Path) -> None:
        """Publish bundles."""
        for bundle in bundles:
            self.catalog.add(Bundle.open(bundle), self.keys)

    @property
    def root(self) -> Path:
        """The trust root to hand out."""
        return self.keys.folder / "root.json"


# The command


@dataclass(frozen=True)
class Answer:
    """What a command gave."""

    code: int
    out: str
    err: str

    @property
    def message(self) -> str:
        """The last message on standard error."""
        return "dxai: " + self.err.rpartition("dxai: ")[2]

    @property
    def is_short(self) -> bool:
        """Whether the refusal is one short message."""
        return "dxai: " in self.err and is_short(self.message) and "Traceback" not in self.err


def dxai(*words: str | Path, home: Path, cwd: Path | None = None, **environment: str) -> Answer:
    """Run the command, with the store in ``home``, until it ends."""
    done = subprocess.run(
        dxai_command(*words), cwd=cwd, env=environment_of(home, **environment), timeout=120, check=False,
        capture_output=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return Answer(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


class Hung(BaseException):
    """A command that does not end."""


def _end(_signal: int, _frame: object) -> NoReturn:
    raise Hung


def dxai_here(*words: str | Path, home: Path) -> Answer:
    """Run the command in this process: as `dxai`, without the start of an interpreter; exit code -1 when it hangs."""
    out, err, arguments, before = io.StringIO(), io.StringIO(), sys.argv, os.environ.get(HOME)
    sys.argv, os.environ[HOME] = ["dxai", *map(str, words)], str(home)
    signal.signal(signal.SIGALRM, _end)
    signal.alarm(SECONDS)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as end:
        return Answer(int(end.code or 0), out.getvalue(), err.getvalue())
    except Hung:
        return Answer(-1, out.getvalue(), f"dxai: hung for {SECONDS} seconds\n{err.getvalue()}")
    finally:
        signal.alarm(0)
        sys.argv = arguments
        os.environ.pop(HOME) if before is None else os.environ.update({HOME: before})


def dxai_command(*words: str | Path) -> list[str]:
    """The command line that starts dxai in this Python."""
    return [sys.executable, "-c", "from dxai.cli.main import main; main()", *map(str, words)]


def environment_of(home: Path, **more: str) -> dict[str, str]:
    """The environment of a command whose store is ``home``."""
    return {**os.environ, HOME: str(home), "OMP_NUM_THREADS": "1", "COLUMNS": "100", **more}


def is_short(message: str) -> bool:
    """Whether a person would read this message: few lines, few letters, nothing that moves a terminal's cursor."""
    lines = message.rstrip("\n").splitlines()
    return len(lines) <= MANY_LINES and len(message) <= MANY_LETTERS and all(line.isprintable() for line in lines)


# A trial


@dataclass
class Finding:
    """What a trial counted, and every case in which the promise did not hold.

    Attributes:
        facts: Go into the line of JSON.
        broken: One text per broken promise.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Setting:
    """How a trial runs.

    Attributes:
        size: ``ci`` or ``release``.
        random: Seeded with ``seed``.
        folder: Empty, in memory where the system has such a place; goes when the trial ends.
        bundles: Folders of bundles to use.
    """

    size: str
    seed: int
    random: Random
    folder: Path
    bundles: tuple[Path, ...]

    @property
    def is_release(self) -> bool:
        """Whether all of the trial runs."""
        return self.size == "release"


def run(trial: str, description: str | None, work: Callable[[Setting], Finding]) -> NoReturn:
    """Run a trial as a command: one line of JSON, exit code 0 only when every promise held."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.trials.{trial}", description=description)
    parser.add_argument("--size", choices=("ci", "release"), default="ci")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--bundle",
        type=lambda name: Path(name).resolve(),
        action="append",
        default=[],
        help="instead of a small one made here",
    )
    options = parser.parse_args()
    for bundle in options.bundle:
        if not (bundle / "model.onnx").is_file():
            parser.exit(3, f"{bundle} holds no model.onnx: run `dvc repro`, or name another bundle.\n")
    begin, memory = time.monotonic(), Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix=f"{trial}-", dir=memory if os.access(memory, os.W_OK) else None))
    try:
        found = work(Setting(options.size, options.seed, Random(options.seed), folder, tuple(options.bundle)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    line = {"trial": trial, "size": options.size, "seed": options.seed, **found.facts}
    kinds = {text.partition(":")[0]: text[:400] for text in found.broken}
    shown = {"broken": len(found.broken), "examples": list(kinds.values())[:5]}
    print(json.dumps({**line, **shown, "seconds": round(time.monotonic() - begin, 1)}, ensure_ascii=False))  # noqa: T201
    raise SystemExit(bool(found.broken))
