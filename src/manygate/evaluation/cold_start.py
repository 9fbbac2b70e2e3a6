"""Reports a task's metrics apart for warm rows, whose ids are all known, and cold rows, which have an unseen id."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from manygate.metrics.cold_start import PairShare, auc_by_pairs, spreads
from manygate.metrics.table import METRICS, named_metrics
from manygate.metrics.uncertainty import interval
from manygate.results.summary import ColdPart, ColdStart, MetricSummary, MixedPairs
from manygate.schema import Task

REPORTED = {"binary": ("auc", "log_loss"), "regression": ("r2", "rmse")}


def cold_start(
    task: Task, output_RN: np.ndarray, label_N: np.ndarray, weight_N: np.ndarray, cold_N: np.ndarray
) -> ColdStart | None:
    """Report the main metric and the loss of warm and of cold rows over the replicas. None if no labelled row is cold.

    Both are means over rows or over pairs of rows, so the parts add up to the metrics of all rows: see :class:`ColdStart`.
    """
    if not (cold_N & (weight_N > 0)).any():
        return None
    pairs = [auc_by_pairs(label_N, output_N, weight_N, cold_N) for output_N in output_RN] if task.kind == "binary" else []
    spread = spreads(label_N, weight_N, cold_N) if task.kind == "regression" else {}
    parts = {
        name: _part(task, output_RN, label_N, np.where(own_N, weight_N, 0.0), weight_N.sum())
        for name, own_N in (("warm", ~cold_N), ("cold", cold_N))
    }
    for name, part in parts.items():
        if pairs:
            part["pair_share"] = _finite(pairs[0][name].share)
        else:
            part["spread"] = _finite(spread[name])
    mixed = {"mixed": _mixed([pair["mixed"] for pair in pairs])} if pairs else {}
    return ColdStart.model_validate({**{name: ColdPart.model_validate(part) for name, part in parts.items()}, **mixed})


def _part(task: Task, output_RN: np.ndarray, label_N: np.ndarray, weight_N: np.ndarray, total: float) -> dict[str, object]:
    names, rows_N = REPORTED[task.kind], weight_N > 0
    computed = [named_metrics(names, label_N, output_N, weight_N) for output_N in output_RN]
    part: dict[str, object] = {
        "rows": int(rows_N.sum()),
        "weight_share": float(weight_N.sum() / total),
        "metrics": {name: _over_replicas(name, [values[name] for values, _ in computed]) for name in names},
        "undefined": computed[0][1],
    }
    if task.kind == "binary":
        part["positives"] = int((label_N[rows_N] == 1).sum())
    return part


def _mixed(pairs: Sequence[PairShare]) -> MixedPairs:
    return MixedPairs(pair_share=_finite(pairs[0].share), auc=_over_replicas("auc", [pair.auc for pair in pairs]))


def _over_replicas(name: str, values: list[float]) -> MetricSummary:
    return interval(values, METRICS[name].lowest, METRICS[name].highest)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
