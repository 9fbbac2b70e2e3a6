"""Compares ways to a prediction with the predictor, batch by batch.

Shape suffixes: B rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from agreement.ways import Batch, Columns
from manygate.export.parity import PROBABILITY, expect, scale_and_limit
from manygate.scoring.predictor import Predictor

KNOT = 1e-5
"""A probability this close to a knot of its isotonic calibration is counted apart."""
PLAN = ((512, 17), (7, 150), (1, 246), (0, 3))
"""The sizes of batches, and how many there are of each: 10,000 rows together."""


@dataclass
class Difference:
    """What one way to a prediction differs by: the largest difference by kind of column, and the values beyond the limit."""

    largest: dict[str, float] = field(default_factory=dict)
    apart: dict[str, float] = field(default_factory=dict)
    """The largest difference of the values that are counted apart."""
    mismatches: int = 0
    steep: int = 0
    """The values beyond the limit that a calibration makes of a difference of 1e-6 before it."""
    apart_beyond: int = 0
    examples: list[str] = field(default_factory=list)


def batches(rows: pa.RecordBatch, context: Sequence[str]) -> list[Batch]:
    """Cut rows into batches of the planned sizes. In every other one, all rows have the ``context`` features of the first one."""
    found, start = [], 0
    for size, times in PLAN:
        for turn in range(times):
            batch = rows.slice(start, size)
            shared = bool(context) and turn % 2 == 0 and size > 0
            found.append(Batch(_with_one_context(batch, context) if shared else batch, shared))
            start += size
    assert start == rows.num_rows, "the plan holds all rows"
    return found


def _with_one_context(batch: pa.RecordBatch, context: Sequence[str]) -> pa.RecordBatch:
    first = pa.array(np.zeros(batch.num_rows, np.int64))
    columns = {name: batch.column(name).take(first) if name in context else batch.column(name) for name in batch.schema.names}
    return pa.record_batch(columns)


class Reference:
    """The predictions of the predictor in PyTorch, and the rows that are counted apart."""

    def __init__(self, predictor: Predictor, parts: Sequence[Batch]):
        self.predictor = predictor
        self.columns = [_predicted(predictor, part.rows) for part in parts]
        (together,) = pa.Table.from_batches([part.rows for part in parts if part.rows.num_rows]).combine_chunks().to_batches()
        expected, knot_B = expect(predictor, together), _near_knots(predictor, together)
        tie_B = expected.tie_B
        apart_B = tie_B | knot_B
        self.rows, self.ties, self.knots = together.num_rows, int(tie_B.sum()), int(knot_B.sum())
        ends = np.cumsum([part.rows.num_rows for part in parts])[:-1]
        self.apart_by_batch = np.split(apart_B, ends)
        slack = expected.slack | _slack(predictor, together)
        self.slack_by_batch = {name: np.split(slack_B, ends) for name, slack_B in slack.items()}

    def compare(self, difference: Difference, n: int, found: Columns) -> None:
        """Add what a way says of the batch ``n``."""
        expected, apart_B = self.columns[n], self.apart_by_batch[n]
        if list(found) != list(expected):
            raise RuntimeError(f"the columns are {list(found)} in place of {list(expected)}")
        for name, value_B in expected.items():
            if found[name].shape != value_B.shape:
                raise RuntimeError(f"{name} has the shape {found[name].shape} in place of {value_B.shape}")
            size, limit = scale_and_limit(self.predictor, name, value_B)
            difference_B = np.abs(found[name] - value_B) / size
            difference_B = np.where(np.isnan(difference_B), np.inf, difference_B)
            kind = self.kind(name)
            beyond_B = difference_B > limit
            steep_B = beyond_B & ~apart_B & (difference_B <= limit + self.slack_by_batch[name][n] / size)
            wrong_B = beyond_B & ~apart_B & ~steep_B
            difference.mismatches += int(wrong_B.sum())
            difference.steep += int(steep_B.sum())
            difference.apart_beyond += int((beyond_B & apart_B).sum())
            for largest, chosen_B in ((difference.largest, ~apart_B & ~steep_B), (difference.apart, apart_B | steep_B)):
                largest[kind] = max(largest.get(kind, 0.0), float(difference_B[chosen_B].max(initial=0.0)))
            difference.examples += [
                f"batch {n}, row {row}: {name} is {found[name][row]!r} in place of {value_B[row]!r}"
                for row in np.flatnonzero(wrong_B)[: max(0, 5 - len(difference.examples))]
            ]

    def kind(self, name: str) -> str:
        """Return the kind of a column."""
        kinds: Mapping[str, Any] = {task.name: task.kind for task in self.predictor.problem.tasks}
        return "value" if kinds.get(name) == "regression" else "probability" if name in self.predictor.names else "score"


def _predicted(predictor: Predictor, batch: pa.RecordBatch) -> Columns:
    """Return what ``predict`` says."""
    table = predictor.predict(pa.Table.from_batches([batch]))
    return {name: table.column(name).to_numpy() for name in table.column_names}


def _slack(predictor: Predictor, batch: pa.RecordBatch) -> Columns:
    """Return how much the calibration of each column rises within the limit of the model's own probability.

    A joint column is a product of probabilities, so it moves by no more than all of them together.
    """
    plain = _predicted(predictor.uncorrected(), batch)
    slack = {name: np.zeros_like(value_B) for name, value_B in plain.items()}
    for name, calibrator in (predictor.calibration.tasks if predictor.calibration else {}).items():
        slack[name] = calibrator.apply(plain[name] + PROBABILITY) - calibrator.apply(plain[name] - PROBABILITY)
    together_B = np.sum([slack[name] for name in predictor.schema.task_names], axis=0)
    return slack | {name: together_B for name in predictor.schema.joint_names if name}


def _near_knots(predictor: Predictor, batch: pa.RecordBatch) -> np.ndarray:
    """Return the rows with a probability close to a knot of its isotonic calibration."""
    near_B = np.zeros(batch.num_rows, bool)
    plain = _predicted(predictor.uncorrected(), batch)
    for name, calibrator in (predictor.calibration.tasks if predictor.calibration else {}).items():
        if calibrator.method == "isotonic":
            near_B |= np.abs(plain[name][:, None] - np.asarray(calibrator.numbers["x"])).min(axis=1) < KNOT
    return near_B
