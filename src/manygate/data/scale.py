"""Scales for dense numbers: piecewise-linear over quantiles, min-max, standardised, log1p.

A scale maps a number to one float, its place. Piecewise-linear encoding (Gorishniy et al., "On Embeddings for Numerical Features
in Tabular Deep Learning", NeurIPS 2022, section 3.2) gives each quantile bin an input that is 0 below the bin, 1 above it and
rises linearly inside; here a number's place u in [0, units] says the same in one float, and the model unfolds it:
input_j = clamp(u - j, 0, 1).

Departure from the paper: a value that alone holds more than one bin's share of the rows (the zero of a money column) gets a step of
its own on either side, so that zero-inflated columns lose neither the zero nor the resolution of the rest. Values beyond the
training range are clipped to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

SAMPLE_ROWS = 500_000
LARGEST = 8e307  # beyond it, differences of two numbers overflow
SMALLEST = 1e-280  # nearer to zero, slopes overflow; such numbers count as zero


@dataclass(frozen=True)
class Scale:
    """A fitted scale: piecewise-linear through the knots (``x``, ``u``), or ``log1p`` first, or affine.

    >>> Scale("minmax", x=(0.0, 10.0), u=(0.0, 1.0), units=1)(np.array([5.0, 99.0])).tolist()
    [0.5, 1.0]
    """

    encoding: str
    x: tuple[float, ...]
    u: tuple[float, ...]
    units: int
    nullable: bool = False
    null_place: float = 0.0

    @property
    def unfolds(self) -> bool:
        """True where the place is unfolded into ``units`` inputs between 0 and 1."""
        return self.encoding == "piecewise"

    def __call__(self, number_B: np.ndarray) -> np.ndarray:
        """Numbers to places, float32. Null (NaN) stays NaN where training saw nulls, else takes the median's place."""
        if not self.units:
            return np.where(np.isnan(number_B) & self.nullable, np.nan, 0.0).astype(np.float32)
        x = _tame(number_B)
        if self.encoding == "log1p":
            x = _log(x)
        place_B = np.interp(x, self.x, self.u)
        null = np.nan if self.nullable else self.null_place
        return np.where(np.isnan(number_B), null, place_B).astype(np.float32)


class NumberSample:
    """A uniform sample of training rows of all dense columns, in one pass; all rows when there are at most SAMPLE_ROWS.

    The rows with the smallest keys are kept; a row's key depends on its number in the stream alone, so the batch size does not
    matter.
    """

    def __init__(self, columns: int, seed: int):
        self.bits = np.random.Generator(np.random.PCG64(seed))
        self.keys, self.largest = np.zeros(0), 1.0
        self.rows = np.zeros((0, columns))
        self.count = 0
        self.nulls = np.zeros(columns, dtype=np.int64)
        self.infinite = np.zeros(columns, dtype=np.int64)

    def add(self, number_BM: np.ndarray) -> None:
        """Add a batch of rows, NaN for null."""
        self.count += len(number_BM)
        self.nulls += np.isnan(number_BM).sum(axis=0)
        self.infinite += np.isinf(number_BM).sum(axis=0)
        key_B = self.bits.random(len(number_BM))
        if self.largest < 1:  # the sample is full: few rows of a later batch have a key that is small enough
            kept_B = key_B < self.largest
            key_B, number_BM = key_B[kept_B], number_BM[kept_B]
        self.keys = np.append(self.keys, key_B)
        self.rows = np.concatenate([self.rows, number_BM])
        if len(self.keys) > SAMPLE_ROWS:
            kept = np.sort(np.argpartition(self.keys, SAMPLE_ROWS)[:SAMPLE_ROWS])
            self.keys, self.rows = self.keys[kept], self.rows[kept]
            self.largest = float(self.keys.max())

    def finite(self, m: int) -> np.ndarray:
        """The sampled finite values of column m."""
        return _tame(self.rows[np.isfinite(self.rows[:, m]), m])

    def null_share(self, m: int) -> float:
        """Share of null rows of column m."""
        return float(self.nulls[m] / self.count) if self.count else 0.0


def _tame(number_B: np.ndarray) -> np.ndarray:
    """Numbers whose differences and slopes are finite; NaN stays."""
    x = np.clip(number_B, -LARGEST, LARGEST)
    return np.where(np.abs(x) < SMALLEST, 0.0, x)


def fit_scale(sample: NumberSample, m: int, encoding: str, bins: int) -> tuple[Scale, list[str]]:
    """Fit column m's scale; also returns warnings about it."""
    value_N = np.sort(sample.finite(m))
    warnings = []
    if sample.infinite[m]:
        warnings.append(f"has {sample.infinite[m]:,} infinite values in training; they count as its largest or smallest number.")
    nullable = bool(sample.nulls[m])
    if len(value_N) == 0 or value_N[0] == value_N[-1]:
        constant = "is null in every training row" if len(value_N) == 0 else f"is always {value_N[0]:g} in training"
        return Scale(encoding, (), (), 0, nullable), [*warnings, f"{constant} and teaches nothing."]
    if encoding == "log1p" and _log(value_N[0]) == _log(value_N[-1]):
        encoding = "standard"
        warnings.append("holds numbers too close to each other for log1p, so it is standardised instead.")
    if encoding == "piecewise":
        x, u = piecewise_knots(value_N, bins)
        units = round(u[-1])
    else:
        x, u = affine_knots(value_N, encoding)
        units = 1
    scale = Scale(encoding, tuple(x.tolist()), tuple(u.tolist()), units, nullable)
    median = float(scale(value_N[[len(value_N) // 2]])[0])
    return Scale(encoding, scale.x, scale.u, units, nullable, median), warnings


def _log(x: Any) -> Any:
    """log(1 + x), odd, so that negative numbers have one too."""
    return np.sign(x) * np.log1p(np.abs(x))


def affine_knots(value_N: np.ndarray, encoding: str) -> tuple[np.ndarray, np.ndarray]:
    """Knots of min-max to [0, 1] (MMoE, section 6.4.1), or of standardising, after log1p for ``log1p``."""
    if encoding == "log1p":
        value_N = _log(value_N)
    ends = np.array([value_N[0], value_N[-1]])
    if encoding == "minmax":
        return ends, np.array([0.0, 1.0])
    largest = np.abs(ends).max()
    mean, sd = (value_N / largest).mean() * largest, (value_N / largest).std() * largest
    return ends, (ends - mean) / sd


def piecewise_knots(value_N: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Knots (x, u) of the piecewise-linear encoding of sorted values.

    >>> x, u = piecewise_knots(np.array([0.0] * 90 + list(range(1, 11))), bins=4)
    >>> x[0], u[0], u[1]  # zero, alone in 90 of 100 rows, has a step of its own
    (np.float64(0.0), np.float64(0.0), np.float64(1.0))
    """
    unique, counts = np.unique(value_N, return_counts=True)
    heavy = counts > len(value_N) / bins
    atoms, rest = unique[heavy], value_N[~np.isin(value_N, unique[heavy])]
    edges = (
        np.unique(np.quantile(rest, np.linspace(0, 1, max(bins - len(atoms), 1) + 1), method="inverted_cdf")) if len(rest) else rest
    )
    points = np.union1d(atoms, edges)
    inner = np.searchsorted(rest, points[1:], side="left") - np.searchsorted(rest, points[:-1], side="right")
    x: list[float] = []
    u: list[float] = []
    level = 0.0
    for i, point in enumerate(points):
        is_atom, first, last = point in atoms, i == 0, i == len(points) - 1
        if is_atom and not first:
            _append(x, u, np.nextafter(point, -np.inf), level)
            level += 1
        _append(x, u, point, level)
        if is_atom and not last:
            level += 1
            _append(x, u, np.nextafter(point, np.inf), level)
        if not last and (inner[i] > 0 or not (is_atom or points[i + 1] in atoms)):
            level += 1
    return np.array(x), np.array(u)


def _append(x: list[float], u: list[float], point: float, level: float) -> None:
    if not x or point > x[-1]:
        x.append(float(point))
        u.append(level)
