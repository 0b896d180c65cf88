"""Served models: each a bundle and its loaded graph, found by name and version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dxai.bundle.folder import Bundle
from dxai.contract.signature import Signature
from dxai.errors import nearest
from dxai.inference.model import Model
from dxai.serve.refusal import Refusal
from dxai.serve.rules import Rules
from dxai.serve.tensors import Array, Tensor, tensors


@dataclass(frozen=True)
class ServedModel:
    """One version of a model, verified and loaded."""

    bundle: Bundle
    model: Model

    @property
    def name(self) -> str:
        """Of the bundle."""
        return self.bundle.manifest.name

    @property
    def version(self) -> str:
        """Of the bundle."""
        return self.bundle.manifest.version

    @cached_property
    def inputs(self) -> tuple[Tensor, ...]:
        """Of the graph, in its order."""
        return tensors(self.signature.inputs)

    @cached_property
    def outputs(self) -> tuple[Tensor, ...]:
        """Of the graph, in its order; a predicted class is told by its text."""
        texts = {tensor.name for tensor in self.signature.outputs if self.signature.texts(tensor.name)}
        return tensors(self.signature.outputs, texts)

    @property
    def signature(self) -> Signature:
        """Of the contract."""
        return self.model.codec.signature

    @cached_property
    def rules(self) -> Rules:
        """Of the contract."""
        return Rules(self.model.contract)

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> dict[str, Array]:
        """Named inputs to named `outputs`."""
        answers: dict[str, Array] = dict(self.model.run(inputs))
        for name, numbers in answers.items():
            if texts := self.signature.texts(name):
                told = self.model.codec.texts(pl.Series(numbers), texts).fill_null("")
                answers[name] = told.to_numpy().astype(object)
        return answers


class Shelf:
    """Everything that a server serves; of one model, several versions may be there."""

    def __init__(self, models: Sequence[ServedModel]) -> None:
        self._models: dict[str, dict[str, ServedModel]] = {}
        for served in sorted(models, key=lambda m: (m.name, *map(int, m.version.split(".")))):
            self._models.setdefault(served.name, {})[served.version] = served

    def __iter__(self) -> Iterator[ServedModel]:
        """Every version of every model, by name, the newest last."""
        return (served for versions in self._models.values() for served in versions.values())

    def find(self, name: str, version: str | None = None) -> ServedModel:
        """The version asked for, or the newest.

        Raises:
            Refusal: There is none.
        """
        versions = self._models.get(name)
        if versions is None:
            hint = nearest(name[:64], self._models)
            told = f"Did you mean {hint!r}?" if hint else f"Models: {', '.join(self._models)}."
            raise Refusal(404, f"There is no model {name[:64]!r}. {told}")
        if version is not None and version not in versions:
            raise Refusal(404, f"Model {name!r} has no version {version[:64]!r}. Versions: {', '.join(versions)}.")
        return versions[version] if version is not None else next(reversed(versions.values()))

    def metadata(self, served: ServedModel) -> dict[str, Any]:
        """Model metadata of the Open Inference Protocol."""
        return {
            "name": served.name,
            "versions": list(self._models[served.name]),
            "platform": "onnx_onnxv1",
            "inputs": [tensor.metadata() for tensor in served.inputs],
            "outputs": [tensor.metadata() for tensor in served.outputs],
        }
