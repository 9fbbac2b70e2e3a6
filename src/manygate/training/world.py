"""World: the processes that train one run together. Most runs have a world of one.

Each process has all parameters and reads the same global batch. It runs the network on its part of the rows. The outputs of all
parts are gathered, so that every process computes the loss of the global batch, whatever couples its rows: pairs, funnels, or the
weighting of the tasks. The gradients of the parts are added up. So a step has the result of one process, but for rounding.

Shape suffixes: M members, B rows of the global batch, b rows of a part, N rows of a split, R replicas, T tasks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from manygate.model import MultiTaskModel
from manygate.model.logits import Sliced, predict

Checkpoint = tuple[dict[str, Tensor], dict[str, Any]]
"""The tensors and the state of a checkpoint."""


class World:
    """A world of one process. :class:`manygate.training.processes.Processes` is a larger one."""

    rank = 0
    """The number of this process."""
    size = 1
    """The number of processes."""
    device_type = "cpu"
    """The type of the device of each process, where there are several."""

    @property
    def leads(self) -> bool:
        """True for the process that writes files and shows progress: the first one."""
        return self.rank == 0

    @property
    def begun(self) -> bool:
        """True if the processes before had begun the run, and torchrun started these in their place."""
        return False

    def begin(self) -> None:
        """Note that the run has begun. Called by the first process once the run's folder is its own."""

    def part(self, rows: int) -> slice:
        """Return the rows of a batch that this process runs the network on.

        They are its part. A process without a part, in a batch of few rows, runs on the first row, and the result does not count.

        >>> World().part(5)
        slice(0, 5, None)
        """
        part = part_of(rows, self.rank, self.size)
        return part if part.start < part.stop else slice(0, 1)

    def gather(self, output_MbO: Tensor, rows: int) -> Tensor:
        """Return the outputs of all parts of a batch, (M, B, O). Gradients go back to this process's part."""
        return output_MbO

    def add_up(self, value: Tensor) -> Tensor:
        """Return the sum over the processes of a tensor without a graph."""
        return value

    def add_up_gradients(self, parameters: dict[str, Tensor]) -> None:
        """Add up the gradients of the processes. Sparse ones come from :func:`manygate.training.table_rows.add_up_rows`."""

    def share_of(self, penalty_M: Tensor, rows: int) -> Tensor:
        """Return this process's share of a penalty: of the parameters alone, or a mean over the rows of the batch.

        The shares of all processes add up to the penalty of the global batch.
        """
        return penalty_M

    def largest(self, number: int) -> int:
        """Return the largest number among the processes."""
        return number

    def same(self, text: str) -> bool:
        """Return whether a text is the same in all processes."""
        return True

    def text(self, text: str) -> str:
        """Give the first process's text to all."""
        return text

    def to_first(self, value: Tensor, source: int) -> None:
        """Send a tensor of the process ``source`` to the first process. These two call this; the first one's tensor is filled."""

    def checkpoint(self, found: Checkpoint | None) -> Checkpoint | None:
        """Give the first process's checkpoint to all."""
        return found

    def predict(self, model: MultiTaskModel, split: Sliced) -> np.ndarray:
        """Return the logits of every row, logit_RNT float32."""
        return predict(model, split)


ALONE = World()
"""The world of a run that one process trains."""


def part_of(rows: int, rank: int, size: int) -> slice:
    """Return the part of a process. Parts differ in length by one row at most.

    >>> [part_of(10, rank, 3) for rank in range(3)]
    [slice(0, 3, None), slice(3, 6, None), slice(6, 10, None)]
    """
    return slice(rows * rank // size, rows * (rank + 1) // size)


def length_of(rows: int, rank: int, size: int) -> int:
    """Return the number of rows in the part of a process.

    >>> [length_of(10, rank, 3) for rank in range(3)]
    [3, 3, 4]
    """
    part = part_of(rows, rank, size)
    return part.stop - part.start
