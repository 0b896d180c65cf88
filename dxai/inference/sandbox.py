"""The sandbox: a graph runs in a child process with limits before it runs in ours.

A server process imports ONNX Runtime once and forks for every graph, so that a graph costs some milliseconds. The fork
limits its own memory, CPU and wall-clock time, can open no file and no socket, and dies alone. This holds back graphs
that crash, hang or swell; it is no wall against code that has taken over the process.

Elsewhere than on Linux the server itself runs one graph and ends; where Python has no `resource` (Windows) the limit of
wall-clock time is the only one.
"""

from __future__ import annotations

import contextlib
import gc
import json
import math
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from dxai.errors import ModelError

Arrays = Mapping[str, NDArray[Any]]

_FORKS = sys.platform == "linux"
_SERVE = "import sys; sys.path[:] = sys.argv[2:]; from dxai.inference import sandbox; sandbox.serve(sys.argv[1])"
_START_SECONDS, _GRACE_SECONDS = 60.0, 2.0
_ANSWER_BYTES = 64 << 20
_NUMBERS = ("<f4", "<i8")


@dataclass(frozen=True)
class Limits:
    """What one run of a graph may use.

    Attributes:
        memory: Address space in bytes; ONNX Runtime itself takes some 200 MiB of it.
        cpu: Seconds of CPU time.
        wall: Seconds on the clock.
    """

    memory: int = 2 << 30
    cpu: int = 20
    wall: float = 30.0


class Sandbox:
    """Runs graphs in a child process; a context manager that leaves no process behind.

    Args:
        limits: Of each run.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._server: subprocess.Popen[bytes] | None = None
        self._ready = False

    def __enter__(self) -> Sandbox:
        """Begin to start the child, without waiting for it."""
        self._start()
        return self

    def __exit__(self, *error: object) -> None:
        """End the child, whatever it does."""
        self._stop()

    def run(self, graph: bytes, inputs: Arrays, *, rows: int = 0) -> dict[str, NDArray[np.float32]]:
        """Outputs of a graph by name, in the graph's order.

        Args:
            graph: Bytes of an ONNX file.
            inputs: Numbers (float32 or int64) and texts (objects) by name.
            rows: How many rows the graph gets at once: these again and again; 0 for these once.

        Raises:
            ModelError: ONNX Runtime refuses the graph or crashes, or the graph goes beyond a limit or gives other
                than float32; in one line.
        """
        if self._server is None:
            self._start()
        if not self._ready:
            self._ready = self._exchange(_START_SECONDS) == b"ready"
        if not self._ready:
            raise ModelError("The process that tries graphs does not start.")
        answer = self._exchange(self.limits.wall + _GRACE_SECONDS, graph, pack(inputs), b"%d" % rows)
        if not _FORKS:
            self._stop()
        verdict, _, content = answer.partition(b"\n")
        if verdict != b"answered":
            raise ModelError(self._told(verdict.decode(errors="replace"), content.decode(errors="replace")))
        try:
            outputs = unpack(content)
        except (ValueError, TypeError, OverflowError, RecursionError):
            outputs = {"": np.array([])}
        if any(array.dtype != np.float32 for array in outputs.values()):
            raise ModelError("The graph makes its process give a wrong answer.")
        return outputs

    def _start(self) -> None:
        one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # a fork keeps only the thread that forks
        path = [os.path.abspath(entry) for entry in sys.path]  # noqa: PTH100 ("" stands for the working folder)
        self._server = subprocess.Popen(
            [sys.executable, "-I", "-c", _SERVE, json.dumps(asdict(self.limits)), *path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, **one_thread, "ORT_DISABLE_TELEMETRY": "1"},
        )  # fmt: skip
        self._ready = False

    def _stop(self) -> int:
        """End the child; its exit status, negative for a signal."""
        server, self._server = self._server, None
        if server is None:
            return 0
        _kill(server)
        for pipe in (server.stdin, server.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
        return server.wait()

    def _exchange(self, seconds: float, *request: bytes) -> bytes:
        """Send frames to the child and hear its answer; a child that does not answer in time is killed."""
        server = self._server
        assert server and server.stdin and server.stdout
        begin, guard = time.monotonic(), threading.Timer(seconds, _kill, [server])
        guard.start()
        try:
            for frame in request:
                _send(server.stdin, frame)
            return _receive(server.stdout, _ANSWER_BYTES)
        except (OSError, EOFError):
            late = time.monotonic() - begin >= seconds
            status = self._stop()
            return b"late\n" if late else _death(status)
        except ValueError as error:
            self._stop()
            return b"died\n" + str(error).encode()
        finally:
            guard.cancel()

    def _told(self, verdict: str, text: str) -> str:
        limits, line = self.limits, one_line(text)
        return {
            "late": f"The graph was stopped after {limits.wall:g} s.",
            "busy": f"The graph was stopped after {limits.cpu} s of CPU time.",
            "swollen": f"The graph asks for more than {limits.memory >> 20} MiB of memory.",
            "refused": f"ONNX Runtime refuses the graph: {line}",
        }.get(verdict, f"The graph makes ONNX Runtime crash ({line}).")


def one_line(text: str) -> str:
    """The first line of a text that a hostile file had a hand in, short and printable."""
    return "".join(c if c.isprintable() else " " for c in text.partition("\n")[0][:120]).strip()


def pack(arrays: Arrays) -> bytes:
    """Named arrays as bytes: a line of JSON with names, types, shapes and texts, then the numbers."""
    header = [[n, "text", a.tolist()] if a.dtype == object else [n, a.dtype.str, a.shape] for n, a in arrays.items()]
    numbers = [a.tobytes() for a in arrays.values() if a.dtype != object]
    return json.dumps(header).encode() + b"\n" + b"".join(numbers)


def unpack(data: bytes) -> dict[str, NDArray[Any]]:
    """Named arrays from the bytes that `pack` made.

    Raises:
        ValueError, TypeError, OverflowError, RecursionError: `pack` did not make them.
    """
    header, _, numbers = data.partition(b"\n")
    arrays, at = {}, 0
    for name, kind, content in json.loads(header):
        if kind == "text":
            arrays[str(name)] = np.array(content, dtype=object)
            continue
        if kind not in _NUMBERS or min(content, default=0) < 0:
            raise ValueError("not an array that pack makes")
        size = math.prod(content)
        arrays[str(name)] = np.frombuffer(numbers, dtype=kind, count=size, offset=at).reshape(content)
        at += size * np.dtype(kind).itemsize
    return arrays


def serve(limits: str) -> None:
    """The child: answer requests on standard input until it is closed."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    import onnxruntime  # noqa: F401

    gc.freeze()
    attempt, chosen = _in_fork if _FORKS else _confined, Limits(**json.loads(limits))
    _send(answers, b"ready")
    with contextlib.suppress(EOFError):
        while True:
            graph, inputs, rows = (_receive(sys.stdin.buffer) for _ in range(3))
            _send(answers, attempt(graph, inputs, int(rows), chosen))


def _in_fork(graph: bytes, inputs: bytes, rows: int, limits: Limits) -> bytes:
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.closerange(0, 2)
            os.closerange(3, writer)
            with os.fdopen(writer, "wb") as pipe:
                pipe.write(_confined(graph, inputs, rows, limits))
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read(_ANSWER_BYTES)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return answer if answer and status == 0 else _death(status)


def _confined(graph: bytes, inputs: bytes, rows: int, limits: Limits) -> bytes:
    """Verdict on a graph, as the first line, and outputs or reason behind it."""
    _confine(limits)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        arrays = {name: np.resize(a, (rows or len(a), *a.shape[1:])) for name, a in unpack(inputs).items()}
        found = session.run(None, arrays)
        names = [output.name for output in session.get_outputs()]
        if any(not isinstance(array, np.ndarray) or array.dtype != np.float32 for array in found):
            return b"refused\nan output is not float32"
        return b"answered\n" + pack(dict(zip(names, found, strict=True)))
    except MemoryError:
        return b"swollen\n"
    except Exception as error:  # ONNX Runtime raises many kinds, all for a graph it does not take
        told = str(error)
        swollen = any(sign in told for sign in ("bad_alloc", "Failed to allocate memory"))
        return b"swollen\n" if swollen else b"refused\n" + told.encode(errors="replace")


def _confine(limits: Limits) -> None:
    """Limit this process for good; the kernel ends it at the first limit of time that it meets."""
    if sys.platform == "win32":
        return
    import resource

    def limit(kind: int, soft: int, hard: int) -> None:
        highest = resource.getrlimit(kind)[1]
        ceiling = hard if highest == resource.RLIM_INFINITY else min(hard, highest)
        resource.setrlimit(kind, (min(soft, ceiling), ceiling))

    limit(resource.RLIMIT_AS, limits.memory, limits.memory)
    limit(resource.RLIMIT_CPU, limits.cpu, limits.cpu + 1)
    for nothing in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE, resource.RLIMIT_NOFILE):
        limit(nothing, 0, 0)
    for deadly in (signal.SIGALRM, signal.SIGXCPU):  # our parent may have chosen to ignore or to block them
        signal.signal(deadly, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.setitimer(signal.ITIMER_REAL, limits.wall)


def _death(status: int) -> bytes:
    """The verdict on a graph whose process ended with this exit status."""
    name = signal.Signals(-status).name if status < 0 else "no answer"
    return {"SIGALRM": b"late", "SIGXCPU": b"busy", "SIGKILL": b"swollen"}.get(name, b"died") + b"\n" + name.encode()


def _kill(server: subprocess.Popen[bytes]) -> None:
    """Kill the child and all its forks, unless it has been waited for already."""
    with contextlib.suppress(ProcessLookupError):
        if server.returncode is None:
            server.kill() if sys.platform == "win32" else os.killpg(server.pid, signal.SIGKILL)


def _send(stream: IO[bytes], frame: bytes) -> None:
    stream.write(struct.pack("<Q", len(frame)))
    stream.write(frame)
    stream.flush()


def _receive(stream: IO[bytes], limit: int = 1 << 40) -> bytes:
    head = stream.read(8)
    if len(head) < 8:
        raise EOFError
    (size,) = struct.unpack("<Q", head)
    if size > limit:
        raise ValueError("an answer that is too long")
    frame = stream.read(size)
    if len(frame) < size:
        raise EOFError
    return frame
