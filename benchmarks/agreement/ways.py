"""Ways to a prediction that share no code with the library: ONNX Runtime fed raw values, and a server asked over HTTP.

What is fed follows the page docs/questions/export.md, section Inputs. Each way takes a batch and returns its columns.

Shape suffixes: X rows or contexts, L places of a list.
"""

from __future__ import annotations

import http.client
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

HEADER = "Inference-Header-Content-Length"
DTYPES: dict[str, Any] = {"string": object, "int64": np.int64, "bool": np.bool_, "double": np.float64}
FILLS: dict[str, Any] = {"string": "?", "int64": 7, "bool": True, "double": math.nan}
"""What stands where there is no value. All but NaN could be ids, so the input of nulls has to say that they are none."""
DATATYPES = {"O": "BYTES", "i": "INT64", "f": "FP64", "b": "BOOL", "u": "UINT8"}
MODEL = "model"
Columns = dict[str, np.ndarray]
Feed = dict[str, np.ndarray]


@dataclass(frozen=True)
class Batch:
    """Rows, and whether all of them share the context features of the first one."""

    rows: pa.RecordBatch
    shared: bool = False


def feed(manifest: Mapping[str, Any], batch: Batch) -> Feed:
    """Return the inputs of the graph."""
    found: Feed = {}
    context, nulls = manifest["context"] or {}, {}
    for entry in manifest["inputs"]:
        one = bool(entry.get("context")) and batch.shared
        values = batch.rows.column(entry["feature"]).slice(0, 1 if one else None).to_pylist()
        if entry["kind"] == "bag":
            found[entry["name"]], found[entry["mask"]] = _lists(values, entry["type"])
        else:
            found[entry["name"]] = _array([FILLS[entry["type"]] if value is None else value for value in values], entry["type"])
            nulls[entry["feature"]] = [value is None for value in values]
    for about in (manifest["missing"], {"name": context.get("missing"), "features": context.get("features", [])}):
        if about["name"] is not None:
            found[about["name"]] = np.array([nulls[name] for name in about["features"]], bool).T
    if context:
        rows = batch.rows.num_rows
        found[context["row"]] = np.zeros(rows, np.int64) if batch.shared else np.arange(rows, dtype=np.int64)
    return found


def _array(values: list[Any], kind: str) -> np.ndarray:
    """Return values in the type of an input. A uint64 id is text."""
    return np.array([str(value) for value in values] if kind == "string" else values, DTYPES[kind])


def _lists(lists: list[Any], kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Return lists filled up to the longest one, and their mask; both (X, L)."""
    width = max((len(values or ()) for values in lists), default=0)
    id_XL = np.full((len(lists), width), FILLS[kind], DTYPES[kind])
    mask_XL = np.zeros((len(lists), width), np.uint8)
    for row, values in enumerate(lists):
        for place, value in enumerate(values or ()):
            mask_XL[row, place] = 2 if value is None else 1
            if value is not None:
                id_XL[row, place] = str(value) if kind == "string" else value
    return id_XL, mask_XL


class Client:
    """A connection to a server, and the manifest of its model."""

    def __init__(self, port: int, manifest: Mapping[str, Any]):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self.manifest = manifest
        self.context = [entry["feature"] for entry in manifest["inputs"] if entry.get("context")]
        self.features = [entry["feature"] for entry in manifest["inputs"]]

    def rank(self, batch: Batch) -> Columns:
        """Ask ``/v1/rank``. The answer is sorted by score, and comes back in the order of the rows."""
        given = {name: [as_json(value) for value in batch.rows.column(name).to_pylist()] for name in self.features}
        context = {name: given.pop(name)[0] for name in self.context} if batch.shared else {}
        body = {"context": context, "candidates": given, "by": self.manifest["outputs"][0]["name"]}
        tree = json.loads(self._post("/v1/rank", json.dumps(body).encode())[0])
        places = np.array(tree["ids"], np.int64)
        if sorted(tree["ids"]) != list(range(batch.rows.num_rows)):
            raise RuntimeError(f"/v1/rank returned the places {tree['ids'][:20]} for {batch.rows.num_rows} rows")
        return {name: np.array(values, np.float64)[np.argsort(places)] for name, values in tree["scores"].items()}

    def infer_json(self, batch: Batch) -> Columns:
        """Ask the V2 protocol with tensors in JSON."""
        inputs = [
            {**_tensor(name, value), "data": [as_json(each) for each in value.ravel().tolist()]}
            for name, value in feed(self.manifest, batch).items()
        ]
        tree = json.loads(self._post(f"/v2/models/{MODEL}/infer", json.dumps({"inputs": inputs}).encode())[0])
        return {output["name"]: np.array(output["data"], np.float64) for output in tree["outputs"]}

    def infer_binary(self, batch: Batch) -> Columns:
        """Ask the V2 protocol with tensors as bytes, both ways."""
        arrays = feed(self.manifest, batch)
        parts = [_bytes(value) for value in arrays.values()]
        inputs = [
            {**_tensor(name, value), "parameters": {"binary_data_size": len(part)}}
            for (name, value), part in zip(arrays.items(), parts, strict=True)
        ]
        head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
        content, length = self._post(f"/v2/models/{MODEL}/infer", b"".join([head, *parts]), {HEADER: str(len(head))})
        place, found = int(length), {}
        for output in json.loads(content[:place])["outputs"]:
            size = output["parameters"]["binary_data_size"]
            found[output["name"]] = np.frombuffer(content[place : place + size], "<f8")
            place += size
        return found

    def _post(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> tuple[bytes, str]:
        """Return the content of an answer, and the header that says where its bytes begin."""
        self.connection.request("POST", path, body, dict(headers or {}))
        answer = self.connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path} answered {answer.status}: {content[:500]!r}")
        return content, answer.headers.get(HEADER, "0")


def as_json(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, list):
        return [as_json(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _tensor(name: str, value: np.ndarray) -> dict[str, Any]:
    return {"name": name, "datatype": DATATYPES[value.dtype.kind], "shape": list(value.shape)}


def _bytes(value: np.ndarray) -> bytes:
    if value.dtype.kind != "O":
        return value.astype(value.dtype.newbyteorder("<")).tobytes()
    coded = [text.encode() for text in value.ravel().tolist()]
    return b"".join(struct.pack("<I", len(code)) + code for code in coded)
