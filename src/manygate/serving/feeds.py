"""The inputs of the graph for one request, and for several requests together.

Shape suffixes: B rows, C contexts, L places of a list, S features with a column of nulls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from manygate.scoring.exported_model import FILL, PLACE

DTYPES: dict[str, Any] = {"string": object, "int64": np.int64, "bool": np.bool_, "double": np.float64}


class Inputs:
    """What the manifest of a model says of its inputs.

    ``entries`` has the entry of each feature, and ``of_context`` the names of those that have one value for each context.
    """

    def __init__(self, manifest: Mapping[str, Any]):
        self.entries: dict[str, Mapping[str, Any]] = {entry["feature"]: entry for entry in manifest["inputs"]}
        context = manifest.get("context") or {}
        self.context_row: str | None = context.get("row")
        self.of_context = {name for name, entry in self.entries.items() if entry.get("context")}
        self.null_columns: dict[bool, tuple[str | None, list[str]]] = {
            False: (manifest["missing"]["name"], manifest["missing"]["features"]),
            True: (context.get("missing"), context.get("features", [])),
        }
        """For features of rows (False) and of contexts (True): the input that says what is null, and its columns."""
        lists = [entry for entry in self.entries.values() if entry["kind"] == "bag"]
        self.lists = {entry["name"]: FILL[entry["type"]] for entry in lists} | {entry["mask"]: PLACE for entry in lists}
        """The inputs of lists, with what fills them up."""


@dataclass(frozen=True)
class Feed:
    """The inputs of the graph by name, for ``rows`` rows that belong to ``contexts`` contexts."""

    arrays: Mapping[str, np.ndarray]
    rows: int
    contexts: int = 1

    @property
    def width(self) -> int:
        """The places of the longest list."""
        return max((array.shape[1] for array in self.arrays.values() if array.ndim == 2), default=0)


def join(inputs: Inputs, feeds: Sequence[Feed]) -> Feed:
    """Return the feed of several requests together: their rows one after the other.

    Lists are filled up to the longest one, and the contexts of later requests get later numbers.
    """
    if len(feeds) == 1:
        return feeds[0]
    arrays: dict[str, np.ndarray] = {}
    nulls = {name: of_context for of_context, (name, _) in inputs.null_columns.items() if name is not None}
    for name in feeds[0].arrays:
        parts = [feed.arrays[name] for feed in feeds]
        if name in nulls:
            counts = [feed.contexts if nulls[name] else feed.rows for feed in feeds]
            parts = [np.broadcast_to(part, (count, part.shape[1])) for part, count in zip(parts, counts, strict=True)]
        elif name == inputs.context_row:
            starts = np.cumsum([0, *(feed.contexts for feed in feeds)])[:-1]
            parts = [part + start for part, start in zip(parts, starts, strict=True)]
        elif name in inputs.lists:
            parts = _of_one_width(parts, inputs.lists[name])
        arrays[name] = np.concatenate(parts)
    return Feed(arrays, sum(feed.rows for feed in feeds), sum(feed.contexts for feed in feeds))


def _of_one_width(parts: Sequence[np.ndarray], fill: Any) -> list[np.ndarray]:
    """Return matrices filled up to the width of the widest."""
    width = max(part.shape[1] for part in parts)
    return [
        part
        if part.shape[1] == width
        else np.concatenate([part, np.full((len(part), width - part.shape[1]), fill, part.dtype)], axis=1)
        for part in parts
    ]


def blank(inputs: Inputs, rows: int) -> Feed:
    """Return a feed of ``rows`` rows without a known value, with which a model is warmed up."""
    arrays: dict[str, np.ndarray] = {}
    for entry in inputs.entries.values():
        count = 1 if entry.get("context") else rows
        shape = (count, 1) if entry["kind"] == "bag" else (count,)
        arrays[entry["name"]] = np.full(shape, FILL[entry["type"]], DTYPES[entry["type"]])
        if entry["kind"] == "bag":
            arrays[entry["mask"]] = np.full(shape, PLACE, np.uint8)
    return Feed(arrays | shared_arrays(inputs, rows, {}), rows)


def shared_arrays(inputs: Inputs, rows: int, nulls: Mapping[str, np.ndarray], contexts: int = 1) -> dict[str, np.ndarray]:
    """Return the inputs that belong to no feature: what is null, and the context of each row.

    Args:
        inputs: What the manifest says.
        rows: The number of rows.
        nulls: For features that hold a null, where they do.
        contexts: 1, or the number of rows: then each row has a context of its own.
    """
    arrays: dict[str, np.ndarray] = {}
    for of_context, (name, features) in inputs.null_columns.items():
        if name is None:
            continue
        there = [feature for feature in features if feature in nulls]
        null_BS = np.zeros(((contexts if of_context else rows) if there else 1, len(features)), dtype=bool)
        for feature in there:
            null_BS[:, features.index(feature)] = nulls[feature]
        arrays[name] = null_BS
    if inputs.context_row is not None:
        arrays[inputs.context_row] = np.zeros(rows, np.int64) if contexts == 1 else np.arange(rows, dtype=np.int64)
    return arrays
