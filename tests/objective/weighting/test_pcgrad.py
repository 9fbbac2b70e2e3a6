"""PCGrad against its algorithm in NumPy."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import torch
from hypothesis import given as over
from hypothesis import settings as runs

from weightings import CONFLICTS, drawn_weights, pairs, weights_of


@over(pairs)
@runs(max_examples=60, deadline=None)
def test_pcgrad_of_two_tasks_in_numpy(gradients):
    first, second = gradients
    projected = [
        first - min(first @ second, 0) / (second @ second) * second,
        second - min(first @ second, 0) / (first @ first) * first,
    ]
    weights = weights_of("pcgrad", gradients)
    np.testing.assert_allclose(weights @ gradients, sum(projected), rtol=1e-4, atol=1e-4)


def test_the_order_of_tasks_is_drawn_for_each_member_and_step():
    drawn = drawn_weights("pcgrad")
    assert any(not torch.equal(weights[0], weights[1]) for weights in drawn)
    for weights, again in zip(drawn, drawn_weights("pcgrad"), strict=True):
        assert torch.equal(weights, again)


def test_each_order_gives_what_the_algorithm_gives():
    possible = {tuple(np.round(pcgrad(CONFLICTS, orders), 4)) for orders in itertools.product(*map(others, range(3)))}
    combined = {tuple(np.round(row @ CONFLICTS, 4)) for weights in drawn_weights("pcgrad") for row in weights.double().numpy()}
    assert combined <= possible
    assert len(combined) > 1


def others(i: int) -> list[tuple[int, ...]]:
    return list(itertools.permutations([j for j in range(3) if j != i]))


def pcgrad(gradients: np.ndarray, orders: Any) -> np.ndarray:
    """Algorithm 1 of Yu et al., with the order in which each task meets the others."""
    total = np.zeros(gradients.shape[1])
    for i, order in enumerate(orders):
        projected = gradients[i].copy()
        for j in order:
            inner = projected @ gradients[j]
            if inner < 0:
                projected = projected - inner / (gradients[j] @ gradients[j]) * gradients[j]
        total += projected
    return total
