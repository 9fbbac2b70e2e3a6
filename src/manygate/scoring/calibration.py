"""Calibrates predicted probabilities by Platt scaling, temperature or isotonic regression, with NumPy alone.

A calibrator of a task is fitted on validation rows by log loss, with row weights. It reads the model's mean probability over
replicas. It does not use training or test rows. z is the logit of that probability:

    platt        sigmoid(a z + b)   Platt, "Probabilistic Outputs for Support Vector Machines", 1999, section 2.2
    temperature  sigmoid(z / T)     Guo, Pleiss, Sun & Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, 4.2
    isotonic     a rising function  Zadrozny & Elkan, "Transforming Classifier Scores into Accurate Multiclass Probability
                                    Estimates", KDD 2002, by pool adjacent violators (Ayer et al. 1955)

Shapes: N rows, U distinct predictions, K blocks of isotonic regression.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from manygate.config.names import CALIBRATIONS
from manygate.errors import InputError, did_you_mean, raise_all
from manygate.files import put_file, read_json, to_json
from manygate.metrics.sigmoid import sigmoid
from manygate.schema import Schema

Floats: TypeAlias = NDArray[np.float64]
CALIBRATION_VERSION = 1
CALIBRATION_FILE = "calibration.json"
TINY = 1e-12


@dataclass(frozen=True)
class Calibrator:
    """The calibrator of a task: its method and its numbers (``a`` and ``b``, ``temperature``, or ``x`` and ``y`` of the blocks).

    >>> calibrator = Calibrator("platt", {"a": 2.0, "b": 0.0})
    >>> calibrator.apply([0.5, 0.75]).round(9).tolist()
    [0.5, 0.9]
    """

    method: str
    numbers: Mapping[str, Any]

    def __post_init__(self) -> None:
        raise_all(_number_problems(self.method, self.numbers))

    def apply(self, probability_N: ArrayLike) -> Floats:
        """Return calibrated probabilities (N,), float64, inside (0, 1)."""
        probability = np.asarray(probability_N, dtype=np.float64)
        if self.method == "isotonic":
            return np.clip(np.interp(probability, self.numbers["x"], self.numbers["y"]), TINY, 1 - TINY)
        if self.method == "temperature":
            return bounded_sigmoid(logit(probability) / self.numbers["temperature"])
        return bounded_sigmoid(self.numbers["a"] * logit(probability) + self.numbers["b"])


@dataclass(frozen=True)
class Calibration:
    """The calibrators of a model by task. ``fitted`` holds the log and the number of rows of each task's fit."""

    tasks: Mapping[str, Calibrator]
    fitted: Mapping[str, Any] = field(default_factory=dict)

    def apply(self, columns: Mapping[str, Floats]) -> dict[str, Floats]:
        """Return the prediction columns by name, with the columns of calibrated tasks replaced."""
        return {name: self.tasks[name].apply(value_N) if name in self.tasks else value_N for name, value_N in columns.items()}

    def updated(self, other: Calibration) -> Calibration:
        """Return this calibration with the calibrators of ``other`` added. They replace calibrators of the same tasks."""
        return Calibration({**self.tasks, **other.tasks}, {**self.fitted, **other.fitted})

    def to_json(self) -> str:
        """Return the content of ``calibration.json``."""
        tasks = {name: {"method": calibrator.method, **calibrator.numbers} for name, calibrator in self.tasks.items()}
        fitted = {name: dict(self.fitted[name]) for name in tasks if name in self.fitted}
        return to_json({"calibration_version": CALIBRATION_VERSION, "tasks": tasks, "fitted": fitted})


def read_calibration(folder: Path) -> Calibration | None:
    """Return the calibration in a bundle's folder, or None if it has none. The caller has checked the manifest."""
    path = folder / CALIBRATION_FILE
    return load_calibration(path) if path.is_file() else None


def load_calibration(path: Path) -> Calibration:
    """Return the calibration in a file. Raises :class:`InputError` if it is none."""
    tree = read_json(path)
    try:
        if tree["calibration_version"] != CALIBRATION_VERSION:
            raise InputError(f"calibration version {tree['calibration_version']!r}, not {CALIBRATION_VERSION}.")
        entries = {name: dict(entry) for name, entry in tree["tasks"].items()}
        return Calibration({name: Calibrator(entry.pop("method"), entry) for name, entry in entries.items()}, dict(tree["fitted"]))
    except InputError as error:
        raise InputError(f"{path}: {problem}" for problem in error.marked) from None
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: not a calibration ({type(error).__name__}: {error}). Restore the bundle.") from None


def write_calibration(folder: Path, calibration: Calibration | None) -> None:
    """Write a calibration into a bundle's folder. If it is None or empty, remove the file. A crash leaves the old file."""
    put_file(folder, CALIBRATION_FILE, calibration.to_json() if calibration and calibration.tasks else None)


def logit(probability: Floats) -> Floats:
    """Return log(p / (1 - p)), which is finite at 0 and 1 too.

    >>> logit(np.array([0.5, 0.0])).round(2).tolist()
    [0.0, -27.63]
    """
    inside = np.clip(probability, TINY, 1 - TINY)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def bounded_sigmoid(z: Floats) -> Floats:
    """Return 1 / (1 + exp(-z)) without overflow, inside (0, 1)."""
    return np.clip(sigmoid(z), TINY, 1 - TINY)


def _number_problems(method: str, numbers: Mapping[str, Any]) -> list[str]:
    """Return the problems of a calibrator's method and numbers, which may come from a file."""
    known = {str(name): needed for name, needed in CALIBRATIONS.items()}
    if method not in known:
        return unknown_method(method)
    if set(numbers) != set(known[method]):
        return [f"{method}: expected {', '.join(known[method])}, found {', '.join(sorted(map(str, numbers))) or 'nothing'}."]
    values = [np.asarray(value, dtype=np.float64) for _, value in sorted(numbers.items())]
    if not all(np.isfinite(value).all() for value in values):
        return [f"{method}: a number is not finite."]
    if method == "temperature" and not numbers["temperature"] > 0:
        return [f"temperature: expected more than 0, found {numbers['temperature']!r}."]
    if method == "isotonic":
        x, y = values
        if x.ndim != 1 or x.shape != y.shape or not x.size or (np.diff(x) <= 0).any() or (np.diff(y) < 0).any():
            return ["isotonic: x and y must be lists of one length, x rising and y not falling."]
        if y[0] < 0 or y[-1] > 1:
            return ["isotonic: y must lie between 0 and 1."]
    return []


def unknown_method(method: str) -> list[str]:
    if method in CALIBRATIONS:
        return []
    return [f"calibration method {method!r} is unknown.{did_you_mean(method, CALIBRATIONS)} Choose {', '.join(CALIBRATIONS)}."]


def calibration_problems(schema: Schema, method: str, tasks: Sequence[str]) -> list[str]:
    """Return the problems of calibrating the named tasks of a schema by a method."""
    kinds = {task.name: task.kind for task in schema.tasks}
    problems = [] if method == "none" else unknown_method(method)
    for name in tasks:
        if name not in kinds:
            problems.append(f"no task {name!r}.{did_you_mean(name, kinds)} Choose {', '.join(kinds)}.")
        elif kinds[name] != "binary":
            problems.append(f"task {name!r} is a regression; only probabilities are calibrated.")
    if "binary" not in kinds.values():
        problems.append("there is no binary task, and only probabilities are calibrated.")
    return problems
