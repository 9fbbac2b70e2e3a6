"""Compares an exported model with the predictor that it was made from.

Shape suffixes: B rows, G gates, C experts that a gate sees.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch

from manygate.data.batches import Split
from manygate.data.column import as_numbers
from manygate.errors import InputError
from manygate.layers.gate import TopK
from manygate.scoring.exported_model import ExportedModel
from manygate.scoring.fusion import TINY
from manygate.scoring.predictor import Predictor

PROBABILITY, RELATIVE = 1e-6, 1e-5
"""The largest difference of a probability, and of a value in terms of its size."""
ROUNDING = 10.0
"""An export is refused if a difference is more than so many times the limit. Between the two lies the rounding of float32,
which the order of a sum decides: on census, one model in several differs by 1.2e-6 on a few rows."""
TIE = 1e-5
"""Two logits of a gate that are this close are a tie: either expert is right."""
SIZES = (512, 0, 1, 7)
"""The batches are of these sizes in turn."""
SHARED = 4
"""In a request, so many rows share a context."""


@dataclass(frozen=True)
class Parity:
    """What a comparison found: the rows, the largest difference of each column, and the rows at a jump that differ."""

    rows: int
    largest: dict[str, float]
    """The largest difference by column, of all rows but those at a jump. A value's is a share of its size."""
    at_jumps: int
    """The rows that differ by more than the limit where two answers are right: at a tie of a gate, or where an isotonic calibration
    is so steep that :data:`PROBABILITY` before it makes such a difference."""
    rounded: int = 0
    """The other rows that differ by more than the limit, and are within what rounding explains."""


@dataclass(frozen=True)
class Expected:
    """What the predictor says of some rows."""

    columns: dict[str, np.ndarray]
    slack: dict[str, np.ndarray]
    """How much more each column may differ, because an isotonic calibration is steep, (B,)."""
    tie_B: np.ndarray
    """The rows where a gate has a tie."""


def compare(
    model: ExportedModel,
    predictor: Predictor,
    batches: Iterable[pa.RecordBatch],
    context: Sequence[str] = (),
    rounding: float = 1.0,
) -> Parity:
    """Predict rows with both. With ``context`` features, predict them as requests, too: few contexts for all rows.

    Raises :class:`InputError` with each column that differs by more than ``rounding`` times the limit.
    """
    found = _Comparison(predictor, rounding)
    for batch in _cut(batches):
        found.add(batch, model.columns(batch))
        found.rows += batch.num_rows
        if context:
            rows, shared, context_row = as_request(batch, context)
            found.add(rows, model.columns(batch.drop_columns(list(context)), context=shared, context_row=context_row))
    if found.examples:
        raise InputError(
            f"export: the graph predicts {name} as {example}. This is a fault of manygate. Please report it with the schema."
            for name, example in found.examples.items()
        )
    return Parity(found.rows, found.largest, found.at_jumps, found.rounded)


class _Comparison:
    """Collects how far predictions are from those of the predictor."""

    def __init__(self, predictor: Predictor, rounding: float):
        self.predictor, self.rounding = predictor, rounding
        self.rows, self.at_jumps, self.rounded = 0, 0, 0
        self.largest = dict.fromkeys(predictor.output_names, 0.0)
        self.examples: dict[str, str] = {}

    def add(self, batch: pa.RecordBatch, found: dict[str, np.ndarray]) -> None:
        """Add the next predictions."""
        expected = expect(self.predictor, batch)
        differs_B, rounded_B = np.zeros(batch.num_rows, dtype=bool), np.zeros(batch.num_rows, dtype=bool)
        for name, value_B in expected.columns.items():
            size, limit = scale_and_limit(self.predictor, name, value_B)
            difference_B = np.abs(found[name] - value_B) / size
            difference_B = np.where(np.isnan(difference_B), np.inf, difference_B)
            beyond_B = ~expected.tie_B & (difference_B > limit + expected.slack[name] / size)
            wrong_B = beyond_B & (difference_B > self.rounding * limit + expected.slack[name] / size)
            agrees_B = (difference_B <= limit) | (beyond_B & ~wrong_B)
            self.largest[name] = max(self.largest[name], float(difference_B[agrees_B].max(initial=0.0)))
            if wrong_B.any() and name not in self.examples:
                row = int(np.argmax(np.where(wrong_B, difference_B, -1.0)))
                self.examples[name] = f"{found[name][row]!r} in place of {value_B[row]!r}"
            differs_B |= ~agrees_B & ~wrong_B
            rounded_B |= beyond_B & ~wrong_B
        self.at_jumps += int(differs_B.sum())
        self.rounded += int(rounded_B.sum())


def as_request(batch: pa.RecordBatch, context: Sequence[str]) -> tuple[pa.RecordBatch, pa.RecordBatch, np.ndarray]:
    """Return rows that share the contexts of the first ones, these contexts, and the context of each row.

    >>> rows, shared, context_row = as_request(pa.record_batch({"user": [1, 2, 3], "item": [7, 8, 9]}), ["user"])
    >>> rows.to_pydict(), shared.to_pydict(), context_row.tolist()
    ({'user': [1, 1, 1], 'item': [7, 8, 9]}, {'user': [1]}, [0, 0, 0])
    """
    shared = batch.select(list(context)).slice(0, max(1, batch.num_rows // SHARED))
    context_row_B = np.arange(batch.num_rows) * 5 % max(1, shared.num_rows)
    taken = shared.take(pa.array(context_row_B))
    columns = [taken.column(name) if name in context else batch.column(name) for name in batch.schema.names]
    return pa.record_batch(columns, schema=batch.schema), shared, context_row_B


def _cut(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Cut batches into those of :data:`SIZES`."""
    for batch in batches:
        start, turn = 0, 0
        while start < batch.num_rows:
            size = SIZES[turn % len(SIZES)]
            yield batch.slice(start, size)
            start, turn = start + size, turn + 1


def expect(predictor: Predictor, batch: pa.RecordBatch) -> Expected:
    """Predict rows with the predictor, and find where a small difference before a gate or a calibration becomes a large one."""
    rows = predictor.encoder.encode(batch, "rows", labels=False, bias=False)
    if not len(rows):
        none = {name: np.zeros(0) for name in predictor.output_names}
        return Expected(none, none, np.zeros(0, dtype=bool))
    with _gate_margins(predictor) as margins:
        (batch_of_all,) = Split(rows, predictor.model.device).slices(len(rows))  # one batch, so that margins are of all rows
        logit_RBT = predictor.model.logits(batch_of_all).float().numpy()
    columns = predictor.columns(logit_RBT)
    slack = _slack(predictor, predictor.uncorrected().columns(logit_RBT))
    tie_B = np.zeros(len(rows), dtype=bool)
    if margins:
        tie_B |= np.min([_by_row(margin_B, len(rows)) for margin_B in margins], axis=0) < TIE
    fusion = predictor.fusion
    if fusion and fusion.active:
        number = {name: as_numbers(batch.column(name), name, "rows") for name in fusion.features}
        score_B = columns[fusion.name] = fusion.score(columns, number)
        shares = [abs(w) * slack[name] / np.maximum(columns[name], TINY) for name, w in fusion.weights.items()]
        slack[fusion.name] = score_B * np.sum(shares, axis=0) if shares else np.zeros(len(rows))
    return Expected(columns, slack, tie_B)


def _slack(predictor: Predictor, plain: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return how much the isotonic calibration of each column rises within :data:`PROBABILITY` of the model's own probability.

    A joint column is a product of probabilities, so it moves by no more than all of them together.
    """
    slack = {name: np.zeros_like(value_B) for name, value_B in plain.items()}
    for name, calibrator in (predictor.calibration.tasks if predictor.calibration else {}).items():
        if calibrator.method == "isotonic":
            slack[name] = calibrator.apply(plain[name] + PROBABILITY) - calibrator.apply(plain[name] - PROBABILITY)
    together_B = np.sum([slack[name] for name in predictor.schema.task_names], axis=0)
    return slack | {name: together_B for name in predictor.schema.joint_names if name}


def _by_row(margin_N: np.ndarray, rows: int) -> np.ndarray:
    """Return the smallest margin of each row. A gate that ran for several members has as many values of each."""
    return margin_N.reshape(-1, rows).min(axis=0)


@contextmanager
def _gate_margins(predictor: Predictor) -> Iterator[list[np.ndarray]]:
    """Collect how far the last expert that each top-k gate selects is ahead of the first that it does not."""
    margins: list[np.ndarray] = []

    def record(gate: TopK, inputs: tuple[torch.Tensor, ...], _: object) -> None:
        logit_BGC = inputs[0][..., : gate.experts].float()
        if gate.settings.k < gate.experts:
            best_BGk = logit_BGC.topk(gate.settings.k + 1, dim=-1).values
            margins.append((best_BGk[..., -2] - best_BGk[..., -1]).min(dim=-1).values.numpy())

    gates = [module for module in predictor.model.trunk.modules() if isinstance(module, TopK)]
    hooks = [gate.register_forward_hook(record) for gate in gates if predictor.model.scheme_selects]
    try:
        yield margins
    finally:
        for hook in hooks:
            hook.remove()


def scale_and_limit(predictor: Predictor, name: str, value_B: np.ndarray) -> tuple[np.ndarray | float, float]:
    """Return what a difference of a column is divided by, and the limit of the result.

    A probability is divided by 1, a score by itself, and a value by its size or a deviation of the label, whichever is larger.
    """
    tasks = {task.name: task for task in predictor.problem.tasks}
    tasks |= {joint: task for joint, task in zip(predictor.schema.joint_names, predictor.problem.tasks, strict=True) if joint}
    fusion = predictor.fusion
    if name not in tasks:
        assert fusion is not None, "a column that is of no task is the fused score"
        weights = [*fusion.weights.values(), *(term.weight for term in fusion.terms)]
        return np.abs(value_B), RELATIVE * max(1.0, sum(abs(weight) for weight in weights))
    if tasks[name].kind == "binary":
        return 1.0, PROBABILITY
    scale = predictor.problem.labels[tasks[name].name]
    return np.maximum(np.abs(value_B), 1.0 if scale.log else scale.sd), RELATIVE
