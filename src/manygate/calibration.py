"""Predicted probabilities -> probabilities that mean what they say: Platt scaling, temperature, isotonic regression. NumPy alone.

A calibrator of a task is fitted by log loss, with row weights, on rows that trained nothing (validation rows), from the model's
mean probability over replicas. It never sees test rows. With z the logit of that probability:

    platt        sigmoid(a z + b)   Platt, "Probabilistic Outputs for Support Vector Machines", 1999, section 2.2
    temperature  sigmoid(z / T)     Guo, Pleiss, Sun & Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, 4.2
    isotonic     a rising function  Zadrozny & Elkan, "Transforming Classifier Scores into Accurate Multiclass Probability
                                    Estimates", KDD 2002, by pool adjacent violators (Ayer et al. 1955)

Shapes: N rows, U distinct predictions, K blocks of isotonic regression.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from manygate.errors import InputError, did_you_mean, raise_all
from manygate.files import put_file, read_json, to_json
from manygate.metrics import log_loss
from manygate.schema import Schema

Floats: TypeAlias = NDArray[np.float64]
Method: TypeAlias = Literal["none", "platt", "temperature", "isotonic"]
METHODS: tuple[str, ...] = get_args(Method)
CALIBRATION_VERSION = 1
CALIBRATION_FILE = "calibration.json"
TINY = 1e-12
COLDEST, HOTTEST = 1e-3, 1e3
"""Bounds of a temperature: rows that a threshold separates have their optimum at 0."""


@dataclass(frozen=True)
class Calibrator:
    """One task's calibrator: its method and its numbers (``a``, ``b``; ``temperature``; ``x`` and ``y`` of the blocks).

    >>> calibrator = Calibrator("platt", {"a": 2.0, "b": 0.0})
    >>> calibrator.apply([0.5, 0.75]).round(9).tolist()
    [0.5, 0.9]
    """

    method: str
    numbers: Mapping[str, Any]

    def __post_init__(self) -> None:
        raise_all(_problems(self.method, self.numbers))

    def apply(self, probability_N: ArrayLike) -> Floats:
        """Calibrated probabilities (N,), float64, inside (0, 1)."""
        probability = np.asarray(probability_N, dtype=np.float64)
        if self.method == "isotonic":
            return np.clip(np.interp(probability, self.numbers["x"], self.numbers["y"]), TINY, 1 - TINY)
        if self.method == "temperature":
            return _sigmoid(logit(probability) / self.numbers["temperature"])
        return _sigmoid(self.numbers["a"] * logit(probability) + self.numbers["b"])


@dataclass(frozen=True)
class Calibration:
    """The calibrators of a model, by task, and on which rows they were fitted (``fitted``: log, rows; for people)."""

    tasks: Mapping[str, Calibrator]
    fitted: Mapping[str, Any] = field(default_factory=dict)

    def apply(self, columns: Mapping[str, Floats]) -> dict[str, Floats]:
        """Prediction columns by name, those of calibrated tasks replaced."""
        return {name: self.tasks[name].apply(value_N) if name in self.tasks else value_N for name, value_N in columns.items()}

    def updated(self, other: Calibration) -> Calibration:
        """This calibration with the other's tasks put in place of its own."""
        return Calibration({**self.tasks, **other.tasks}, {**self.fitted, **other.fitted})

    def to_json(self) -> str:
        """The content of ``calibration.json``."""
        tasks = {name: {"method": one.method, **one.numbers} for name, one in self.tasks.items()}
        fitted = {name: dict(self.fitted[name]) for name in tasks if name in self.fitted}
        return to_json({"calibration_version": CALIBRATION_VERSION, "tasks": tasks, "fitted": fitted})


def read_calibration(folder: Path) -> Calibration | None:
    """The calibration in a bundle's folder, None where there is none. The caller has checked the manifest."""
    path = folder / CALIBRATION_FILE
    if not path.is_file():
        return None
    tree = read_json(path)
    try:
        if tree["calibration_version"] != CALIBRATION_VERSION:
            raise InputError(f"calibration version {tree['calibration_version']!r}, not {CALIBRATION_VERSION}.")
        found = {name: dict(entry) for name, entry in tree["tasks"].items()}
        return Calibration({name: Calibrator(entry.pop("method"), entry) for name, entry in found.items()}, dict(tree["fitted"]))
    except InputError as error:
        raise InputError(f"{path}: {problem}" for problem in error.problems) from None
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: not a calibration ({type(error).__name__}: {error}). Restore the bundle.") from None


def write_calibration(folder: Path, calibration: Calibration | None) -> None:
    """Put a calibration into a bundle's folder, or take it out where it is None or empty; a crash leaves the old one."""
    put_file(folder, CALIBRATION_FILE, calibration.to_json() if calibration and calibration.tasks else None)


def fit_calibrator(method: str, label_N: ArrayLike, probability_N: ArrayLike, weight_N: ArrayLike | None = None) -> Calibrator:
    """Fit one calibrator. ``label_N`` holds 0 and 1; rows of weight 0 are left out.

    Where isotonic regression has so few blocks that the lines between them lose log loss on the very rows of the fit, Platt's two
    numbers are fitted instead, or a temperature where these would turn the order round. Raises :class:`InputError` for an unknown
    method, labels of one class, or numbers not finite.

    >>> fit_calibrator("isotonic", [0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4]).apply([0.25]).round(2).tolist()
    [0.5]
    """
    raise_all(_unknown(method))
    columns = (np.asarray(label_N, np.float64), np.asarray(probability_N, np.float64))
    weight = np.ones_like(columns[0]) if weight_N is None else np.asarray(weight_N, np.float64)
    label, probability, weight = (column[weight > 0] for column in (*columns, weight))
    if not all(np.isfinite(column).all() for column in (label, probability, weight)):
        raise InputError("calibration: a label, a prediction or a weight is not finite.")
    if label.size == 0 or label.min() == label.max():
        found = f"all {label.size:,} labels are {label[0]:g}" if label.size else "there is no labelled row"
        raise InputError(f"calibration needs rows of both classes; {found}. Give more rows.")
    fitted = Calibrator(method, _FITS[method](label, probability, weight / weight.mean()))
    if method == "isotonic" and log_loss(label, fitted.apply(probability), weight) > log_loss(label, probability, weight):
        platt = fit_calibrator("platt", label, probability, weight)  # too few rows for the lines between the blocks
        return platt if platt.numbers["a"] > 0 else fit_calibrator("temperature", label, probability, weight)
    return fitted


def logit(probability: Floats) -> Floats:
    """log(p / (1 - p)), finite at 0 and 1.

    >>> logit(np.array([0.5, 0.0])).round(2).tolist()
    [0.0, -27.63]
    """
    inside = np.clip(probability, TINY, 1 - TINY)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def _sigmoid(z: Floats) -> Floats:
    """1 / (1 + exp(-z)) without overflow, kept inside (0, 1)."""
    return np.clip(0.5 * (1.0 + np.tanh(0.5 * z)), TINY, 1 - TINY)


def _platt(label_N: Floats, probability_N: Floats, weight_N: Floats) -> dict[str, Any]:
    """Newton's method with step halving (Lin, Lin & Weng, Machine Learning 68, 2007).

    The targets are Platt's, (n+ + 1) / (n+ + 2) and 1 / (n- + 2) with n the classes' weight, so that the optimum is finite on rows
    that a threshold separates.
    """
    z_N = logit(probability_N)
    positive, negative = np.sum(weight_N * label_N), np.sum(weight_N * (1 - label_N))
    target_N = np.where(label_N == 1, (positive + 1) / (positive + 2), 1 / (negative + 2))
    input_N2 = np.column_stack([z_N, np.ones_like(z_N)])

    def loss(ab: Floats) -> float:
        score_N = input_N2 @ ab
        return float(np.sum(weight_N * (np.logaddexp(0, score_N) - target_N * score_N)))

    ab, value = np.array([1.0, 0.0]), math.inf
    for _ in range(100):
        p_N = _sigmoid(input_N2 @ ab)
        gradient = input_N2.T @ (weight_N * (p_N - target_N))
        curvature = (input_N2 * (weight_N * p_N * (1 - p_N))[:, None]).T @ input_N2
        step, value = (
            np.linalg.lstsq(curvature, gradient, rcond=1e-12)[0],
            loss(ab),
        )  # the shortest, should all predictions be equal
        size = 1.0
        while size > 1e-10 and loss(ab - size * step) > value - 1e-4 * size * float(gradient @ step):
            size /= 2
        if size <= 1e-10 or float(gradient @ step) < 1e-12 * max(value, 1.0):
            break
        ab = ab - size * step
    return {"a": float(ab[0]), "b": float(ab[1])}


def _temperature(label_N: Floats, probability_N: Floats, weight_N: Floats) -> dict[str, Any]:
    """The loss is convex in 1 / T: bisection on the sign of its slope, between bounds."""
    z_N = logit(probability_N)

    def slope(cold: float) -> float:
        return float(np.sum(weight_N * z_N * (_sigmoid(cold * z_N) - label_N)))

    low, high = 1 / HOTTEST, 1 / COLDEST
    while low < (cold := math.sqrt(low * high)) < high and high / low > 1 + 1e-12:
        low, high = (cold, high) if slope(cold) < 0 else (low, cold)
    return {"temperature": 1 / cold}


def _isotonic(label_N: Floats, probability_N: Floats, weight_N: Floats) -> dict[str, Any]:
    """Blocks of pool adjacent violators: ``x`` mean prediction of each, ``y`` its rate of positives, between (0, 0) and (1, 1).

    Equal predictions are one point. A rate of 0 or 1 becomes that of half a row among all: rows cannot show more. The lines from
    the first block to (0, 0) and from the last to (1, 1) keep the order of the rows there, which a level line would tie.
    """
    centre_U, index_N = np.unique(probability_N, return_inverse=True)
    mass_U = np.bincount(index_N, weight_N)
    rate_U = np.asarray(np.bincount(index_N, weight_N * label_N) / mass_U, dtype=np.float64)
    start_K, rate_K, mass_K = pool(rate_U, np.asarray(mass_U, dtype=np.float64))
    least = 0.5 / (weight_N.sum() + 1)
    x_K = np.add.reduceat(mass_U * centre_U, start_K) / mass_K
    below, above = [0.0] * bool(x_K[0] > 0), [1.0] * bool(x_K[-1] < 1)
    return {"x": [*below, *x_K.tolist(), *above], "y": [*below, *np.clip(rate_K, least, 1 - least).tolist(), *above]}


def pool(value_U: Floats, weight_U: Floats) -> tuple[NDArray[np.intp], Floats, Floats]:
    """Pool adjacent violators: the rising sequence nearest to ``value_U`` in weighted squares (and in log loss), as blocks.

    Returns each block's first index, value and weight, (K,) each.

    >>> [column.tolist() for column in pool(np.array([1.0, 3.0, 2.0, 4.0]), np.ones(4))]
    [[0, 1, 3], [1.0, 2.5, 4.0], [1.0, 2.0, 1.0]]
    """
    starts: list[int] = []
    values: list[float] = []
    weights: list[float] = []
    for at, (value, weight) in enumerate(zip(value_U.tolist(), weight_U.tolist(), strict=True)):
        start = at
        while values and values[-1] >= value:
            start, last = starts.pop(), weights.pop()
            value = (last * values.pop() + weight * value) / (last + weight)
            weight += last
        starts.append(start)
        values.append(value)
        weights.append(weight)
    return np.array(starts, np.intp), np.array(values), np.array(weights)


_FITS = {"platt": _platt, "temperature": _temperature, "isotonic": _isotonic}


def _unknown(method: str) -> list[str]:
    if method in _FITS:
        return []
    return [f"calibration method {method!r} is unknown.{did_you_mean(method, _FITS)} Choose {', '.join(_FITS)}."]


def calibration_problems(schema: Schema, method: str, tasks: Sequence[str]) -> list[str]:
    """What is wrong with a wish to calibrate some tasks of a schema."""
    kinds = {task.name: task.kind for task in schema.tasks}
    problems = [] if method == "none" else _unknown(method)
    for name in tasks:
        if name not in kinds:
            problems.append(f"no task {name!r}.{did_you_mean(name, kinds)} Choose {', '.join(kinds)}.")
        elif kinds[name] != "binary":
            problems.append(f"task {name!r} is a regression; only probabilities are calibrated.")
    if "binary" not in kinds.values():
        problems.append("there is no binary task, and only probabilities are calibrated.")
    return problems


def _problems(method: str, numbers: Mapping[str, Any]) -> list[str]:
    """What is wrong with a calibrator's numbers, which a file may hold."""
    wanted = {"platt": {"a", "b"}, "temperature": {"temperature"}, "isotonic": {"x", "y"}}
    if method not in wanted:
        return _unknown(method)
    if set(numbers) != wanted[method]:
        return [
            f"{method}: expected {', '.join(sorted(wanted[method]))}, found {', '.join(sorted(map(str, numbers))) or 'nothing'}."
        ]
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
