"""Tests of the base class: the objective, the steps that need gradients, and the tensors of a resumed run."""

from __future__ import annotations

import pytest
import torch

import manygate.objective.weighting
from manygate.config.names import WEIGHTINGS
from manygate.errors import InputError
from manygate.objective.weighting import Weighting
from weightings import losses, make, step_context


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_the_parameters_of_reset_members_become_zero_and_the_others_stay(name):
    weighting = make(name)
    with torch.no_grad():
        for value in weighting.parameters.values():
            value.copy_(torch.arange(1.0, 1 + value.numel()).view(value.shape))
    weighting.reset_members([1])
    for value in weighting.parameters.values():
        assert (value[1] == 0).all()
        assert torch.equal(value[0].detach(), torch.arange(1.0, 1 + value[0].numel()))
    assert (name == "uncertainty") == bool(weighting.parameters)


def test_the_objective_is_the_weighted_sum_and_keeps_its_weights():
    class Doubled(Weighting):
        def weigh(self, loss_MT, context):
            assert not loss_MT.requires_grad
            return 2 * self.setup.weight_MT

    doubled = Doubled(make("fixed", weight=(0.5, 3.0)).setup)
    loss_MT = losses(0.7, 2.0).requires_grad_()
    objective_M = doubled.objective(loss_MT, step_context())
    torch.testing.assert_close(objective_M.detach(), torch.tensor([12.7, 12.7]))  # 0.7 + 12
    objective_M.sum().backward()
    torch.testing.assert_close(loss_MT.grad, losses(1.0, 6.0))
    torch.testing.assert_close(doubled.weight_MT, losses(1.0, 6.0))


@pytest.mark.parametrize("name", ["look", "looks_again", "reads", "reads_gradients", "forget"])
def test_the_old_name_of_a_member_of_the_class_gives_an_error(name):
    with pytest.raises(InputError, match=f"weighting 'Old': {name} is now called [a-z_]+. Rename it in the class"):
        type("Old", (Weighting,), {name: lambda self, *_: None})


@pytest.mark.parametrize(("old", "new"), [("Given", "WeightingSetup"), ("Seen", "StepContext")])
def test_the_old_name_of_a_class_gives_an_error(old, new):
    with pytest.raises(ImportError, match=f"{old} is now called {new}"):
        getattr(manygate.objective.weighting, old)
    with pytest.raises(AttributeError, match="no attribute 'Other'"):
        _ = manygate.objective.weighting.Other


def test_gradients_are_needed_every_balance_every_steps_and_only_by_weightings_that_use_them():
    assert [step for step in range(7) if make("gradnorm", balance_every=3).needs_gradients_at(step)] == [0, 3, 6]
    assert not any(make("fixed", balance_every=3).needs_gradients_at(step) for step in range(7))


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_restore_copies_the_tensors_in_place(name):
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
