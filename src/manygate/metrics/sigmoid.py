"""The sigmoid of logits, in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np


def sigmoid(logit: Any) -> Any:
    """Return 1 / (1 + exp(-logit)) of a number or an array, without overflow.

    >>> float(sigmoid(0.0)), sigmoid(np.array([-1000.0, 1000.0])).tolist()
    (0.5, [0.0, 1.0])
    """
    small = np.exp(-np.abs(logit))  # at most 1, so that nothing overflows
    return np.where(np.asarray(logit) >= 0, 1.0, small) / (1.0 + small)
