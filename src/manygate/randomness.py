"""Random numbers for training. Every draw comes from its own stream, with a key of a purpose, a seed and a step.

There is no state to save. A resumed run draws the same numbers as an uninterrupted run. A replica draws the same numbers alone and
among others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

INITIAL, ORDER, DRAWN, HIDDEN_BIAS, SAMPLE, SYNTHETIC, WEIGHTING, DROPPED_IDS = 1, 2, 3, 4, 5, 6, 7, 8
"""Purposes. A purpose is the first number of a stream's key: initial weights, order of batches, dropout and noise, hidden bias
features, a replica's own sample of the rows, synthetic rows, weights of the tasks, ids that training
replaces by the unseen-id row."""
TUNING = 9
"""The purpose of the proposals of a search."""
BASELINE_FOLDS = 20
"""The purpose of the folds of a baseline's target statistics."""
TARGET_FOLDS = 21
"""The purpose of the folds of a network's target statistics."""
WINDOW = 22
"""The purpose of the order of the rows in each window of a long log."""

_LEVELS = 2**16


def stream_seed(*key: int) -> int:
    """Return a 63-bit seed for a key of small integers.

    >>> stream_seed(INITIAL, 0) == stream_seed(INITIAL, 0), stream_seed(INITIAL, 0) == stream_seed(INITIAL, 1)
    (True, False)
    """
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1)


def keep_mask(rate: float, shape: Sequence[int], key: tuple[int, ...], device: torch.device) -> Tensor:
    """Draw a mask, float32: 0 with probability ``rate`` (rounded to a multiple of 1/65536), and 1 / (1 - rate) otherwise.

    >>> mask = keep_mask(0.5, (1000,), (0, 1), torch.device("cpu"))
    >>> sorted(set(mask.tolist())), bool(400 < (mask > 0).sum() < 600)
    ([0.0, 2.0], True)
    """
    dropped = round(rate * _LEVELS)
    scale = _LEVELS / (_LEVELS - dropped)
    count = int(np.prod(shape))
    if device.type == "cpu":
        bits = np.random.SFC64(np.random.SeedSequence(key)).random_raw(-(-count // 4)).view(np.uint16)[:count]
        return torch.from_numpy((bits >= dropped) * np.float32(scale)).view(*shape)
    generator = torch.Generator(device).manual_seed(stream_seed(*key))
    drawn = torch.randint(_LEVELS, (count,), generator=generator, device=device)
    return ((drawn >= dropped) * scale).float().view(*shape)


def normal_noise(shape: Sequence[int], key: tuple[int, ...], device: torch.device) -> Tensor:
    """Draw standard normal values, float32."""
    if device.type == "cpu":
        generator = np.random.Generator(np.random.SFC64(np.random.SeedSequence(key)))
        return torch.from_numpy(generator.standard_normal(tuple(shape), dtype=np.float32))
    return torch.randn(tuple(shape), generator=torch.Generator(device).manual_seed(stream_seed(*key)), device=device)


def uniform_draws(count: int, key: tuple[int, ...]) -> Tensor:
    """Draw numbers from [0, 1), float32, always on the CPU. The first of ``count`` numbers are the same for any larger ``count``.

    >>> torch.equal(uniform_draws(3, (8, 1)), uniform_draws(5, (8, 1))[:3])
    True
    """
    generator = np.random.Generator(np.random.SFC64(np.random.SeedSequence(key)))
    return torch.from_numpy(generator.random(count, dtype=np.float32))
