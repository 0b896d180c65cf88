"""The installation: versions of packages, whose code runs, and whether torch can compute on the GPU that is here."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement

import dxai
from dxai.doctor.findings import Finding

DEVICES = Path("/dev")
"""Where a driver shows its GPUs."""
_SECONDS = 120
"""That torch may take to be imported and to add eight numbers."""
_INSTALL = '`make install`, or pip install -c constraints.txt -e ".[train]"'
_TORCH = """
import json, torch
told = {"version": torch.__version__, "built": torch.version.cuda or getattr(torch.version, "hip", None), "error": ""}
try:
    told["gpus"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    for i in range(len(told["gpus"])):
        assert float(torch.ones(8, device=f"cuda:{i}").sum()) == 8, "it adds wrongly"
except Exception as error:
    told["error"] = (str(error) or type(error).__name__).splitlines()[0]
print(json.dumps(told))
"""


def packages(checkout: Path | None) -> Iterator[Finding]:
    """Versions against the ranges of the checkout's pyproject.toml, or of the installed package."""
    base, training, source = _requirements(checkout)
    if not base:
        yield Finding("note", "packages", "dxai is not installed here, and no pyproject.toml says what it needs.")
        return
    known = {need.name: _version(need.name) for need in (*base, *training)}
    extra = [need.name for need in training if known[need.name]]
    if training and not extra:
        yield Finding("note", "packages", "This is the base install: it predicts and serves, it does not train.")
    wanted = [*base, *(training if extra else [])]
    if missing := [need.name for need in wanted if not known[need.name]]:
        told = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not here, and {source} asks for it."
        yield Finding("problem", "packages", told, _INSTALL)
    wrong = [need for need in wanted if (here := known[need.name]) and not need.specifier.contains(here, True)]
    for need in wrong:
        told = f"{need.name} {known[need.name]} is here, and {source} asks for {need.specifier}."
        yield Finding("problem", "packages", told, _INSTALL)
    if not missing and not wrong:
        yield Finding("ok", "packages", f"{len(wanted)} packages are as {source} asks.")


def code(checkout: Path | None) -> Iterator[Finding]:
    """Whether the command runs the code of the checkout that it is given in."""
    running = Path(dxai.__file__).parents[1]
    if checkout and (checkout / "dxai" / "__init__.py").is_file() and running != checkout:
        told = f"The command runs dxai {dxai.__version__} in {running}, not the code of this checkout."
        yield Finding("note", "code", told, f"in {checkout}: {_INSTALL}")
    else:
        yield Finding("ok", "code", f"dxai {dxai.__version__} on Python {sys.version.split()[0]}.")


def gpu() -> Iterator[Finding]:
    """What torch, asked in a process of its own, says of GPUs; the base install has no torch to ask."""
    here = sorted(p.name for kind in ("nvidia[0-9]*", "kfd") for p in DEVICES.glob(kind))
    if find_spec("torch") is None:
        return
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _TORCH], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
        told = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None
        cause = "" if told else (done.stderr.splitlines() or [f"it ends with {done.returncode}"])[-1]
    except subprocess.TimeoutExpired:
        told, cause = None, f"it does not answer in {_SECONDS} s"
    if told is None:
        yield Finding("problem", "torch", f"torch cannot be imported: {cause}", _INSTALL)
        return
    name = f"torch {told['version']}"
    if told["error"]:
        fix = "Update the GPU's driver, or install the build of torch that fits it; device=cpu trains without."
        yield Finding("problem", "gpu", f"{name} cannot compute on the GPU: {told['error']}", fix)
    elif told.get("gpus"):
        yield Finding("ok", "gpu", f"{name} computes on {', '.join(told['gpus'])}.")
    elif here and told["built"]:
        fix = "Look at nvidia-smi: driver, CUDA_VISIBLE_DEVICES, or the container's access to the device."
        yield Finding("problem", "gpu", f"{here[0]} is here, and {name} (CUDA {told['built']}) does not see it.", fix)
    elif here:
        fix = "Install a build of torch for it; device=cpu trains without."
        yield Finding("note", "gpu", f"{here[0]} is here, and {name} is built for processors only.", fix)
    elif told["built"]:
        fix = "Nothing; the build for processors alone is some gigabytes smaller."
        yield Finding("note", "gpu", f"{name} is built for CUDA {told['built']}, and there is no GPU.", fix)
    else:
        yield Finding("ok", "gpu", f"There is none, and {name} is built for processors.")


def _requirements(checkout: Path | None) -> tuple[list[Requirement], list[Requirement], str]:
    """What the base install and training need, and who says so."""
    file = checkout / "pyproject.toml" if checkout else None
    if file and file.is_file():
        project = tomllib.loads(file.read_text("utf-8")).get("project", {})
        extra = project.get("optional-dependencies", {}).get("train", [])
        return _here(project.get("dependencies", [])), _here(extra), "pyproject.toml"
    try:
        told = metadata.requires("dxai") or []
    except metadata.PackageNotFoundError:
        told = []
    base = [Requirement(line) for line in told]
    training = [n for n in base if n.marker and not n.marker.evaluate() and n.marker.evaluate({"extra": "train"})]
    return [n for n in base if not n.marker or n.marker.evaluate()], training, f"dxai {dxai.__version__}"


def _here(lines: Sequence[str]) -> list[Requirement]:
    needs = [Requirement(line) for line in lines]
    return [need for need in needs if not need.marker or need.marker.evaluate()]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
