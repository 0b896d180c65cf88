"""A graph that crashes, hangs, swells or lies is refused in one line; its process is gone, ours goes on.

Every death is a real one of a real child process, and after each of them the same sandbox runs a sound graph again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from trials.bombs import BOMBS, ROWS, graph, node

from dxai.errors import ModelError
from dxai.inference import sandbox as module
from dxai.inference.sandbox import Limits, Sandbox, pack, unpack

pytestmark = [pytest.mark.process, pytest.mark.skipif(sys.platform != "linux", reason="forks and /proc are Linux's")]

SOUND = graph(node("Abs", "x")).SerializeToString()
INPUTS = {"x": ROWS}
LIMITS = Limits(memory=1 << 30, cpu=15, wall=30.0)
HASTY = Limits(memory=1 << 30, cpu=1, wall=3.0)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(LIMITS) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def hasty() -> Iterator[Sandbox]:
    """For graphs that never end."""
    with Sandbox(HASTY) as sandbox:
        yield sandbox


def children(parent: int) -> list[int]:
    """Processes whose parent this is, dead ones that nobody waited for included."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def server(sandbox: Sandbox) -> int:
    """The one child of ours that belongs to the sandbox."""
    assert sandbox._server
    return sandbox._server.pid


def refusal(sandbox: Sandbox, data: bytes) -> str:
    begin = time.monotonic()
    with pytest.raises(ModelError) as caught:
        sandbox.run(data, INPUTS)
    assert time.monotonic() - begin < sandbox.limits.wall + 2.5
    assert caught.value.exit_code == 7
    assert caught.value.problem.isprintable()
    assert len(caught.value.problem) < 200
    assert_sound(sandbox)
    assert children(server(sandbox)) == []
    return caught.value.problem


def assert_sound(sandbox: Sandbox) -> None:
    outputs = sandbox.run(SOUND, INPUTS)
    assert list(outputs) == ["y_predicted", "y_lower", "y_upper"]
    assert all(np.array_equal(array, ROWS) and array.dtype == np.float32 for array in outputs.values())


def bomb(name: str) -> bytes:
    made = BOMBS[name]()
    return made if isinstance(made, bytes) else made.SerializeToString()


def test_a_sound_graph_gives_what_it_gives_in_our_process(sandbox: Sandbox) -> None:
    here = onnxruntime.InferenceSession(SOUND, providers=["CPUExecutionProvider"]).run(None, INPUTS)
    found = sandbox.run(SOUND, INPUTS)
    for mine, other in zip(here, found.values(), strict=True):
        assert np.array_equal(mine, other)


def test_rows_are_repeated_in_the_child(sandbox: Sandbox) -> None:
    assert np.array_equal(sandbox.run(SOUND, INPUTS, rows=20)["y_lower"], np.resize(ROWS, 20))


def test_texts_and_integers_travel(sandbox: Sandbox) -> None:
    values = [("plant", TensorProto.STRING), ("day", TensorProto.INT64), ("y", TensorProto.FLOAT)]
    infos = [helper.make_tensor_value_info(name, kind, ["n"]) for name, kind in values]
    encode = helper.make_node(
        "LabelEncoder", ["plant"], ["code"], domain="ai.onnx.ml", keys_strings=["부산", "a,\nb"],
        values_int64s=[10, 20], default_int64=30,
    )  # fmt: skip
    nodes = [encode, node("Add", "code day", "sum"), node("Cast", "sum", "y", to=TensorProto.FLOAT)]
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 3)]
    made = helper.make_graph(nodes, "g", infos[:2], infos[2:])
    data = helper.make_model(made, ir_version=10, opset_imports=opsets).SerializeToString()
    inputs = {"plant": np.array(["a,\nb", "", "부산"], dtype=object), "day": np.int64([1, 2, 3])}
    assert sandbox.run(data, inputs)["y"].tolist() == [21, 32, 13]


@pytest.mark.parametrize("name", ["Loop of 2^62 trips", "MatMul for hours", "functions, 10^12 nodes"])
def test_a_graph_that_never_ends_is_stopped(hasty: Sandbox, name: str) -> None:
    assert refusal(hasty, bomb(name)) in (
        "The graph was stopped after 1 s of CPU time.",
        "The graph was stopped after 3 s.",
    )


@pytest.mark.parametrize("name", ["Concat doubled 60 times", "ConstantOfShape of 2^40", "16 million empty nodes"])
def test_a_graph_that_swells_is_stopped(sandbox: Sandbox, name: str) -> None:
    assert refusal(sandbox, bomb(name)) == "The graph asks for more than 1024 MiB of memory."


def test_an_unknown_operator_is_refused(sandbox: Sandbox) -> None:
    told = refusal(sandbox, bomb("operator of another domain"))
    assert told.startswith("ONNX Runtime refuses the graph: [ONNXRuntimeError]")
    assert "evil:Shell" in told


def test_a_graph_that_takes_its_time_is_stopped_on_the_clock() -> None:
    with Sandbox(Limits(cpu=60, wall=0.5)) as sandbox:
        assert refusal(sandbox, bomb("Loop of 2^62 trips")) == "The graph was stopped after 0.5 s."


@pytest.mark.parametrize("data", [b"", b"\0", b"ORTM" * 9, SOUND[:-1], os.urandom(999)])
def test_what_is_no_graph_is_refused(sandbox: Sandbox, data: bytes) -> None:
    assert refusal(sandbox, data).startswith("ONNX Runtime refuses the graph: ")


def test_a_hostile_name_cannot_write_on_the_terminal(sandbox: Sandbox) -> None:
    model = graph(node("Abs", "x"))
    model.graph.node[0].op_type = "\x1b[31mEvil\r\nlast line"
    assert "Evil" in refusal(sandbox, model.SerializeToString())


def test_inputs_of_another_graph_are_refused(sandbox: Sandbox) -> None:
    with pytest.raises(ModelError, match="ONNX Runtime refuses the graph"):
        sandbox.run(SOUND, {"z": ROWS})


def test_an_output_that_is_not_float32_is_refused(sandbox: Sandbox) -> None:
    model = graph(node("Abs", "x"))
    del model.graph.output[:]
    model.graph.node.append(node("Cast", "x", "whole", to=TensorProto.INT64))
    model.graph.output.append(helper.make_tensor_value_info("whole", TensorProto.INT64, ["batch"]))
    assert refusal(sandbox, model.SerializeToString()).endswith("an output is not float32")


def test_an_answer_that_is_too_large_is_refused(sandbox: Sandbox) -> None:
    model = graph(node("Expand", "x long"), numbers={"long": np.int64([3_000_000, 8])})
    model.graph.output.append(helper.make_tensor_value_info("boom", TensorProto.FLOAT, ["n", 8]))
    assert refusal(sandbox, model.SerializeToString()) == "The graph makes its process give a wrong answer."


def while_running(sandbox: Sandbox, act: Callable[[int], object]) -> str:
    """The refusal of an endless graph; its process is told to ``act`` as soon as it is there."""

    def watch() -> None:
        deadline = time.monotonic() + 5
        while not (forks := children(server(sandbox))) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)
        act(forks[0])

    assert_sound(sandbox)
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        return refusal(sandbox, bomb("Loop of 2^62 trips"))
    finally:
        thread.join()


def test_a_graph_can_open_no_file_and_no_socket(hasty: Sandbox) -> None:
    seen: list[str] = []
    while_running(hasty, lambda fork: seen.append(Path(f"/proc/{fork}/limits").read_text()))
    limits = {line[:26].strip(): line[26:].split()[:2] for line in seen[0].splitlines()}
    for nothing in ("Max open files", "Max file size", "Max core file size"):
        assert limits[nothing] == ["0", "0"]
    assert limits["Max address space"] == [str(HASTY.memory)] * 2
    assert limits["Max cpu time"] == ["1", "2"]


@pytest.mark.parametrize("sign", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL])
def test_a_crash_is_named(hasty: Sandbox, sign: signal.Signals) -> None:
    assert (
        while_running(hasty, lambda fork: os.kill(fork, sign)) == f"The graph makes ONNX Runtime crash ({sign.name})."
    )


def test_the_kernel_kills_what_takes_too_much_memory(hasty: Sandbox) -> None:
    assert (
        while_running(hasty, lambda fork: os.kill(fork, signal.SIGKILL))
        == "The graph asks for more than 1024 MiB of memory."
    )


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSEGV])
def test_a_dead_server_is_replaced(hasty: Sandbox, sign: signal.Signals) -> None:
    assert_sound(hasty)
    before = server(hasty)
    assert while_running(hasty, lambda _: os.kill(before, sign)).startswith("The graph ")
    assert server(hasty) != before
    assert before not in children(os.getpid())


def test_a_server_that_hangs_is_killed(hasty: Sandbox) -> None:
    assert_sound(hasty)
    before = server(hasty)
    assert while_running(hasty, lambda _: os.kill(before, signal.SIGSTOP)) == "The graph was stopped after 3 s."
    assert before not in children(os.getpid())


def test_signals_that_our_process_ignores_still_end_a_graph() -> None:
    code = """
import signal, sys
for sign in (signal.SIGALRM, signal.SIGXCPU):
    signal.signal(sign, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM, signal.SIGXCPU])
import numpy as np
from dxai.errors import ModelError
from dxai.inference.sandbox import Limits, Sandbox
with Sandbox(Limits(cpu=60, wall=1.0)) as sandbox:
    try:
        sandbox.run(sys.stdin.buffer.read(), {"x": np.float32([1])})
    except ModelError as error:
        print(error.problem)
"""
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code], input=bomb("Loop of 2^62 trips"), capture_output=True, check=True
    )
    assert done.stdout.decode().strip() == "The graph was stopped after 1 s."
    assert time.monotonic() - begin < 10


def test_where_python_cannot_fork_each_graph_has_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FORKS", False)
    without = module._SERVE.replace("sandbox.serve", "sandbox._FORKS = False; sandbox.serve")
    monkeypatch.setattr(module, "_SERVE", without)
    with Sandbox(HASTY) as sandbox:
        assert_sound(sandbox)
        assert_sound(sandbox)
        for name, told in (("Loop of 2^62 trips", "stopped after"), ("Concat doubled 60 times", "asks for more than")):
            with pytest.raises(ModelError, match=told):
                sandbox.run(bomb(name), INPUTS)
            assert_sound(sandbox)
        assert sandbox._server is None


def test_no_process_is_left() -> None:
    with Sandbox(LIMITS) as sandbox:
        assert_sound(sandbox)
        pid = server(sandbox)
        assert pid in children(os.getpid())
    assert pid not in children(os.getpid())
    assert not Path(f"/proc/{pid}").exists()


def test_an_interrupt_leaves_no_process() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    pids: list[int] = []
    with pytest.raises(KeyboardInterrupt), Sandbox(Limits(cpu=60, wall=60.0)) as sandbox:
        assert_sound(sandbox)
        pids += [server(sandbox)]
        subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -INT {os.getpid()}"])
        sandbox.run(bomb("Loop of 2^62 trips"), INPUTS)
    signal.signal(signal.SIGINT, before)
    assert not Path(f"/proc/{pids[0]}").exists()


def test_a_parent_that_is_killed_leaves_no_process(tmp_path: Path) -> None:
    code = """
import sys, time
from dxai.inference.sandbox import Sandbox
with Sandbox() as sandbox:
    print(sandbox._server.pid, flush=True)
    time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}/fd/0").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}/fd/0").exists()


def test_a_script_without_a_guard_runs_once(tmp_path: Path) -> None:
    """The child does not import the script again, sees what the script sees, and writes nothing to its output."""
    (tmp_path / "model.onnx").write_bytes(SOUND)
    (tmp_path / "script.py").write_text("""
import numpy as np
from pathlib import Path
from dxai.inference.sandbox import Sandbox
print("once")
with Sandbox() as sandbox:
    answer = sandbox.run(Path("model.onnx").read_bytes(), {"x": np.float32([3, 4])})
print(answer["y_lower"].tolist())
""")
    for flags in ([], ["-I"], ["-P"]):
        done = subprocess.run(
            [sys.executable, *flags, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert done.stdout.split("\n") == ["once", "[3.0, 4.0]", ""]
        assert done.stderr == ""


def test_the_child_imports_little_and_has_one_thread(sandbox: Sandbox) -> None:
    """Polars or pydantic would double its start; a second thread would make forks unsafe."""
    assert_sound(sandbox)
    status = Path(f"/proc/{server(sandbox)}/status").read_text()
    assert "Threads:\t1\n" in status
    maps = Path(f"/proc/{server(sandbox)}/maps").read_text()
    assert "onnxruntime" in maps
    assert "polars" not in maps and "pydantic" not in maps


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"\xff\xfe\0", "crash"),
        (b"answered\n", "wrong answer"),
        (b'answered\n[["y", "text", ["a"]]]\n', "wrong answer"),
        (b'answered\n[["y", "<i8", [1]]]\n12345678', "wrong answer"),
        (b"refused\n\x1b[31m" + b"x" * 10**6, "x" * 100),
        (b"x" * ((64 << 20) + 1), "crash"),
        (None, "stopped after 0.5 s"),
    ],
)
def test_a_process_that_was_taken_over_cannot_harm_ours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: bytes | None, told: str
) -> None:
    """Another program in the place of the child, which answers what it likes, or never."""
    (tmp_path / "answer").write_bytes(answer or b"")
    hostile = f"""
import pathlib, struct, sys, time
answer = pathlib.Path({str(tmp_path / "answer")!r}).read_bytes()
def send(frame):
    sys.stdout.buffer.write(struct.pack("<Q", len(frame)) + frame)
    sys.stdout.buffer.flush()
send(b"ready")
sys.stdin.buffer.read(8)
if answer:
    send(answer)
time.sleep(60)
"""
    monkeypatch.setattr(module, "_SERVE", hostile)
    with Sandbox(Limits(wall=0.5)) as sandbox, pytest.raises(ModelError) as caught:
        sandbox.run(SOUND, INPUTS)
    assert told in caught.value.problem
    assert caught.value.problem.isprintable()
    assert len(caught.value.problem) < 200


def test_pack_and_unpack() -> None:
    arrays = {
        "": np.float32([[1, 2], [3, np.nan]]), "day": np.int64([-(2**63)]),
        "text": np.array(["강철", ""], dtype=object), "none": np.zeros((0, 3), np.float32),
    }  # fmt: skip
    again = unpack(pack(arrays))
    assert list(again) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(again[name], array)
        assert (again[name].dtype, again[name].shape) == (array.dtype, array.shape)


@pytest.mark.parametrize(
    "forged",
    [
        b"", b"\n", b"[1]\n", b"[[1,2]]\n", b'[["a","<f4",[2]]]\nxxxx', b'[["a","<f4",[-1]]]\n',
        b'[["a","O",[1]]]\nxxxxxxxx', b'[["a","<f4",[1e9]]]\n', b'[["a","<f4",4]]\nxxxx', b'[["a","<f4",["1"]]]\nxxxx',
        b'[["a","<f4",[99999999999999999999999999]]]\n', b'[["a","V4000000000",[1]]]\n', b"[" * 100_000, b"\xff\xfe\n",
        b'[["a","<f4",[4611686018427387904,4]]]\n', b'[["a",["<f4"],[1]]]\nxxxx',
    ],
)  # fmt: skip
def test_a_forged_answer_is_no_array(forged: bytes) -> None:
    with pytest.raises((ValueError, TypeError, OverflowError, RecursionError)):
        unpack(forged)


def test_a_damaged_answer_raises_nothing_unforeseen() -> None:
    whole = pack({"a": np.float32([1, 2, 3]), "b": np.array(["x"], dtype=object), "c": np.int64([[1], [2]])})
    for number in range(3000):
        random = Random(number)
        damaged = bytearray(whole)
        for _ in range(random.randrange(1, 4)):
            damaged[random.randrange(len(damaged))] = random.randrange(256)
        try:
            unpack(bytes(damaged))
        except (ValueError, TypeError, OverflowError, RecursionError):
            continue


def test_onnx_takes_the_sound_graph() -> None:
    onnx.checker.check_model(onnx.load_from_string(SOUND), full_check=True)
