"""Rows whose probabilities are known, and predictions that are off by a known line."""

from __future__ import annotations

import numpy as np

FITTED = ("platt", "temperature", "isotonic")
random = np.random.default_rng(0)
N = 20_000
TRUE = 1 / (1 + np.exp(-random.normal(-1, 1.2, N)))
LABEL = (random.random(N) < TRUE).astype(float)
WEIGHT = random.choice([0.0, 0.5, 2.0], N)
OFF = 1 / (1 + np.exp(-(1.7 * np.log(TRUE / (1 - TRUE)) + 0.8)))  # the truth, distorted by a = 1.7, b = 0.8
