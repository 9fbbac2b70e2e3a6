"""Fits calibrators: Platt, temperature and isotonic."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from manygate.data.log_rows import LogRows
from manygate.errors import InputError, raise_all
from manygate.metrics.task import log_loss
from manygate.model.problem import Problem
from manygate.scoring.calibration import Calibration, Calibrator, Floats, bounded_sigmoid, logit, unknown_method
from manygate.scoring.outputs import outputs
from manygate.text import count_of

COLDEST, HOTTEST = 1e-3, 1e3
"""The smallest and the largest temperature. If a threshold separates the classes, the optimum would be 0."""


def fit_calibrator(method: str, label_N: ArrayLike, probability_N: ArrayLike, weight_N: ArrayLike | None = None) -> Calibrator:
    """Fit one calibrator. ``label_N`` holds 0 and 1. Rows of weight 0 do not count.

    If isotonic regression has so few blocks that the log loss on the rows of the fit rises, Platt scaling is fitted instead. If
    Platt scaling would reverse the order of the rows, a temperature is fitted. Raises :class:`InputError` for an unknown method,
    for labels of one class, and for numbers that are not finite.

    >>> fit_calibrator("isotonic", [0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4]).apply([0.25]).round(2).tolist()
    [0.5]
    """
    raise_all(unknown_method(method))
    columns = (np.asarray(label_N, np.float64), np.asarray(probability_N, np.float64))
    weight = np.ones_like(columns[0]) if weight_N is None else np.asarray(weight_N, np.float64)
    label, probability, weight = (column[weight > 0] for column in (*columns, weight))
    if not all(np.isfinite(column).all() for column in (label, probability, weight)):
        raise InputError("calibration: a label, a prediction or a weight is not finite.")
    if label.size == 0 or label.min() == label.max():
        reason = f"every label of {count_of(label.size, 'row')} is {label[0]:g}" if label.size else "there is no labelled row"
        raise InputError(f"calibration needs rows of both classes; {reason}. Give more rows.")
    fitted = Calibrator(method, _FITS[method](label, probability, weight / weight.mean()))
    if method == "isotonic" and log_loss(label, fitted.apply(probability), weight) > log_loss(label, probability, weight):
        platt = fit_calibrator("platt", label, probability, weight)  # too few rows for the lines between the blocks
        return platt if platt.numbers["a"] > 0 else fit_calibrator("temperature", label, probability, weight)
    return fitted


def _platt(label_N: Floats, probability_N: Floats, weight_N: Floats) -> dict[str, float]:
    """Fit Platt scaling by Newton's method with step halving (Lin, Lin & Weng, Machine Learning 68, 2007).

    The targets are Platt's: (n+ + 1) / (n+ + 2) and 1 / (n- + 2), where n is the weight of a class. So the optimum is finite even
    if a threshold separates the classes.
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
        p_N = bounded_sigmoid(input_N2 @ ab)
        gradient = input_N2.T @ (weight_N * (p_N - target_N))
        curvature = (input_N2 * (weight_N * p_N * (1 - p_N))[:, None]).T @ input_N2
        step = np.linalg.lstsq(curvature, gradient, rcond=1e-12)[0]  # the shortest step if all predictions are equal
        value = loss(ab)
        size = 1.0
        while size > 1e-10 and loss(ab - size * step) > value - 1e-4 * size * float(gradient @ step):
            size /= 2
        if size <= 1e-10 or float(gradient @ step) < 1e-12 * max(value, 1.0):
            break
        ab = ab - size * step
    return {"a": float(ab[0]), "b": float(ab[1])}


def _temperature(label_N: Floats, probability_N: Floats, weight_N: Floats) -> dict[str, float]:
    """Fit a temperature T. The loss is convex in 1 / T, so bisection on the sign of its slope finds the optimum."""
    z_N = logit(probability_N)

    def slope(cold: float) -> float:
        return float(np.sum(weight_N * z_N * (bounded_sigmoid(cold * z_N) - label_N)))

    low, high = 1 / HOTTEST, 1 / COLDEST
    while low < (cold := math.sqrt(low * high)) < high and high / low > 1 + 1e-12:
        low, high = (cold, high) if slope(cold) < 0 else (low, cold)
    return {"temperature": 1 / cold}


def _isotonic(label_N: Floats, probability_N: Floats, weight_N: Floats) -> dict[str, list[float]]:
    """Blocks of pool adjacent violators: ``x`` mean prediction of each, ``y`` its rate of positives, between (0, 0) and (1, 1).

    Equal predictions are one point. A rate of 0 or 1 becomes the rate of half a row among all rows. The lines from (0, 0) to the
    first block and from the last block to (1, 1) keep the order of the rows there. A horizontal line would make them ties.
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
    """Fit the rising sequence nearest to ``value_U`` in weighted squares (and in log loss) by pooling adjacent violators.

    Return the first index, the value and the weight of each block, (K,) each.

    >>> [column.tolist() for column in pool(np.array([1.0, 3.0, 2.0, 4.0]), np.ones(4))]
    [[0, 1, 3], [1.0, 2.5, 4.0], [1.0, 2.0, 1.0]]
    """
    from scipy.optimize import isotonic_regression  # slow to import, and only this fit needs it

    fitted = isotonic_regression(value_U, weights=weight_U)
    start_K = fitted.blocks[:-1].astype(np.intp)
    return start_K, fitted.x[start_K], fitted.weights


Fit: TypeAlias = Callable[[Floats, Floats, Floats], Mapping[str, float | list[float]]]
_FITS: dict[str, Fit] = {"platt": _platt, "temperature": _temperature, "isotonic": _isotonic}


def fit_calibration(
    logit_RNT: np.ndarray,
    rows: LogRows,
    problem: Problem,
    method: str,
    names: Sequence[str] | None = None,
    log: str = "",
) -> Calibration:
    """Fit a calibrator for each binary task, on the ensemble's predictions of rows that were not trained on.

    ``names`` restricts the tasks. ``log`` is the name of the rows for :attr:`Calibration.fitted`.
    """
    output_NT = outputs(logit_RNT, problem).mean(axis=0)
    calibrators, fitted, problems = {}, {}, []
    for t, task in enumerate(problem.tasks):
        if task.kind != "binary" or (names is not None and task.name not in names):
            continue
        label_N, weight_N = problem.labelled(rows, t)
        try:
            calibrators[task.name] = fit_calibrator(method, label_N, output_NT[:, t], weight_N)
        except InputError as error:
            problems += [f"task {task.name!r}: {problem}" for problem in error.marked]
        fitted[task.name] = {"log": log, "rows": int((weight_N > 0).sum())}
    raise_all(dict.fromkeys(problems))
    return Calibration(calibrators, fitted)
