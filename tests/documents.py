"""What the documents say, as code: the blocks of a Markdown file, and its commands run as a reader gives them."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl


def blocks(document: Path, language: str) -> list[str]:
    """Contents of the fenced blocks of one language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", document.read_text("utf-8"), re.DOTALL)


def commands(document: Path) -> list[str]:
    """Lines of all `sh` blocks, in order; a line that ends with a backslash goes on."""
    lines = "".join(blocks(document, "sh")).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def run_command(folder: Path, command: str) -> str:
    """Run one line in a folder with this environment's programs, and give what it printed; a failure fails the test."""
    done = subprocess.run(
        shlex.split(command), cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


# Several commands in one process: each start of the training stack takes seconds.
_TOGETHER = """
import json, sys
from dxai.cli.main import main
for words in json.load(sys.stdin):
    print("$", *words, flush=True)
    sys.argv = ["dxai", *words]
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
"""


def run_together(folder: Path, commands: list[str]) -> str:
    """Run `dxai` lines one after the other in one process, and give what they printed; a failure fails the test."""
    words = [shlex.split(command)[1:] for command in commands]
    assert all(command.startswith("dxai ") for command in commands)
    done = subprocess.run(
        [sys.executable, "-c", _TOGETHER], input=json.dumps(words), cwd=folder, env=environment(),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def serve_and_stop(folder: Path, command: str) -> None:
    """Until the server listens, on a free port; then it is told to stop and ends well."""
    words = shlex.split(re.sub(r"--port \d+", "", command) + " --port 0")
    with subprocess.Popen(words, cwd=folder, env=environment(), stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        assert "listening" in server.stderr.readline()
        server.terminate()
        assert server.wait(60) == 0


def environment() -> dict[str, str]:
    """As after `source .venv/bin/activate`."""
    return os.environ | {"PATH": str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]}


def write_press(file: Path) -> None:
    """The file that README and guide name: parts of a press, four of each lot; hot and slow ones tend to be bad."""
    random, rows = np.random.default_rng(0), 240
    heat, speed = random.normal(180, 6, rows).round(1), random.integers(900, 1500, rows)
    bad = (heat - 180) / 6 - (speed - 1200) / 300 + random.normal(0, 0.5, rows) > 0.8
    table = {
        "로트": [f"L{i // 4:03d}" for i in range(rows)],
        "금형 온도(℃)": heat,
        "압력(kgf/cm²)": random.normal(95, 4, rows).round(1),
        "회전수(rpm)": speed,
        "불량": np.where(bad, "불량", "양품"),
    }
    pl.DataFrame(table).write_csv(file)
