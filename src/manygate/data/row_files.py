"""Encoded rows in files, block by block, for a log that does not fit in memory.

A block is a file of its arrays, one after another. The sizes and the sha256 of its inputs and of its labels stay in memory, and
each read checks them. So a file that was changed or damaged is never read as something else.

The files are scratch: they serve one process, and a run that is started again writes them again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from manygate.data.memory import free_memory, gigabytes
from manygate.data.rows import BLOCK_ROWS, NO_GROUP, Rows, RowsBuilder, group_numbers
from manygate.errors import InputError, setting
from manygate.files import reading_file, writing

LABELS = ("label_BT", "weight_BT", "group_B")
"""The arrays that are read without the inputs, too. They stand first in a file."""


@dataclass(frozen=True)
class ArrayEntry:
    """An array in a block's file."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return int(np.dtype(self.dtype).itemsize * np.prod(self.shape, dtype=np.int64))

    def empty(self, length: int | None = None) -> np.ndarray:
        """Return memory for the array, or for one of ``length`` entries."""
        return np.empty(self.shape if length is None else (length, *self.shape[1:]), self.dtype)


@dataclass(frozen=True)
class Section:
    """Arrays that follow one another in a file, with the sha256 of their bytes."""

    start: int
    arrays: tuple[ArrayEntry, ...]
    sha256: bytes

    @property
    def nbytes(self) -> int:
        return sum(entry.nbytes for entry in self.arrays)


@dataclass(frozen=True)
class Block:
    """A file of at most :data:`BLOCK_ROWS` rows."""

    path: Path
    rows: int
    labels: Section
    inputs: Section

    @property
    def entries(self) -> tuple[ArrayEntry, ...]:
        """All arrays of the file."""
        return self.labels.arrays + self.inputs.arrays

    @classmethod
    def write(cls, path: Path, rows: Rows) -> Block:
        """Write rows to a file. Raises :class:`InputError` if the disk is full or cannot be written."""
        arrays = _arrays(rows)
        labels = [item for item in arrays if item[0] in LABELS]
        inputs = [item for item in arrays if item[0] not in LABELS]
        with writing(path, path), path.open("wb") as stream:
            first = _write_section(stream.write, 0, labels)
            second = _write_section(stream.write, first.nbytes, inputs)
        return cls(path, len(rows), first, second)

    def read(self, *sections: Section) -> dict[str, np.ndarray]:
        """Return the arrays of some sections: see :meth:`read_into`."""
        found = {entry.name: entry.empty() for section in sections for entry in section.arrays}
        self.read_into(found, *sections)
        return found

    def read_into(self, arrays: Mapping[str, np.ndarray], *sections: Section) -> None:
        """Read the arrays of some sections into memory. Raises :class:`InputError` if the file is missing, shorter or changed."""
        with reading_file(self.path), self.path.open("rb") as stream:
            for section in sections:
                stream.seek(section.start)
                digest, whole = hashlib.sha256(), True
                for entry in section.arrays:
                    content = _bytes_of(arrays[entry.name])
                    whole &= stream.readinto(content) == len(content)
                    digest.update(content)
                if not whole or digest.digest() != section.sha256:
                    raise InputError(
                        f"{self.path}: the encoded rows are damaged: their sha256 is another than when they were written. "
                        "Check the disk and its free space, then start the command again: it encodes the rows again."
                    )


def _bytes_of(array: np.ndarray) -> memoryview:
    """Return the memory of a contiguous array as bytes."""
    return array.reshape(-1).view(np.uint8).data


def _arrays(rows: Rows) -> list[tuple[str, np.ndarray]]:
    """Return the arrays of rows by name, those of the labels first."""
    named = [("label_BT", rows.label_BT), ("weight_BT", rows.weight_BT)]
    named += [] if rows.group_B is None else [("group_B", rows.group_B)]
    named += [("id_BS", rows.id_BS), ("number_BM", rows.number_BM)]
    for number, (value_n, offset) in enumerate(rows.bags):
        named += [(f"value_{number}", value_n), (f"offset_{number}", offset)]
    return [(name, np.ascontiguousarray(array)) for name, array in named]


def _write_section(write: Callable[[memoryview], int], start: int, arrays: Sequence[tuple[str, np.ndarray]]) -> Section:
    digest, entries = hashlib.sha256(), []
    for name, array in arrays:
        content = _bytes_of(array)
        digest.update(content)
        write(content)
        entries.append(ArrayEntry(name, array.dtype.str, array.shape))
    return Section(start, tuple(entries), digest.digest())


def _one_offset(offset: np.ndarray, blocks: Sequence[Block]) -> np.ndarray:
    """Turn the offsets of several blocks, one after another, into those of all rows."""
    ends = np.cumsum([block.rows + 1 for block in blocks])[:-1]
    return np.append(0, np.cumsum(np.concatenate([np.diff(part) for part in np.split(offset, ends)]))).astype(np.int64)


def _rows_of(arrays: dict[str, np.ndarray]) -> Rows:
    bags: list[tuple[np.ndarray, np.ndarray]] = []
    while f"value_{len(bags)}" in arrays:
        bags.append((arrays[f"value_{len(bags)}"], arrays[f"offset_{len(bags)}"]))
    none = np.zeros((len(arrays["label_BT"]), 0))
    id_BS, number_BM = arrays.get("id_BS", none.astype(np.int32)), arrays.get("number_BM", none.astype(np.float32))
    return Rows(id_BS, number_BM, bags, arrays["label_BT"], arrays["weight_BT"], arrays.get("group_B"))


@dataclass(frozen=True)
class RowFiles:
    """The rows of a part of a log, in files. It stands for :class:`manygate.data.rows.Rows`.

    Labels, weights and groups are loaded when they are first asked for, and stay. ``id_BS``, ``number_BM`` and ``bags`` load all
    rows at each use, and raise :class:`InputError` if they do not fit.

    Args:
        blocks: The files, in the order of the log. All but the last have :data:`BLOCK_ROWS` rows.
        owner: An object that lives as long as the files are needed, such as a temporary folder.
    """

    blocks: tuple[Block, ...]
    owner: object = None

    def __len__(self) -> int:
        return sum(block.rows for block in self.blocks)

    @property
    def files(self) -> RowFiles:
        """These rows are in files."""
        return self

    @property
    def nbytes(self) -> int:
        """The memory of the labels, weights and groups, which stay in memory once they are read."""
        return sum(block.labels.nbytes for block in self.blocks)

    @property
    def file_bytes(self) -> int:
        """The size of all files."""
        return self.nbytes + sum(block.inputs.nbytes for block in self.blocks)

    @cached_property
    def _labels(self) -> Rows:
        return Rows.concat(list(self.label_chunks()))

    @property
    def label_BT(self) -> np.ndarray:  # noqa: N802
        return self._labels.label_BT

    @property
    def weight_BT(self) -> np.ndarray:  # noqa: N802
        return self._labels.weight_BT

    @property
    def group_B(self) -> np.ndarray | None:  # noqa: N802
        return self._labels.group_B

    @cached_property
    def groups(self) -> np.ndarray | None:
        """Groups as 0, 1, 2, ...: see :attr:`manygate.data.rows.Rows.groups`."""
        return None if self.group_B is None else group_numbers(self.group_B)

    @property
    def groupless(self) -> int:
        """The number of rows without a group, 0 where the log has no groups."""
        each = (chunk.group_B for chunk in self.label_chunks())
        return sum(int(np.count_nonzero(group_B == NO_GROUP)) for group_B in each if group_B is not None)

    @property
    def id_BS(self) -> np.ndarray:  # noqa: N802
        return self.loaded().id_BS

    @property
    def number_BM(self) -> np.ndarray:  # noqa: N802
        return self.loaded().number_BM

    @property
    def bags(self) -> list[tuple[np.ndarray, np.ndarray]]:
        return self.loaded().bags

    def loaded(self) -> Rows:
        """Return all rows in memory. Raises :class:`InputError` if they do not fit."""
        if 2 * self.file_bytes > free_memory():
            raise InputError(
                f"{len(self):,} encoded rows are needed in memory at once. They take {gigabytes(2 * self.file_bytes)}, and "
                f"{gigabytes(free_memory())} are free. What needs them are baselines of other libraries and losses of whole "
                f"groups: leave these out ({setting('baselines', 'none')}), or give fewer rows."
            )
        return self.read(range(len(self.blocks)))

    def read(self, blocks: Sequence[int]) -> Rows:
        """Return the rows of some blocks, one after another. They are read to the place where they stay."""
        chosen = [self.blocks[number] for number in blocks]
        lengths: dict[str, int] = {}
        for block in chosen:
            for entry in block.entries:
                lengths[entry.name] = lengths.get(entry.name, 0) + entry.shape[0]
        joined = {entry.name: entry.empty(lengths[entry.name]) for entry in chosen[0].entries}
        ends = dict.fromkeys(joined, 0)
        for block in chosen:
            places = {}
            for entry in block.entries:
                start = ends[entry.name]
                places[entry.name] = joined[entry.name][start : start + entry.shape[0]]
                ends[entry.name] += entry.shape[0]
            block.read_into(places, block.labels, block.inputs)
        return _rows_of(
            {name: _one_offset(array, chosen) if name.startswith("offset") else array for name, array in joined.items()}
        )

    def chunks(self) -> Iterator[Rows]:
        """Yield all rows in order, a block at a time."""
        yield from (_rows_of(block.read(block.labels, block.inputs)) for block in self.blocks)

    def label_chunks(self) -> Iterator[Rows]:
        """Yield the labels, weights and groups of all rows in order: rows of no feature."""
        yield from (_rows_of(block.read(block.labels)) for block in self.blocks)

    def part(self, start: int, stop: int) -> Rows:
        """Return some rows that follow one another."""
        stop = min(stop, len(self))
        first, last = start // BLOCK_ROWS, max(-(-stop // BLOCK_ROWS), start // BLOCK_ROWS + 1)
        return self.read(range(first, last)).part(start - first * BLOCK_ROWS, stop - first * BLOCK_ROWS)

    def where(self, keep_B: np.ndarray) -> Rows:
        """Return the rows for which ``keep_B`` is true."""
        starts = range(0, len(self), BLOCK_ROWS)
        kept = [(number, keep_B[start : start + BLOCK_ROWS]) for number, start in enumerate(starts)]
        needed = [(number, keep) for number, keep in kept if keep.any()] or kept[:1]
        return Rows.concat([self.read([number]).where(keep) for number, keep in needed])

    def changed(self, change: Callable[[int, Rows], Rows]) -> RowFiles:
        """Write every block again with other rows. ``change`` gets the number of the block's first row, and its rows."""
        written, start = [], 0
        for block in self.blocks:
            rows = change(start, _rows_of(block.read(block.labels, block.inputs)))
            draft = block.path.with_name(f".{block.path.name}.tmp")
            fresh = Block.write(draft, rows)
            with writing(block.path, draft):
                draft.replace(block.path)
            written.append(Block(block.path, fresh.rows, fresh.labels, fresh.inputs))
            start += block.rows
        return RowFiles(tuple(written), self.owner)


class RowFilesWriter:
    """Puts batches of rows into files of whole blocks."""

    def __init__(self, folder: Path, owner: object = None):
        self.folder, self.owner = folder, owner
        self.count = 0
        self._blocks: list[Block] = []
        self._builder = RowsBuilder()
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)

    def add(self, rows: Rows) -> None:
        """Add the next rows."""
        self.count += len(rows)
        self._builder.add(rows)
        if self._builder.count >= BLOCK_ROWS:
            whole = self._builder.rows()
            full = len(whole) // BLOCK_ROWS * BLOCK_ROWS
            for start in range(0, full, BLOCK_ROWS):
                self._write(whole.part(start, start + BLOCK_ROWS))
            self._builder = RowsBuilder()
            if full < len(whole):
                self._builder.add(whole.part(full, len(whole)))

    def rows(self) -> RowFiles:
        """Write the rest and return all rows. There must be a row."""
        if self._builder.count:
            self._write(self._builder.rows())
        return RowFiles(tuple(self._blocks), self.owner)

    def _write(self, rows: Rows) -> None:
        self._blocks.append(Block.write(self.folder / f"{len(self._blocks):06d}.rows", rows))


def free_space(folder: Path) -> float:
    """Return the free bytes of the disk that a folder is on."""
    with reading_file(folder):
        found = os.statvfs(folder)
    return float(found.f_bavail * found.f_frsize)
