"""The comparison of an exported model with the predictor: what it refuses, and what it counts apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from exported import PLAIN, draw_numbers, plain_log, untrained
from manygate.errors import InputError
from manygate.export.hostile_rows import hostile_rows
from manygate.export.parity import SIZES, compare, expect
from manygate.schema import Schema, Task
from manygate.scoring.calibration import Calibration, Calibrator
from manygate.scoring.fusion import Fusion, Term
from manygate.scoring.predictor import Predictor

WATCH = Task(name="watch", kind="regression")


class Changed:
    """Predicts as the predictor does, with a change."""

    def __init__(self, predictor: Predictor, change: Callable[[dict[str, np.ndarray]], Any] = lambda columns: None):
        self.predictor, self.change, self.sizes = predictor, change, []

    def columns(self, batch: pa.RecordBatch) -> dict[str, np.ndarray]:
        self.sizes.append(batch.num_rows)
        columns = {name: value_B.copy() for name, value_B in expect(self.predictor, batch).columns.items()}
        if batch.num_rows:
            self.change(columns)
        return columns


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    columns = plain_log() | {"watch": pa.array(draw_numbers(7).fill_null(0.0).to_numpy() * 100)}
    schema = Schema(features=PLAIN.features, tasks=(*PLAIN.tasks, WATCH))
    return untrained(columns, schema, fusion=Fusion({"click": 1.0, "like": -2.0}, (Term("age", "log", 1.0),)))


@pytest.fixture(scope="module")
def batch(predictor: Predictor) -> pa.RecordBatch:
    return hostile_rows(predictor.encoder, 600)


def test_equal_predictions(predictor: Predictor, batch: pa.RecordBatch) -> None:
    model = Changed(predictor)
    found = compare(model, predictor, [batch, batch.slice(0, 3)])  # type: ignore[arg-type]
    assert (found.rows, found.at_jumps) == (603, 0)
    assert found.largest == {"click": 0.0, "like": 0.0, "watch": 0.0, "score": 0.0}
    assert model.sizes == [512, 0, 1, 7, 80, 3]
    assert SIZES == (512, 0, 1, 7)


def test_requests_are_compared_too(predictor: Predictor, batch: pa.RecordBatch) -> None:
    """A graph that takes the context of another row is refused, and one that is right is not."""

    class Requests(Changed):
        right = True

        def columns(self, batch: pa.RecordBatch, context: Any = None, context_row: Any = None) -> dict[str, np.ndarray]:
            if context is None:
                return super().columns(batch)
            assert batch.schema.names == ["tags", "codes"]
            taken = context.take(pa.array(context_row if self.right else context_row[::-1]))
            joined = {name: (taken if name in ("item", "age") else batch).column(name) for name in ("item", "tags", "codes", "age")}
            return super().columns(pa.record_batch(joined))

    model = Requests(predictor)
    found = compare(model, predictor, [batch], ["item", "age"])  # type: ignore[arg-type]
    assert (found.rows, found.at_jumps) == (600, 0)
    assert model.sizes == [512, 512, 0, 0, 1, 1, 7, 7, 80, 80]
    model.right = False
    with pytest.raises(InputError, match="click"):
        compare(model, predictor, [batch], ["item", "age"])  # type: ignore[arg-type]


def planted(name: str, change: Callable[[Any], Any], row: int = -1) -> Callable[[dict[str, np.ndarray]], None]:
    def plant(columns: dict[str, np.ndarray]) -> None:
        columns[name][row] = change(columns[name][row])

    return plant


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("click", lambda p: p + 2e-6),
        ("like", lambda p: p - 2e-6),
        ("like", lambda p: np.nan),
        ("watch", lambda y: y + 2e-5 * 1000),
        ("watch", lambda y: np.inf),
        ("score", lambda s: s * (1 + 5e-5)),
    ],
)
def test_one_different_value_is_refused(predictor: Predictor, batch: pa.RecordBatch, name: str, change: Any) -> None:
    with pytest.raises(InputError, match=rf"the graph predicts {name} as .* in place of .*fault of manygate") as caught:
        compare(Changed(predictor, planted(name, change)), predictor, [batch])  # type: ignore[arg-type]
    assert len(caught.value.problems) == 1


def test_what_rounding_explains_is_counted_and_more_is_refused(predictor: Predictor, batch: pa.RecordBatch) -> None:
    changed = Changed(predictor, planted("click", lambda p: p + 2e-6))
    found = compare(changed, predictor, [batch.slice(0, 512)], rounding=10.0)  # type: ignore[arg-type]
    assert (found.rounded, found.at_jumps) == (1, 0)
    assert found.largest["click"] == pytest.approx(2e-6, rel=1e-3)
    with pytest.raises(InputError, match="the graph predicts click"):
        compare(Changed(predictor, planted("click", lambda p: p + 2e-5)), predictor, [batch], rounding=10.0)  # type: ignore[arg-type]


def test_differences_within_the_limit_are_reported(predictor: Predictor, batch: pa.RecordBatch) -> None:
    def little(columns: dict[str, np.ndarray]) -> None:
        columns["click"] += 5e-7
        columns["watch"] += 5e-6 * np.maximum(np.abs(columns["watch"]), predictor.problem.labels["watch"].sd)
        columns["score"] *= 1 + 2e-5  # the weights sum to 4

    found = compare(Changed(predictor, little), predictor, [batch])  # type: ignore[arg-type]
    assert found.largest == pytest.approx({"click": 5e-7, "like": 0.0, "watch": 5e-6, "score": 2e-5}, rel=1e-3)


def test_ties_of_topk_gates_count_apart() -> None:
    """Gates that start at zero are equal on all rows: any expert is right. Moved apart, they are compared."""
    predictor = untrained(architecture="mmoe", gate="topk", top_k=1)
    batch = hostile_rows(predictor.encoder, 30)
    moved = Changed(predictor, lambda columns: columns.update({name: value_B + 0.1 for name, value_B in columns.items()}))
    with pytest.raises(InputError, match="click"):
        compare(moved, predictor, [batch])  # type: ignore[arg-type]
    bank = next(name for name in predictor.model.parameters if "banks" in name and name.endswith("weight"))
    with torch.no_grad():
        predictor.model.parameters[bank][..., -12:] = 0.0  # two gates of three columns each, and as many of noise
        for name, value in predictor.model.parameters.items():
            if name.endswith("gates.bias"):
                value[:] = 0.0
    found = compare(moved, predictor, [batch])  # type: ignore[arg-type]
    assert (found.rows, found.at_jumps) == (30, 30)
    assert found.largest == {"click": 0.0, "like": 0.0}


def test_knots_of_an_isotonic_calibration_count_apart() -> None:
    """A step of the calibration turns a rounding error into a difference."""
    plain = untrained(architecture="shared_bottom")
    batch = hostile_rows(plain.encoder, 40)
    p_B = expect(plain, batch.slice(0, 40)).columns["click"]
    middle = float(np.sort(p_B)[20])
    steps = Calibrator("isotonic", {"x": [middle - 1e-9, middle + 1e-9], "y": [0.1, 0.9]})
    predictor = Predictor(plain.model, plain.encoder, Calibration({"click": steps}))
    other = planted("click", lambda p: p + 0.3, int(np.argsort(p_B)[20]))
    found = compare(Changed(predictor, other), predictor, [batch])  # type: ignore[arg-type]
    assert found.at_jumps == 1
    away = planted("click", lambda p: p + 0.3, int(np.argsort(p_B)[0]))
    with pytest.raises(InputError, match="click"):
        compare(Changed(predictor, away), predictor, [batch])  # type: ignore[arg-type]


def test_a_calibration_of_many_knots_is_compared_on_every_row() -> None:
    """Many knots make no jump: only a steep calibration turns a small difference into a large one."""
    plain = untrained(architecture="shared_bottom")
    batch = hostile_rows(plain.encoder, 40)
    many = np.linspace(0.0, 1.0, 200_001)
    predictor = Predictor(plain.model, plain.encoder, Calibration({"click": Calibrator("isotonic", {"x": many, "y": many**2})}))
    assert compare(Changed(predictor), predictor, [batch]).at_jumps == 0  # type: ignore[arg-type]
    with pytest.raises(InputError, match="click"):
        compare(Changed(predictor, planted("click", lambda p: p + 1e-5)), predictor, [batch])  # type: ignore[arg-type]


def test_models_of_many_members() -> None:
    """A large batch of many members is one batch for the margins, too."""
    predictor = untrained(architecture="mmoe", gate="topk", top_k=1, replicas=40)
    batch = hostile_rows(predictor.encoder, 512)
    expected = expect(predictor, batch)
    assert len(expected.columns["click"]) == len(expected.tie_B) == 512
    assert compare(Changed(predictor), predictor, [batch]).rows == 512  # type: ignore[arg-type]


def test_no_hook_is_left() -> None:
    predictor = untrained(architecture="mmoe", gate="topk", top_k=1)
    expect(predictor, hostile_rows(predictor.encoder, 3))
    assert not [module for module in predictor.model.trunk.modules() if module._forward_hooks]
