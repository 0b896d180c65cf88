"""python -m tests.trials.served_load --size ci|release

Eight clients keep `dxai serve` busy with both released models, every fifth request a wrong one; then SIGTERM comes in
the middle of a load. Prints one line of JSON: rate, latency of the right answers, statuses, memory, and under `drain`
what became of the requests that were on their way. Broken is an answer that is wrong, lost, or a 5xx, and an exit code
other than 0.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from dxai.bundle.folder import Bundle
from dxai.bundle.manifest import GOLDEN_ROWS, MODEL
from dxai.catalog.store import HOME
from dxai.data.batch import RowCodec
from dxai.data.checks import cast
from dxai.data.windows import to_panel
from dxai.inference.model import Model, Named
from dxai.inference.predict import Prediction

CHECKOUT = Path(__file__).resolve().parents[2]
QUALITY, DEMAND = "concrete-strength", "retail-demand"
CLIENTS, WRONG_SHARE = 8, 0.2
TABLE = "CSV 32"


@dataclass(frozen=True)
class Case:
    """One request, prebuilt, and what must come back.

    Attributes:
        status: None where the client leaves before the answer.
        body: Of the one right answer; None for wrong requests.
    """

    kind: str
    request: bytes
    status: int | None
    body: bytes | None = None


@dataclass
class Tally:
    """What came back; ``seconds`` are those of the right answers, by kind."""

    answers: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    lost: int = 0
    wrong: Counter[str] = field(default_factory=Counter)


class Client:
    """One connection that is asked for again when the server closes it; one request at a time."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address, self.case = address, Case("", b"", None)
        self.socket = socket.create_connection(address)
        self.sent, self.got, self.began = 0, bytearray(), 0.0

    def begin(self, case: Case) -> None:
        self.case, self.sent, self.began = case, 0, time.perf_counter()
        self.got.clear()

    def write(self) -> bool:
        """Send what the socket takes; whether the request is out."""
        self.sent += self.socket.send(memoryview(self.case.request)[self.sent :])
        return self.sent == len(self.case.request)

    def read(self) -> tuple[int, bytes, bool] | None:
        """Status, body and whether the server closes; None while it is not all there."""
        data = self.socket.recv(1 << 20)
        if not data:
            raise ConnectionResetError
        self.got += data
        end = self.got.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = bytes(self.got[:end]).lower()
        place = head.index(b"\r\ncontent-length: ") + 18
        length = int(head[place : head.index(b"\r\n", place)])
        if len(self.got) < end + 4 + length:
            return None
        return int(head[9:12]), bytes(self.got[end + 4 :]), b"connection: close" in head

    def reconnect(self) -> None:
        self.socket.close()
        self.socket = socket.create_connection(self.address)


class Load:
    """Clients in one thread, so that they do not take the server's core."""

    def __init__(self, address: tuple[str, int], right: list[Case], wrong: list[Case], seed: int = 0) -> None:
        self.clients = [Client(address) for _ in range(CLIENTS)]
        self.right, self.wrong, self.random = right, wrong, random.Random(seed)
        self.stopping = False

    def run(self, seconds: float, tally: Tally) -> None:
        """Closed loop: every client asks as soon as it is answered; at the end all answers are waited for."""
        until, waiting = time.perf_counter() + seconds, selectors.DefaultSelector()
        for client in self.clients:
            self._next(client, waiting)
        while waiting.get_map():
            for key, _ in waiting.select(10) or self._silent(waiting, tally):
                self._step(key.data, waiting, tally, last=time.perf_counter() >= until)

    def _next(self, client: Client, waiting: selectors.BaseSelector) -> None:
        cases = self.wrong if self.wrong and self.random.random() < WRONG_SHARE else self.right
        client.begin(self.random.choice(cases))
        waiting.register(client.socket, selectors.EVENT_WRITE, client)

    def _step(self, client: Client, waiting: selectors.BaseSelector, tally: Tally, *, last: bool) -> None:
        closing = False
        try:
            if client.sent < len(client.case.request):
                if not client.write():
                    return
                if client.case.status is not None:
                    waiting.modify(client.socket, selectors.EVENT_READ, client)
                    return
                closing = True  # the client leaves
            elif (answer := client.read()) is None:
                return
            else:
                closing = answer[2]
                _count(client, answer, tally)
        except OSError:
            tally.lost += client.case.body is not None
            closing = True
        waiting.unregister(client.socket)
        if closing and self.stopping:
            client.socket.close()
            return
        if closing:
            client.reconnect()
        if not last:
            self._next(client, waiting)

    def _silent(self, waiting: selectors.BaseSelector, tally: Tally) -> list[tuple[selectors.SelectorKey, int]]:
        for key in list(waiting.get_map().values()):
            tally.lost += 1
            waiting.unregister(key.fileobj)
        return []


def _count(client: Client, answer: tuple[int, bytes, bool], tally: Tally) -> None:
    status, body, _ = answer
    case = client.case
    tally.answers += 1
    tally.statuses[status] += 1
    tally.kinds[case.kind] += 1
    if case.body is not None:
        tally.seconds[case.kind].append(time.perf_counter() - client.began)
    if status != case.status or (case.body is not None and body != case.body):
        tally.wrong[f"{case.kind}: {status}"] += 1


def post(path: str, body: bytes, length: int | None = None, **headers: str | int) -> bytes:
    """An HTTP request; ``length`` is what it says of its body instead of the truth."""
    told = {"Host": "127.0.0.1", "Content-Length": len(body) if length is None else length, **headers}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in told.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def infer_request(model: str, arrays: dict[str, np.ndarray], *, binary: bool) -> bytes:
    """An inference request for all outputs."""
    inputs, tail = [], b""
    for name, array in arrays.items():
        told = {"name": name, "datatype": "INT64" if array.dtype == np.int64 else "FP32", "shape": array.shape}
        if binary:
            inputs.append({**told, "parameters": {"binary_data_size": array.nbytes}})
            tail += array.tobytes()
        else:
            inputs.append({**told, "data": [None if v != v else v for v in array.ravel().tolist()]})
    body = json.dumps({"id": "7", "inputs": inputs, "parameters": {"binary_data_output": binary}}).encode()
    headers = {"Inference-Header-Content-Length": len(body)} if binary else {}
    return post(f"/v2/models/{model}/infer", body + tail, **headers)


def outputs_of(head: bytes, body: bytes) -> Named:
    """The tensors of an answer."""
    lines = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:])
    length = int(lines.get("inference-header-content-length", len(body)))
    found, place = {}, length
    for told in json.loads(body[:length])["outputs"]:
        if "data" in told:
            array = np.array(told["data"], np.float32)
        else:
            end = place + told["parameters"]["binary_data_size"]
            array, place = np.frombuffer(body[place:end], np.float32), end
        found[told["name"]] = array.reshape(told["shape"])
    return found


def right_cases(address: tuple[str, int]) -> list[Case]:
    """Requests whose one right answer is known: the outputs computed here, or the table of `dxai predict`."""
    quality, model = _loaded(QUALITY)
    text = pl.read_csv(quality.read(GOLDEN_ROWS), infer_schema=False)
    rows = RowCodec(quality.contract).encode(cast(text, quality.contract)[0]).arrays
    demand, forecaster = _loaded(DEMAND)
    long = pl.read_csv(demand.read(GOLDEN_ROWS), infer_schema=False)
    panel = to_panel(cast(long, demand.contract)[0], demand.contract, where="golden rows")
    series = {"history": panel.history(demand.manifest.context), "last_day": panel.last}
    cases = []
    for name, of, arrays, size, binary, weight in [
        (QUALITY, model, rows, 1, False, 40), (QUALITY, model, rows, 1, True, 30), (QUALITY, model, rows, 32, True, 10),
        (DEMAND, forecaster, series, 1, False, 8), (DEMAND, forecaster, series, 1, True, 10),
    ]:  # fmt: skip
        for start in range(weight // 2):
            part = {key: np.roll(array, -start, axis=0)[:size] for key, array in arrays.items()}
            request = infer_request(name, part, binary=binary)
            head, body = ask(address, request)
            found = outputs_of(head, body)
            for key, array in of.run(part).items():
                np.testing.assert_array_equal(found[key], array)
            cases += [Case(f"{name} {'binary' if binary else 'JSON'} {size}", request, 200, body)] * 4
    table = post(f"/models/{QUALITY}/predict", quality.read(GOLDEN_ROWS))
    _, body = ask(address, table)
    assert body == pl.concat(Prediction(model, quality.profile).blocks([text])).write_csv().encode()
    return [*cases, Case(TABLE, table, 200, body)]


def wrong_cases() -> list[Case]:
    """Mistakes of clients, each with the status that it must get."""
    bundle, _ = _loaded(QUALITY)
    row = {c.name: np.array([100.0], np.float32) for c in bundle.contract.features}
    good = infer_request(QUALITY, row, binary=False).partition(b"\r\n\r\n")[2]
    at, first = f"/v2/models/{QUALITY}/infer", bundle.contract.features[0].name

    def changed(**of_first: object) -> bytes:
        request = json.loads(good)
        request["inputs"][0].update(of_first)
        return post(at, json.dumps(request).encode())

    extra = {**json.loads(good), "inputs": [*json.loads(good)["inputs"], {"name": "x", "shape": [1], "data": [1]}]}
    missing = {**json.loads(good), "inputs": json.loads(good)["inputs"][1:]}
    tail = infer_request(QUALITY, row, binary=True).partition(b"\r\n\r\n")[2]
    header_length = len(tail) - 4 * len(row)
    bomb = gzip.compress(bytes(64 << 20), 9)
    return [
        Case("unknown model", post("/v2/models/no-such-model/infer", good), 404),
        Case("unknown version", post(f"/v2/models/{QUALITY}/versions/9.9.9/infer", good), 404),
        Case("unknown address", b"GET /v3/models HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 404),
        Case("wrong method", f"GET {at} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode(), 405),
        Case("wrong datatype", changed(datatype="FP64"), 400),
        Case("wrong shape", changed(shape=[1, 1]), 400),
        Case("shape and data differ", changed(data=[1.0, 2.0]), 400),
        Case("negative size", changed(shape=[-1]), 400),
        Case("no rows", changed(shape=[0], data=[]), 400),
        Case("too many rows", changed(shape=[10**9]), 413),
        Case("text for a number", changed(data=["100"]), 400),
        Case("out of range", changed(data=[1e6]), 400),
        Case("NaN where required", changed(data=[float("nan")]), 400),
        Case("missing tensor", post(at, json.dumps(missing).encode()), 400),
        Case("extra tensor", post(at, json.dumps(extra).encode()), 400),
        Case("bad JSON", post(at, good[:-3]), 400),
        Case("deep JSON", post(at, b"[" * 100_000), 400),
        Case("invalid UTF-8", post(at, good.replace(b'"id": "7"', b'"id": "\xff"')), 400),
        Case("truncated binary", post(at, tail[:-4], **{"Inference-Header-Content-Length": header_length}), 400),
        Case("lying header length", post(at, tail, **{"Inference-Header-Content-Length": len(tail) + 1}), 400),
        Case("body too large", post(at, b"{", length=17 << 20), 413),
        Case("gzip bomb", post(at, bomb, **{"Content-Encoding": "gzip"}), 413),
        Case("unknown encoding", post(at, good, **{"Content-Encoding": "br"}), 415),
        Case("headers too large", post(at, good, **{"X-Large": "x" * 20_000}), 431),
        Case("foreign host", post(at, good).replace(b"Host: 127.0.0.1", b"Host: example.org"), 421),
        Case("no HTTP", b"\x16\x03\x01\x00\r\n\r\n", 400),
        Case("bad CSV", post(f"/models/{QUALITY}/predict", f"{first}\nx\n".encode()), 422),
        Case("client leaves", post(at, good, length=len(good) + 1), None),
    ]  # fmt: skip


def ask(address: tuple[str, int], request: bytes) -> tuple[bytes, bytes]:
    """Head and body of one answer."""
    client = Client(address)
    client.begin(Case("", request, 200))
    while not client.write():
        pass
    while (answer := client.read()) is None:
        pass
    client.socket.close()
    return bytes(client.got).partition(b"\r\n\r\n")[0], answer[1]


def _loaded(name: str) -> tuple[Bundle, Model]:
    bundle = Bundle.open(CHECKOUT / "models" / name)
    return bundle, Model(bundle.read(MODEL), bundle.contract, context=bundle.manifest.context)


@contextmanager
def server() -> Iterator[tuple[subprocess.Popen[bytes], tuple[str, int]]]:
    """`dxai serve` with both models on a free port, stopped at the end."""
    models = [str(CHECKOUT / "models" / name) for name in (QUALITY, DEMAND)]
    command = [
        sys.executable,
        "-c",
        "from dxai.cli.main import main; main()",
        "serve",
        *models,
        "--unsigned",
        "--port=0",
    ]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as errors:
            process = subprocess.Popen(command, stderr=errors, env={**os.environ, HOME: folder})
        try:
            while not (lines := log.read_text().splitlines()):
                if process.poll() is not None:
                    raise RuntimeError("the server did not start")
                time.sleep(0.05)
            host, port = json.loads(lines[0])["url"].removeprefix("http://").split(":")
            yield process, (host, int(port))
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def memory(pid: int) -> float:
    """Resident memory in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def processor(pid: int) -> float:
    """Seconds of processor time that a process took so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def milliseconds(seconds: list[float], prefix: str = "") -> dict[str, float]:
    """Median, 99th percentile and worst."""
    figures = zip(("p50", "p99", "worst"), np.percentile(seconds, [50, 99, 100]), strict=True)
    return {f"{prefix}{name}_ms": round(float(figure) * 1000, 2) for name, figure in figures}


def load_trial(seconds: float, warm_up: float) -> dict[str, object]:
    """Rate, latency, statuses, memory."""
    busy = os.getloadavg()[0]
    with server() as (process, address):
        load, tally = Load(address, right_cases(address), wrong_cases()), Tally()
        load.run(warm_up, Tally())
        processes = (process.pid, os.getpid())
        before, spent = memory(process.pid), [processor(pid) for pid in processes]
        began = time.perf_counter()
        load.run(seconds, tally)
        took, after = time.perf_counter() - began, memory(process.pid)
        spent = [processor(pid) - earlier for pid, earlier in zip(processes, spent, strict=True)]
    tables = tally.seconds.pop(TABLE)
    inferences = [seconds for kind in tally.seconds.values() for seconds in kind]
    right = len(tables) + len(inferences)
    return {
        "measured_seconds": round(took, 1), "clients": CLIENTS, "cores": os.cpu_count(),
        "requests_per_second": round(tally.answers / took), "right": right, "tables": len(tables),
        "wrong_requests": tally.answers - right, "wrong_kinds": len(wrong_cases()),
        **milliseconds(inferences), **milliseconds(tables, "table_"),
        "statuses": dict(sorted(tally.statuses.items())),
        "status_5xx": sum(count for status, count in tally.statuses.items() if status >= 500),
        "lost": tally.lost, "answered_wrong": tally.wrong,
        "memory_growth_mb": round(after - before, 1), "memory_mb": round(after, 1),
        "cores_server": round(spent[0] / took, 2), "cores_clients": round(spent[1] / took, 2),
        "machine_load_before": round(busy, 2),
    }  # fmt: skip


def drain_trial(seconds: float) -> dict[str, object]:
    """SIGTERM in the middle of a load of right requests, some of them long."""
    with server() as (process, address):
        rows = {c.name: np.full(20_000, 100.0, np.float32) for c in _loaded(QUALITY)[0].contract.features}
        long = infer_request(QUALITY, rows, binary=True)
        right = [*right_cases(address), *[Case("binary 20000", long, 200, ask(address, long)[1])] * 5]
        load, tally = Load(address, right, []), Tally()
        load.stopping = True
        threading.Timer(seconds, process.terminate).start()
        load.run(60, tally)
        served = time.perf_counter()
        code = process.wait(60)
    return {
        "answers": tally.answers, "long_answers": tally.kinds["binary 20000"],
        "lost": tally.lost, "answered_wrong": tally.wrong, "exit_code": code,
        "seconds_from_last_answer_to_exit": round(time.perf_counter() - served, 2),
    }  # fmt: skip


def main() -> None:
    """Run both parts; one line of JSON."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--size", choices=("ci", "release"), default="ci")
    size = arguments.parse_args().size
    seconds, warm_up = {"ci": (4.0, 1.5), "release": (60.0, 10.0)}[size]
    load, drain = load_trial(seconds, warm_up), drain_trial(min(seconds, 8) / 4)
    broken = [
        f"{part}: {figure} {told[figure]}"
        for part, told in (("load", load), ("drain", drain))
        for figure in ("status_5xx", "lost", "answered_wrong", "exit_code")
        if told.get(figure)
    ]
    line = {"trial": "served_load", "size": size, **load, "drain": drain, "broken": len(broken), "examples": broken}
    sys.stdout.write(json.dumps(line) + "\n")
    raise SystemExit(bool(broken))


if __name__ == "__main__":
    main()
