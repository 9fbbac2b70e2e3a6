"""Asks a server with ``tritonclient[http]`` as it is: health, metadata, and predictions with tensors as bytes and in JSON.

    python triton.py 127.0.0.1:8000 NAME RAW.json

Only the packages of the client's own environment are needed. ``RAW.json`` has the inputs of the graph, each with its datatype,
shape and flat values, and under ``expected`` the outputs. What was checked is printed as JSON: each check, and what went wrong.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

DTYPES: dict[str, Any] = {"BYTES": object, "INT64": np.int64, "FP64": np.float64, "BOOL": np.bool_, "UINT8": np.uint8}
CLOSE = 1e-6


def inputs_of(raw: dict[str, Any], binary: bool) -> list[Any]:
    """Return the inputs of a request."""
    found = []
    for tensor in raw["inputs"]:
        given = triton.InferInput(tensor["name"], tensor["shape"], tensor["datatype"])
        value = np.array(tensor["data"], DTYPES[tensor["datatype"]]).reshape(tensor["shape"])
        given.set_data_from_numpy(value, binary_data=binary)
        found.append(given)
    return found


def predicts(client: Any, name: str, raw: dict[str, Any], binary_in: bool, binary_out: bool, some: bool = False) -> None:
    """Raise an AssertionError unless the predictions are the expected ones."""
    wanted = list(raw["expected"])[:1] if some else list(raw["expected"])
    outputs = [triton.InferRequestedOutput(output, binary_data=binary_out) for output in wanted]
    answer = client.infer(name, inputs_of(raw, binary_in), outputs=outputs, request_id="r1")
    assert answer.get_response()["id"] == "r1", answer.get_response()
    assert [output["name"] for output in answer.get_response()["outputs"]] == wanted
    for output in wanted:
        found = answer.as_numpy(output)
        assert np.shape(found) == (raw["rows"],), output
        np.testing.assert_allclose(found, raw["expected"][output], rtol=1e-5, atol=CLOSE, err_msg=output)


def metadata(client: Any, name: str, raw: dict[str, Any]) -> None:
    """Raise an AssertionError unless the metadata name the inputs with their types."""
    found = client.get_model_metadata(name)
    assert found["name"] == name, found
    assert found["versions"], found
    types = {tensor["name"]: tensor["datatype"] for tensor in found["inputs"]}
    assert types == {tensor["name"]: tensor["datatype"] for tensor in raw["inputs"]}, types
    assert [output["name"] for output in found["outputs"]] == list(raw["expected"]), found["outputs"]


def is_error(work: Callable[[], Any], status: str) -> None:
    """Raise an AssertionError unless the client reads an error with this status."""
    found = None
    try:
        work()
    except InferenceServerException as error:
        found = error.status()
    assert found == status, found


def bad_type(raw: dict[str, Any]) -> list[Any]:
    """Return inputs of which the first has a type that no input has."""
    wrong = triton.InferInput(raw["inputs"][0]["name"], [1], "FP16")
    wrong.set_data_from_numpy(np.zeros(1, np.float16))
    return [wrong, *inputs_of(raw, True)[1:]]


def true(value: Any) -> None:
    """Raise an AssertionError unless a value is true."""
    assert value is True, value


def async_predicts(client: Any, name: str, raw: dict[str, Any]) -> None:
    """Raise an AssertionError unless four requests at a time are all answered."""
    asked = [client.async_infer(name, inputs_of(raw, True)) for _ in range(4)]
    for answer in [request.get_result() for request in asked]:
        for output, expected in raw["expected"].items():
            np.testing.assert_allclose(answer.as_numpy(output), expected, rtol=1e-5, atol=CLOSE, err_msg=output)


def main() -> None:
    """Check everything, and print what was found."""
    address, name, path = sys.argv[1:]
    raw = json.loads(Path(path).read_text(encoding="utf-8"))
    client = triton.InferenceServerClient(address, concurrency=4)
    model_version = client.get_model_metadata(name)["versions"][0]
    checks: dict[str, Callable[[], None]] = {
        "the server is live": lambda: true(client.is_server_live()),
        "the server is ready": lambda: true(client.is_server_ready()),
        "the model is ready": lambda: true(client.is_model_ready(name)),
        "a version of the model is ready": lambda: true(client.is_model_ready(name, model_version)),
        "another model is not ready": lambda: true(not client.is_model_ready("another")),
        "metadata of the server": lambda: true("binary_tensor_data" in client.get_server_metadata()["extensions"]),
        "metadata of the model": lambda: metadata(client, name, raw),
        "infer, bytes in and out": lambda: predicts(client, name, raw, True, True),
        "infer, JSON in and out": lambda: predicts(client, name, raw, False, False),
        "infer, JSON in and bytes out": lambda: predicts(client, name, raw, False, True),
        "infer, bytes in and JSON out": lambda: predicts(client, name, raw, True, False),
        "infer, one output": lambda: predicts(client, name, raw, True, True, some=True),
        "infer, several at a time": lambda: async_predicts(client, name, raw),
        "a missing input is an error": lambda: is_error(lambda: client.infer(name, inputs_of(raw, True)[1:]), "400"),
        "a wrong type is an error": lambda: is_error(lambda: client.infer(name, bad_type(raw)), "400"),
        "an unknown model is an error": lambda: is_error(lambda: client.infer("another", inputs_of(raw, True)), "404"),
    }
    found: dict[str, str | None] = {}
    for check, work in checks.items():
        try:
            work()
            found[check] = None
        except Exception as error:  # one broken check must not hide the others
            found[check] = f"{type(error).__name__}: {error}"
    print(json.dumps({"versions": {name: version(name) for name in ("tritonclient", "numpy")}, "checks": found}))


if __name__ == "__main__":
    main()
