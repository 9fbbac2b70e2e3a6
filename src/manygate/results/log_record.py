"""LogRecord: which tables a run was trained on, and a digest of every column that it read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from manygate.results.base import Document, Record
from manygate.text import count_of, listed

LOG_FILE = "log.json"


class ColumnRecord(Record):
    """A column: its name, the type that stands for its values, and a digest of all of them in their order."""

    name: str
    type: str
    digest: str


class TableRecord(Record):
    """A table that a run read: its part, where it lay (absolute paths; none for a table in memory), its rows and columns.

    ``files`` has the bytes of each file by its absolute path; earlier versions did not write it.
    """

    part: str
    name: str
    paths: list[str]
    rows: int
    columns: list[ColumnRecord]
    files: dict[str, int] | None = None

    def differences(self, now: TableRecord) -> list[str]:
        """Say how another table differs in rows, columns, types and values. The list is empty for the same rows.

        >>> then = TableRecord(part="train", name="a", paths=[], rows=2, columns=[ColumnRecord(name="x", type="int", digest="1")])
        >>> then.differences(then.model_copy(update={"rows": 3, "columns": []}))
        ['it has 3 rows, and had 2', "column 'x' is missing"]
        """
        before, after = ({column.name: column for column in table.columns} for table in (self, now))
        shared = [(before[name], after[name]) for name in before if name in after]
        texts = [f"it has {count_of(now.rows, 'row')}, and had {self.rows:,}"] if now.rows != self.rows else []
        texts += _named("is missing", "are missing", [name for name in before if name not in after])
        texts += _named("is new", "are new", [name for name in after if name not in before])
        changed = [(old, new) for old, new in shared if old.digest != new.digest]
        texts += [
            f"column {old.name!r} has the type {new.type}, and had {old.type}" for old, new in changed if old.type != new.type
        ]
        if now.rows == self.rows:
            names = [old.name for old, new in changed if old.type == new.type]
            texts += _named("has other values, or its rows in another order", "have other values, or rows in another order", names)
        return texts

    def same_rows(self, now: TableRecord) -> bool:
        """True if the columns that both tables have hold the same values in the same order. False without such a column."""
        digests = {column.name: column.digest for column in self.columns}
        shared = [column for column in now.columns if column.name in digests]
        return bool(shared) and self.rows == now.rows and all(digests[column.name] == column.digest for column in shared)


class LogRecord(Document):
    """The content of ``log.json``: the tables of a run's log. Two logs with the same record have the same rows."""

    KIND: ClassVar[str] = "the record of a run's log"
    VERSION_FIELD: ClassVar[str] = "log_record_version"
    VERSION: ClassVar[int] = 1

    log_record_version: int
    tables: list[TableRecord]
    earlier_files: dict[str, int] | None = None
    """The files that earlier runs read, if the run was trained on from another, with their bytes."""

    @property
    def files_read(self) -> dict[str, int]:
        """The files that this run and the runs before it read, by absolute path, with their bytes."""
        files = dict(self.earlier_files or {})
        for table in self.tables:
            files |= table.files or {}
        return files

    @classmethod
    def of(cls, tables: Sequence[TableRecord]) -> LogRecord:
        """The record of some tables, in the present form."""
        return cls(log_record_version=cls.VERSION, tables=list(tables))

    def table(self, part: str) -> TableRecord | None:
        """The table of a part, or None if the part was split from the training table."""
        return next((table for table in self.tables if table.part == part), None)

    def differences(self, now: LogRecord) -> list[str]:
        """Say how another log differs from this one, table by table. The list is empty for the same rows."""
        texts = []
        for part in dict.fromkeys(table.part for table in (*self.tables, *now.tables)):
            before, after = self.table(part), now.table(part)
            if before is None or after is None:
                had = f"no table for {part}" if before is None else f"a table for {part}, and there is none now"
                texts.append(f"{_place(before or after)}: the run had {had}")
            elif changes := before.differences(after):
                where = _place(after) if _place(after) == _place(before) else f"{_place(after)} (trained on {_place(before)})"
                texts.append(f"{where}: {'; '.join(changes)}")
        return texts

    def contents(self) -> list[tuple[str, int, list[tuple[str, str]]]]:
        """What identifies the rows: part, number of rows, and the columns. Paths and types are left out: a log may move."""
        return [(table.part, table.rows, [(c.name, c.digest) for c in table.columns]) for table in self.tables]


def _place(table: TableRecord | None) -> str:
    assert table is not None, "one of two tables is there"
    return ", ".join(table.paths) or table.name


def _named(verb: str, verbs: str, names: list[str]) -> list[str]:
    if not names:
        return []
    return [f"column {names[0]!r} {verb}" if len(names) == 1 else f"columns {listed(names)} {verbs}"]
