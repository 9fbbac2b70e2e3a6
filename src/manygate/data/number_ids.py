"""Numbers whose values are also ids: an embedding for each value that repeats.

A scale makes similar numbers similar inputs. Some numbers do not work so: a wage of 0, an age of 65, a code that looks like a
number. With an embedding of its own, a value can mean something that its neighbours do not. The number keeps its place on its
scale, too.

Which numbers: those whose values repeat. In the sample of training rows (:data:`manygate.data.scale.SAMPLE_ROWS`), the values that
occur at least ``number_ids`` times must be two or more and cover at least half of the rows that have a value. So a measurement
without repeated values has no ids, and neither has one that repeats zero alone, which its scale already tells apart. If the
setting was not given, they must also have 500 rows on average, in a log of 100,000 training rows or more. So a price with hundreds
of values has ids only in a very large log: embeddings of rare values would be noise (experiments/defaults).

Values are compared as float32. So a column that was float64 in training may be float32 at serving.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from manygate.data.rows import FIRST_ROW, NULL_ROW, UNKNOWN_ROW

LARGEST = float(np.finfo(np.float32).max)
COVERED = 0.5
"""The share of the rows with a value that the repeated values must cover."""
LEAST, FREQUENT = 10, 500
"""The default of ``number_ids``, and the rows that ids must then have on average. Target statistics have the same rule."""


@dataclass(frozen=True)
class NumberIds:
    """The values of a number that are ids, sorted.

    >>> NumberIds((0.0, 65.0)).rows_of(np.array([65.0, 64.0, 0.0, np.nan])).tolist()
    [3, 1, 2, 0]
    """

    values: tuple[float, ...]

    @property
    def rows(self) -> int:
        """Rows of the embedding table, the row of null and that of all other values included."""
        return FIRST_ROW + len(self.values)

    def rows_of(self, number_B: np.ndarray) -> np.ndarray:
        """Turn numbers into rows of the table, int32."""
        value_V, number_B = np.array(self.values, np.float32), _as_float32(number_B)
        place_B = np.minimum(np.searchsorted(value_V, number_B), len(value_V) - 1)
        row_B = np.where(value_V[place_B] == number_B, place_B + FIRST_ROW, UNKNOWN_ROW)
        return np.where(np.isnan(number_B), NULL_ROW, row_B).astype(np.int32)


def fit_number_ids(number_N: np.ndarray, least: int | None) -> NumberIds | None:
    """Find the values that occur at least ``least`` times. None if the number has no ids by the rule above.

    >>> fit_number_ids(np.array([1.0, 1.0, 2.0, 2.0, 3.5]), least=2), fit_number_ids(np.linspace(0, 1, 9), least=2)
    (NumberIds(values=(1.0, 2.0)), None)
    """
    value_V, count_V = np.unique(_as_float32(number_N[np.isfinite(number_N)]), return_counts=True)
    kept_V = count_V >= (LEAST if least is None else least)
    covered, kept = count_V[kept_V].sum(), kept_V.sum()
    if kept < 2 or covered < COVERED * count_V.sum() or (least is None and covered < FREQUENT * kept):
        return None
    return NumberIds(tuple(value_V[kept_V].tolist()))


def _as_float32(number_B: np.ndarray) -> np.ndarray:
    """Round numbers to float32. Those beyond its range become its largest number, or the opposite of it."""
    return np.clip(number_B, -LARGEST, LARGEST).astype(np.float32)
