"""This module computes permutation importance: the drop of a task's main metric when one feature's values are permuted among rows.

Shape suffixes: R replicas, N rows, B rows of a batch, T tasks.

Breiman, "Random Forests", Machine Learning 2001, section 10; for any model Fisher, Rudin & Dominici, JMLR 2019. If another
feature is a copy of a feature, both seem unimportant: the model can read the copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from manygate import metrics
from manygate.data.batches import Batch, Split
from manygate.data.rows import Input, Rows
from manygate.model import MultiTaskModel
from manygate.model.logits import predict
from manygate.model.problem import Problem
from manygate.randomness import stream_seed
from manygate.results.inspection import FeatureImportance, TaskImportance
from manygate.scoring.outputs import outputs

REPEATS = 3
BUDGET = 3_000_000
"""Number of predictions in all, over features, repeats, sample spaces and replicas; it limits the number of rows."""
FEWEST_ROWS = 2_000
SHUFFLE = 97
"""Name of the stream that permutations are drawn from."""


Place = tuple[str, int]
"""The kind of an input, and its number among the inputs of this kind."""


def places_of(inputs: Sequence[Input]) -> dict[str, list[Place]]:
    """List the inputs of each feature: also the values of a number as ids, and target statistics. Bias features are left out.

    >>> age = Input("age", "dense", False, units=1), Input("age", "sparse", False, rows=9, of_number=True)
    >>> places_of([Input("user", "sparse", False, rows=9), *age])
    {'user': [('sparse', 0)], 'age': [('dense', 0), ('sparse', 1)]}
    """
    places: dict[str, list[Place]] = {}
    counts = dict.fromkeys(("sparse", "bag", "dense"), 0)
    for feature in inputs:
        if not feature.bias:
            places.setdefault(feature.feature, []).append((feature.kind, counts[feature.kind]))
        counts[feature.kind] += 1
    return places


class Permuted:
    """The rows of a split, with one feature's values taken from other rows: row n has the values of row ``donor_N[n]``."""

    def __init__(self, split: Split, places: Sequence[Place], donor_N: Tensor):
        self.split, self.places, self.donor_N = split, tuple(places), donor_N

    def slices(self, size: int) -> Iterator[Batch]:
        start = 0
        for batch in self.split.slices(size):
            donor_B = self.donor_N[start : start + len(batch)]
            other = self.split.take(donor_B)
            for kind, index in self.places:
                batch = _changed(batch, other, kind, index)
            yield batch
            start += len(donor_B)


def _changed(batch: Batch, other: Batch, kind: str, index: int) -> Batch:
    """Copy the batch with one input of the other."""
    if kind == "bag":
        return replace(batch, bags=[*batch.bags[:index], other.bags[index], *batch.bags[index + 1 :]])
    name = "id_BS" if kind == "sparse" else "number_BM"
    column = getattr(batch, name).clone()
    column[:, index] = getattr(other, name)[:, index]
    return replace(batch, **{name: column})


def importance_report(model: MultiTaskModel, rows: Rows, repeats: int = REPEATS) -> list[TaskImportance]:
    """Rank the features of each task, the most important first: {task, metric, value, rows, repeats, features: [...]}.

    A feature is {feature, drop, se}. ``drop`` is the main metric (AUC or R2) of the ensemble minus the same metric after a
    permutation of the feature among the rows of the task's own sample space, averaged over repeats. ``se`` covers the choice of the
    rows (by influence, clustered by group if the log has groups) and the choice of the permutations. Bias features are left out,
    because serving does not read them.
    """
    spaces: dict[bytes, list[int]] = {}
    for t in range(len(model.problem.tasks)):
        spaces.setdefault((rows.weight_BT[:, t] > 0).tobytes(), []).append(t)
    features = places_of(model.problem.inputs)
    row_limit = max(BUDGET // max(len(spaces) * len(features) * repeats * model.replicas, 1), FEWEST_ROWS)
    reports: dict[int, TaskImportance] = {}
    for space in spaces.values():
        task_rows = _rows_of_task(rows, space[0], row_limit)
        if len(task_rows):
            reports |= _report_of_space(model, task_rows, space, features, repeats)
    return [reports[t] for t in sorted(reports)]


def _rows_of_task(rows: Rows, t: int, row_limit: int) -> Rows:
    """Take at most ``row_limit`` rows of a task's sample space, spread evenly."""
    row_n = np.flatnonzero(rows.weight_BT[:, t] > 0)
    keep_B = np.zeros(len(rows), dtype=bool)
    keep_B[row_n[np.linspace(0, len(row_n) - 1, min(len(row_n), row_limit)).round().astype(np.int64)]] = True
    return rows.where(keep_B)


def _report_of_space(
    model: MultiTaskModel,
    rows: Rows,
    task_indices: Sequence[int],
    features: Mapping[str, Sequence[Place]],
    repeats: int,
) -> dict[int, TaskImportance]:
    """Report the importances for the tasks that share a sample space; ``rows`` are the rows of this space."""
    split, problem = Split(rows, model.device), model.problem

    def evaluate(source: Split | Permuted) -> dict[int, tuple[float, np.ndarray]]:
        output_NT = outputs(predict(model, source), problem).mean(axis=0)
        return {t: judge(problem, t, rows, output_NT[:, t]) for t in task_indices}

    base = evaluate(split)
    entries: dict[int, list[FeatureImportance]] = {t: [] for t in task_indices}
    for number, (feature, places) in enumerate(features.items()):
        permuted_K = [evaluate(Permuted(split, places, _donors(len(split), number, k, split.device))) for k in range(repeats)]
        for t in task_indices:
            drop_K = np.array([base[t][0] - result[t][0] for result in permuted_K])
            influence_N = base[t][1] - np.mean([result[t][1] for result in permuted_K], axis=0)
            drop, se = _summary(drop_K, influence_N, rows.groups)
            entries[t].append(FeatureImportance(feature=feature, drop=drop, se=se))
    return {
        t: TaskImportance(
            task=problem.tasks[t].name,
            metric=metrics.MAIN_METRIC[problem.tasks[t].kind],
            value=base[t][0] if np.isfinite(base[t][0]) else None,
            rows=len(rows),
            repeats=repeats,
            features=sorted(entries[t], key=lambda entry: -(entry.drop if entry.drop is not None else -np.inf)),
        )
        for t in task_indices
    }


def judge(problem: Problem, t: int, rows: Rows, output_N: np.ndarray) -> tuple[float, np.ndarray]:
    """Compute task t's main metric and each row's influence on it."""
    label_N, weight_N = problem.labelled(rows, t)
    kind = problem.tasks[t].kind
    measure = metrics.auc if kind == "binary" else metrics.r2
    return measure(label_N, output_N, weight_N), metrics.influence(kind, label_N, output_N, weight_N)


def _donors(rows: int, feature: int, repeat: int, device: torch.device) -> Tensor:
    generator = torch.Generator().manual_seed(stream_seed(SHUFFLE, feature, repeat))
    return torch.randperm(rows, generator=generator).to(device)


def _summary(drop_K: np.ndarray, influence_N: np.ndarray, group_N: np.ndarray | None) -> tuple[float | None, float | None]:
    if not np.isfinite(drop_K).all():
        return None, None
    se_of_permutations = drop_K.std(ddof=1) / len(drop_K) ** 0.5 if len(drop_K) > 1 else 0.0
    se_of_rows = metrics.standard_error(influence_N, group_N)
    return float(drop_K.mean()), float(np.hypot(se_of_permutations, se_of_rows)) if np.isfinite(se_of_rows) else None
