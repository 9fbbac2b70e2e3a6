"""Fixed weights, by hand."""

from __future__ import annotations

import torch

from weightings import losses, make, step_context


def test_fixed_by_hand():
    fixed = make("fixed", weight=(0.5, 3.0), decay=(1.0, 0.9))
    expected_M = torch.tensor([6.35, 6.35])  # 0.35 + 6
    for epoch in (0, 4):  # the schedule alone reads the decay
        torch.testing.assert_close(fixed.objective(losses(0.7, 2.0), step_context(epoch=epoch)), expected_M)
