"""The weights of each member, selected by its clocks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from manygate.evaluation.monitor import Judged
from manygate.training.selection import Selection
from manygate.training.state import Clock, State

NAN = float("nan")


class Noted:
    """A store that notes what it is told to keep."""

    by_task = False

    def __init__(self) -> None:
        self.kept: list[list[list[bool]]] = []

    def keep(self, improved_MT: np.ndarray) -> None:
        self.kept.append(improved_MT.tolist())

    def logits(self) -> np.ndarray:
        return np.zeros((2, 1, 3), dtype=np.float32)

    def tensors(self) -> dict[str, torch.Tensor]:
        return {"number": torch.tensor(float(len(self.kept)))}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        self.kept = [[]] * int(tensors["number"])


@pytest.fixture
def model(encoded, trainer, settings) -> Any:
    return trainer(encoded(), settings(replicas=2)).model


def scale(model: Any, factor: float) -> None:
    with torch.no_grad():
        for value in model.parameters.values():
            value.mul_(factor)


def judged(score_M: list[float], own_RT: list[list[float]]) -> Judged:
    return Judged(np.zeros((2, 3)), np.array(own_RT), np.array(score_M), np.zeros(2))


def test_the_kept_weights_follow_the_member_s_clock_and_the_store_those_of_its_tasks(model, settings):
    store, state = Noted(), State(2, tasks=3)
    selection, start = Selection(model, store), model.parameters["trunk.towers.bias"].detach().clone()
    with torch.no_grad():
        model.parameters["trunk.towers.bias"].add_(1.0)
    state.epoch = 1
    assert selection.update(state, state.epoch, judged([0.5, NAN], [[0.1, 0.1, 0.1], [0.5, NAN, 0.5]]), settings(patience=1))
    with torch.no_grad():
        model.parameters["trunk.towers.bias"].add_(1.0)
    state.epoch = 2
    assert not selection.update(state, state.epoch, judged([0.5, 0.7], [[0.2, 0.1, 0.0], [0.6, 0.6, 0.6]]), settings(patience=1))
    assert store.kept == [[[True] * 3, [True] * 3], [[True, False, False], [True, False, True]]]
    assert state.kept == [Clock(0.5, 1, 1, True), Clock(None, 1, 1, True)]
    selection.load_best([1])
    bias = model.parameters["trunk.towers.bias"]
    torch.testing.assert_close(bias[1], start[1] + 1.0)
    torch.testing.assert_close(bias[0], start[0] + 2.0)


def test_the_last_weights_are_kept_whatever_the_scores(model, settings):
    selection, state = Selection(model, None), State(2)
    for state.epoch, score_M in enumerate(([0.9, 0.9], [0.1, NAN]), start=1):
        scale(model, 2.0)
        assert selection.update(state, state.epoch, judged(score_M, [[NAN] * 3] * 2), settings(keep="last", patience=1))
    last = {name: value.detach().clone() for name, value in model.parameters.items()}
    scale(model, 3.0)
    selection.load_best([0, 1])
    assert all(torch.equal(value, last[name]) for name, value in model.parameters.items())
    assert state.kept == [Clock(0.1, 2), Clock(None, 2)]


def test_weights_and_store_go_through_a_checkpoint(model, settings):
    first, state = Selection(model, Noted()), State(2, tasks=3, epoch=1)
    first.update(state, 1, judged([0.5, 0.5], [[0.5] * 3] * 2), settings())
    tensors = {name: value.clone() for name, value in first.tensors().items()}
    scale(model, 2.0)
    second = Selection(model, Noted())
    second.restore(tensors)
    assert all(torch.equal(second.best[name], first.best[name]) for name in first.best)
    assert second.own is not None
    assert len(second.own.kept) == 1  # type: ignore[attr-defined]
