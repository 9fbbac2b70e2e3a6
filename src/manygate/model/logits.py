"""Predicts the logits of many rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from manygate.data.batches import Batch
from manygate.model.replicas import MultiTaskModel

ROWS_AT_ONCE = 8_192


def predict(model: MultiTaskModel, split: Sliced, skipped: Sequence[bool] = ()) -> np.ndarray:
    """Return the logits of every row, logit_RNT float32.

    ``skipped`` is true for each member to leave out. Its logits mean nothing.
    """
    slices = split.slices(rows_at_once(model))
    return np.concatenate([model.logits(batch, skipped).float().cpu().numpy() for batch in slices], axis=1)


def rows_at_once(model: MultiTaskModel) -> int:
    """Return the number of rows to predict at once."""
    return max(ROWS_AT_ONCE // len(model.members), 256)


class Sliced(Protocol):
    """Rows to predict."""

    def slices(self, size: int) -> Iterator[Batch]:
        """Yield all rows in order, ``size`` at a time."""
