"""Writes the folder of a data set whole or not at all: Parquet tables, schema.yaml, README.md."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from manygate.errors import InputError, os_reason, raise_all, setting
from manygate.files import file_entry, file_problems, read_manifest, sealed_text, sync

MARKER = "dataset.json"
"""The list of the files of a data set. It marks a folder as one that manygate wrote, which it may overwrite."""
ROW_GROUP_ROWS = 65_536


@dataclass(frozen=True)
class WrittenDataset:
    """The folder of a data set, and the files that were written there.

    ``folder`` is what :func:`manygate.compare` and every command take as the log. ``rows`` and ``parts`` have a key for each of
    train, valid and test. ``truth`` is the folder of what the labels were drawn from, ``ceiling`` the file with the best scores
    that are possible; a data set that has no such files has None.
    """

    folder: Path
    rows: dict[str, int]
    parts: dict[str, Path]
    schema: Path
    truth: Path | None = None
    ceiling: Path | None = None


def write_dataset(out: str | Path, files: Mapping[str, pa.Table | str], overwrite: bool = False) -> WrittenDataset:
    """Write the files of a data set as :func:`write_folder` does, and return what was written."""
    folder = write_folder(out, files, overwrite)
    tables = {name: content for name, content in files.items() if "/" not in name and isinstance(content, pa.Table)}
    return WrittenDataset(
        folder,
        rows={name.removesuffix(".parquet"): table.num_rows for name, table in tables.items()},
        parts={name.removesuffix(".parquet"): folder / name for name in tables},
        schema=folder / "schema.yaml",
        truth=folder / "truth" if any(name.startswith("truth/") for name in files) else None,
        ceiling=folder / "truth/ceiling.yaml" if "truth/ceiling.yaml" in files else None,
    )


def write_folder(out: str | Path, files: Mapping[str, pa.Table | str], overwrite: bool = False) -> Path:
    """Write ``files`` (relative path -> Arrow table or text) as the folder ``out`` and return its path.

    Everything is built in a sibling temporary folder, flushed to disk and then renamed, so a reader sees the old folder or the
    new one and never half of either. Tables become Parquet with zstd and a checksum on every page. The same content gives the
    same bytes. ``dataset.json`` lists the files. An existing folder that is not empty is an :class:`InputError` unless
    ``overwrite``, and with it unless it holds these files and nothing else.

    >>> import tempfile
    >>> out = write_folder(Path(tempfile.mkdtemp()) / "tiny", {"train.parquet": pa.table({"x": [1, 2]}), "README.md": "Tiny."})
    >>> sorted(path.name for path in out.iterdir())
    ['README.md', 'dataset.json', 'train.parquet']
    """
    target = check_out(out, overwrite)
    # A name of our own instead of tempfile.mkdtemp, which would leave the folder closed to everyone but its owner.
    building = target.with_name(f".{target.name}.{uuid.uuid4().hex}.building")
    try:
        building.mkdir(parents=True)
        for name, content in files.items():
            _write_file(building / name, content)
        entries = {name: file_entry(building / name) for name in sorted(files)}
        _write_file(building / MARKER, sealed_text({"dataset_version": 1, "files": entries}))
        for folder in (building, *(path for path in building.rglob("*") if path.is_dir())):
            sync(folder)
        _publish(building, target, overwrite)
    except OSError as error:
        raise InputError(f"{setting('out', target)} cannot be written {os_reason(error)}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return Path(out)


def check_out(out: str | Path, overwrite: bool = False) -> Path:
    """The absolute path of ``out``, or an :class:`InputError` when a data set may not be written there.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "notes.txt").write_text("mine")
    >>> check_out(folder)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    manygate.errors.InputError: out='...' exists. Choose another out, or add overwrite=True.
    """
    target = Path(out).expanduser().resolve()
    if not target.exists():
        return target
    if not target.is_dir():
        raise InputError(f"{setting('out', target)} is a file. Choose another {setting('out')}, which names a folder.")
    if any(target.iterdir()):
        if not overwrite:
            raise InputError(
                f"{setting('out', target)} exists. Choose another {setting('out')}, or add {setting('overwrite', True)}."
            )
        for kept in (Path.cwd(), Path.home()):
            if kept.resolve().is_relative_to(target):
                raise InputError(
                    f"{setting('out', target)} holds {str(kept)!r} and is not overwritten. Choose another {setting('out')}."
                )
        _check_ours(target)
    return target


def _check_ours(folder: Path) -> None:
    """Raise an :class:`InputError` unless a folder holds a data set as it was written, and nothing else."""
    at, other = setting("out", folder), f"so it is not overwritten. Choose another {setting('out')}."
    if not (folder / MARKER).is_file():
        raise InputError(f"{at}: not a data set that manygate wrote (no {MARKER}), {other}")
    raise_all(f"{at}: holds {name}, which {reason}, {other} Or move it away." for name, reason in foreign_files(folder)[:10])


def foreign_files(folder: Path) -> list[tuple[str, str]]:
    """Return what manygate did not write in the folder of a data set: the name of each file, and the reason."""
    entries = read_manifest(folder / MARKER)["files"]
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()}
    foreign = sorted(names - set(entries) - {MARKER})
    changed = sorted(name for name in names & set(entries) if file_problems(folder / name, entries[name]))
    return [(name, "manygate did not write") for name in foreign] + [(name, "was changed since") for name in changed]


def check_seed(seed: int) -> list[str]:
    """The problems with a seed: none for a whole number from zero up.

    >>> InputError(check_seed(-1)).problems
    ('seed: expected a whole number of at least 0, found -1.',)
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        return [f"{setting('seed')}: expected a whole number of at least 0, found {seed!r}."]
    return []


def _write_file(path: Path, content: pa.Table | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        path.write_bytes(content.encode("utf-8"))
    else:
        pq.write_table(content, path, compression="zstd", write_page_checksum=True, row_group_size=ROW_GROUP_ROWS)
    sync(path)


def _publish(building: Path, target: Path, overwrite: bool) -> None:
    """Rename ``building`` to ``target``; what was there is set aside first and put back should the rename fail."""
    check_out(target, overwrite)  # again: the folder may have been filled while this one was built
    aside = None
    if target.exists() and any(target.iterdir()):
        aside = target.with_name(building.name.replace(".building", ".replaced"))
        target.rename(aside)
    try:
        building.rename(target)
    except OSError:
        if aside is not None:
            with suppress(OSError):
                aside.rename(target)
        raise
    sync(target.parent)
    if aside is not None:
        shutil.rmtree(aside, ignore_errors=True)
