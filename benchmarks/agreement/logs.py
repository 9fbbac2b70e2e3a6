"""A made-up log with every kind of feature, and the schema of a model on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from manygate.schema import Feature, Schema, Task

ROWS, NULL = 1500, 0.1
"""The rows of the log, and the share of null values."""
IDS: dict[str, tuple[list[Any], pa.DataType]] = {
    "text": (["7", "07", "x", "", "a\0", "🙂", "日本語", *(f"item {n}" for n in range(20))], pa.string()),
    "category": (["red", "", "é"], pa.dictionary(pa.int32(), pa.string())),
    "int64": ([2**62, -5, 2**53 + 1, -(2**63), *range(20)], pa.int64()),
    "int8": ([-128, 127, *range(9)], pa.int8()),
    "bool": ([True, False], pa.bool_()),
    "double": ([0.1, -0.0, 7.0, -2.5, 1e-3], pa.float64()),
    "float32": ([0.1, 0.0, 7.0], pa.float32()),
    "uint64": ([2**63 + 5, 7, 2**64 - 1, *range(9)], pa.uint64()),
}
"""Each type of id, with its values."""
VOCABULARIES = ("ids", "hash")
NOT_EXPORTED = {("uint64", "hash")}
"""What the export refuses."""
ENCODINGS = ("piecewise", "minmax", "standard", "log1p")
BUCKETS = 12


def features(context: bool, refused: bool = False) -> tuple[Feature, ...]:
    """Return every kind of feature. With ``context``, every third one belongs to the request.

    ``refused`` adds what is not exported.
    """
    found = [Feature(name="position", kind="sparse", bias=True)]
    for kind, feature_kind, vocabulary in id_kinds(refused):
        pooling: Any = "sum" if feature_kind == "bag" and kind in ("text", "bool") else "mean"
        hashed: dict[str, Any] = {"vocabulary": "hash", "buckets": BUCKETS} if vocabulary == "hash" else {}
        name = column_name(kind, feature_kind, vocabulary)
        found.append(Feature(name=name, kind=feature_kind, pooling=pooling, **hashed))
    found += [Feature(name=f"number {encoding}", kind="dense", encoding=encoding) for encoding in ENCODINGS]
    found += [Feature(name="whole number", kind="dense"), Feature(name="constant", kind="dense")]
    return tuple(
        feature.model_copy(update={"context": context and place % 3 == 0 and not feature.bias})
        for place, feature in enumerate(found)
    )


def id_kinds(refused: bool = False) -> list[tuple[str, Any, str]]:
    """Return each type of id, as one id and as a list, known by a vocabulary and hashed."""
    return [
        (kind, feature_kind, vocabulary)
        for feature_kind in ("sparse", "bag")
        for vocabulary in VOCABULARIES
        for kind in IDS
        if refused or (kind, vocabulary) not in NOT_EXPORTED
    ]


def column_name(kind: str, feature_kind: str, vocabulary: str) -> str:
    """Return the name of a column of ids."""
    return " ".join([*(["hashed"] if vocabulary == "hash" else []), *(["list of"] if feature_kind == "bag" else []), kind])


def schema(funnel: bool, binary_loss: Any, regression_loss: Any, context: bool, refused: bool = False) -> Schema:
    """Return the schema: a funnel of three steps or three tasks beside each other, a further binary task and a regression."""
    after = {"buy": "click", "keep": "buy"} if funnel else {}
    quantile = {"quantile": 0.7} if regression_loss == "quantile" else {}
    tasks = [Task(name=name, after=after.get(name)) for name in ("click", "buy", "keep")]
    tasks += [
        Task(name="like", loss=binary_loss),
        Task(name="watch", kind="regression", loss=regression_loss, **quantile),
    ]
    return Schema(features=features(context, refused), tasks=tuple(tasks), group="visit")


def log(seed: int = 0, refused: bool = False) -> pa.Table:
    """Draw the log. Labels depend on a number and on an id."""
    random = np.random.default_rng(seed)
    columns: dict[str, pa.Array] = {}
    for kind, feature_kind, vocabulary in id_kinds(refused):
        values, held = IDS[kind]
        name = column_name(kind, feature_kind, vocabulary)
        columns[name] = _lists(values, held, random) if feature_kind == "bag" else pa.array(_draw(values, ROWS, random), held)
    numbers = {encoding: _numbers(encoding, random) for encoding in ENCODINGS}
    for encoding, value_N in numbers.items():
        columns[f"number {encoding}"] = pa.array(value_N, mask=random.random(ROWS) < NULL)
    whole_N = random.integers(0, 9, ROWS)
    columns |= {"whole number": pa.array(whole_N), "constant": pa.array([3.0] * ROWS)}
    columns |= {"position": pa.array(random.integers(0, 5, ROWS)), "visit": pa.array(np.arange(ROWS) // 5)}
    signal_N = numbers["standard"] / 10 + whole_N / 4 - 1
    click_N, buy_N, keep_N, like_N = (random.random(ROWS) < 1 / (1 + np.exp(-scale * signal_N)) for scale in (1, -1, 2, -2))
    labels = {"click": click_N, "buy": click_N & buy_N, "keep": click_N & buy_N & keep_N, "like": like_N}
    columns |= {name: pa.array(label_N.astype(np.int64)) for name, label_N in labels.items()}
    return pa.table(columns | {"watch": pa.array(random.gamma(2.0, 10.0, ROWS) * np.exp(signal_N / 4))})


def _draw(values: list[Any], count: int, random: np.random.Generator) -> list[Any]:
    return [None if random.random() < NULL else values[random.integers(len(values))] for _ in range(count)]


def _lists(values: list[Any], kind: pa.DataType, random: np.random.Generator) -> pa.Array:
    lists = [None if random.random() < NULL else _draw(values, int(random.integers(0, 4)), random) for _ in range(ROWS)]
    return pa.array(lists, pa.list_(kind))


def _numbers(encoding: str, random: np.random.Generator) -> np.ndarray:
    if encoding == "log1p":
        return random.lognormal(3.0, 2.0, ROWS)
    return random.normal(size=ROWS) * (1e6 if encoding == "minmax" else 10.0)
