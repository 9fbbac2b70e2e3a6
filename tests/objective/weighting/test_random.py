"""Random weights: their sum, their mean and their streams."""

from __future__ import annotations

import pytest
import torch

from weightings import MEMBERS, losses, make, step_context


def test_random_weights_differ_by_member_and_step_and_sum_to_t():
    weighting = make("random")
    drawn = torch.stack([weighting.weigh(losses(1, 1), step_context(step=step)) for step in range(200)])
    torch.testing.assert_close(drawn.sum(dim=2), torch.full((200, MEMBERS), 2.0))
    assert not torch.equal(drawn[:, 0], drawn[:, 1])
    assert len(set(drawn[:, 0, 0].tolist())) > 190
    assert drawn.mean().item() == pytest.approx(1.0, abs=0.02)
    assert torch.equal(weighting.weigh(losses(1, 1), step_context(step=7)), drawn[7])
