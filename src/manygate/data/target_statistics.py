"""Target statistics as inputs of a network: what the training labels say about each id, for each task.

The input of an id for a task is its smoothed mean label (:mod:`manygate.data.statistics`), less the mean label of all training
rows, on the scale of the task's output: a difference of logits for a binary task, of labels in their standard deviations for a
regression. So it is 0 for an id without labels. A bag has the mean over its ids, and 0 where it holds none. Features of ids have
such inputs, and numbers whose values are ids (:mod:`manygate.data.number_ids`); bias features have none.

By default only large logs have them, with 100,000 training rows or more, and there the features with 16 ids or more whose ids have
500 training rows or more on average. The mean label of a rare id, such as a user, drifts and is noisy, and a network that trusts it
is wrong about later rows (experiments/defaults).

The label of a row must not reach its own input. So a training row reads statistics of the other folds of the training rows, and all
other rows read those of all training rows (Micci-Barreca, SIGKDD Explorations 2001, for the smoothing; Pargent et al., "Regularized
target encoding outperforms traditional methods in supervised machine learning with high cardinality features", Computational
Statistics 2022, for the folds). A task's statistics count the rows with a label of the task alone. Departures: the inputs are on
the scale of the task's output, and the prior is the same in all folds. A rare label is smoothed more: by 20 / (4 p (1 - p)) rows
for a share p of ones, since the variance of a logit of n rows is about 1 / (n p (1 - p)).

The folds are drawn at random, also where the log is split by time: a training row then reads labels of later training rows, and
never a label of a validation or test row.

Shape suffixes: N rows, V rows of a vocabulary, T tasks, C columns (feature after feature, and in each the tasks).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import logit

from manygate.config.data_settings import LARGE_LOG
from manygate.data.number_ids import FREQUENT
from manygate.data.rows import FIRST_ROW, UNKNOWN_ROW, Rows
from manygate.data.statistics import SMOOTHING, Bag, draw_folds, fit_statistics, labels_of, out_of_fold, prior_of, row_means
from manygate.randomness import TARGET_FOLDS
from manygate.schema import Schema, Task

FEWEST_IDS = 16
"""A feature with fewer ids has no statistics by default: its embeddings learn as much from so few ids."""
MOST_TASKS = 4
"""With more tasks there are no statistics by default: a feature would have more of them than half the width of an embedding."""


@dataclass(frozen=True)
class TargetStatistics:
    """The statistics of all training rows.

    ``table_VT`` holds those of each feature's vocabulary, float32.
    """

    tasks: tuple[str, ...]
    table_VT: Mapping[str, np.ndarray]

    def columns(self, bags: Mapping[str, Bag], rows: int) -> np.ndarray:
        """Return the inputs of rows that are no training rows, (N, C) float32. ``bags`` holds the ids of each feature."""
        parts = [row_means(table_V, bags[name]) for name, table_VT in self.table_VT.items() for table_V in table_VT.T]
        return _inputs(parts, rows)

    def named(self, taken: Sequence[str]) -> Iterator[tuple[str, str, float]]:
        """Yield the name of each column, its feature, and the value of an unseen id. No name is one of those taken.

        >>> statistics = TargetStatistics(("click",), {"item": np.array([[0.0], [0.5], [2.0]])})
        >>> list(statistics.named(["item"]))
        [('mean click of item', 'item', 0.5)]
        """
        for feature, table_VT in self.table_VT.items():
            for task, unseen in zip(self.tasks, table_VT[UNKNOWN_ROW], strict=True):
                name = f"mean {task} of {feature}"
                while name in taken:
                    name += "'"
                yield name, feature, float(unseen)


def chosen_bags(bags: Mapping[str, Bag], sizes: Mapping[str, int], rows: int, tasks: int, asked: bool | None) -> dict[str, Bag]:
    """Return the features that have statistics: all or none as ``asked``, or those that have them by default.

    ``bags`` holds the ids of the ``rows`` training rows, ``sizes`` the rows of each vocabulary, those of null and unseen ids
    included.

    >>> rows = np.arange(100_000)
    >>> bags = {"state": (rows % 16 + 2, np.arange(100_001)), "user": (rows % 50_000 + 2, np.arange(100_001))}
    >>> list(chosen_bags(bags, {"state": 18, "user": 50_002}, len(rows), tasks=2, asked=None))
    ['state']
    """
    if asked is not None:
        return dict(bags) if asked else {}
    ids = {name: size - FIRST_ROW for name, size in sizes.items()}
    several = [name for name in bags if ids[name] >= FEWEST_IDS and tasks <= MOST_TASKS and rows >= LARGE_LOG]
    return {name: bags[name] for name in several if np.count_nonzero(bags[name][0] >= FIRST_ROW) >= FREQUENT * ids[name]}


def fit_target_statistics(
    bags: Mapping[str, Bag], sizes: Mapping[str, int], train: Rows, tasks: Sequence[Task], seed: int
) -> tuple[TargetStatistics, np.ndarray]:
    """Fit the statistics of training rows, and compute the inputs of these rows out of fold, (N, C) float32.

    ``bags`` holds the ids of each feature in the training rows, ``sizes`` the rows of its vocabulary. ``seed`` draws the folds.
    """
    labels = [_Labels.of(train, t, task, seed) for t, task in enumerate(tasks)]
    tables, columns = {}, []
    for name, bag in bags.items():
        tables[name] = np.stack([task.table(bag, sizes[name]) for task in labels], axis=1).astype(np.float32)
        columns += [task.out_of_fold(bag, sizes[name]) for task in labels]
    return TargetStatistics(tuple(task.name for task in tasks), tables), _inputs(columns, len(train))


@dataclass(frozen=True)
class _Labels:
    """The training labels of a task, and the folds of the training rows."""

    label_N: np.ndarray
    weight_N: np.ndarray
    fold_N: np.ndarray
    prior: float
    binary: bool
    smoothing: float

    @classmethod
    def of(cls, train: Rows, t: int, task: Task, seed: int) -> _Labels:
        label_N, weight_N = labels_of(train, t)
        fold_N = draw_folds(len(train), seed, t, TARGET_FOLDS)
        prior, binary = prior_of(label_N, weight_N), task.kind == "binary"
        return cls(label_N, weight_N, fold_N, prior, binary, SMOOTHING / (4 * prior * (1 - prior)) if binary else SMOOTHING)

    def scaled(self, mean_V: np.ndarray) -> np.ndarray:
        """Return the inputs of ids with some smoothed mean labels (V,)."""
        return logit(mean_V) - logit(self.prior) if self.binary else mean_V - self.prior

    def table(self, bag: Bag, size: int) -> np.ndarray:
        """Return the inputs of a vocabulary's rows (V,), from all training rows."""
        return self.scaled(fit_statistics(bag, self.label_N, self.weight_N, size, self.prior, self.smoothing).mean_V)

    def out_of_fold(self, bag: Bag, size: int) -> np.ndarray:
        """Return the input of each training row (N,), from the rows of the other folds."""
        labels = self.label_N, self.weight_N
        return out_of_fold(bag, *labels, size, self.prior, self.fold_N, self.smoothing, self.scaled)


def served_bags(schema: Schema, numbers: Sequence[str], id_BS: np.ndarray, bags: Sequence[Bag]) -> dict[str, Bag]:
    """Return the ids of each feature that is there at serving, as bags.

    ``numbers`` names the numbers whose values are ids. They are the last columns of id_BS.
    """
    single = [feature for feature in schema.features if feature.kind == "sparse"]
    several = [feature for feature in schema.features if feature.kind == "bag"]
    names = [*(None if feature.bias else feature.name for feature in single), *numbers]
    each_N = np.arange(len(id_BS) + 1)
    found = {name: (id_BS[:, s], each_N) for s, name in enumerate(names) if name is not None}
    return found | {feature.name: bag for feature, bag in zip(several, bags, strict=True) if not feature.bias}


def _inputs(column_CN: Sequence[np.ndarray], rows: int) -> np.ndarray:
    """Put columns side by side, (N, C) float32. A bag without ids has 0."""
    return np.nan_to_num(np.stack(column_CN, axis=1) if column_CN else np.zeros((rows, 0))).astype(np.float32)
