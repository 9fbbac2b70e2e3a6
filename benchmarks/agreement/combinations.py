"""The settings of the models: every pair of two settings occurs in a model, and every architecture in one at least."""

from __future__ import annotations

from itertools import combinations, count
from typing import Any

import numpy as np

from manygate.config.names import ARCHITECTURES, CALIBRATIONS
from manygate.schema.task import LOSSES

FAMILIES: dict[str, tuple[Any, ...]] = {
    "funnel": ("none", "conditional", "esmm", "aitm", "escm2_ipw", "escm2_dr"),
    "regression loss": LOSSES["regression"],
    "binary loss": LOSSES["binary"],
    "calibration": ("none", *CALIBRATIONS),
    "fusion": ("none", "predictions", "predictions and terms"),
    "gate": ("softmax", "topk", "dselect_k"),
    "context": (False, True),
    "extra inputs": (False, True),
    "replicas": (1, 2),
    "keep": ("best", "best-per-task"),
}
"""Settings whose pairs are covered. Extra inputs are target statistics, and numbers that are also ids."""
GATED = ("omoe", "mmoe", "ml_mmoe", "cgc", "ple", "adatt")
"""The architectures with gates of the three kinds."""
TRIES = 60
Combination = dict[str, Any]
Pair = tuple[tuple[str, Any], tuple[str, Any]]


def covering(families: dict[str, tuple[Any, ...]]) -> list[Combination]:
    """Return combinations in which every pair of members of two families occurs, in few rows but not the fewest.

    >>> len(covering({"a": (1, 2), "b": (1, 2), "c": (1, 2)})) <= 6
    True
    """
    open_pairs = {((a, x), (b, y)) for a, b in combinations(families, 2) for x in families[a] for y in families[b]}
    random, rows = np.random.default_rng(0), []
    while open_pairs:
        first = min(open_pairs, key=repr)
        tries = [_drawn(families, first, open_pairs, random) for _ in range(TRIES)]
        row = max(tries, key=lambda row: len(open_pairs & pairs_of(row)))
        open_pairs -= pairs_of(row)
        rows.append(row)
    return rows


def _drawn(families: dict[str, tuple[Any, ...]], first: Pair, open_pairs: set[Pair], random: np.random.Generator) -> Combination:
    """Return a row with a given pair. Each further member, in random order, is the one that closes the most pairs."""
    row: Combination = dict(first)
    rest = [name for name in families if name not in row]
    for place in random.permutation(len(rest)):
        name = rest[place]
        members = [families[name][m] for m in random.permutation(len(families[name]))]
        row[name] = max(members, key=lambda member: len(open_pairs & pairs_of(_in_order(row | {name: member}, families))))
    return _in_order(row, families)


def _in_order(row: Combination, families: dict[str, tuple[Any, ...]]) -> Combination:
    return {name: row[name] for name in families if name in row}


def pairs_of(row: Combination) -> set[Pair]:
    """Return the pairs of a row."""
    return set(combinations(row.items(), 2))


def with_architectures(rows: list[Combination]) -> list[Combination]:
    """Return the rows with architectures in turn. A row with a gate of its own gets one with gates."""
    gated, ungated = count(), count()
    every = list(ARCHITECTURES)
    return [
        {"architecture": every[next(ungated) % len(every)] if row["gate"] == "softmax" else GATED[next(gated) % len(GATED)], **row}
        for row in rows
    ]


def models() -> list[Combination]:
    """Return the settings of all models. Some rows are repeated with the architectures that would be missing."""
    rows = covering(FAMILIES)
    plain = [row for row in rows if row["gate"] == "softmax"]
    found, more = with_architectures(rows), count()
    missing = [name for name in ARCHITECTURES if all(row["architecture"] != name for row in found)]
    return found + [{"architecture": name, **plain[next(more) % len(plain)]} for name in missing]
