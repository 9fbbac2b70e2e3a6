"""Looks for features that alone give a label away, in one pass over encoded training rows and in memory of a fixed size.

Each feature's rows fall into bins: an id has its own as long as there are bins, a number the bin of its place on its scale. For
each task, on its own rows alone, the bins count labels in two halves of the rows. See :mod:`manygate.data.separation`.

Shape suffixes: B rows of a batch, U of them that count, F features, T tasks, L labels (0 and 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from manygate.data.encode import Encoder
from manygate.data.rows import FIRST_ROW, Rows
from manygate.data.separation import SEPARATES, auc_of_bins, auc_of_order, explained_by_bins, halves, merged
from manygate.results.evaluation import DataWarning
from manygate.schema import Feature

NUMBER_BINS = 4096
ID_BINS = 4096
MANY_ROWS = 50_000
"""So many rows of a label are all counted; of further ones a share, so that a long log costs little more."""


@dataclass(frozen=True)
class Separation:
    """How well a feature alone separates a task's label: AUC of a binary task, R squared of a regression."""

    feature: str
    task: str
    kind: str
    score: float

    @property
    def words(self) -> str:
        """The score with its name, cut and not rounded: 1 stands for a perfect separation alone.

        >>> Separation("a", "click", "binary", 0.99999).words
        'AUC 0.9999'
        """
        return f"{'AUC' if self.kind == 'binary' else 'R squared'} {np.floor(self.score * 1e4) / 1e4:.4f}"


@final
class LeakScan:
    """Counts labels by the bins of every feature; :meth:`add` takes each batch of encoded training rows once.

    >>> import pyarrow as pa
    >>> from manygate.config import DataConfig
    >>> from manygate.data.fit import fit_encoder
    >>> from manygate.schema import Schema
    >>> schema = Schema.from_yaml("{tasks: [{name: click}], features: [{name: a, kind: sparse}, {name: b, kind: dense}]}")
    >>> log = pa.record_batch({"a": ["x", "y"] * 100, "b": [1.0, 2.0, 2.0, 1.0] * 50, "click": [0, 1] * 100})
    >>> encoder = fit_encoder(schema, DataConfig(), [("log", log)])
    >>> scan = LeakScan(encoder)
    >>> scan.add(encoder.encode(log))
    >>> [(result.feature, result.words) for result in scan.results() if result.score > 0.9]
    [('a', 'AUC 1.0000')]
    """

    def __init__(self, encoder: Encoder, seed: int = 0):
        self.encoder, self.schema = encoder, encoder.schema
        self._generator = np.random.default_rng(seed)
        self._columns = [(feature, self._bins(feature)) for feature in self.schema.features]
        self._counts: dict[tuple[str, str], np.ndarray] = {}
        self._squares: dict[str, np.ndarray] = {}
        self._seen_TL = np.zeros((len(self.schema.tasks), 2), dtype=np.int64)
        for task in self.schema.tasks:
            self._squares[task.name] = np.zeros(2)
            for feature, bins in self._columns:
                shape = (bins, 2, 2)  # bin, half, and label, or number and sum of the labels
                self._counts[feature.name, task.name] = np.zeros(shape, np.int64 if task.kind == "binary" else np.float64)

    def add(self, rows: Rows) -> None:
        """Count a batch."""
        draw_B = self._generator.random(len(rows), dtype=np.float32)
        kept = [self._kept(t, rows, draw_B) for t in range(len(self.schema.tasks))]
        row_U = np.flatnonzero(np.any(kept, axis=0))
        bin_FU, half_U = self._binned(rows, row_U), halves(len(row_U), self._generator)
        for t, task in enumerate(self.schema.tasks):
            known_U = kept[t][row_U]
            label, half = rows.label_BT[row_U[known_U], t].astype(np.float64), half_U[known_U]
            if task.kind == "regression":
                self._squares[task.name] += np.bincount(half, weights=label**2, minlength=2)
            below = 2 * half + label.astype(np.int64) if task.kind == "binary" else half
            for (feature, bins), bin_U in zip(self._columns, bin_FU, strict=True):
                count, binned = self._counts[feature.name, task.name], bin_U[known_U]
                if task.kind == "binary":
                    count += np.bincount(4 * binned + below, minlength=4 * bins).reshape(bins, 2, 2)
                else:
                    count[..., 0] += np.bincount(2 * binned + below, minlength=2 * bins).reshape(bins, 2)
                    count[..., 1] += np.bincount(2 * binned + below, weights=label, minlength=2 * bins).reshape(bins, 2)

    def _kept(self, t: int, rows: Rows, draw_B: np.ndarray) -> np.ndarray:
        """The rows of a batch that count for a task: all of a label until there are many, then ever fewer, at random.

        An AUC does not depend on how many rows of each label there are, so the rarer label keeps all of its rows longest.
        """
        known_B = rows.weight_BT[:, t] > 0
        one_B = known_B & (rows.label_BT[:, t] == 1) if self.schema.tasks[t].kind == "binary" else np.zeros_like(known_B)
        self._seen_TL[t] += (known_B.sum() - one_B.sum(), one_B.sum())
        share_L = np.minimum(MANY_ROWS / np.maximum(self._seen_TL[t], 1), 1)
        if share_L.min() == 1:
            return known_B
        return np.asarray(known_B & (draw_B < np.where(one_B, share_L[1], share_L[0])))

    def results(self) -> list[Separation]:
        """Every feature's score for every task, the highest first; those without enough rows are left out."""
        kinds = {task.name: task.kind for task in self.schema.tasks}
        ordered = {feature.name: feature.kind == "dense" for feature in self.schema.features}
        found = []
        for (feature, task), count in self._counts.items():
            score = self._score(count, kinds[task], task)
            if ordered[feature]:  # single numbers may be too rare to have a rate
                group_K = merged(count.sum(axis=2) if kinds[task] == "binary" else count[..., 0])
                grouped = np.zeros((group_K.max() + 1, 2, 2), count.dtype)
                np.add.at(grouped, group_K, count)
                in_order = auc_of_order(count.sum(axis=1)) if kinds[task] == "binary" else score
                score = float(np.fmax(np.fmax(score, in_order), self._score(grouped, kinds[task], task)))
            if np.isfinite(score):
                found.append(Separation(feature, task, kinds[task], score))
        return sorted(found, key=lambda result: -result.score)

    def _score(self, count: np.ndarray, kind: str, task: str) -> float:
        if kind == "binary":
            return auc_of_bins(count)
        return explained_by_bins(count[..., 0], count[..., 1], self._squares[task])

    def _bins(self, feature: Feature) -> int:
        if feature.kind == "dense":
            return NUMBER_BINS
        return min(self.encoder.vocabularies[feature.name].rows, ID_BINS) if feature.kind == "sparse" else ID_BINS

    def _binned(self, rows: Rows, row_U: np.ndarray) -> list[np.ndarray]:
        """The bins of some rows, for each feature."""
        ids, numbers, bags = iter(rows.id_BS.T), iter(rows.number_BM.T), iter(rows.bags)
        binned = []
        for feature, bins in self._columns:
            if feature.kind == "sparse":
                binned.append(id_bins(next(ids)[row_U], bins))
            elif feature.kind == "dense":
                binned.append(number_bins(next(numbers)[row_U], self.encoder.scales[feature.name].units))
            else:
                binned.append(id_bins(_lists(*next(bags))[row_U], bins))
        return binned


def id_bins(row_B: np.ndarray, bins: int) -> np.ndarray:
    """The bin of each row of an embedding table; null and the unknown id keep bins of their own where ids must share some."""
    row_B = row_B.astype(np.int64)
    beyond_B = row_B >= bins
    if beyond_B.any():
        row_B[beyond_B] = FIRST_ROW + (row_B[beyond_B] - FIRST_ROW) % max(bins - FIRST_ROW, 1)
    return row_B


def number_bins(number_B: np.ndarray, units: int) -> np.ndarray:
    """The bin of each place on a scale, in order from bin 1 on; null is bin 0.

    A scale of many units is cut into equal parts, for its units hold equally many rows. On a scale of one unit a bin is a range of
    binary floating-point numbers, narrow near 0: a few huge values do not push all others into one bin.

    >>> number_bins(np.array([np.nan, 0.0, 1.0, 2.0], dtype=np.float32), units=2).tolist()
    [0, 1, 2048, 4095]
    """
    last = NUMBER_BINS - 1
    known_B = np.nan_to_num(number_B, nan=0.0, posinf=3e38, neginf=-3e38).astype(np.float32)
    if units > 1:
        place_B = (np.clip(known_B, 0, units) * np.float32((last - 1) / units)).astype(np.int64)
    else:
        size_B = (known_B.view(np.int32) & 0x7FFFFFFF) >> 17  # 8 bits of exponent, 6 of the mantissa
        half = (last - 1) // 2
        size_B = np.clip(size_B.astype(np.int64) - ((127 + 11 << 6) - half), 0, half)
        place_B = half + np.where(known_B < 0, -size_B, size_B)
    return np.where(np.isnan(number_B), 0, 1 + place_B)


def leak_warnings(results: list[Separation]) -> list[DataWarning]:
    """A serious warning for each feature that alone gives a label away."""
    return [
        DataWarning(
            level="serious",
            column=result.feature,
            task=result.task,
            text=f"feature {result.feature!r} alone separates the label of task {result.task!r} ({result.words} on its training "
            "rows). This looks like a leak: an outcome under another name, or a value that is written after the impression. "
            f"If it is not known before the impression, leave it out: --ignore {result.feature}.",
        )
        for result in results
        if result.score > SEPARATES
    ]


def _lists(id_n: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """A number for each list, the same for the same ids in any order; 0 for an empty list."""
    mixed_n = (id_n.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed_n ^= mixed_n >> np.uint64(29)
    sums = np.append(np.uint64(0), np.cumsum(mixed_n, dtype=np.uint64))
    hashed_B = sums[offset[1:]] - sums[offset[:-1]]
    return np.where(np.diff(offset) == 0, 0, FIRST_ROW + (hashed_B >> np.uint64(33)).astype(np.int64))
