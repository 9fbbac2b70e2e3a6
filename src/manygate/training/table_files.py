"""The embedding tables of a checkpoint, in files.

One process writes its tables whole, with the other tensors, in ``state.safetensors``. If the tables are spread over processes, each
process writes ``tables-RANK-of-SIZE.safetensors`` with its parts, and ``tables.json`` says where the parts are::

    {"tables_version": 1, "tables": {"model|embedding.8": {"shape": [20, 1, 8],
        "parts": [{"file": "tables-00000-of-00002.safetensors", "first": 0, "size": 10}, ...]}}}

A table has the name of its tensor in ``state.safetensors``. A part is a range of vectors (see :mod:`manygate.training.tables`) and
has the name ``TABLE@FIRST`` in its file. So any number of processes reads what any number has written.

Shape suffixes: n vectors, d width of a vector.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from manygate.files import read_json, sync, to_json, write_text, writing

STATE = "state.safetensors"
"""The file of all tensors that are not stored in parts."""
TABLES = "tables.json"
"""The list of the parts."""


def file_of(rank: int, size: int) -> str:
    """Return the name of the file of a process.

    >>> file_of(0, 2)
    'tables-00000-of-00002.safetensors'
    """
    return f"tables-{rank:05d}-of-{size:05d}.safetensors"


def write_parts(folder: Path, name: str, parts: Iterable[tuple[str, int, Tensor]]) -> None:
    """Write the parts of a process into a file: their tables, first vectors and values."""
    tensors = {f"{table}@{first}": value.detach().contiguous() for table, first, value in parts}
    with writing(folder / name):
        save_file(tensors, folder / name)
        sync(folder / name)


def write_list(folder: Path, tables: Mapping[str, tuple[list[int], list[tuple[str, int, int]]]]) -> None:
    """Write the list of the parts: for each table its shape, and the files, first vectors and sizes of its parts."""
    listed = {
        name: {"shape": shape, "parts": [{"file": file, "first": first, "size": size} for file, first, size in parts]}
        for name, (shape, parts) in tables.items()
    }
    write_text(folder / TABLES, to_json({"tables_version": 1, "tables": listed}))


class StoredTables:
    """Reads the tables of a checkpoint. Its files are those of its manifest."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.tables: dict[str, Any] = read_json(folder / TABLES)["tables"] if (folder / TABLES).exists() else {}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the tables that are stored in parts."""
        return tuple(self.tables)

    def whole(self, name: str) -> Tensor:
        """Return a table that is stored in parts."""
        table = self.tables[name]
        parts = [value for _, value in self._overlaps(name, 0, sum(part["size"] for part in table["parts"]))]
        return torch.cat(parts).view(table["shape"])

    def read(self, name: str, first: int, size: int, in_row: int) -> Tensor | None:
        """Return some vectors of a table, (n, d), or (n,) of the sums of row-wise Adagrad. None if the table is not stored.

        Args:
            name: The name of the table.
            first: The number of the first vector.
            size: The number of vectors.
            in_row: The number of vectors in a row of the table.
        """
        if name in self.tables:
            return torch.cat([value for _, value in self._overlaps(name, first, first + size)])
        with safe_open(self.folder / STATE, framework="pt") as file:
            if name not in file.keys():  # noqa: SIM118
                return None
            start = first // in_row
            rows = file.get_slice(name)[start : -(-(first + size) // in_row)]
        vectors = rows.flatten() if name.endswith("|sum") else rows.reshape(len(rows) * in_row, -1)
        return vectors[first - start * in_row :][:size]

    def _overlaps(self, name: str, first: int, last: int) -> Iterator[tuple[int, Tensor]]:
        """Yield what the parts of a table have of a range of vectors, in order, with the number of the first vector."""
        for part in sorted(self.tables[name]["parts"], key=lambda part: part["first"]):
            low, high = max(first, part["first"]), min(last, part["first"] + part["size"])
            if low < high:
                with safe_open(self.folder / part["file"], framework="pt") as file:
                    yield low, file.get_slice(f"{name}@{part['first']}")[low - part["first"] : high - part["first"]]
