"""Tables: where a run's embedding tables are. They are parameters of the model, or each process holds a part of them.

A table has the shape (V, M, K d): V rows, M members, K vectors of width d in a row. Its *vectors* are numbered one after another:
vector (v M + m) K + k is vector k of member m in row v. A part is a range of vectors.

"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from manygate.model import MultiTaskModel


@dataclass(frozen=True)
class Part:
    """A range of vectors of a table that one process holds."""

    process: int
    first: int
    """The number of its first vector in the table."""
    size: int
    """The number of its vectors."""


@dataclass(frozen=True)
class Layout:
    """The shape of a table, and the parts that the processes hold."""

    dim: int
    """The width of a vector. It names the table."""
    rows: int
    members: int
    vectors: int
    """The number of vectors in a row of one member."""
    parts: tuple[Part, ...]

    @property
    def in_row(self) -> int:
        """The number of vectors in a row, of all members."""
        return self.members * self.vectors


class Tables:
    """Tables that are parameters of the model. :class:`manygate.training.torchrec_tables.TorchRecTables` are spread instead."""

    spread = False
    """True if each process holds a part of the tables."""

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of a step, before its forward pass."""

    def updated(self) -> AbstractContextManager[None]:
        """Return a context for the backward pass of a step. It updates spread tables."""
        return nullcontext()

    def keep(self, members: list[int]) -> None:
        """Keep the present weights of some members as the best ones."""

    def load_best(self, members: list[int]) -> None:
        """Give some members the weights that were kept."""

    def reset_members(self, members: list[int]) -> None:
        """Set the optimizer's state of some members to zero."""

    def stores(self, name: str) -> bool:
        """Return whether a tensor of a checkpoint is stored in parts, by its name in the checkpoint of one process."""
        return False

    def save(self, folder: Path) -> None:
        """Write the parts of this process into the folder of a checkpoint."""

    def restore(self, folder: Path) -> None:
        """Read the parts of this process from a checkpoint of any number of processes."""

    def whole(self, model: MultiTaskModel) -> MultiTaskModel:
        """Return a model that holds all tables, in the first process. Other processes get the model as it is."""
        return model


def plan(sizes: Sequence[int], processes: int, way: str) -> list[int | None]:
    """Return the process that holds each table, or None if all of them hold a part of its rows.

    Planned means: by rows, if a table is larger than a process's share of all, and whole otherwise.

    >>> plan([5, 60, 20, 15], processes=2, way="planned")
    [1, None, 0, 1]
    >>> plan([5, 60, 20, 15], processes=2, way="row_wise")
    [None, None, None, None]
    >>> plan([5, 60, 20, 15], processes=2, way="table_wise")
    [1, 0, 1, 1]
    """
    share = sum(sizes) / processes
    whole = [i for i, size in enumerate(sizes) if way == "table_wise" or (way == "planned" and size <= share)]
    process = dict(zip(whole, placed([sizes[i] for i in whole], processes), strict=True))
    return [process.get(i) for i in range(len(sizes))]


def placed(sizes: Sequence[int], processes: int) -> list[int]:
    """Return the process that holds each table: the largest first, each where the least is so far.

    >>> placed([5, 40, 30, 20], processes=2)
    [0, 0, 1, 1]
    """
    filled, process = [0] * processes, [0] * len(sizes)
    for table in sorted(range(len(sizes)), key=lambda table: -sizes[table]):
        process[table] = filled.index(min(filled))
        filled[process[table]] += sizes[table]
    return process


IN_MODEL = Tables()
"""The tables of a run in which each process has all of them."""
