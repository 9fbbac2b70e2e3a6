"""Finds the files of a log and checks that each is what its name says."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from glob import glob, has_magic
from pathlib import Path
from typing import TypeVar

from manygate.errors import InputError, did_you_mean, raise_all

T = TypeVar("T")
# Ending -> (format, what the first bytes must say; None is plain text).
_ENDINGS: dict[str, tuple[str, str | None]] = {
    **dict.fromkeys((".parquet", ".pq"), ("Parquet", "Parquet")),
    **dict.fromkeys((".arrow", ".feather", ".ipc"), ("Arrow", "Arrow")),
    **{f"{kind}{ending}": ("CSV", packed) for kind in (".csv", ".tsv") for ending, packed in
       (("", None), (".gz", "gzip"), (".bz2", "bzip2"), (".zst", "Zstandard"))},
}  # fmt: skip
_MAGIC = {
    b"PAR1": "Parquet",
    b"ARROW1": "Arrow",
    b"\xff\xff\xff\xff": "Arrow",  # the streaming form
    b"FEA1": "Feather version 1",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"PK\x03\x04": "zip or Excel",
    b"\x89HDF": "HDF5",
    b"\x80\x04": "pickle",
    b"\x80\x05": "pickle",
}
KNOWN_ENDINGS = "Data files end in .parquet, .csv, .tsv (also .gz, .bz2, .zst), .arrow, .feather or .ipc"
DAMAGED = "The file is damaged or still being written: write or copy it again"
_OF_A_RUN = ("model.safetensors", "bundle/manifest.json", "metrics.jsonl", "comparison.json")


def each(action: Callable[[str], T], paths: Iterable[str]) -> list[T]:
    """Apply an action to each path; one error lists the problems of all."""
    done: list[T] = []
    problems: list[str] = []
    for path in paths:
        try:
            done.append(action(path))
        except InputError as error:
            problems += error.marked
        except OSError as error:
            problems.append(f"{path}: {error.strerror or error}. Check that you may read it (chmod, mount).")
    raise_all(problems)
    return done


def ending(file: str) -> tuple[str, str | None]:
    """The format that a file's name stands for, and how the file is packed; an empty format where the name stands for none."""
    name = Path(file).name.lower()
    return next((kind for ending, kind in _ENDINGS.items() if name.endswith(ending)), ("", None))


def expand(path: str) -> list[str]:
    """The data files of a file, folder or glob."""
    if not path:
        raise InputError("the path of the log is empty. Give a file, a folder or a glob.")
    if Path(path).is_dir():
        if any((Path(path) / name).is_file() for name in _OF_A_RUN):
            raise InputError(f"{path}: a run's folder or a bundle, not a log. Give the data that it was trained on, or other data.")
        files = [str(p) for p in _walk(Path(path)) if ending(str(p))[0]]
        if not files:
            raise InputError(f"{path}: the folder holds no data file. {KNOWN_ENDINGS}; hidden files and _files are skipped.")
        return sorted(files)
    if Path(path).exists():
        if not ending(path)[0]:
            raise InputError(f"{path}: the name does not say what the file is. {KNOWN_ENDINGS}; rename it.")
        return [path]
    if has_magic(path):
        matches = sorted(glob(path, recursive=True))  # noqa: PTH207 (Path.glob takes no absolute pattern)
        shown = [match for match in matches if not Path(match).name.startswith("_")]
        files = [f for m in shown for f in (expand(m) if Path(m).is_dir() else [m] if ending(m)[0] else [])]
        if not files:
            raise InputError(f"{path}: no data file matches. {KNOWN_ENDINGS}.")
        return list(dict.fromkeys(files))
    if Path(path).is_symlink():
        raise InputError(f"{path}: a symbolic link that leads nowhere. Mend it, or name the file itself.")
    parent = Path(path).parent
    if not parent.is_dir():
        raise InputError(f"{path}: does not exist, nor does its folder {str(parent)!r}. Working folder: {Path.cwd()}.")
    hint = did_you_mean(Path(path).name, sorted(entry.name for entry in parent.iterdir())) or f" Look in {str(parent)!r}."
    raise InputError(f"{path}: does not exist.{hint}")


def _walk(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if not entry.name.startswith((".", "_")):
            yield from _walk(entry) if entry.is_dir() and not entry.is_symlink() else [entry]


def check_content(path: str) -> None:
    """Compare the first bytes with the ending."""
    file_format, wanted = ending(path)
    with Path(path).open("rb") as file:
        head = file.read(8)
        if not head:
            raise InputError(f"{path}: the file is empty (zero bytes). Write it again, or remove it.")
        file.seek(-min(file.seek(0, os.SEEK_END), 6), os.SEEK_END)
        tail = file.read()
    actual = next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)
    if actual != wanted:
        looks = f"looks like {actual}" if actual else f"starts with {head!r}"
        named = f" ({wanted})" if wanted and wanted != file_format else ""
        raise InputError(f"{path}: not a {file_format} file{named}: it {looks}. Rename it after its format, or convert it.")
    if (actual == "Parquet" and not tail.endswith(b"PAR1")) or (head.startswith(b"ARROW1") and tail != b"ARROW1"):
        raise InputError(f"{path}: the {file_format} file is truncated: its end is missing. {DAMAGED}.")
