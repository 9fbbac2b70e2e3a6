"""Finds the parts of a data set (train, valid, test) by the names of files and folders."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from manygate.data.formats.paths import ending, without_ending
from manygate.errors import InputError, raise_all, setting

NAMES = {"train": ("train",), "valid": ("valid", "val", "validation", "dev"), "test": ("test",)}
"""The parts, and the names that each is known by."""

_NAME_OF_PART = re.compile(rf"({'|'.join(name for names in NAMES.values() for name in names)})([-_.][0-9]+(-of-[0-9]+)?)?")
_NOT_ROWS = ("truth",)
"""Folders of Manygate's own data sets that no model reads."""


def part_paths(folder: Path, named: Collection[str] = ()) -> dict[str, list[Path]]:
    """The paths of the parts in a folder: ``train.parquet``, ``train/``, ``split=train/``, or ``train-00000-of-00002.parquet`` ...

    Without a training part there are none: the folder is a log in one piece. ``named`` are parts that the user names, which are not
    looked for. Raises :class:`InputError` where a part is there twice.
    """
    ways: dict[str, dict[str, list[Path]]] = {}
    for entry, part, way in _parts(folder):
        if part not in named:
            ways.setdefault(part, {}).setdefault(way, []).append(entry)
    if "train" not in ways:
        return {}
    raise_all(
        f"{folder}: holds {part} rows several times: {', '.join(sorted(paths[0].name for paths in by_way.values()))}. Keep one of "
        f"them here, or {'give the right one as the log' if part == 'train' else f'name the right one with {setting(part)}'}."
        for part, by_way in ways.items()
        if len(by_way) > 1
    )
    return {part: sorted(next(iter(ways[part].values()))) for part in NAMES if part in ways}


def _parts(folder: Path) -> Iterator[tuple[Path, str, str]]:
    """Each entry that is a part or a piece of one: (path, part, what its pieces have in common)."""
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith((".", "_")):
            continue
        is_folder = entry.is_dir()
        if not (is_folder or ending(entry.name)[0]):
            continue
        name = entry.name.lower()
        stem = name.rpartition("=")[2] if is_folder else without_ending(name)
        match = _NAME_OF_PART.fullmatch(stem)
        if match and not (is_folder and match[2]):
            part = next(part for part, names in NAMES.items() if match[1] in names)
            yield entry, part, f"{match[1]}*{name.removeprefix(stem)}" if match[2] else name


def unread_data(folder: Path, parts: dict[str, list[Path]]) -> list[str]:
    """A warning that names data beside the parts, which is not read."""
    read = {path for paths in parts.values() for path in paths}
    names = [
        entry.name + ("/" if entry.is_dir() else "")
        for entry in sorted(folder.iterdir())
        if entry not in read and not entry.name.startswith((".", "_")) and entry.name not in _NOT_ROWS and _has_data(entry)
    ]
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return [f"{folder}: the parts {', '.join(parts)} are read; not read: {shown}."] if names else []


def _has_data(entry: Path) -> bool:
    if not entry.is_dir():
        return bool(ending(entry.name)[0])
    return any(ending(file.name)[0] for file in entry.rglob("*"))


def training_part(source: Any) -> Any:
    """The training rows of a data set with parts; any other source as it is."""
    if not (isinstance(source, str | Path) and source and Path(source).is_dir()):
        return source
    return [str(path) for path in part_paths(Path(source)).get("train", [])] or source


def refuse_parts(path: str | Path) -> None:
    """Raise an :class:`InputError` if a folder that is to be one table, or a folder in it, holds several parts of a data set."""
    folder = Path(path)
    if not path or not folder.is_dir():
        return
    for inner in (folder, *(entry for entry in sorted(folder.iterdir()) if entry.is_dir() and not entry.name.startswith("."))):
        parts = part_paths(inner)
        if len(parts) > 1:
            example = parts["test" if "test" in parts else "valid"][0]
            inside = "" if inner == folder else f" in {inner.name}"
            raise InputError(
                f"{folder}: a data set with several parts ({', '.join(parts)}){inside}. Choose one, for example {example}."
            )
