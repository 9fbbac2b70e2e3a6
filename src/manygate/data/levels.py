"""Levels of a label that has an order: where an ordinal loss cuts it, and what each level is worth.

Shape suffixes: N rows, K cuts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Levels:
    """K cuts make K + 1 levels: level k holds the labels above cut k and not above cut k + 1.

    ``cuts`` (K) and ``means`` (K + 1), the weighted mean training label of each level, are in the unit that models see.
    """

    cuts: tuple[float, ...]
    means: tuple[float, ...]


def fit_levels(label_N: np.ndarray, most: int, weight_N: np.ndarray | None = None) -> Levels:
    """At most ``most`` levels of about equal weight, or one for each value where there are no more values than that.

    A label of one value has one cut, which none exceeds.

    >>> fit_levels(np.array([1.0, 2.0, 2.0, 5.0]), most=10)
    Levels(cuts=(1.0, 2.0), means=(1.0, 2.0, 5.0))
    >>> fit_levels(np.arange(100.0), most=4)
    Levels(cuts=(24.0, 49.0, 74.0), means=(12.0, 37.0, 62.0, 87.0))
    """
    assert len(label_N), "a task without labels is refused before"
    weight_N = np.ones(len(label_N)) if weight_N is None else weight_N
    value_V = np.unique(label_N)
    if len(value_V) == 1:
        return Levels((float(value_V[0]),), (float(value_V[0]),) * 2)
    cut_K = value_V[:-1]
    if len(value_V) > most:
        order = np.argsort(label_N, kind="stable")
        below_N = np.cumsum(weight_N[order])
        at = np.searchsorted(below_N, np.arange(1, most) / most * below_N[-1] * (1 - 1e-12))
        cut_K = np.unique(label_N[order][at])
        cut_K = cut_K[cut_K < value_V[-1]]
        cut_K = cut_K if len(cut_K) else value_V[-2:-1]
    level_N = np.searchsorted(cut_K, label_N, side="left")
    mean_K1 = np.bincount(level_N, label_N * weight_N) / np.bincount(level_N, weight_N)
    return Levels(tuple(cut_K.tolist()), tuple(mean_K1.tolist()))
