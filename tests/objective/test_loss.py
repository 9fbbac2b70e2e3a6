"""Compare losses with values by hand. Masked rows change nothing, bit for bit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from manygate.objective.loss import Losses, pairwise
from manygate.schema import Task

quick = settings(max_examples=40, deadline=None, derandomize=True)
BOTH = torch.tensor([[True, False]])
TASKS = (Task(name="click"), Task(name="watch", kind="regression"))


def losses_of(binary_mt: Tensor) -> Losses:
    return Losses(TASKS, torch.where(binary_mt, 0, 1))


def task_losses(logit: Tensor, label: Tensor, weight: Tensor, kinds: Tensor = BOTH) -> Tensor:
    return losses_of(kinds)(logit, label, weight)


def row_losses(logit: Tensor, label: Tensor, kinds: Tensor) -> Tensor:
    return losses_of(kinds).rows(logit, label)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def problem(rows: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, labels and weights of a binary and a regression task, some rows masked."""
    random = np.random.default_rng(seed)
    label = np.stack([random.integers(0, 2, rows), random.normal(size=rows)], axis=1)
    weight = np.where(random.random((rows, 2)) < 0.4, 0.0, random.random((rows, 2)) + 0.1)
    return draw(1, rows, 2, seed=seed), *(torch.tensor(v, dtype=torch.float32).unsqueeze(0) for v in (label, weight))


def loss_and_gradient(logit: Tensor, label: Tensor, weight: Tensor, kinds: Tensor = BOTH) -> tuple[Tensor, Tensor]:
    logit = logit.clone().requires_grad_()
    loss = task_losses(logit, label, weight, kinds)
    loss.sum().backward()
    assert logit.grad is not None
    return loss.detach(), logit.grad


def test_by_hand():
    logit = torch.tensor([[[0.0, 1.0], [2.0, -1.0], [-1.0, 3.0]]])
    label = torch.tensor([[[1.0, 0.5], [0.0, 1.0], [1.0, 9.0]]])
    weight = torch.tensor([[[1.0, 2.0], [3.0, 1.0], [1.0, 0.0]]])
    click = (math.log(2) + 3 * math.log(1 + math.exp(2)) + math.log(1 + math.e)) / 5
    watch = (2 * 0.25 + 1 * 4.0) / 3
    torch.testing.assert_close(task_losses(logit, label, weight, BOTH), torch.tensor([[click, watch]]))
    expected = torch.tensor([[[math.log(2), 0.25], [math.log(1 + math.exp(2)), 4.0], [math.log(1 + math.e), 36.0]]])
    torch.testing.assert_close(row_losses(logit, label, BOTH), expected)


@quick
@given(st.integers(0, 10**6))
def test_agrees_with_the_losses_of_torch(seed):
    logit, label, weight = problem(31, seed)
    loss = task_losses(logit, label, weight, BOTH)[0].double()
    z, y, w = logit[0].double(), label[0].double(), weight[0].double()
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(z[:, 0], y[:, 0], w[:, 0], reduction="sum") / w[:, 0].sum()
    squared = (w[:, 1] * torch.nn.functional.mse_loss(z[:, 1], y[:, 1], reduction="none")).sum() / w[:, 1].sum()
    torch.testing.assert_close(loss, torch.stack([entropy, squared]), rtol=1e-5, atol=1e-6)


def test_a_batch_without_a_task_s_rows_adds_exactly_zero():
    logit, label, weight = problem(8)
    weight[..., 1] = 0
    loss, gradient = loss_and_gradient(logit, label, weight)
    assert loss[0, 1] == 0
    assert (gradient[..., 1] == 0).all()
    assert loss[0, 0] > 0
    only, alone = loss_and_gradient(logit[..., :1], label[..., :1], weight[..., :1], torch.tensor([[True]]))
    torch.testing.assert_close(loss[:, :1], only)
    torch.testing.assert_close(gradient[..., :1], alone)


def test_the_values_of_masked_rows_do_not_matter_bit_for_bit():
    logit, label, weight = problem(64)
    masked = weight == 0
    loss, gradient = loss_and_gradient(logit, label, weight)
    changed_logit, changed_label = torch.where(masked, 50 * draw(1, 64, 2, seed=7), logit), torch.where(masked, 1 - label, label)
    changed_loss, changed_gradient = loss_and_gradient(changed_logit, changed_label, weight)
    assert torch.equal(loss, changed_loss)
    assert torch.equal(gradient, changed_gradient)
    assert (gradient[masked] == 0).all()


def test_adding_rows_outside_the_sample_space_changes_nothing():
    """The results are equal to the bit, in any order of the rows. ``problem`` has weights of many sizes."""
    for seed in range(50):
        logit, label, weight = problem(64, seed)
        order = torch.randperm(104, generator=torch.Generator().manual_seed(seed)).argsort()
        mixed = [
            torch.cat([value, other], dim=1)[:, order]
            for value, other in ((logit, draw(1, 40, 2, seed=3)), (label, torch.ones(1, 40, 2)), (weight, torch.zeros(1, 40, 2)))
        ]
        loss, gradient = loss_and_gradient(logit, label, weight)
        more_loss, more_gradient = loss_and_gradient(*mixed)
        back = order.argsort()
        assert torch.equal(more_loss, loss)
        assert torch.equal(more_gradient[:, back[:64]], gradient)
        assert (more_gradient[:, back[64:]] == 0).all()


def test_a_weight_of_two_is_the_row_twice():
    logit, label, _ = problem(10)
    weight = torch.ones(1, 10, 2)
    weight[0, 3] = 2.0
    twice = [torch.cat([value, value[:, 3:4]], dim=1) for value in (logit, label)]
    torch.testing.assert_close(task_losses(logit, label, weight, BOTH), task_losses(*twice, torch.ones(1, 11, 2), BOTH))
    scaled = task_losses(logit, label, weight * 7.0, BOTH)
    torch.testing.assert_close(scaled, task_losses(logit, label, weight, BOTH))


@pytest.mark.parametrize("size", [50.0, 1e4, 3e38])
def test_extreme_logits_give_no_nan(size):
    logit = torch.tensor([[[size], [-size]]])
    for label in (0.0, 1.0):
        loss, gradient = loss_and_gradient(logit, torch.full((1, 2, 1), label), torch.ones(1, 2, 1), torch.tensor([[True]]))
        assert torch.isfinite(loss).all()
        assert torch.isfinite(gradient).all()


def test_members_do_not_mix():
    logit, label, weight = (torch.cat([problem(20, seed)[i] for seed in (1, 2)]) for i in range(3))
    kinds = BOTH.expand(2, 2)
    together, _ = loss_and_gradient(logit, label, weight, kinds)
    for m in range(2):
        alone, _ = loss_and_gradient(logit[m : m + 1], label[m : m + 1], weight[m : m + 1])
        torch.testing.assert_close(together[m : m + 1], alone)


def test_the_loss_of_bf16_logits_is_computed_in_float32():
    logit, label, weight = problem(16)
    loss = task_losses(logit.bfloat16(), label, weight, BOTH)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, task_losses(logit.bfloat16().float(), label, weight, BOTH))


def row_losses_of(task: Task, logit: list[float], label: list[float]) -> list[float]:
    columns = (torch.tensor(values).view(1, -1, 1) for values in (logit, label))
    return Losses([task], torch.tensor([[0]])).rows(*columns).flatten().tolist()


def test_regression_losses_by_hand():
    def task(**settings):
        return Task(name="watch", kind="regression", **settings)

    assert row_losses_of(task(loss="huber"), [0.5, 3.0, -3.0], [0.0, 0.0, 0.0]) == pytest.approx([0.25, 5.0, 5.0])
    assert row_losses_of(task(loss="quantile"), [2.0, -2.0], [0.0, 0.0]) == pytest.approx([1.0, 1.0])
    assert row_losses_of(task(loss="quantile", quantile=0.9), [2.0, -2.0], [0.0, 0.0]) == pytest.approx([0.2, 1.8])
    assert row_losses_of(task(loss="log"), [2.0], [0.5]) == pytest.approx([2.25]), "the encoder takes the logarithm"


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_the_quantile_loss_is_least_at_the_quantile(quantile):
    label = np.random.default_rng(0).lognormal(size=2001)
    task = Task(name="watch", kind="regression", loss="quantile", quantile=quantile)
    around = np.quantile(label, quantile) + np.array([-0.1, 0.0, 0.1])
    mean = [np.mean(row_losses_of(task, [value] * len(label), label.tolist())) for value in around]
    assert mean[1] < min(mean[0], mean[2])


def test_pairwise_by_hand():
    """Group 1 has the pairs (a, b) and (c, b). Group 2 has one class and group 3 one row, so they have no pair."""
    logit, label, weight = [1.0, 0.5, 0.0, 4.0, 5.0, 9.0], [1.0, 0.0, 1.0, 1.0, 1.0, 0.0], [1.0, 2.0, 3.0, 1.0, 1.0, 1.0]
    columns = [torch.tensor(values).view(1, -1, 1) for values in (logit, label, weight)]
    group = torch.tensor([[1, 1, 1, 2, 2, 3]])
    expected = (2 * math.log1p(math.exp(-0.5)) + 6 * math.log1p(math.exp(0.5))) / 8
    assert pairwise(*columns, group).item() == pytest.approx(expected, rel=1e-6)
    losses = Losses([Task(name="click", loss="pairwise")], torch.tensor([[0]]))
    entropy = Losses([Task(name="click")], torch.tensor([[0]]))(*columns).item()
    assert losses(*columns, group).item() == pytest.approx((expected + entropy) / 2, rel=1e-6)
    assert pairwise(*(value[:, 3:] for value in columns), group[:, 3:]).item() == 0.0


def test_pairwise_of_members_with_rows_of_their_own_agrees_with_each_alone():
    logit, label, weight = draw(2, 30, 1), (draw(2, 30, 1, seed=1) > 0).float(), draw(2, 30, 1, seed=2).abs()
    group = torch.randint(5, (2, 30), generator=torch.Generator().manual_seed(0))
    together = pairwise(logit, label, weight, group)
    for m in range(2):
        alone = pairwise(*(value[m : m + 1] for value in (logit, label, weight, group)))
        assert torch.equal(together[m : m + 1], alone)
    shared = pairwise(logit, label[:1], weight[:1], group[:1])
    torch.testing.assert_close(shared[1:], pairwise(logit[1:], label[:1], weight[:1], group[:1]))
