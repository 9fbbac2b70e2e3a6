"""This module measures how tasks use the experts of a level: the numbers of PLE's utilisation figure, and the faults of a gate.

Shape suffixes: N rows, T tasks, E experts. ``sees[t]`` lists the experts that task t's gate may use; its weight for others is 0.
Expert e of one replica does not correspond to expert e of another, so this module averages nothing over replicas.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from manygate.inspection.thresholds import POLARISED_WEIGHT, UNUSED_WEIGHT
from manygate.results.inspection import GateDistance, GateShape, GateUse, LevelGates

Sees = Sequence[Sequence[int]]


def gate_report(gate_NTE: np.ndarray, weight_NT: np.ndarray, sees: Sees, tasks: Sequence[str]) -> LevelGates:
    """Measure one level of one replica.

    The report holds the utilisation, entropy and polarisation of each task's gate, the distances between tasks, and unused experts.
    Each task is measured on the rows of its own sample space (``weight_NT > 0``). Tang et al., "Progressive Layered Extraction",
    RecSys 2020, show in their figure of expert utilisation the mean and the standard deviation of each expert's weight.
    """
    inside_NT = weight_NT > 0
    uses = [
        GateUse(task=name, **dict(one_gate(gate_NTE[inside_NT[:, t], t], sees[t])))
        for t, name in enumerate(tasks)
        if len(sees[t]) and inside_NT[:, t].any()
    ]
    idle = unused_experts(np.array([use.mean for use in uses]), [use.sees for use in uses])
    seen = {e for use in uses for e in use.sees}
    return LevelGates(
        experts=gate_NTE.shape[2],
        tasks=uses,
        distances=distances(gate_NTE, inside_NT, sees, tasks),
        unused=idle,
        unused_share=len(idle) / len(seen) if seen else None,
    )


def one_gate(gate_NE: np.ndarray, seen: Sequence[int]) -> GateShape:
    """Measure one task's gate over some rows: mean and sd of each weight, entropy, share of polarised rows.

    ``entropy`` is the mean over rows in nats. ``entropy_share`` is ``entropy`` divided by the log of the number of experts seen:
    1 for an even mix, 0 for a single expert. ``polarised`` is the share of rows whose largest weight is above .95. If the gate
    sees one expert only, it has no choice, and ``entropy_share`` and ``polarised`` are null.

    >>> one_gate(np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]), seen=(0, 1)).mean
    [0.75, 0.25, 0.0]
    """
    weight_NE = gate_NE.astype(np.float64)
    choice = len(seen) > 1
    row_entropy = float(entropy(weight_NE).mean())
    return GateShape(
        sees=list(seen),
        rows=len(weight_NE),
        mean=weight_NE.mean(axis=0).tolist(),
        sd=weight_NE.std(axis=0).tolist(),
        entropy=row_entropy,
        entropy_share=row_entropy / float(np.log(len(seen))) if choice else None,
        polarised=float((weight_NE.max(axis=1) > POLARISED_WEIGHT).mean()) if choice else None,
    )


def entropy(weight_NE: np.ndarray) -> np.ndarray:
    """Compute the entropy of each row in nats; a weight of 0 adds nothing.

    >>> entropy(np.array([[1.0, 0.0], [0.5, 0.5]])).round(4).tolist()
    [0.0, 0.6931]
    """
    kept_NE = np.where(weight_NE > 0, weight_NE, 1.0)
    entropy_N: np.ndarray = -(weight_NE * np.log(kept_NE)).sum(axis=1) + 0.0
    return entropy_N


def total_variation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Compute half the sum of absolute differences along the last axis: 0 for equal mixtures, 1 for mixtures of different experts.

    >>> float(total_variation(np.array([0.5, 0.5, 0.0]), np.array([0.0, 0.5, 0.5])))
    0.5
    """
    distance: np.ndarray = np.abs(first.astype(np.float64) - second).sum(axis=-1) / 2
    return distance


def distances(gate_NTE: np.ndarray, inside_NT: np.ndarray, sees: Sees, tasks: Sequence[str]) -> list[GateDistance]:
    """Measure the total variation between the gates of each pair of tasks.

    ``of_means`` is that of their mean gates. ``by_row`` is the mean over the rows that belong to both tasks; null if no row does.
    """
    known = [t for t in range(len(tasks)) if len(sees[t]) and inside_NT[:, t].any()]
    mean = {t: gate_NTE[inside_NT[:, t], t].mean(axis=0, dtype=np.float64) for t in known}
    report = []
    for a, b in combinations(known, 2):
        both_N = inside_NT[:, a] & inside_NT[:, b]
        by_row = float(total_variation(gate_NTE[both_N, a], gate_NTE[both_N, b]).mean()) if both_N.any() else None
        apart = float(total_variation(mean[a], mean[b]))
        report.append(GateDistance(tasks=[tasks[a], tasks[b]], of_means=apart, by_row=by_row))
    return report


def unused_experts(mean_TE: np.ndarray, sees: Sees) -> list[int]:
    """List the experts whose mean weight is below .01 in every task that may use them.

    If a gate sees more than ten experts, its limit is a tenth of an even split instead.

    >>> unused_experts(np.array([[0.995, 0.005, 0.0], [0.5, 0.0, 0.5]]), [(0, 1), (0, 2)])
    [1]
    """
    unused = []
    for e in sorted({e for seen in sees for e in seen}):
        users = [t for t, seen in enumerate(sees) if e in seen and len(seen) > 1]
        if users and all(mean_TE[t, e] < min(UNUSED_WEIGHT, 0.1 / len(sees[t])) for t in users):
            unused.append(e)
    return unused
