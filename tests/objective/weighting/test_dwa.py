"""Dynamic weight average by hand."""

from __future__ import annotations

import math

import pytest
import torch

from weightings import losses, make, step_context


def test_dwa_by_hand():
    weighting = make("dwa", weight=(1.0, 2.0))
    torch.testing.assert_close(weighting.weigh(losses(1, 1), step_context()), losses(1, 2))
    weighting.close_epoch(losses(1.0, 0.5).double())
    torch.testing.assert_close(weighting.weigh(losses(1, 1), step_context()), losses(1, 2))
    weighting.close_epoch(losses(0.8, 0.2).double())  # ratios 0.8 and 0.4
    first, second = math.exp(0.8 / 2), math.exp(0.4 / 2)
    expected = losses(2 * first / (first + second), 2 * 2 * second / (first + second))
    torch.testing.assert_close(weighting.weigh(losses(1, 1), step_context()), expected)
    weighting.close_epoch(losses(0.8, float("nan")).double())  # no row of the second: its ratio counts as 1
    torch.testing.assert_close(weighting.weigh(losses(1, 1), step_context()), losses(1, 2))
    weighting.close_epoch(losses(0.8, 0.1).double())  # ratios 1 and 0.1 / 0.2
    first, second = math.exp(1 / 2), math.exp(0.5 / 2)
    assert weighting.weigh(losses(1, 1), step_context())[0, 0] == pytest.approx(2 * first / (first + second))
