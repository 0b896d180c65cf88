"""NVIDIA's own client, unmodified, against both released models: JSON and binary, blocking and asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from trials.served_load import DEMAND, QUALITY, server
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from dxai.bundle.folder import Bundle
from dxai.bundle.manifest import GOLDEN_ROWS, MODEL
from dxai.data.batch import RowCodec
from dxai.data.checks import cast
from dxai.data.windows import to_panel
from dxai.inference.model import Model

pytestmark = pytest.mark.process

Arrays = dict[str, np.ndarray[Any, Any]]
MODELS = pytest.mark.parametrize("name", [QUALITY, DEMAND])
BINARY = pytest.mark.parametrize("binary", [False, True], ids=["JSON", "binary"])


@pytest.fixture(scope="module")
def address(checkout: Path) -> Iterator[str]:
    for name in (QUALITY, DEMAND):
        if not (checkout / "models" / name / MODEL).is_file():
            pytest.skip(f"models/{name} is not released in this checkout")
    with server() as (_, (host, port)):
        yield f"{host}:{port}"


def golden(name: str, checkout: Path) -> tuple[Arrays, Arrays]:
    """Inputs, and the outputs that ONNX Runtime gives for them in this process."""
    bundle = Bundle.open(checkout / "models" / name)
    contract, context = bundle.contract, bundle.manifest.context
    rows, _ = cast(pl.read_csv(bundle.read(GOLDEN_ROWS), infer_schema=False), contract)
    inputs: Arrays
    if contract.task == "quality":
        inputs = dict(RowCodec(contract).encode(rows).arrays)
    else:
        panel = to_panel(rows, contract, where="golden rows")
        inputs = {"history": panel.history(context), "last_day": panel.last}
        inputs["history"][0, :5] = np.nan  # before the series began
    return inputs, dict(Model(bundle.read(MODEL), contract, context=context).run(inputs))


def asked(library: Any, inputs: Arrays, outputs: Arrays, *, binary: bool) -> dict[str, Any]:
    tensors = []
    for name, array in inputs.items():
        tensors.append(library.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype)))
        tensors[-1].set_data_from_numpy(array, binary_data=binary)
    return {"inputs": tensors, "outputs": [library.InferRequestedOutput(name, binary_data=binary) for name in outputs]}


@MODELS
@BINARY
@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_inference(address: str, checkout: Path, name: str, binary: bool, compression: str | None) -> None:
    inputs, expected = golden(name, checkout)
    compressions = {f"{what}_compression_algorithm": compression for what in ("request", "response")}
    with triton.InferenceServerClient(address) as client:
        request = asked(triton, inputs, expected, binary=binary)
        result = client.infer(name, **request, request_id="요청 7", **compressions)
        for output, array in expected.items():
            np.testing.assert_array_equal(result.as_numpy(output), array)
        assert result.get_response()["id"] == "요청 7"


@MODELS
@BINARY
def test_asyncio(address: str, checkout: Path, name: str, binary: bool) -> None:
    inputs, expected = golden(name, checkout)

    async def infer() -> Any:
        async with triton_aio.InferenceServerClient(address) as client:
            assert await client.is_server_live() and await client.is_model_ready(name)
            request = asked(triton_aio, inputs, expected, binary=binary)
            return await client.infer(name, **request, response_compression_algorithm="gzip")

    result = asyncio.run(infer())
    for output, array in expected.items():
        np.testing.assert_array_equal(result.as_numpy(output), array)


@MODELS
def test_all_outputs_without_asking_and_one_by_one(address: str, checkout: Path, name: str) -> None:
    inputs, expected = golden(name, checkout)
    with triton.InferenceServerClient(address) as client:
        request = asked(triton, inputs, expected, binary=True)
        result = client.infer(name, request["inputs"], model_version="1.0.0")
        assert {o["name"] for o in result.get_response()["outputs"]} == set(expected)
        first = client.infer(name, request["inputs"], outputs=request["outputs"][:1])
        assert [o["name"] for o in first.get_response()["outputs"]] == list(expected)[:1]
        later = client.async_infer(name, **request).get_result()
        np.testing.assert_array_equal(later.as_numpy(next(iter(expected))), next(iter(expected.values())))


@MODELS
def test_metadata_tells_what_to_send(address: str, checkout: Path, name: str) -> None:
    inputs, expected = golden(name, checkout)
    with triton.InferenceServerClient(address) as client:
        assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(name, "1.0.0")
        assert not client.is_model_ready("no-such-model") and not client.is_model_ready(name, "9.9.9")
        assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
        assert {m["name"] for m in client.get_model_repository_index()} == {QUALITY, DEMAND}
        metadata = client.get_model_metadata(name)
    told = {t["name"]: (t["datatype"], len(t["shape"])) for t in metadata["inputs"] + metadata["outputs"]}
    assert told == {n: (np_to_triton_dtype(a.dtype), a.ndim) for n, a in {**inputs, **expected}.items()}


def test_mistakes_are_exceptions_with_our_words(address: str, checkout: Path) -> None:
    inputs, expected = golden(QUALITY, checkout)
    with triton.InferenceServerClient(address) as client:
        for change, status, told in [
            (
                {"cement": np.full(32, -1, np.float32)},
                "400",
                "Input 'cement', row 0: must be a finite number, at least",
            ),
            ({"cement": np.zeros(32)}, "400", "Input 'cement': the datatype must be 'FP32'."),
            ({"cement": np.zeros(31, np.float32)}, "400", "'batch' is 31"),
        ]:
            request = asked(triton, {**inputs, **change}, expected, binary=True)
            with pytest.raises(InferenceServerException) as error:
                client.infer(QUALITY, **request)
            assert error.value.status() == status and told in error.value.message()
        with pytest.raises(InferenceServerException, match="no model 'concrete-strenght'"):
            client.get_model_metadata("concrete-strenght")
