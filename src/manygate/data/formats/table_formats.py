"""Recognises the folders of table formats, whose data files are not the table: they hold deleted and older rows too."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from manygate.errors import InputError

_DELTA = "a Delta table. Read it with the package deltalake: DeltaTable({path!r}).to_pyarrow_table()"
_ICEBERG = "an Iceberg table. Read it with the package pyiceberg: StaticTable.from_metadata({metadata!r}).scan().to_arrow()"
_HUDI = "a Hudi table. Read it with Spark"


def refuse_table_formats(folders: Iterable[Path]) -> None:
    """Raise an :class:`InputError` if a folder, or a folder above it, is a table of Delta, Iceberg or Hudi."""
    looked_at: set[Path] = set()
    for folder in dict.fromkeys(folders):
        for above in (folder, *folder.parents):
            if above in looked_at:
                break
            looked_at.add(above)
            kind = _table_format(above)
            if kind:
                raise InputError(
                    f"{above}: {kind}, and give the rows as a dataframe, or write them as Parquet to another folder. The files in "
                    "the folder are not read one by one, since they also hold rows that are deleted or replaced."
                )


def _table_format(folder: Path) -> str | None:
    if (folder / "_delta_log").is_dir():
        return _DELTA.format(path=str(folder))
    if (folder / ".hoodie").is_dir():
        return _HUDI
    metadata = folder / "metadata"
    versions = sorted(metadata.glob("*.metadata.json")) if metadata.is_dir() else []
    return _ICEBERG.format(metadata=str(versions[-1])) if versions else None
