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

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.special import logit

from manygate.config.data_settings import LARGE_LOG
from manygate.data.log_rows import LogRows
from manygate.data.number_ids import FREQUENT
from manygate.data.rows import BLOCK_ROWS, FIRST_ROW, UNKNOWN_ROW, Rows
from manygate.data.statistics import FOLDS, SMOOTHING, Bag, draw_folds, row_means, rows_of
from manygate.randomness import TARGET_FOLDS
from manygate.schema import Schema, Task

FEWEST_IDS = 16
"""A feature with fewer ids has no statistics by default: its embeddings learn as much from so few ids."""
MOST_TASKS = 4
"""With more tasks there are no statistics by default: a feature would have more of them than half the width of an embedding."""

DRAWN_AT_ONCE = 1_048_576
"""The most rows whose folds are drawn at once. Those of a longer log are drawn block by block."""
BagsOf: TypeAlias = Callable[[Rows], Mapping[str, Bag]]


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


def chosen_features(train: LogRows, bags_of: BagsOf, sizes: Mapping[str, int], tasks: int, asked: bool | None) -> tuple[str, ...]:
    """Return the features that have statistics: all or none as ``asked``, or those that have them by default.

    Args:
        train: The training rows.
        bags_of: Returns the ids of each feature in some rows.
        sizes: The rows of each feature's vocabulary, those of null and unseen ids included.
        tasks: The number of tasks.
        asked: The setting.
    """
    if asked is not None:
        return tuple(sizes) if asked else ()
    ids = {name: size - FIRST_ROW for name, size in sizes.items()}
    several = [name for name in ids if ids[name] >= FEWEST_IDS and tasks <= MOST_TASKS and len(train) >= LARGE_LOG]
    known = dict.fromkeys(several, 0)
    for chunk in train.chunks() if several else ():
        bags = bags_of(chunk)
        for name in several:
            known[name] += int(np.count_nonzero(bags[name][0] >= FIRST_ROW))
    return tuple(name for name in several if known[name] >= FREQUENT * ids[name])


@dataclass(frozen=True)
class TrainingStatistics:
    """The statistics of all training rows, and those that the training rows themselves read."""

    statistics: TargetStatistics
    others: Mapping[str, tuple[np.ndarray, ...]]
    """For each feature and task the inputs of its vocabulary from the rows of all folds but one, (folds, V)."""
    fold_of: tuple[Folds, ...]
    """The folds of each task."""

    def columns(self, start: int, bags: Mapping[str, Bag], rows: int) -> np.ndarray:
        """Return the inputs of training rows, (N, C) float32. A row reads statistics of the rows in other folds.

        Args:
            start: The number of the first row among all training rows. At most a block of rows follows.
            bags: The ids of each feature in these rows.
            rows: The number of these rows.
        """
        folds = [of_task(start, rows) for of_task in self.fold_of]
        parts = [
            _fold_means(table_FV, bags[name], fold_N)
            for name, tables in self.others.items()
            for table_FV, fold_N in zip(tables, folds, strict=True)
        ]
        return _inputs(parts, rows)


def fit_target_statistics(
    train: LogRows, bags_of: BagsOf, sizes: Mapping[str, int], tasks: Sequence[Task], seed: int
) -> TrainingStatistics:
    """Fit the statistics of training rows in one pass.

    Args:
        train: The training rows.
        bags_of: Returns the ids of each feature in some rows.
        sizes: The features that have statistics, with the rows of their vocabularies.
        tasks: The tasks.
        seed: Draws the folds.
    """
    fold_of = tuple(Folds(len(train), seed, t) for t in range(len(tasks)))
    labels = [_Labels(task.kind == "binary") for task in tasks]
    sums = {(name, t): _Sums(size) for name, size in sizes.items() for t in range(len(tasks))}
    start = 0
    for chunk in train.chunks():
        bags = bags_of(chunk)
        for t in range(len(tasks)):
            label_N, weight_N = (array_BT[:, t].astype(np.float64) for array_BT in (chunk.label_BT, chunk.weight_BT))
            label_N = np.where(weight_N > 0, label_N, 0.0)
            labels[t].add(label_N, weight_N)
            for name in sizes:
                sums[name, t].add(bags[name], fold_of[t](start, len(chunk)), label_N, weight_N)
        start += len(chunk)
    tables = {name: [labels[t].table(sums[name, t].all) for t in range(len(tasks))] for name in sizes}
    others = {name: tuple(labels[t].table(sums[name, t].others) for t in range(len(tasks))) for name in sizes}
    names = tuple(task.name for task in tasks)
    statistics = TargetStatistics(names, {name: np.stack(of_tasks, axis=1).astype(np.float32) for name, of_tasks in tables.items()})
    return TrainingStatistics(statistics, others, fold_of)


class Folds:
    """The folds of a task's training rows. Calling it with the first of some rows and their number returns theirs, int8.

    The folds have equally many rows. A long log is divided block by block.

    >>> folds = Folds(10, seed=0, task=0)
    >>> np.bincount(folds(0, 10)).tolist(), (folds(4, 6) == folds(0, 10)[4:]).all().item()
    ([2, 2, 2, 2, 2], True)
    """

    def __init__(self, rows: int, seed: int, task: int):
        self.seed, self.task = seed, task
        self._all = draw_folds(rows, seed, task, TARGET_FOLDS).astype(np.int8) if rows <= DRAWN_AT_ONCE else None

    def __call__(self, start: int, rows: int) -> np.ndarray:
        if self._all is not None:
            return self._all[start : start + rows]
        block, skipped = divmod(start, BLOCK_ROWS)
        assert skipped == 0, "rows are read block by block"
        return draw_folds(rows, self.seed, self.task, TARGET_FOLDS, block).astype(np.int8)


class _Sums:
    """The weights and the weighted labels of each id of a feature, in each fold of a task."""

    def __init__(self, size: int):
        self.weight_FV, self.total_FV = np.zeros((FOLDS, size)), np.zeros((FOLDS, size))

    def add(self, bag: Bag, fold_N: np.ndarray, label_N: np.ndarray, weight_N: np.ndarray) -> None:
        row_n = rows_of(bag)
        place_n = fold_N[row_n].astype(np.int64) * self.weight_FV.shape[1] + bag[0]
        for sum_FV, value_N in ((self.weight_FV, weight_N), (self.total_FV, weight_N * label_N)):
            np.add.at(sum_FV.reshape(-1), place_n, value_N[row_n])

    @property
    def all(self) -> tuple[np.ndarray, np.ndarray]:
        """The weights and the weighted labels of all rows, (V,)."""
        return self.weight_FV.sum(axis=0), self.total_FV.sum(axis=0)

    @property
    def others(self) -> tuple[np.ndarray, np.ndarray]:
        """For each fold those of all other folds, (F, V). They are sums of the others, so no rounding betrays a row's own label."""
        without_FF = 1.0 - np.eye(FOLDS)
        return without_FF @ self.weight_FV, without_FF @ self.total_FV


@dataclass
class _Labels:
    """What the statistics of a task need to know of its training labels."""

    binary: bool
    rows: int = 0
    weight: float = 0.0
    total: float = 0.0

    def add(self, label_N: np.ndarray, weight_N: np.ndarray) -> None:
        self.rows += int(np.count_nonzero(weight_N > 0))
        self.weight += float(weight_N.sum())
        self.total += float((weight_N * label_N).sum())

    def table(self, sums: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Return the inputs of ids with some weights and weighted labels. The weights of the labelled rows have the mean 1."""
        prior, unit = self.total / self.weight, self.weight / self.rows
        smoothing = SMOOTHING / (4 * prior * (1 - prior)) if self.binary else SMOOTHING
        weight_V, total_V = sums[0] / unit, sums[1] / unit
        mean_V: np.ndarray = (total_V + smoothing * prior) / (weight_V + smoothing)
        return logit(mean_V) - logit(prior) if self.binary else mean_V - prior


def _fold_means(table_FV: np.ndarray, bag: Bag, fold_N: np.ndarray) -> np.ndarray:
    """Return the mean input of each row's ids (N,), where a row reads the table of its fold. It is NaN for a row without ids."""
    place_n = fold_N[rows_of(bag)].astype(np.int64) * table_FV.shape[1] + bag[0]
    return row_means(table_FV.reshape(-1), (place_n, bag[1]))


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
