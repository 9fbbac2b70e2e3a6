"""Tests of weights from a Gramian: scales, fixed weights and the order of tasks."""

from __future__ import annotations

import pkgutil

import numpy as np
import pytest
import torch

import manygate.objective.weighting as weighting_package
from manygate.objective.weighting.gramian import GramianWeighting, solve_each
from weightings import losses, make, step_context


@pytest.mark.parametrize("name", ["mgda", "nash_mtl", "fairgrad", "imtl_g", "aligned_mtl"])
def test_fixed_weights_multiply_the_result_of_methods_that_undo_scales(name):
    gradients = np.array([[1.0, 0.2], [-0.3, 0.6]])
    plain, doubled = (
        make(name, weight=weight).weigh(losses(1, 1), step_context(gradients=gradients)) for weight in ((1, 1), (1, 2))
    )
    torch.testing.assert_close(doubled, plain * torch.tensor([1.0, 2.0]))


@pytest.mark.parametrize("name", ["pcgrad", "cagrad", "upgrad", "dualproj"])
def test_other_methods_get_the_weighted_losses(name):
    gradients = np.array([[1.0, 0.2], [-0.3, 0.6]])
    weighted = make(name, weight=(1.0, 2.0)).weigh(losses(1, 1), step_context(gradients=gradients))
    scaled = make(name).weigh(losses(1, 1), step_context(gradients=gradients * [[1.0], [2.0]]))
    torch.testing.assert_close(weighted, scaled * torch.tensor([1.0, 2.0]))


def test_a_solver_gets_a_mean_diagonal_of_one_and_its_result_is_bounded():
    """Gradients of lengths 2 and 4 have the Gramian (4, 0; 0, 16). It is divided by its mean diagonal, 10."""
    received = []

    class Solver(GramianWeighting):
        def solve(self, gramian_mTT, members, tasks, step):
            received.append((gramian_mTT.copy(), members.tolist(), tasks.tolist(), step))
            return np.array([[1000.0, -1000.0], [np.nan, 3.0]])

    weighting = Solver(make("fixed").setup)
    weights = weighting.weigh(losses(1, 1), step_context(step=5, gradients=[[2.0, 0.0], [0.0, 4.0]]))
    ((gramian_mTT, *rest),) = received
    np.testing.assert_allclose(gramian_mTT, np.array([[[0.4, 0.0], [0.0, 1.6]]] * 2))
    assert rest == [[0, 1], [0, 1], 5]
    torch.testing.assert_close(weights, torch.tensor([[100.0, -100.0], [1.0, 3.0]]))
    torch.testing.assert_close(
        weighting.weigh(losses(1, 1), step_context(step=6)), weights
    )  # steps without gradients keep the weights


def test_a_method_of_one_gramian_is_called_for_each():
    gramian_mTT = np.arange(8.0).reshape(2, 2, 2)
    np.testing.assert_array_equal(solve_each(lambda gramian_TT: gramian_TT.sum(dim=1), gramian_mTT), [[1.0, 5.0], [9.0, 13.0]])


def test_no_name_of_the_package_is_also_a_module_of_it():
    """Importing the module would replace the name: a weighting of the user's own imports ``GramianWeighting`` before training."""
    modules = {module.name for module in pkgutil.iter_modules(weighting_package.__path__)}
    assert "gramian" in modules
    assert modules.isdisjoint(weighting_package.__all__)
