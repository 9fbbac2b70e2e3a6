"""Scales of labels, fitted on training rows.

Shape suffixes: B rows, T tasks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from manygate.data.levels import Levels, fit_levels
from manygate.data.scale import NumberSample
from manygate.errors import InputError
from manygate.schema import Schema


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
    """Of an ordinal task, standardised as the labels are."""

    def encode(self, label: np.ndarray) -> np.ndarray:
        """Labels as models see them."""
        with np.errstate(invalid="ignore", divide="ignore"):  # masked labels are whatever they are
            value = np.log1p(label) if self.log else label
        return np.asarray((value - self.mean) / self.sd)

    def decode(self, value: np.ndarray) -> np.ndarray:
        """What a model says, in the label's unit; with ``log`` the exponential of a mean of logarithms, so nearer to a median."""
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

    def scales(self, place: str) -> dict[str, LabelScale]:
        """Each task's scale; raises :class:`InputError` where a label is too large."""
        scales = {}
        for t, task in enumerate(self.tasks):
            if task.kind == "binary" or self.total_T[t] == 0:
                scales[task.name] = LabelScale()
                continue
            mean, sd = self.mean_T[t], np.sqrt(self.square_T[t] / self.total_T[t])
            if not (np.isfinite(mean) and np.isfinite(sd)):
                raise InputError(f"{place}: label {task.column!r} of task {task.name!r} is too large to average; rescale it.")
            scale = LabelScale(float(mean), float(sd) or 1.0, task.trained_by == "log")
            if t in self.samples:
                label_N, weight_N = self.samples[t].rows.T
                scale.levels = fit_levels(scale.encode(label_N), task.levels, weight_N)
            scales[task.name] = scale
        return scales
