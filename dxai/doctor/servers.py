"""Servers that commands ask: whether they answer within a moment."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

import yaml

from dxai.catalog.store import Store
from dxai.config.settings import TrackingSettings
from dxai.doctor.findings import Finding

SECONDS = 3.0
"""That a server may take."""
_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}


def tracking_settings(checkout: Path) -> TrackingSettings:
    """Of configs/run.yaml; an interpolation there is not followed."""
    told = (yaml.safe_load((checkout / "configs" / "run.yaml").read_text("utf-8")) or {}).get("tracking") or {}
    uri = told.get("uri")
    return TrackingSettings(uri=uri if isinstance(uri, str) and "${" not in uri else None)


def tracking_uri(checkout: Path) -> str:
    """Where MLflow is told of the runs of a checkout."""
    named = tracking_settings(checkout).uri or os.environ.get("MLFLOW_TRACKING_URI")
    return named or f"sqlite:///{checkout / 'mlflow.db'}"


def tracking_server(checkout: Path) -> Iterator[Finding]:
    """Whether the team's server answers; a file of SQLite needs none."""
    uri = tracking_uri(checkout)
    parts = urlsplit(uri)
    scheme = parts.scheme.partition("+")[0]
    if scheme in ("http", "https"):
        silence = _silence(f"{uri.rstrip('/')}/health")
    elif scheme in _PORTS and parts.hostname:
        silence = _closed(parts.hostname, parts.port or _PORTS[scheme])
    else:
        return
    place = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname  # without user and password
    if silence:
        fix = "Start it, or correct tracking.uri or MLFLOW_TRACKING_URI. Training goes on and keeps what MLflow misses."
        yield Finding("problem", "tracking", f"The tracking server at {place} does not answer: {silence}.", fix)
    else:
        yield Finding("ok", "tracking", f"The tracking server at {place} answers.")


def catalogs(store: Store) -> Iterator[Finding]:
    """Whether every catalog that was read before, or that the environment names, can be read."""
    named = os.environ.get("DXAI_CATALOG")
    for place in sorted({*store.catalogs(), *([named] if named else [])}):
        parts = urlsplit(place)
        if parts.scheme in ("http", "https"):
            silence = _silence(f"{place.rstrip('/')}/metadata/timestamp.json")
        else:
            folder = Path(parts.path if parts.scheme == "file" else place)
            silence = "" if (folder / "metadata").is_dir() else "there is no folder metadata/"
        shown = place.replace(f"{parts.netloc.rpartition('@')[0]}@", "") if "@" in parts.netloc else place
        if silence:
            fix = "Check the address and the network; what was pulled before works on without it."
            yield Finding("problem", "catalog", f"{shown} cannot be read: {silence}.", fix)
        else:
            yield Finding("ok", "catalog", f"{shown} answers.")


def _silence(url: str) -> str:
    """Why an address gives no answer; "" when it does."""
    try:
        with urlopen(url, timeout=SECONDS):
            return ""
    except HTTPError as error:
        return "" if error.code in (401, 403) else f"it says {error.code} {error.reason}"
    except (OSError, HTTPException, ValueError) as error:
        return _reason(error)


def _closed(host: str, port: int) -> str:
    try:
        with socket.create_connection((host, port), SECONDS):
            return ""
    except OSError as error:
        return _reason(error)


def _reason(error: Exception) -> str:
    cause = getattr(error, "reason", error)
    if isinstance(cause, TimeoutError):
        return f"nothing within {SECONDS:g} s"
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
