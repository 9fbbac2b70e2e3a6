"""The base of weightings: the objective, when gradients are read, and what a resumed run puts back."""

from __future__ import annotations

import pytest
import torch

from manygate.config.names import WEIGHTINGS
from manygate.objective.weighting import Weighting
from weightings import losses, make, seen_step


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_what_members_learnt_is_forgotten_and_no_other_s(name):
    weighting = make(name)
    with torch.no_grad():
        for value in weighting.parameters.values():
            value.copy_(torch.arange(1.0, 1 + value.numel()).view(value.shape))
    weighting.forget([1])
    for value in weighting.parameters.values():
        assert (value[1] == 0).all()
        assert torch.equal(value[0].detach(), torch.arange(1.0, 1 + value[0].numel()))
    assert (name == "uncertainty") == bool(weighting.parameters)


def test_the_objective_is_the_weighted_sum_and_keeps_its_weights():
    class Doubled(Weighting):
        def weigh(self, loss_MT, seen):
            assert not loss_MT.requires_grad
            return 2 * self.given.weight_MT

    doubled = Doubled(make("fixed", weight=(0.5, 3.0)).given)
    loss_MT = losses(0.7, 2.0).requires_grad_()
    objective_M = doubled.objective(loss_MT, seen_step())
    torch.testing.assert_close(objective_M.detach(), torch.tensor([12.7, 12.7]))  # 0.7 + 12
    objective_M.sum().backward()
    torch.testing.assert_close(loss_MT.grad, losses(1.0, 6.0))
    torch.testing.assert_close(doubled.weight_MT, losses(1.0, 6.0))


def test_gradients_are_read_every_so_many_steps_and_by_no_weighting_that_needs_none():
    assert [step for step in range(7) if make("gradnorm", balance_every=3).reads(step)] == [0, 3, 6]
    assert not any(make("fixed", balance_every=3).reads(step) for step in range(7))


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_what_tensors_gave_is_put_back_in_place(name):
    source, target = make(name), make(name)
    with torch.no_grad():
        for value in source.tensors().values():
            value.copy_(torch.arange(1.0, 1 + value.numel()).view(value.shape))
    kept = {key: value.clone() for key, value in source.tensors().items()}
    before = target.tensors()
    target.restore(kept)
    assert set(before) == set(kept)
    for key, value in target.tensors().items():
        assert value is before[key], "an optimizer holds the tensor itself"
        assert torch.equal(value.detach(), kept[key])
