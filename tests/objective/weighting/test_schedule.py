"""Weights that fade or grow by the epoch, by hand."""

from __future__ import annotations

import torch

from weightings import MEMBERS, losses, make, step_context


def test_schedule_by_hand():
    schedule = make("schedule", weight=(0.5, 3.0), decay=(1.0, 0.9))
    for epoch, expected in ((0, 6.35), (1, 5.75), (2, 5.21)):  # 0.35 + 6 * 0.9^epoch
        torch.testing.assert_close(
            schedule.objective(losses(0.7, 2.0), step_context(epoch=epoch)), torch.full((MEMBERS,), expected)
        )
