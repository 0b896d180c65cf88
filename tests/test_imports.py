"""Every module can be imported: nothing that is rarely run has been left behind by a move."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOTS = ("dxai", "pipelines", "benchmarks", "tests/trials")
PROGRAM = """
import importlib, json, sys, traceback
failed = {}
for name in json.load(sys.stdin):
    try:
        importlib.import_module(name)
    except Exception:
        failed[name] = traceback.format_exc(limit=-1)
print(json.dumps(failed))
"""


def modules(checkout: Path) -> list[str]:
    """Dotted names of all modules, packages included."""
    files = [file for root in ROOTS for file in sorted((checkout / root).rglob("*.py"))]
    return [".".join(file.relative_to(checkout).with_suffix("").parts).removesuffix(".__init__") for file in files]


def failures(names: list[str], checkout: Path) -> dict[str, str]:
    """Module to the end of its traceback; imported in a process of their own, as a command does."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(names),
        cwd=checkout,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.process
def test_every_module_can_be_imported(checkout: Path) -> None:
    names = modules(checkout)
    assert {"dxai.cli.main", "pipelines.demo", "benchmarks.check_rows", "tests.trials.scene"} <= set(names)
    assert failures(names, checkout) == {}


@pytest.mark.process
def test_import_that_leads_nowhere_is_found(checkout: Path) -> None:
    assert "ModuleNotFoundError" in failures(["dxai.errors", "dxai.no_such_module"], checkout)["dxai.no_such_module"]
