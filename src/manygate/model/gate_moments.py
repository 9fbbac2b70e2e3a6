"""Mean and standard deviation of gate weights over the rows of batches.

Shape suffixes: R replicas, B rows, T tasks, E experts. Axes before the rows, for example replicas, are kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class GateMoments:
    """Adds up the sums for the mean and the standard deviation of each level's gate weights, in float64.

    >>> moments = GateMoments()
    >>> moments.add([torch.tensor([[[0.25, 0.75]], [[0.75, 0.25]], [[1.0, 0.0]]])], torch.tensor([[[True]], [[True]], [[False]]]))
    >>> [value.tolist() for value in moments.read()[0]]
    [[[0.5, 0.5]], [[0.25, 0.25]]]
    """

    def __init__(self) -> None:
        self._sums: list[np.ndarray] = []

    @torch.no_grad()
    def add(self, gates: Sequence[Tensor], inside_BT1: Tensor) -> None:
        """Add a batch: gate_BTE of each level, and ``inside_BT1``, which is true if the row counts for the task."""
        for level, gate in enumerate(gates):
            gate_BTE = gate.double()
            powers = (inside_BT1.expand_as(gate_BTE), gate_BTE * inside_BT1, gate_BTE.square() * inside_BT1)
            sums = torch.stack([power.sum(dim=-3).double() for power in powers]).cpu().numpy()
            if len(self._sums) <= level:
                self._sums.append(np.zeros_like(sums))
            self._sums[level] += sums

    def read(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return mean_TE and sd_TE of each level. They are 0 for a task without a row."""
        levels = []
        for count_TE, first_TE, second_TE in self._sums:
            rows_TE = np.maximum(count_TE, 1)
            mean_TE = first_TE / rows_TE
            levels.append((mean_TE, np.sqrt(np.maximum(second_TE / rows_TE - mean_TE**2, 0.0))))
        return levels
