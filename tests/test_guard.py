"""The guard of quick tests: without its marker a test starts no process and opens no socket, whatever it catches."""

from __future__ import annotations

import pytest
from guard import MARKERS

pytest_plugins = ["pytester"]

DEEDS = """
import asyncio, multiprocessing, os, socket, subprocess, sys, threading
import pytest

def popen(): subprocess.run([sys.executable, "-c", ""])
def fork(): os.waitpid(os.fork() or os._exit(0), 0)
def shell(): os.system("true")
def spawn(): multiprocessing.get_context("spawn").Process().start()
def listen(): socket.create_server(("127.0.0.1", 0)).close()
def connect(): socket.create_connection(("192.0.2.1", 80), 0.01)
def resolve(): socket.getaddrinfo("example.invalid", 80)
"""
UNMARKED = """
@pytest.mark.parametrize("act", [popen, fork, shell, spawn, listen, connect, resolve])
def test_call(act): act()

def test_caught():
    try: popen()
    except BaseException: pass

@pytest.fixture
def prepared(): popen()

def test_fixture(prepared): ...

def test_thread():
    thread = threading.Thread(target=popen)
    thread.start()
    thread.join()

def test_pair():
    asyncio.run(asyncio.sleep(0))
    socket.socketpair()
"""
MARKED = "".join(f"@pytest.mark.{name}\ndef test_{name}(): popen()\n" for name in MARKERS)
NETWORK = ("connect", "resolve")


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Inner tests run in this process, under the same guard, without the plugins of others."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeini("[pytest]\nmarkers =\n    slow\n    process\n    browser\n    network\n")
    return pytester


def test_unmarked_deed_fails_wherever_it_is_done_and_the_marker_is_named(run: pytest.Pytester) -> None:
    run.makepyfile(DEEDS + UNMARKED)
    reports = run.inline_run("-p", "guard", "-p", "no:cacheprovider", "-W", "ignore").getreports()
    passed = {report.nodeid.split("::")[1] for report in reports if report.passed and report.when == "call"}
    told = {report.nodeid.split("::")[1]: str(report.longrepr) for report in reports if report.failed}
    assert passed == {"test_pair"}
    assert len(told) == 10
    for test, message in told.items():
        marker = "network" if any(name in test for name in NETWORK) else "process"
        assert f"mark it with pytest.mark.{marker}" in message, test


@pytest.mark.process
def test_marked_test_may(run: pytest.Pytester) -> None:
    run.makepyfile(DEEDS + MARKED)
    run.inline_run("-p", "guard", "-p", "no:cacheprovider").assertoutcome(passed=4)
