"""Compares an exported model with the predictor that it was made from.

Shape suffixes: B rows, G gates, C experts that a gate sees.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
from manygate.scoring.predictor import Predictor

PROBABILITY, RELATIVE = 1e-6, 1e-5
"""The largest difference of a probability, and of a value in terms of its size."""
TIE = 1e-5
"""The two sides of a jump: two gates' logits, or a probability and a knot of an isotonic calibration, are this close."""
SIZES = (512, 0, 1, 7)
"""The batches are of these sizes in turn."""


@dataclass(frozen=True)
class Parity:
    """What a comparison found: the rows, the largest difference of each column, and the rows at a jump that differ."""

    rows: int
    largest: dict[str, float]
    """The largest difference by column. A value's is a share of its size. Rows at a jump do not count."""
    at_jumps: int
    """The rows within :data:`TIE` of a jump that differ by more than the limit. Both answers are right."""


def compare(model: ExportedModel, predictor: Predictor, batches: Iterable[pa.RecordBatch]) -> Parity:
    """Predict rows with both.

    Raises :class:`InputError` with each column that differs by more than the limit.
    """
    rows, at_jumps = 0, 0
    largest = dict.fromkeys(predictor.output_names, 0.0)
    examples: dict[str, str] = {}
    for batch in _cut(batches):
        expected, jump_B = expected_columns(predictor, batch)
        found = model.columns(batch)
        differs_B = np.zeros(batch.num_rows, dtype=bool)
        for name, value_B in expected.items():
            difference_B = np.abs(found[name] - value_B) / _size(predictor, name, value_B)
            difference_B = np.where(np.isnan(difference_B), np.inf, difference_B)
            limit = _limit(predictor, name)
            differs_B |= difference_B > limit
            counted_B = difference_B[~jump_B]
            if len(counted_B):
                largest[name] = max(largest[name], float(counted_B.max()))
            if (counted_B > limit).any() and name not in examples:
                row = int(np.argmax(np.where(jump_B, -1.0, difference_B)))
                examples[name] = f"{found[name][row]!r} in place of {value_B[row]!r}"
        rows += batch.num_rows
        at_jumps += int((differs_B & jump_B).sum())
    if examples:
        raise InputError(
            f"export: the graph predicts {name} as {example}. This is a fault of manygate. Please report it with the schema."
            for name, example in examples.items()
        )
    return Parity(rows, largest, at_jumps)


def _cut(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Cut batches into those of :data:`SIZES`."""
    for batch in batches:
        start, turn = 0, 0
        while start < batch.num_rows:
            size = SIZES[turn % len(SIZES)]
            yield batch.slice(start, size)
            start, turn = start + size, turn + 1


def expected_columns(predictor: Predictor, batch: pa.RecordBatch) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return what the predictor says, and the rows at a jump, (B,)."""
    rows = predictor.encoder.encode(batch, "rows", labels=False, bias=False)
    if not len(rows):
        return {name: np.zeros(0) for name in predictor.output_names}, np.zeros(0, dtype=bool)
    with _gate_margins(predictor) as margins:
        (batch_of_all,) = Split(rows, predictor.model.device).slices(len(rows))  # one batch, so that margins are of all rows
        logit_RBT = predictor.model.logits(batch_of_all).float().numpy()
    columns = predictor.columns(logit_RBT)
    jump_B = np.zeros(len(rows), dtype=bool)
    if margins:
        jump_B |= np.min([_by_row(margin_B, len(rows)) for margin_B in margins], axis=0) < TIE
    jump_B |= _at_knots(predictor, predictor.uncorrected().columns(logit_RBT))
    if predictor.fusion and predictor.fusion.active:
        number = {name: as_numbers(batch.column(name), name, "rows") for name in predictor.fusion.features}
        columns[predictor.fusion.name] = predictor.fusion.score(columns, number)
    return columns, jump_B


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


def _at_knots(predictor: Predictor, plain: dict[str, np.ndarray]) -> np.ndarray:
    """Return the rows whose probability is close to a knot of an isotonic calibration."""
    at_B = np.zeros(len(next(iter(plain.values()))), dtype=bool)
    for name, calibrator in (predictor.calibration.tasks if predictor.calibration else {}).items():
        if calibrator.method == "isotonic":
            knot_K = np.asarray(calibrator.numbers["x"])
            above_B = np.searchsorted(knot_K, plain[name]).clip(1, len(knot_K) - 1) if len(knot_K) > 1 else np.zeros(len(at_B), int)
            near_B = np.minimum(np.abs(plain[name] - knot_K[above_B]), np.abs(plain[name] - knot_K[above_B - 1]))
            at_B |= near_B < TIE
    return at_B


def _size(predictor: Predictor, name: str, value_B: np.ndarray) -> np.ndarray | float:
    """Return what a difference is divided by: 1 for a probability, else the value's size, at least a deviation of the label."""
    kinds = {task.name: task.kind for task in predictor.problem.tasks}
    if predictor.fusion and name == predictor.fusion.name and name not in kinds:
        return np.abs(value_B)
    joint = dict(zip(predictor.schema.joint_names, predictor.problem.tasks, strict=True))
    task = joint[name] if name in joint else next(task for task in predictor.problem.tasks if task.name == name)
    if task.kind == "binary":
        return 1.0
    scale = predictor.problem.labels[task.name]
    return np.maximum(np.abs(value_B), 1.0 if scale.log else scale.sd)


def _limit(predictor: Predictor, name: str) -> float:
    if predictor.fusion and name == predictor.fusion.name and name not in predictor.names:
        weights = [*predictor.fusion.weights.values(), *(term.weight for term in predictor.fusion.terms)]
        return RELATIVE * max(1.0, sum(abs(weight) for weight in weights))
    joint = dict(zip(predictor.schema.joint_names, predictor.problem.tasks, strict=True))
    task = joint[name] if name in joint else next(task for task in predictor.problem.tasks if task.name == name)
    return PROBABILITY if task.kind == "binary" else RELATIVE
