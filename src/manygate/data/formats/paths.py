"""Finds the files of a log and checks that each is what its name says."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from glob import glob, has_magic
from pathlib import Path
from typing import TypeVar

from manygate.data.formats.table_formats import refuse_table_formats
from manygate.errors import InputError, did_you_mean, raise_all
from manygate.text import count_of

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
            problems.append(f"{error.filename or path}: {error.strerror or error}. Check that you may read it (chmod, mount).")
    raise_all(problems)
    return done


def ending(file: str) -> tuple[str, str | None]:
    """The format that a file's name stands for, and how the file is packed; an empty format where the name stands for none."""
    name = Path(file).name.lower()
    return next((kind for ending, kind in _ENDINGS.items() if name.endswith(ending)), ("", None))


@dataclass(frozen=True)
class Listing:
    """The data files that a path stands for, and what a person may not expect of them."""

    files: list[str]
    warnings: list[str] = field(default_factory=list)


def without_ending(name: str) -> str:
    """A file's name without the ending that says its format.

    >>> without_ending("train.v2.csv.gz")
    'train.v2'
    """
    return next((name[: -len(ending)] for ending in _ENDINGS if name.lower().endswith(ending)), name)


def expand(path: str) -> Listing:
    """The data files of a file, folder or glob. Links to folders are followed, and a file that two paths lead to is read once."""
    if not path:
        raise InputError("the path of the log is empty. Give a file, a folder or a glob.")
    if Path(path).is_dir():
        return _list_folder(path)
    if Path(path).exists():
        if not ending(path)[0]:
            raise InputError(f"{path}: the name does not say what the file is. {KNOWN_ENDINGS}; rename it.")
        refuse_table_formats([Path(path).absolute().parent])
        return Listing([path])
    if has_magic(path):
        return _list_glob(path)
    if Path(path).is_symlink():
        raise InputError(f"{path}: a symbolic link that leads nowhere. Mend it, or name the file itself.")
    parent = Path(path).parent
    if not parent.is_dir():
        raise InputError(f"{path}: does not exist, nor does its folder {str(parent)!r}. Working folder: {Path.cwd()}.")
    hint = did_you_mean(Path(path).name, sorted(entry.name for entry in parent.iterdir())) or f" Look in {str(parent)!r}."
    raise InputError(f"{path}: does not exist.{hint}")


def _list_glob(path: str) -> Listing:
    matches = sorted(glob(path, recursive=True))  # noqa: PTH207 (Path.glob takes no absolute pattern)
    shown = [match for match in matches if not _is_hidden(Path(match))]
    folders = [_list_folder(match, may_be_empty=True) for match in shown if Path(match).is_dir()]
    files = [match for match in shown if not Path(match).is_dir()]
    foreign = [file for file in files if not _expected(Path(file))]
    data = [file for file in files if ending(file)[0]] + [file for listing in folders for file in listing.files]
    if not data:
        raise InputError(f"{path}: no data file matches. {KNOWN_ENDINGS}.")
    refuse_table_formats(Path(file).absolute().parent for file in data)
    warnings = [warning for listing in folders for warning in listing.warnings]
    return Listing(sorted(dict.fromkeys(data)), [*warnings, *_skipped(path, len(data), foreign)])


def _list_folder(path: str, may_be_empty: bool = False) -> Listing:
    folder = Path(path)
    if any((folder / name).is_file() for name in _OF_A_RUN):
        raise InputError(f"{path}: a run's folder or a bundle, not a log. Give the data that it was trained on, or other data.")
    refuse_table_formats([folder.absolute()])
    skipped: list[str] = []
    warnings: list[str] = []
    files = sorted(str(file) for file in _walk(folder, (folder.resolve(),), skipped, warnings))
    if not files and not may_be_empty:
        raise InputError(f"{path}: the folder holds no data file. {KNOWN_ENDINGS}; hidden files and _files are skipped.")
    refuse_table_formats(Path(file).absolute().parent for file in files)
    inner = dict.fromkeys(str(Path(file).parent.relative_to(folder)) for file in files if Path(file).parent != folder)
    plain = [name for name in inner if any("=" not in part for part in Path(name).parts)]
    if plain:
        count = sum(str(Path(file).parent.relative_to(folder)) in plain for file in files)
        warnings.append(f"{path}: {count} of {count_of(len(files), 'file')} {_lie(count)} in folders below it: {_some(plain)}.")
    return Listing(files, warnings + _skipped(path, len(files), [str(Path(name).relative_to(folder)) for name in sorted(skipped)]))


def _lie(count: int) -> str:
    return "lies" if count == 1 else "lie"


def _skipped(path: str, read: int, names: Sequence[str]) -> list[str]:
    return [f"{path}: {count_of(read, 'file')} read, {len(names)} skipped: {_some(names)}."] if names else []


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _is_hidden(entry: Path) -> bool:
    """True for files and folders that writers hide; ``_day=3`` is a partition."""
    return entry.name.startswith(".") or (entry.name.startswith("_") and not ("=" in entry.name and entry.is_dir()))


def _expected(entry: Path) -> bool:
    """True for an entry of a log's folder that nobody misses: a data file, the schema, marks of Spark."""
    marks = entry.name.startswith(".") or entry.name in ("schema.yaml", "_SUCCESS", "_metadata", "_common_metadata")
    return marks or (bool(ending(entry.name)[0]) and not entry.name.startswith("_"))


def _walk(folder: Path, above: tuple[Path, ...], skipped: list[str], warnings: list[str]) -> Iterator[Path]:
    """The data files below a folder; ``above`` are the real paths of the folders that lead to it."""
    for entry in sorted(folder.iterdir()):
        if _is_hidden(entry) or not (entry.is_dir() or ending(entry.name)[0]):
            skipped += [] if _expected(entry) else [str(entry)]
        elif not entry.is_dir():
            yield entry
        elif (real := entry.resolve()) in above:
            warnings.append(f"{entry}: a link to a folder above it, so it is not followed.")
        else:
            yield from _walk(entry, (*above, real), skipped, warnings)


def read_once(files: Sequence[str]) -> Listing:
    """The files without those that another path leads to as well; of several paths that without a link stays."""
    paths: dict[str, str] = {}
    for file in files:
        real = os.path.realpath(file)
        if real not in paths or os.path.abspath(file) == real:  # noqa: PTH100 (keeps links in the path)
            paths[real] = file
    kept = set(paths.values())
    twice = [file for file in dict.fromkeys(files) if file not in kept]
    warnings = [f"read once, since a link leads to the same file: {_some(twice)}."] if twice else []
    return Listing([file for file in dict.fromkeys(files) if file in kept], warnings)


def check_content(path: str) -> None:
    """Compare the first bytes with the ending."""
    file_format, wanted = ending(path)
    if not Path(path).is_file() and Path(path).exists():
        raise InputError(f"{path}: a pipe, socket or device, not a file. Write the rows to a file first.")
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
