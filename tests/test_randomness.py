"""Tests of private streams: A key gives the same numbers in every run. The global random states do not change."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from manygate.randomness import keep_mask, stream_seed

CPU = torch.device("cpu")
quick = settings(max_examples=30, deadline=None, derandomize=True)


@quick
@given(rate=st.floats(0, 0.99), shape=st.lists(st.integers(1, 9), min_size=1, max_size=3), key=st.integers(0, 2**40))
def test_a_mask_holds_zero_or_the_inverse_of_the_share_kept(rate, shape, key):
    mask = keep_mask(rate, shape, (key, 1), CPU)
    assert mask.shape == tuple(shape)
    assert mask.dtype == torch.float32
    dropped = round(rate * 65536)
    assert set(mask.flatten().tolist()) <= {0.0, float(np.float32(65536 / (65536 - dropped)))}
    assert torch.equal(mask, keep_mask(rate, shape, (key, 1), CPU))


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5, 0.9])
def test_the_share_dropped_and_the_mean(rate):
    mask = keep_mask(rate, (400, 500), (3,), CPU)
    assert (mask == 0).float().mean().item() == pytest.approx(rate, abs=4 * (rate * (1 - rate) / 200_000) ** 0.5 + 1e-5)
    assert mask.mean().item() == pytest.approx(1.0, abs=0.03)


def test_each_part_of_the_key_counts():
    keys = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (0, 2**31, 1), (7, 3, 2)]
    assert len({stream_seed(*key) for key in keys}) == len(keys)
    assert all(0 <= stream_seed(*key) < 2**63 for key in keys)
    masks = [keep_mask(0.5, (64,), key, CPU) for key in keys]
    assert len({tuple(mask.tolist()) for mask in masks}) == len(masks)


def test_rows_and_steps_are_uncorrelated():
    masks = torch.stack([keep_mask(0.5, (4096,), (0, step), CPU) for step in range(8)])
    correlation = torch.corrcoef(masks) - torch.eye(8)
    assert correlation.abs().max() < 0.07


def test_the_global_random_states_are_untouched():
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    keep_mask(0.5, (100,), (1, 2), CPU)
    stream_seed(1, 2)
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
