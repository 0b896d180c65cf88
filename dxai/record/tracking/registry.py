"""A released bundle as a version of a registered MLflow model: the same ONNX bytes, signature, example, tags."""

from __future__ import annotations

import hashlib
import io
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow.onnx
import numpy as np
import onnx
import pandas as pd
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

from dxai.bundle.folder import Bundle
from dxai.bundle.manifest import MODEL
from dxai.contract.signature import Tensor, signature_of
from dxai.inference.loader import golden_of
from dxai.metrics import lead

ALIAS = "candidate"
_ELEMENTS: dict[str, Any] = {"float": np.dtype(np.float32), "int64": np.dtype(np.int64), "string": np.dtype(np.object_)}


def register(client: MlflowClient, run_id: str, folder: Path, sha256: str) -> None:
    """Make the bundle in ``folder`` the candidate of its name; a version of the same bytes is not made again.

    Args:
        client: Of the tracking server.
        run_id: Of the run that the bundle was released from; its artifacts hold the model.
        folder: Of the bundle.
        sha256: Of the graph when it was released.

    Raises:
        FileNotFoundError: Another bundle has taken its place.
        DxaiError: The folder holds no bundle.
    """
    bundle = Bundle.open(folder)
    manifest, graph = bundle.manifest, bundle.read(MODEL)
    if hashlib.sha256(graph).hexdigest() != sha256:
        raise FileNotFoundError(f"{folder} holds another model by now")
    tags = _tags(bundle, sha256)
    known = [v for v in _versions(client, manifest.name) if v.run_id == run_id and tags.items() <= v.tags.items()]
    number = known[0].version if known else _new_version(client, run_id, bundle, tags)
    client.set_registered_model_alias(manifest.name, ALIAS, str(number))


def save_model(bundle: Bundle, folder: Path) -> None:
    """Write a bundle's graph as an MLflow model in one file, byte for byte that of the bundle.

    Args:
        bundle: Whose golden rows are the input example.
        folder: New.
    """
    graph = bundle.read(MODEL)
    mlflow.onnx.save_model(
        onnx.load(io.BytesIO(graph)), str(folder), save_as_external_data=False,
        signature=_signature(bundle), input_example=_example(bundle),
        pip_requirements=[f"{name}=={version(name)}" for name in ("mlflow", "numpy", "onnx", "onnxruntime")],
        onnx_execution_providers=["CPUExecutionProvider"],
        metadata={"dxai": f"{bundle.manifest.name} {bundle.manifest.version}"},
    )  # fmt: skip
    (folder / "model.onnx").write_bytes(graph)  # written anew, the same graph has other bytes


def _new_version(client: MlflowClient, run_id: str, bundle: Bundle, tags: dict[str, str]) -> str:
    manifest = bundle.manifest
    place = f"model-{manifest.version}-{tags['sha256'][:12]}"
    with tempfile.TemporaryDirectory() as work:
        save_model(bundle, Path(work) / "model")
        client.log_artifacts(run_id, str(Path(work) / "model"), place)
    try:
        client.create_registered_model(manifest.name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    source = f"{client.get_run(run_id).info.artifact_uri}/{place}"
    return str(client.create_model_version(manifest.name, source, run_id, tags=tags).version)


def _versions(client: MlflowClient, name: str) -> list[Any]:
    return list(client.search_model_versions(f"name='{name}'"))


def _tags(bundle: Bundle, sha256: str) -> dict[str, str]:
    contract, metric = bundle.contract, lead(bundle.contract.family)
    return {
        "bundle_version": bundle.manifest.version,
        "contract": contract.id,
        "contract_version": contract.version,
        "score": f"{metric.name} {bundle.metrics['model'][metric.name]:.6g}",
        "sha256": sha256,
    }


def _signature(bundle: Bundle) -> ModelSignature:
    """Named tensors, as the graph has them: MLflow makes them of a data frame's columns too, texts among them."""
    signature, context = signature_of(bundle.contract), bundle.manifest.context

    def spec(tensor: Tensor) -> TensorSpec:
        further = (size if isinstance(size, int) else context for size in tensor.shape[1:])
        return TensorSpec(_ELEMENTS[tensor.element], (-1, *further), tensor.name)

    return ModelSignature(Schema([spec(t) for t in signature.inputs]), Schema([spec(t) for t in signature.outputs]))


def _example(bundle: Bundle) -> Any:
    """The golden rows: a data frame, or histories by the names of tensors."""
    inputs = golden_of(bundle).inputs
    return pd.DataFrame(dict(inputs)) if all(array.ndim == 1 for array in inputs.values()) else dict(inputs)
