"""The careful loader: a downloaded graph is walked, held against its contract and tried in a sandbox before it runs."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import polars as pl

from dxai import __version__
from dxai.bundle.folder import Bundle
from dxai.bundle.manifest import FETCH_AGAIN, GOLDEN_OUTPUTS, GOLDEN_ROWS, MODEL
from dxai.data.batch import Codec, Outputs, codec_of
from dxai.data.checks import Problems, cast
from dxai.errors import ModelError
from dxai.inference.graph import refuse_other_interface, walk
from dxai.inference.model import ROWS_AT_ONCE, Model, at_once
from dxai.inference.sandbox import Arrays, Sandbox, one_line

POLICY = "1"
"""Version of these checks: another one forgets all remembered verdicts."""

TOLERANCE = 1e-4
"""Largest difference from a golden output, as a share of that output's largest golden value.

Sums of float32 in another order (another CPU, another ONNX Runtime) differ by some 1e-6 of their largest term, and no
gauge of a plant resolves 1e-4 of its range: a graph within it is as good as the released one, one beyond it is another.
"""

_GOLDEN_BYTES, _GOLDEN_CELLS = 8 << 20, 1 << 24


@dataclass(frozen=True)
class Golden:
    """Real rows of a bundle and what a sound copy of its graph answers.

    Attributes:
        inputs: Arrays by the name of the graph's input.
        outputs: Arrays by the name of the graph's output, in order.
    """

    inputs: Arrays
    outputs: Outputs

    @property
    def rows(self) -> int:
        """Number of golden rows, or series."""
        return len(next(iter(self.outputs.values())))


def load_model(bundle: Bundle, *, threads: int = 1, checked: Path | None = None) -> Model:
    """The model of a bundle, after all checks.

    Args:
        bundle: Every byte of it held against its manifest.
        threads: Of ONNX Runtime.
        checked: Folder that remembers which bundles passed the sandbox: they do not pay for it again.

    Raises:
        ModelError: The graph breaks a rule, is not the contract's, fails in the sandbox, or answers the golden rows
            otherwise than when it was released.
    """
    data, contract, where = bundle.read(MODEL), bundle.contract, f"{bundle.where}/{MODEL}"
    verdict = _verdict(bundle, checked) if checked else None
    try:
        refuse_other_interface(walk(data), contract)
        if not (verdict and _remembered(verdict)):
            with Sandbox() as sandbox:
                rehearse(data, golden_of(bundle), sandbox, at_once(bundle.contract))
    except ModelError as error:
        raise ModelError(error.problem, where=where, fix=FETCH_AGAIN) from None
    if verdict:
        _remember(verdict)
    manifest = bundle.manifest
    return Model(
        data, contract, context=manifest.context, shortest=manifest.shortest_history, where=where, threads=threads
    )


def golden_of(bundle: Bundle) -> Golden:
    """The golden rows and outputs of a bundle as arrays.

    Raises:
        ModelError: They are too many, or not what the contract asks for.
    """
    try:
        codec = codec_of(bundle.contract, bundle.manifest.context)
        inputs = _inputs(_table(bundle, GOLDEN_ROWS), codec)
        outputs = codec.outputs(_table(bundle, GOLDEN_OUTPUTS))
    except (Exception, pl.exceptions.PanicException) as error:  # hostile tables fail in more ways than can be listed
        raise ModelError(f"The golden rows cannot be used: {one_line(str(error)) or type(error).__name__}") from None
    if len({len(array) for array in (*inputs.values(), *outputs.values())}) != 1:
        raise ModelError("There are not as many golden outputs as golden rows.")
    return Golden(inputs, outputs)


def rehearse(graph: bytes, golden: Golden, sandbox: Sandbox, most: int = ROWS_AT_ONCE) -> None:
    """Run a graph in the sandbox on the golden rows, and on ``most`` copies, as many as a model ever takes at once.

    Raises:
        ModelError: It fails, goes beyond a limit, or does not give the golden outputs.
    """
    for rows in (golden.rows, most):
        refuse_other_answer(sandbox.run(graph, golden.inputs, rows=rows), golden.outputs, rows)


def refuse_other_answer(found: Outputs, golden: Outputs, rows: int) -> None:
    """Raise ModelError when outputs are not the golden ones, again and again for ``rows`` rows, by name and value."""
    if list(found) != list(golden):
        raise ModelError("The graph's outputs are not the golden ones.")
    for name, values in golden.items():
        shape = (rows, *values.shape[1:])
        if found[name].shape != shape:
            told = f"{list(found[name].shape)}, however the golden ones have {list(shape)}"
            raise ModelError(f"The graph's values of {name[:60]!r} have the shape {told}.")
        with np.errstate(all="ignore"):
            worst = float(np.abs(found[name] - np.resize(values, shape)).max())
        allowed = TOLERANCE * float(np.abs(values).max())
        if not worst <= allowed < np.inf:  # NaN and infinity are no answers
            told = f"by up to {worst:.3g}, however {allowed:.3g} is allowed"
            raise ModelError(f"The graph's values of {name[:60]!r} differ from the golden ones {told}.")


def _table(bundle: Bundle, name: str) -> pl.DataFrame:
    data = bundle.read(name)
    if len(data) > _GOLDEN_BYTES:
        raise ModelError(f"{name} has {len(data):,} bytes, however {_GOLDEN_BYTES:,} are allowed.")
    table = pl.read_csv(io.BytesIO(data), infer_schema=False)
    if not len(table):
        raise ModelError(f"{name} has no rows.")
    return table


def _inputs(table: pl.DataFrame, codec: Codec) -> Arrays:
    typed, found = cast(table.select(c.name for c in codec.signature.reads), codec.contract.as_asked)
    problems = Problems()
    problems.add(found)
    problems.refuse(GOLDEN_ROWS)
    if codec.cells(typed) > _GOLDEN_CELLS:
        raise ModelError("their histories are too long.")
    return codec.encode(typed, GOLDEN_ROWS).arrays


def _verdict(bundle: Bundle, checked: Path) -> Path:
    """Where it is remembered that these bytes passed these checks of this version in this ONNX Runtime."""
    made_of = "\n".join((bundle.digest, onnxruntime.__version__, __version__, POLICY))
    return checked / hashlib.sha256(made_of.encode()).hexdigest()


def _remembered(verdict: Path) -> bool:
    with contextlib.suppress(OSError):
        return verdict.read_bytes() == verdict.name.encode()
    return False


def _remember(verdict: Path) -> None:
    """Write the verdict in one step, for its owner only; a folder that takes no file costs the next load its time."""
    with contextlib.suppress(OSError):
        verdict.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=verdict.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(verdict.name.encode())
            Path(partial).replace(verdict)
        finally:
            Path(partial).unlink(missing_ok=True)
