"""Losses by hand; what is masked counts for nothing, bit for bit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from manygate.loss import row_losses, task_losses

quick = settings(max_examples=40, deadline=None, derandomize=True)
BOTH = torch.tensor([[True, False]])


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
def test_agrees_with_torch_s_own_losses(seed):
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


def test_what_masked_rows_hold_does_not_matter_bit_for_bit():
    logit, label, weight = problem(64)
    masked = weight == 0
    loss, gradient = loss_and_gradient(logit, label, weight)
    changed_logit, changed_label = torch.where(masked, 50 * draw(1, 64, 2, seed=7), logit), torch.where(masked, 1 - label, label)
    changed_loss, changed_gradient = loss_and_gradient(changed_logit, changed_label, weight)
    assert torch.equal(loss, changed_loss)
    assert torch.equal(gradient, changed_gradient)
    assert (gradient[masked] == 0).all()


def test_adding_rows_outside_the_sample_space_changes_nothing():
    """The sum is over another number of rows, so it may round otherwise; the rows' gradients follow the weights' sum alone."""
    logit, label, weight = problem(64)
    weight = (weight > 0).float()
    more_logit, more_label = torch.cat([logit, draw(1, 40, 2, seed=3)], 1), torch.cat([label, torch.ones(1, 40, 2)], 1)
    more_weight = torch.cat([weight, torch.zeros(1, 40, 2)], 1)
    loss, gradient = loss_and_gradient(logit, label, weight)
    more_loss, more_gradient = loss_and_gradient(more_logit, more_label, more_weight)
    torch.testing.assert_close(more_loss, loss, rtol=3e-7, atol=0)
    assert torch.equal(more_gradient[:, :64], gradient)
    assert (more_gradient[:, 64:] == 0).all()


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


def test_bf16_logits_are_judged_in_float32():
    logit, label, weight = problem(16)
    loss = task_losses(logit.bfloat16(), label, weight, BOTH)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, task_losses(logit.bfloat16().float(), label, weight, BOTH))
