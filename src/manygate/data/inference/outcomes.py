"""Finds columns of a sample that look like outcomes: known only after the impression, and so no features.

Shape suffixes: N rows, K values, H halves of the rows, L labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from shlex import quote

import numpy as np
import pyarrow.types as pt

from manygate.data.inference.role_words import BEFORE, MEASURED_AFTER, MEASURES, OUTCOMES
from manygate.data.inference.sampled_column import SampledColumn, percent
from manygate.data.separation import FEWEST_OF_A_LABEL, SEPARATES, auc_of_bins, auc_of_order, explained_by_bins, halves
from manygate.results.evaluation import DataWarning
from manygate.schema import Task
from manygate.text import count_of

BY_CHANCE = 1e-7
"""The largest probability that rows lie as they do by chance."""
QUANTILES = 256


@dataclass(frozen=True)
class Finding:
    """Why a column is no feature, and how sure that is."""

    reason: str
    level: str
    task: str | None = None

    def warning(self, column: str) -> DataWarning:
        """The finding as a warning of a run that nobody gave a schema."""
        text = f"column {column!r} is not used as a feature: {self.reason}"
        return DataWarning(level="serious" if self.level == "serious" else "warning", column=column, task=self.task, text=text)


@dataclass(frozen=True)
class _Label:
    """A task's label where it counts; ``number_N`` is NaN elsewhere."""

    task: Task
    column: SampledColumn
    number_N: np.ndarray

    @cached_property
    def known(self) -> np.ndarray:
        """The rows with a label that counts."""
        return np.isfinite(self.number_N)

    @cached_property
    def values(self) -> np.ndarray:
        """The labels of the known rows."""
        values: np.ndarray = self.number_N[self.known]
        return values

    @cached_property
    def halves(self) -> np.ndarray:
        return halves(len(self.values), np.random.default_rng(0))

    @property
    def is_binary(self) -> bool:
        return self.task.kind == "binary" and len(self.values) > 0 and 0 < float(self.values.mean()) < 1


class Outcomes:
    """Compares columns with the labels of the tasks; ``numbers`` has each task's labels, NaN where none counts."""

    def __init__(self, tasks: Sequence[Task], columns: dict[str, SampledColumn], numbers: dict[str, np.ndarray]):
        labels = [_Label(task, columns[task.column], numbers[task.name]) for task in tasks]
        self._labels = sorted((label for label in labels if label.column.distinct > 1), key=lambda label: label.column.name)
        self._stems = {_stem(label.column) for label in self._labels if label.is_binary} - {""}

    def find(self, column: SampledColumn) -> Finding | None:
        """Why the column looks like an outcome; None where it does not."""
        if pt.is_list(column.values.type) or not column.is_plain or not len(column.known):
            return None
        relations = (_copy, _known_where_one, _disguise, _after, _step_before)
        pairs = ((relation, label) for relation in relations for label in self._labels)
        found = next((finding for relation, label in pairs if (finding := relation(column, label))), None)
        return found or self._by_name(column)

    def _by_name(self, column: SampledColumn) -> Finding | None:
        if not BEFORE.isdisjoint(column.words):
            return None
        name = quote(column.name)
        is_named = not OUTCOMES.isdisjoint(column.words)
        if column.is_yes_or_no and (is_named or _stem(column) in self._stems):
            return Finding(
                f"it looks like an outcome. Predict it (--task {name}), leave it out (--ignore {name}), or make it a feature in a "
                "schema if it is known before the impression",
                "ask",
            )
        words = set(column.words)
        if column.is_number and ((words & MEASURED_AFTER and words & MEASURES) or words & {"dwell", "playtime", "watchtime"}):
            return Finding(
                f"it looks like a measurement that begins with the impression. Predict it (--task {name}), leave it out "
                f"(--ignore {name}), or make it a feature in a schema if it is known before",
                "ask",
            )
        return None


def _copy(column: SampledColumn, label: _Label) -> Finding | None:
    numbers, answers = column.numbers, label.column.numbers
    if numbers is None or answers is None or not np.array_equal(numbers, answers, equal_nan=True):
        return None
    return Finding(f"identical to label {label.column.name!r}", "warning", label.task.name)


def _known_where_one(column: SampledColumn, label: _Label) -> Finding | None:
    """A column that is known exactly where a label is 1 is an outcome too: it would give the label away."""
    if not column.values.null_count or not label.is_binary:
        return None
    if not np.array_equal(column.values.is_valid().to_numpy(), label.number_N == 1):
        return None
    spec = quote(f"{column.name}:where={label.column.name}==1")
    return Finding(f"known only where {label.column.name!r} is 1, so an outcome; --task {spec} predicts it", "ask", label.task.name)


def _disguise(column: SampledColumn, label: _Label) -> Finding | None:
    """A column that alone separates a label is the label under another name, or was written after it."""
    if label.is_binary:
        count = _counts(column, label)
        auc = float(np.fmax(auc_of_bins(count), auc_of_order(count.sum(axis=1)) if column.numbers is not None else np.nan))
        score = f"AUC {np.floor(auc * 1e4) / 1e4:.4f}" if auc > SEPARATES else ""
    elif label.task.kind == "regression":
        with np.errstate(all="ignore"):  # numbers may be too large to square
            explained = _explained(column, label)
        score = f"R squared {np.floor(explained * 1e4) / 1e4:.4f}" if explained > SEPARATES else ""
    else:
        score = ""
    if not score:
        return None
    return Finding(
        f"it alone separates label {label.column.name!r} ({score}), so it looks like a leak: the label under another name, or a "
        "value that is written after the impression; make it a feature if it is known before",
        "serious",
        label.task.name,
    )


def _after(column: SampledColumn, label: _Label) -> Finding | None:
    """A column that is null or 0 wherever a label is 0 is known one or more steps after it."""
    if not label.is_binary:
        return None
    said_N = _says_something(column)[label.known]
    said, rate = int(said_N.sum()), float(label.values.mean())
    if said < FEWEST_OF_A_LABEL or said == len(said_N) or rate > 0.9 or rate**said > BY_CHANCE:
        return None
    if not bool((label.values[said_N] == 1).all()):
        return None
    empty = "null or 0" if column.is_number else "null"
    share = percent(said / float((label.values == 1).sum()))
    spec = quote(f"{column.name}:where={label.column.name}==1")
    return Finding(
        f"{empty} wherever {label.column.name!r} is 0, and known in {share} of the rows where it is 1, so it looks like an outcome "
        f"of a later step; --task {spec} predicts it, a feature it is only if it is known before the impression",
        "ask",
        label.task.name,
    )


def _step_before(column: SampledColumn, label: _Label) -> Finding | None:
    """A yes-or-no column that is a rare yes, and always where a label is 1, is the step before it: the click before the order."""
    if not label.is_binary or not column.is_yes_or_no or (not column.is_number and not pt.is_boolean(column.values.type)):
        return None
    yes_N = _says_something(column)[label.known]
    happened_N = label.values == 1
    share, happened = float(yes_N.mean()), int(happened_N.sum())
    if happened < FEWEST_OF_A_LABEL or not 0 < share <= 0.5 or share**happened > BY_CHANCE or not bool(yes_N[happened_N].all()):
        return None
    return Finding(
        f"it is 1 wherever {label.column.name!r} is 1, and else only in {count_of(int((yes_N & ~happened_N).sum()), 'row')}, so it "
        f"looks like the outcome of an earlier step; --task {quote(column.name)} predicts it, a feature it is only if it is known "
        "before the impression",
        "ask",
        label.task.name,
    )


def _says_something(column: SampledColumn) -> np.ndarray:
    """Rows that are neither null nor 0 (nor false)."""
    if column.numbers is not None:
        said_N: np.ndarray = np.nan_to_num(column.numbers, nan=0.0) != 0
        return said_N
    said_N = column.values.is_valid().to_numpy()
    return said_N


def _counts(column: SampledColumn, label: _Label) -> np.ndarray:
    """Rows by value, half and label, (K, 2, 2); null is a value, too."""
    code_N = column.codes[label.known]
    place_N = 4 * code_N + 2 * label.halves + label.values.astype(np.int64)
    count_KHL: np.ndarray = np.bincount(place_N, minlength=4 * column.code_count).reshape(-1, 2, 2)
    return count_KHL


def _explained(column: SampledColumn, label: _Label) -> float:
    """R squared of a numeric label: by the column's values, by its quantiles, or by a straight line."""
    code_N = column.codes[label.known]
    binnings = [code_N]
    if column.numbers is not None and column.code_count > QUANTILES:
        rows = max(len(code_N), 1)
        binnings.append(np.argsort(np.argsort(code_N, kind="stable"), kind="stable") * QUANTILES // rows)
    scores = [_explained_by(bin_N, label) for bin_N in binnings]
    if column.numbers is not None:
        number_N = column.numbers[label.known]
        both_N = np.isfinite(number_N)
        if both_N.sum() >= FEWEST_OF_A_LABEL and np.ptp(number_N[both_N]) > 0 and np.ptp(label.values[both_N]) > 0:
            scores.append(float(np.corrcoef(number_N[both_N], label.values[both_N])[0, 1] ** 2) * float(both_N.mean()))
    return float(np.nanmax([0.0, *scores]))


def _explained_by(bin_N: np.ndarray, label: _Label) -> float:
    place_N, bins = 2 * bin_N + label.halves, int(bin_N.max(initial=0)) + 1
    count = np.bincount(place_N, minlength=2 * bins).reshape(bins, 2)
    sums = np.bincount(place_N, weights=label.values, minlength=2 * bins).reshape(bins, 2)
    squares = np.bincount(label.halves, weights=label.values**2, minlength=2)
    return explained_by_bins(count, sums, squares)


def _stem(column: SampledColumn) -> str:
    """The name without its number, for ``y1`` and ``y2``; empty for a name without a number."""
    *stem, last = column.words
    return "_".join(stem) if last.isdigit() else ""
