"""Real servers on this machine, to be killed and started again: MLflow's two, a PostgreSQL and an object store."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_START = 90
"""Seconds that a server may take to answer."""
_NOBODY = 65534
_PROGRAMS = (Path("/usr/lib/postgresql"), Path("/usr/local/bin"))


class Server:
    """A process with a web server; `url` stays the same over all its starts.

    Args:
        folder: Where it works, and writes its log.
        health: Path at which it answers when it is ready.
        environment: More than that of this process.
    """

    def __init__(self, folder: Path, health: str, environment: Mapping[str, str]) -> None:
        self.folder, self.health, self.environment = folder, health, environment
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def command(self) -> list[str]:
        """After ``python -m``."""
        raise NotImplementedError

    def start(self, *, wait: bool = True) -> None:
        """Start it; with ``wait`` until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"} | self.environment
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *self.command], cwd=self.folder, stdout=log, stderr=log, env=environment,
                start_new_session=True,
            )  # fmt: skip
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
            with urllib.request.urlopen(f"{self.url}{self.health}", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


class MlflowServer(Server):
    """A tracking server.

    Args:
        folder: Of its log and, where no others are named, its artifacts and its SQLite file.
        database: As MLflow takes it.
        store: Keeps its artifacts.
    """

    def __init__(self, folder: Path, database: str = "", store: ObjectStore | None = None) -> None:
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        super().__init__(folder, "/health", quiet | (store.access if store else {}))
        self.database = database or f"sqlite:///{folder / 'server.db'}"
        self.artifacts = f"s3://{store.bucket}/artifacts" if store else str(folder / "artifacts")

    @property
    def command(self) -> list[str]:
        """See `Server`."""
        return [
            "mlflow", "server", "--workers", "1", "--host", "127.0.0.1", "--port", str(self.port),
            "--backend-store-uri", self.database, "--artifacts-destination", self.artifacts,
        ]  # fmt: skip


class ModelServer(Server):
    """``mlflow models serve`` of a registered model, in the environment of this process.

    Args:
        folder: Of its log.
        model: As MLflow takes it, such as ``models:/NAME@candidate``.
        tracking: Address of the MLflow that knows it.
    """

    def __init__(self, folder: Path, model: str, tracking: str) -> None:
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        known = {"MLFLOW_TRACKING_URI": tracking, "MLFLOW_DISABLE_TELEMETRY": "true", "PATH": programs}
        super().__init__(folder, "/ping", known)
        self.model = model

    @property
    def command(self) -> list[str]:
        """See `Server`."""
        place = ["--host", "127.0.0.1", "--port", str(self.port)]
        return ["mlflow", "models", "serve", "--model-uri", self.model, "--env-manager", "local", *place]

    def answer(self, request: bytes) -> dict[str, Any]:
        """What it predicts for a request of JSON, by the names of outputs."""
        headers = {"Content-Type": "application/json"}
        asked = urllib.request.Request(f"{self.url}/invocations", request, headers)
        with urllib.request.urlopen(asked, timeout=30) as answer:
            predictions: dict[str, Any] = json.load(answer)["predictions"]
        return predictions


class ObjectStore(Server):
    """Objects by the protocol of S3, kept in the memory of moto's server."""

    bucket = "dxai"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "/moto-api/", {})

    @staticmethod
    def missing() -> str:
        """Why there can be none; empty where there can."""
        absent = [name for name in ("boto3", "moto") if find_spec(name) is None]
        return f"{' and '.join(absent)} are not installed: pip install -c constraints.txt -e '.[s3]'" if absent else ""

    @property
    def command(self) -> list[str]:
        """See `Server`."""
        return ["moto.server", "--host", "127.0.0.1", "--port", str(self.port)]

    @property
    def access(self) -> dict[str, str]:
        """The environment of who uses it."""
        keys = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "us-east-1"}
        return keys | {"MLFLOW_S3_ENDPOINT_URL": self.url}

    def start(self, *, wait: bool = True) -> None:
        """Start it, with an empty bucket."""
        super().start()
        self._client.create_bucket(Bucket=self.bucket)

    @property
    def names(self) -> list[str]:
        """Of its objects."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return [found["Key"] for page in pages for found in page.get("Contents", [])]

    @cached_property
    def _client(self) -> Any:
        import boto3

        return boto3.client(
            "s3", endpoint_url=self.url, region_name="us-east-1", aws_access_key_id="any", aws_secret_access_key="any"
        )


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
