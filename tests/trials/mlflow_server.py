"""A real MLflow server on this machine, and a PostgreSQL for it, to be killed and started again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from importlib.util import find_spec
from pathlib import Path

_START = 90
"""Seconds that a server may take to answer."""
_NOBODY = 65534
_PROGRAMS = (Path("/usr/lib/postgresql"), Path("/usr/local/bin"))


class MlflowServer:
    """One server process; `url` stays the same over all its starts.

    Args:
        folder: Of its artifacts, its log and, where no database is named, its SQLite file.
        database: As MLflow takes it.
    """

    def __init__(self, folder: Path, database: str = "") -> None:
        self.folder = folder
        self.database = database or f"sqlite:///{folder / 'server.db'}"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> None:
        """Start it; with ``wait`` until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1", "--port", str(self.port),
            "--backend-store-uri", self.database, "--artifacts-destination", str(self.folder / "artifacts"),
        ]  # fmt: skip
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"} | quiet
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        if wait:
            self.wait()

    def wait(self) -> None:
        """Until it answers."""
        until = time.monotonic() + _START
        while not self._answers():
            log = (self.folder / "server.log").read_text("utf-8", errors="replace")[-2000:]
            assert self.process and self.process.poll() is None, log
            assert time.monotonic() < until, log
            time.sleep(0.1)

    def kill(self) -> None:
        """End it and its workers at once."""
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


class Postgres:
    """A PostgreSQL of its own in a temporary folder, on a free port of this machine."""

    def __init__(self) -> None:
        self.folder, self.port = Path(tempfile.mkdtemp(prefix="postgres-")), free_port()
        self.driver = next(name for name in ("psycopg2", "psycopg", "pg8000") if find_spec(name))
        self.process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def missing() -> str:
        """Why there can be none; empty where there can."""
        if not _program("initdb"):
            return "PostgreSQL is not installed"
        if not any(find_spec(name) for name in ("psycopg2", "psycopg", "pg8000")):
            return "no driver of PostgreSQL is installed (psycopg2-binary, psycopg or pg8000)"
        return ""

    @property
    def uri(self) -> str:
        """As SQLAlchemy takes it."""
        return f"postgresql+{self.driver}://mlflow@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Make its files and wait until it answers."""
        data = self.folder / "data"
        user = None if os.geteuid() else _NOBODY  # PostgreSQL refuses root
        if user:
            os.chown(self.folder, user, user)
        command = [_program("initdb"), "-D", str(data), "-U", "mlflow", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder, user=user, group=user)
        options = ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={data}", "-c", "fsync=off"]
        with (self.folder / "postgres.log").open("ab") as log:
            self.process = subprocess.Popen(
                [_program("postgres"), "-D", str(data), "-p", str(self.port), *options], cwd=self.folder,
                stdout=log, stderr=log, user=user, group=user,
            )  # fmt: skip
        until = time.monotonic() + _START
        while subprocess.run(
            [_program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False
        ).returncode:
            assert self.process.poll() is None and time.monotonic() < until, (self.folder / "postgres.log").read_text()
            time.sleep(0.1)

    def stop(self) -> None:
        """End it and take its folder away."""
        if self.process:
            self.process.send_signal(signal.SIGINT)  # PostgreSQL's "fast" shutdown
            self.process.wait(timeout=30)
        shutil.rmtree(self.folder, ignore_errors=True)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _program(name: str) -> str:
    found = [path for folder in _PROGRAMS for path in sorted(folder.glob(f"*/bin/{name}"))]
    return str(found[-1]) if found else shutil.which(name) or ""
