"""The Open Inference Protocol, version 2, over HTTP: metadata, and requests to predict rows.

The tensors of a request are the inputs of the graph, as the manifest lists them. Those that say what is null, the masks of lists
and the context of each row may be left out: then nothing is null, each place of a list holds an id, and the rows share one context
or have one each.

Source: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol, and Triton's extension for binary data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from manygate.scoring.exported_model import ID, NULL_ID
from manygate.serving.feeds import Feed, Inputs
from manygate.serving.refusals import MOST_PROBLEMS, BadRequest, TooLarge, hint
from manygate.serving.tensors import DATATYPES, checked_shape, from_bytes, from_json, to_bytes
from manygate.serving.values import MOST_PLACES, Unreadable
from manygate.text import cut

EXTENSIONS = ["binary_tensor_data"]
HEADER = "inference-header-content-length"
HEADER_DIGITS = 18
"""The most digits of this header. Python refuses to read whole numbers of thousands of digits."""


@dataclass(frozen=True)
class Tensor:
    """An input of the graph: its type, the number of its axes, and whether it has a row for each context."""

    datatype: str
    axes: int
    of_context: bool
    columns: int | None = None
    """The size of the second axis, where it is fixed."""

    @property
    def shape(self) -> list[int]:
        """The shape for the metadata: -1 is any size."""
        return [-1] if self.axes == 1 else [-1, -1 if self.columns is None else self.columns]


def tensors_of(inputs: Inputs) -> dict[str, Tensor]:
    """Return the inputs of a graph by name."""
    tensors: dict[str, Tensor] = {}
    for entry in inputs.entries.values():
        of_context = bool(entry.get("context"))
        axes = 2 if entry["kind"] == "bag" else 1
        tensors[entry["name"]] = Tensor(DATATYPES[entry["type"]], axes, of_context)
        if entry["kind"] == "bag":
            tensors[entry["mask"]] = Tensor("UINT8", 2, of_context)
    for of_context, (name, features) in inputs.null_columns.items():
        if name is not None:
            tensors[name] = Tensor("BOOL", 2, of_context, len(features))
    if inputs.context_row is not None:
        tensors[inputs.context_row] = Tensor("INT64", 1, False)
    return tensors


def metadata(name: str, version: str, inputs: Inputs, outputs: Sequence[str]) -> dict[str, Any]:
    """Return the metadata of a model."""
    return {
        "name": name,
        "versions": [version],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": n, "datatype": t.datatype, "shape": t.shape} for n, t in tensors_of(inputs).items()],
        "outputs": [{"name": output, "datatype": "FP64", "shape": [-1]} for output in outputs],
    }


@dataclass(frozen=True)
class InferRequest:
    """A request that was read: the inputs of the graph, and the outputs that are wanted, each with whether as bytes."""

    feed: Feed
    outputs: Mapping[str, bool]
    id: str | None


def read_infer(body: bytes, header: str | None, inputs: Inputs, outputs: Sequence[str], max_rows: int) -> InferRequest:
    """Read a request.

    Args:
        body: The body of the HTTP request.
        header: The content of ``Inference-Header-Content-Length``, if the request has it.
        inputs: What the model reads.
        outputs: The columns that it predicts.
        max_rows: The most rows.

    Raises:
        BadRequest: Every problem of the request.
        TooLarge: There are more rows.
    """
    tree, binary = _split(body, header)
    problems: list[str] = []
    wanted = _outputs(tree, outputs, problems)
    given = _tensors(tree, binary, tensors_of(inputs), problems)
    id_ = tree.get("id")
    if id_ is not None and (not isinstance(id_, str) or len(id_) > 1000):
        problems.append("id must be text of at most 1,000 characters.")
    if problems:
        raise BadRequest(problems)
    return InferRequest(_completed(given, inputs, max_rows), wanted, id_)


def _split(body: bytes, header: str | None) -> tuple[dict[str, Any], memoryview]:
    """Return the JSON of a body, and the bytes after it."""
    view = memoryview(body)
    length = len(body)
    if header is not None:
        if not (header.isascii() and header.isdigit()) or len(header) > HEADER_DIGITS or int(header) > len(body):
            raise BadRequest("Inference-Header-Content-Length must be the number of bytes of the JSON, at most those of the body.")
        length = int(header)
    tree = parse(view[:length])
    if not isinstance(tree, dict):
        raise BadRequest("the body must be an object with inputs.")
    return tree, view[length:]


def parse(body: bytes | memoryview) -> Any:
    """Return the content of JSON. Raises :class:`BadRequest` if it is none. NaN and Infinity are not JSON."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the body is not valid JSON (near character {error.pos:,}).") from None


def _outputs(tree: Mapping[str, Any], known: Sequence[str], problems: list[str]) -> dict[str, bool]:
    """Return the outputs that are wanted, each with whether as bytes."""
    parameters = _parameters(tree, "the request", problems)
    default = parameters.get("binary_data_output", False) is True
    entries = tree.get("outputs")
    if entries is None:
        return dict.fromkeys(known, default)
    if not isinstance(entries, list) or any(not isinstance(entry, dict) for entry in entries):
        problems.append("outputs must be a list of objects.")
        return {}
    wanted: dict[str, bool] = {}
    for entry in entries:
        name = entry.get("name")
        if len(problems) >= MOST_PROBLEMS:
            break
        if name not in known:
            problems.append(f"no output {cut(name)}.{hint(name, known)} There are {', '.join(known)}.")
        elif name in wanted:
            problems.append(f"output {name!r} is named twice.")
        else:
            own = _parameters(entry, f"output {name!r}", problems)
            if own.get("classification"):
                problems.append(f"output {name!r}: there is no classification here.")
            wanted[name] = own.get("binary_data", default) is True
    return wanted


def _parameters(tree: Mapping[str, Any], where: str, problems: list[str]) -> Mapping[str, Any]:
    parameters = tree.get("parameters", {})
    if isinstance(parameters, dict):
        return parameters
    problems.append(f"parameters of {where} must be an object.")
    return {}


def _tensors(
    tree: Mapping[str, Any], binary: memoryview, known: Mapping[str, Tensor], problems: list[str]
) -> dict[str, np.ndarray]:
    """Return the tensors of a request by name."""
    entries = tree.get("inputs")
    if not isinstance(entries, list) or any(not isinstance(entry, dict) for entry in entries):
        problems.append("inputs must be a list of objects with name, datatype, shape and data.")
        return {}
    tensors: dict[str, np.ndarray] = {}
    names: set[str] = set()
    place = 0
    for entry in entries:
        name = entry.get("name")
        if len(problems) >= MOST_PROBLEMS:
            break
        if not isinstance(name, str) or name not in known:
            problems.append(f"no input {cut(name)}.{hint(name, known)} The metadata of the model lists them.")
            continue
        size = _parameters(entry, f"input {name!r}", problems).get("binary_data_size")
        part = None
        if size is not None:
            if type(size) is not int or not 0 <= size <= len(binary) - place:
                problems.append(f"input {name!r}: binary_data_size must be a number of bytes that the body has.")
                continue
            part, place = bytes(binary[place : place + size]), place + size
        if name in names:
            problems.append(f"input {name!r} is given twice.")
        names.add(name)
        try:
            tensors[name] = _tensor(entry, part, known[name])
        except Unreadable as problem:
            problems.append(f"input {name!r}: {problem}.")
    if not problems and place != len(binary):
        problems.append(f"{len(binary) - place:,} bytes follow the last tensor.")
    return tensors


def _tensor(entry: Mapping[str, Any], part: bytes | None, tensor: Tensor) -> np.ndarray:
    """Return one tensor. Raises :class:`Unreadable` if it is not as the graph wants it."""
    if entry.get("datatype") != tensor.datatype:
        raise Unreadable(f"expected the datatype {tensor.datatype}, found {cut(entry.get('datatype'))}")
    shape = checked_shape(entry)
    if len(shape) != tensor.axes:
        raise Unreadable(f"expected {tensor.axes} axes, found {len(shape)}")
    if tensor.columns is not None and shape[1] != tensor.columns:
        raise Unreadable(f"expected {tensor.columns} columns, found {shape[1]}")
    if max(shape) > MOST_PLACES:
        raise Unreadable(f"an axis has more than {MOST_PLACES:,} places")
    if part is not None:
        if "data" in entry:
            raise Unreadable("it has both data and binary_data_size")
        return from_bytes(part, tensor.datatype, shape)
    return from_json(entry.get("data"), tensor.datatype, shape)


def _completed(given: dict[str, np.ndarray], inputs: Inputs, max_rows: int) -> Feed:
    """Return the feed of tensors, with those that were left out."""
    optional = {entry["mask"] for entry in inputs.entries.values() if entry["kind"] == "bag"} | {inputs.context_row}
    optional |= {name for name, _ in inputs.null_columns.values()}
    problems = [f"input {name!r} is missing." for name in tensors_of(inputs) if name not in given and name not in optional]
    if problems:
        raise BadRequest(problems)
    of_rows = {e["feature"]: len(given[e["name"]]) for e in inputs.entries.values() if not e.get("context")}
    of_contexts = {e["feature"]: len(given[e["name"]]) for e in inputs.entries.values() if e.get("context")}
    row = given.get(inputs.context_row or "")
    rows = len(row) if row is not None else max(of_rows.values(), default=max(of_contexts.values(), default=0))
    contexts = max(of_contexts.values(), default=1)
    if max(rows, contexts) > max_rows:
        raise TooLarge(f"{max(rows, contexts):,} rows, and a request may have {max_rows:,} at most.")
    problems += [f"input of {name!r}: {n:,} rows, and others have {rows:,}." for name, n in of_rows.items() if n != rows]
    problems += [
        f"input of {name!r}: {n:,} contexts, and others have {contexts:,}." for name, n in of_contexts.items() if n != contexts
    ]
    problems += _list_problems(given, inputs)
    arrays = dict(given)
    for entry in inputs.entries.values():
        if entry["kind"] == "bag" and entry["mask"] not in arrays:
            arrays[entry["mask"]] = np.full(arrays[entry["name"]].shape, ID, np.uint8)
    for of_context, (name, features) in inputs.null_columns.items():
        if name is None:
            continue
        null_BS = arrays.setdefault(name, np.zeros((1, len(features)), dtype=bool))
        count = contexts if of_context else rows
        if len(null_BS) not in (1, count):
            problems.append(f"input {name!r}: {len(null_BS):,} rows. Give 1 or {count:,}.")
    if inputs.context_row is not None:
        problems += _place_contexts(arrays, inputs.context_row, rows, contexts)
    if problems:
        raise BadRequest(problems)
    return Feed(arrays, rows, contexts)


def _list_problems(given: Mapping[str, np.ndarray], inputs: Inputs) -> list[str]:
    """Return what is wrong with lists and their masks."""
    problems = []
    for entry in inputs.entries.values():
        mask_BL = given.get(entry.get("mask") or "")
        if entry["kind"] != "bag" or mask_BL is None:
            continue
        if mask_BL.shape != given[entry["name"]].shape:
            problems.append(f"input {entry['mask']!r} must have the shape of {entry['name']!r}.")
        elif (mask_BL > NULL_ID).any():
            problems.append(f"input {entry['mask']!r}: a value is not 0, 1 or 2.")
    return problems


def _place_contexts(arrays: dict[str, np.ndarray], name: str, rows: int, contexts: int) -> list[str]:
    """Add the context of each row if it was left out. Return what is wrong with it."""
    row_B = arrays.get(name)
    if row_B is None:
        if contexts not in (1, rows):
            return [f"input {name!r} is missing. It gives each row its context, and there are {contexts:,} contexts."]
        arrays[name] = np.zeros(rows, np.int64) if contexts == 1 else np.arange(rows, dtype=np.int64)
    elif ((row_B < 0) | (row_B >= contexts)).any():
        return [f"input {name!r}: a value is not between 0 and {contexts - 1:,}."]
    return []


def write_infer(request: InferRequest, columns: Mapping[str, np.ndarray], name: str, version: str) -> tuple[bytes, int | None]:
    """Return the body of an answer, and the number of bytes of its JSON if other bytes follow."""
    outputs: list[dict[str, Any]] = []
    parts: list[bytes] = []
    for output, binary in request.outputs.items():
        entry: dict[str, Any] = {"name": output, "datatype": "FP64", "shape": [len(columns[output])]}
        if binary:
            parts.append(to_bytes(columns[output]))
            entry["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            entry["data"] = columns[output]
        outputs.append(entry)
    tree = {"model_name": name, "model_version": version, "outputs": outputs}
    if request.id is not None:
        tree["id"] = request.id
    head = orjson.dumps(tree, option=orjson.OPT_SERIALIZE_NUMPY)
    return (head, None) if not parts else (b"".join([head, *parts]), len(head))
