"""Labels and their weights, and the scales of labels, fitted on training rows.

Shape suffixes: B rows, T tasks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from manygate.data.column import as_numbers
from manygate.data.label_values import read_label
from manygate.data.sample_space import sample_space
from manygate.data.scale import NumberSample
from manygate.errors import InputError, raise_all
from manygate.schema import Schema, Task
from manygate.schema.task import funnel_order
from manygate.text import count_of

LARGEST_WEIGHT = 1e30  # sums of a batch's weights stay finite in float32


def no_labels(schema: Schema, count: int) -> tuple[np.ndarray, np.ndarray]:
    shape = (count, len(schema.tasks))
    return np.zeros(shape), np.zeros(shape)


def encode_labels(schema: Schema, batch: pa.RecordBatch, location: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels as they stand (float64) and weights, zero where a label is null or outside its sample space.

    Masks come before checks: a label of weight 0, outside its sample space or after a step that did not happen is not looked at,
    and neither is the weight of a row in which no label counts.
    """
    row_weight_B = _row_weights(schema, batch, location)
    label_BT, weight_BT = no_labels(schema, batch.num_rows)
    known_BT = np.zeros(label_BT.shape, dtype=bool)
    problems: list[str] = []
    unread: set[int] = set()
    for t, after in _funnel(schema):
        if after in unread:
            unread.add(t)
            continue
        happened_B = row_weight_B != 0 if after is None else known_BT[:, after] & (label_BT[:, after] == 1)
        try:
            known_BT[:, t], label_BT[:, t] = _known_labels(schema.tasks[t], batch, location, happened_B)
        except InputError as error:
            problems += error.marked
            unread.add(t)
    bad_B = known_BT.any(axis=1) & ~_is_weight(row_weight_B)
    if bad_B.any():
        problems.append(
            f"{location}: weight column {schema.weight!r} has {count_of(int(bad_B.sum()), 'value')} that cannot be weights "
            f"(null, negative, infinite or above {LARGEST_WEIGHT:g}), the first in row {int(bad_B.argmax())} of this part. "
            "Weights must be numbers of 0 or more."
        )
    raise_all(problems)
    weight_BT[:] = np.where(known_BT, row_weight_B[:, None], 0.0)
    return label_BT, weight_BT


def _funnel(schema: Schema) -> list[tuple[int, int | None]]:
    """Each task with the one that it comes after; first those after none, then each after its parent."""
    first: list[tuple[int, int | None]] = [(t, None) for t, after in enumerate(schema.parents) if after is None]
    return first + list(funnel_order(schema.parents))


def _known_labels(task: Task, batch: pa.RecordBatch, location: str, happened_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows with a label that counts, and the labels; 0 elsewhere. Raises :class:`InputError` where one cannot be a label."""
    inside_B = happened_B & sample_space(task, batch, location)
    values = read_label(task, batch, location)
    values.check(inside_B, location)
    known_B = inside_B & ~np.isnan(values.number_B)
    return known_B, np.where(known_B, values.number_B, 0.0)


def count_too_early(schema: Schema, batch: pa.RecordBatch, location: str) -> np.ndarray:
    """For each task after another, the rows of its ``where`` in which a binary label is 1 and that of the step before is 0."""
    early_T = np.zeros(len(schema.tasks), dtype=np.int64)
    for t, after in funnel_order(schema.parents):
        task, before = schema.tasks[t], schema.tasks[after]
        if task.kind == "binary":
            label_B, before_B = (read_label(step, batch, location).number_B for step in (task, before))
            early_T[t] = np.count_nonzero((label_B == 1) & (before_B == 0) & sample_space(task, batch, location))
    return early_T


def _row_weights(schema: Schema, batch: pa.RecordBatch, location: str) -> np.ndarray:
    return np.ones(batch.num_rows) if schema.weight is None else as_numbers(batch.column(schema.weight), schema.weight, location)


def _is_weight(weight_B: np.ndarray) -> np.ndarray:
    """Where a number can be a weight."""
    with np.errstate(invalid="ignore"):
        return np.isfinite(weight_B) & (weight_B >= 0) & (weight_B <= LARGEST_WEIGHT)


@dataclass
class LabelScale:
    """Mean and standard deviation of a regression label, or of its log(1 + label), over training rows; (0, 1) for a binary task.

    >>> scale = LabelScale(mean=1.0, sd=2.0, log=True)
    >>> float(scale.decode(scale.encode(np.array(7.0))).round(6))
    7.0
    """

    mean: float = 0.0
    sd: float = 1.0
    log: bool = False
    levels: Levels | None = None
    """The levels of an ordinal task, standardised as the labels are."""

    def encode(self, label: np.ndarray) -> np.ndarray:
        """Labels as models see them."""
        with np.errstate(invalid="ignore", divide="ignore"):  # masked labels are whatever they are
            value = np.log1p(label) if self.log else label
        return np.asarray((value - self.mean) / self.sd)

    def decode(self, value: np.ndarray) -> np.ndarray:
        """A model's predictions in the label's unit; with ``log`` the exponential of a mean of logarithms, nearer to a median."""
        value = value * self.sd + self.mean
        return np.expm1(np.minimum(value, 80.0)) if self.log else value


class LabelStatistics:
    """Weighted mean and standard deviation of each regression label over a stream, and a sample of those to be cut into levels.

    Batches are merged by their means and squared deviations (Chan, Golub & LeVeque 1983): a sum of squares would lose the spread of
    a label far from zero, a time say.
    """

    def __init__(self, schema: Schema, seed: int):
        self.tasks = schema.tasks
        ordinal = (t for t, task in enumerate(self.tasks) if task.trained_by == "ordinal")
        self.samples = {t: NumberSample(2, seed) for t in ordinal}  # labels and their weights
        self.total_T, self.mean_T, self.square_T = (np.zeros(len(schema.tasks)) for _ in range(3))

    def add(self, label_BT: np.ndarray, weight_BT: np.ndarray) -> None:
        """Add a batch's labels, as they stand, and weights."""
        for t, sample in self.samples.items():
            known_B = weight_BT[:, t] > 0
            sample.add(np.stack([label_BT[known_B, t], weight_BT[known_B, t]], axis=1))
        logged = [t for t, task in enumerate(self.tasks) if task.trained_by == "log"]
        label_BT = label_BT.copy()
        label_BT[:, logged] = np.log1p(label_BT[:, logged])
        with np.errstate(over="ignore", invalid="ignore"):
            total_T = weight_BT.sum(axis=0)
            mean_T = (weight_BT * label_BT).sum(axis=0) / np.where(total_T > 0, total_T, 1.0)
            square_T = (weight_BT * (label_BT - mean_T) ** 2).sum(axis=0)
            both_T, apart_T = self.total_T + total_T, mean_T - self.mean_T
            share_T = total_T / np.where(both_T > 0, both_T, 1.0)
            self.square_T += square_T + apart_T**2 * self.total_T * share_T
            self.mean_T += apart_T * share_T
            self.total_T = both_T

    def scales(self, location: str) -> dict[str, LabelScale]:
        """Each task's scale; raises :class:`InputError` where a label is too large."""
        scales = {}
        for t, task in enumerate(self.tasks):
            if task.kind == "binary" or self.total_T[t] == 0:
                scales[task.name] = LabelScale()
                continue
            mean, sd = self.mean_T[t], np.sqrt(self.square_T[t] / self.total_T[t])
            if not (np.isfinite(mean) and np.isfinite(sd)):
                raise InputError(f"{location}: label {task.column!r} of task {task.name!r} is too large to average; rescale it.")
            scale = LabelScale(float(mean), float(sd) or 1.0, task.trained_by == "log")
            if t in self.samples:
                label_N, weight_N = self.samples[t].rows.T
                scale.levels = fit_levels(scale.encode(label_N), task.levels, weight_N)
            scales[task.name] = scale
        return scales


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
