"""A small encoded log for tests of baselines: ids with preferences, a bag, numbers with nulls, a bias feature, masked labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from manygate.config import RunConfig
from manygate.data.encoded import EncodedLog
from manygate.model.problem import Problem
from manygate.runs.preflight import prepare
from manygate.schema import Feature, Schema, Task

SCHEMA = Schema(
    features=(
        Feature(name="item", kind="sparse"),
        Feature(name="device", kind="sparse"),
        Feature(name="price", kind="dense"),
        Feature(name="tags", kind="bag"),
        Feature(name="position", kind="sparse", bias=True),
    ),
    tasks=(Task(name="click"), Task(name="watch", kind="regression", where="click == 1"), Task(name="buy", after="click")),
    weight="weight",
)


def table(rows: int = 1_500, seed: int = 0) -> pa.Table:
    """A log whose clicks depend on the item, the tags and the price."""
    random = np.random.default_rng(seed)
    item, price = random.integers(0, 120, rows), random.exponential(2.0, rows)
    tags = [list(random.integers(0, 12, random.integers(0, 4))) for _ in range(rows)]
    taste = random.normal(size=120)[item] + np.array([sum(tag < 4 for tag in tag_list) for tag_list in tags]) - 0.3 * price
    click = random.random(rows) < 1 / (1 + np.exp(-taste))
    watch = np.where(random.random(rows) < 0.2, np.nan, taste + random.normal(size=rows))
    return pa.table(
        {
            "item": item,
            "device": random.integers(0, 4, rows),
            "price": pa.array(np.where(random.random(rows) < 0.1, np.nan, price), from_pandas=True),
            "tags": pa.array(tags, pa.list_(pa.int64())),
            "position": random.integers(0, 8, rows),
            "click": click.astype(int),
            "watch": pa.array(watch, from_pandas=True),
            "buy": (random.random(rows) < 0.4).astype(int),
            "weight": random.choice([0.5, 1.0, 2.0], rows),
        }
    )


def encoded(rows: int = 1_500, seed: int = 0, schema: Schema = SCHEMA, **settings: Any) -> EncodedLog:
    return prepare(table(rows, seed), RunConfig.build({"fractions": (0.6, 0.2, 0.2), **settings}), schema)


def problem_of(log: EncodedLog) -> Problem:
    return Problem.of(log.encoder, RunConfig())
