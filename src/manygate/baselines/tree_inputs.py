"""The columns that a tree model reads, from the encoded rows of a log.

A number is its place on the encoder's scale, which keeps the order; NaN for null. A feature of ids is

- a native category, if it has at most :data:`MOST_CATEGORIES` ids; an unseen id is NaN, as null is,
- a target statistic and the number of training rows of the id, if it has at least :data:`MANY_IDS` ids.

A bag is the mean target statistic of its ids, and its length. Bias features are left out: they are absent from validation and test
rows, as they are at serving.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from manygate.data import statistics
from manygate.data.encoded import EncodedLog
from manygate.data.log_rows import LogRows
from manygate.data.rows import FIRST_ROW
from manygate.data.statistics import Bag, labels_of

MANY_IDS, MOST_CATEGORIES = 50, 1_000
Columns = list[tuple[str, Mapping[str, np.ndarray]]]


@dataclass(frozen=True)
class TreeInputs:
    """The columns of each part, the names of the columns, and the columns that hold categories."""

    value_NC: dict[str, np.ndarray]
    names: tuple[str, ...]
    categories: tuple[int, ...]


@dataclass(frozen=True)
class Ids:
    """A feature of ids in every part, as bags; a feature of one id has bags of one."""

    name: str
    size: int
    bags: Mapping[str, Bag]
    single: bool


def plain_ids(log: EncodedLog) -> list[Ids]:
    """List the features of ids that are there at serving, in the order of the schema; those of one id come first."""
    features = log.schema.features
    single = [feature for feature in features if feature.kind == "sparse"]
    several = [feature for feature in features if feature.kind == "bag"]
    found = [
        Ids(feature.name, log.encoder.vocabularies[feature.name].rows, {p: _bag_of(r, s) for p, r in log.parts.items()}, True)
        for s, feature in enumerate(single)
        if not feature.bias
    ]
    return found + [
        Ids(feature.name, log.encoder.vocabularies[feature.name].rows, {p: r.bags[b] for p, r in log.parts.items()}, False)
        for b, feature in enumerate(several)
        if not feature.bias
    ]


def _bag_of(rows: LogRows, s: int) -> Bag:
    return rows.id_BS[:, s], np.arange(len(rows) + 1)


def plain_numbers(log: EncodedLog) -> Columns:
    """List the numbers that are there at serving, with their places on their scales."""
    dense = [feature for feature in log.schema.features if feature.kind == "dense"]
    return [
        (feature.name, {part: rows.number_BM[:, m] for part, rows in log.parts.items()})
        for m, feature in enumerate(dense)
        if not feature.bias
    ]


def tree_inputs(log: EncodedLog, t: int, seed: int, with_statistics: bool = True, most_categories: int | None = None) -> TreeInputs:
    """Build the columns of task ``t``. ``seed`` draws the folds of the target statistics.

    Without statistics every feature of one id is a native category, and a bag is its length alone. ``most_categories`` stands for
    :data:`MOST_CATEGORIES`; a feature without a statistic is a category in any case.
    """
    most = max(MOST_CATEGORIES if most_categories is None else most_categories, MANY_IDS)
    columns, categories = plain_numbers(log), []
    targets = _Targets.of(log, t, seed)
    for ids in plain_ids(log):
        if ids.single and not (with_statistics and ids.size > most):
            categories.append(len(columns))
            columns.append((ids.name, {part: _category(bag[0]) for part, bag in ids.bags.items()}))
        if not ids.single:
            columns.append((f"length of {ids.name}", {part: np.diff(bag[1]) for part, bag in ids.bags.items()}))
        if with_statistics and (ids.size >= MANY_IDS or not ids.single):
            columns += targets.columns(ids)
    value_NC = {
        part: np.stack([by_part[part] for _, by_part in columns], axis=1).astype(np.float64)
        if columns
        else np.zeros((len(rows), 0))
        for part, rows in log.parts.items()
    }
    return TreeInputs(value_NC, tuple(name for name, _ in columns), tuple(categories))


def _category(row_N: np.ndarray) -> np.ndarray:
    """Return the categories of ids, NaN for null and for unseen ids.

    LightGBM sends NaN the same way at each split, so it says nothing of an id. As a category of its own, the unseen ids of the test
    rows would get what a few rare ids of the training rows had.
    """
    return np.where(row_N < FIRST_ROW, np.nan, row_N.astype(np.float64))


@dataclass(frozen=True)
class _Targets:
    """The training labels of a task, and the folds of the training rows. Nothing here has a validation or a test label."""

    label_N: np.ndarray
    weight_N: np.ndarray
    fold_N: np.ndarray
    prior: float

    @classmethod
    def of(cls, log: EncodedLog, t: int, seed: int) -> _Targets:
        label_N, weight_N = labels_of(log.parts["train"], t)
        return cls(label_N, weight_N, statistics.draw_folds(len(label_N), seed, t), statistics.prior_of(label_N, weight_N))

    def columns(self, ids: Ids) -> Columns:
        """Return the target statistic of a feature, and of a feature of one id the number of its training rows."""
        train = ids.bags["train"]
        fitted = statistics.fit_statistics(train, self.label_N, self.weight_N, ids.size, self.prior)
        mean = {part: fitted.means(bag) for part, bag in ids.bags.items()}
        mean["train"] = statistics.out_of_fold(train, self.label_N, self.weight_N, ids.size, self.prior, self.fold_N)
        columns: Columns = [(f"mean label of {ids.name}", mean)]
        if ids.single:
            count = {part: fitted.weights(bag) for part, bag in ids.bags.items()}
            count["train"] = statistics.other_rows(train, self.weight_N, fitted)
            columns.append((f"rows of {ids.name}", count))
        return columns
