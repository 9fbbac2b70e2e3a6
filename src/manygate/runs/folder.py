"""Checks and opens a run's folder, and overwrites only what manygate wrote."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from glob import glob, has_magic
from importlib.metadata import version
from pathlib import Path

from manygate.config import RunConfig
from manygate.config.names import BASELINES
from manygate.datasets.folder import MARKER, foreign_files
from manygate.errors import InputError, either, os_reason, raise_all, setting
from manygate.files import RECORD, RECORDED, file_entry, locked, read_manifest, sealed_text, write_text, writing
from manygate.results.log_record import LOG_FILE
from manygate.text import listed

RUN_VERSION = 1
FOLDERS = ("checkpoints", "packs", "days", "bundle", "baselines")
_PAGES = ("report.html", "inspection.json", "inspection.html", "fusion-search.json", "fusion-search.html")
_STUDY = ("tuning.yaml", "tuned.yaml", "journal.jsonl")
WRITTEN = frozenset(("config.yaml", LOG_FILE, *RECORDED, *FOLDERS, *_PAGES, *_STUDY, RECORD, "DONE"))
"""The files and folders that manygate writes into the folder of a run."""


def model_folder(comparison: Path, name: str) -> Path:
    """Return the folder of a model of a comparison.

    >>> model_folder(Path("runs/first"), "my_module:MyScheme").name
    'my_module.MyScheme'
    """
    return comparison / name.replace(":", ".")


def sources_of(config: RunConfig, *more: object) -> list[str | Path]:
    """Return the paths that a run reads: its log, validation and test rows, its schema, and the run that it trains on from."""
    paths: list[str | Path] = []
    for source in (config.log, config.valid, config.test, config.schema_file, config.continued, *more):
        members = source if isinstance(source, list | tuple) else [source]
        paths += [member for member in members if isinstance(member, str | Path)]
    return paths


def check_folder(folder: Path, resume: bool, overwrite: bool, reads: Sequence[str | Path] = ()) -> None:
    """Raise an :class:`InputError` if the output folder may not be written. Called before any work.

    ``reads`` are the paths that the run reads. None of them may lie in a folder that is overwritten.
    """
    try:
        exists = folder.exists()
        empty = not exists or (folder.is_dir() and not any(folder.iterdir()))
    except OSError as error:
        raise _not_writable(folder, error) from None
    if exists and not folder.is_dir():
        raise InputError(f"{setting('out', folder)}: a file of this name exists. Choose another {setting('out')}.")
    if empty:
        return
    if not resume and not overwrite:
        at, out, overwritten = setting("out", folder), setting("out"), setting("overwrite", True)
        resumed = either("resume=True", f"--resume {folder}")
        raise InputError(f"{at} exists. Choose another {out}, continue it with {resumed}, or add {overwritten}.")
    if not resume:
        _check_overwritten(folder, reads)
    with locked(folder):
        pass


def _not_writable(folder: Path, error: OSError) -> InputError:
    at, other = setting("out", str(folder)[:80]), f"Or choose another {setting('out')}."
    return InputError(f"{at}: cannot be written {os_reason(error)} {other}")


def _check_overwritten(folder: Path, reads: Sequence[str | Path]) -> None:
    """Raise an :class:`InputError` unless a folder is a run's, holds nothing else, and nothing in it is still needed."""
    at, other = setting("out", folder), f"so it is not overwritten. Choose another {setting('out')}."
    if not (folder / RECORD).is_file() or "run_version" not in read_manifest(folder / RECORD):
        raise InputError(f"{at}: not a run's folder (no {RECORD}), {other}")
    foreign = list(_foreign(folder))
    if foreign:
        shown = listed([str(path.relative_to(folder)) for path in foreign[:5]]) + (" and more" if len(foreign) > 5 else "")
        raise InputError(f"{at}: holds {shown}, which manygate did not write, {other} Or move these away.")
    target = folder.resolve()
    needed = [("the working directory", Path.cwd()), ("your home directory", Path.home())]
    needed += [(f"{str(path)!r}, which this run reads", file) for path in reads for file in _matches(path)]
    raise_all(f"{at}: holds {name}, {other}" for name, path in dict(needed).items() if path.resolve().is_relative_to(target))


def _matches(path: str | Path) -> Iterable[Path]:
    """The files of a path, which may be a glob."""
    if has_magic(str(path)):
        return map(Path, glob(str(path), recursive=True))  # noqa: PTH207 (Path.glob takes no absolute pattern)
    return [Path(path)]


def _foreign(folder: Path) -> Iterator[Path]:
    """Yield what manygate did not write in the folder of a run, or of a model of a comparison."""
    for path in sorted(folder.iterdir()):
        if path.is_symlink():
            yield path
        elif path.name in WRITTEN or _is_draft(path.name):
            if path.is_dir():
                yield from _foreign_in_part(path)
        elif (path / RECORD).is_file():
            yield from _foreign(path)
        elif (path / MARKER).is_file():  # the log of a demo
            yield from (path / name for name, _ in foreign_files(path))
        else:
            yield path


def _foreign_in_part(folder: Path) -> Iterator[Path]:
    """Yield what manygate did not write in a bundle, in the checkpoints, in the packs, in the days or in the baselines of a run."""
    for path in sorted(folder.iterdir()):
        if folder.name == "bundle":
            known = {*read_manifest(folder / "manifest.json")["files"], "manifest.json"}
        elif folder.name == "baselines":
            known = set(BASELINES)
        elif folder.name == "packs":
            known = {RECORD, "size.json", *([path.name] if path.is_dir() and path.name[:1].isdigit() else [])}
        elif folder.name == "days":
            known = {path.name} if path.is_dir() and path.name.isdigit() else set()
        else:
            known = {path.name} if path.name.startswith("step-") else set()
        if path.name not in known and not _is_draft(path.name):
            yield path


def _is_draft(name: str) -> bool:
    """Return whether a name is that of a file or folder that a crash left half written."""
    return name.startswith(".") and name.endswith((".tmp", ".old"))


@contextmanager
def open_folder(
    folder: Path, config: RunConfig, resume: bool, overwrite: bool, command: str = "", reads: Sequence[str | Path] = ()
) -> Iterator[None]:
    """Make a run's folder and hold it alone. Write its ``config.yaml``, which starts with the command as a comment.

    Called after the data and the settings are checked. A run that is overwritten is moved to a hidden sibling. It is deleted when
    the new run has ended well.
    """
    check_folder(folder, resume, overwrite, reads)
    target = folder.resolve()
    aside = target.with_name(f".{target.name}.replaced")
    try:
        if overwrite and not resume and target.is_dir() and any(target.iterdir()):
            move_aside(target, aside)
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{setting('out', folder)}: cannot be written {os_reason(error)} Or choose another {setting('out')}."
        ) from None
    with locked(target):
        start_folder(target, config, command)
        try:
            yield
        except InputError as error:
            if aside.is_dir():
                error.add_problem(f"the run that was to be replaced is kept: {aside}")
            raise
        if (aside / RECORD).is_file():
            shutil.rmtree(aside)


def move_aside(folder: Path, aside: Path) -> None:
    """Move a run aside. If an earlier overwriting did not end, the older run stays aside, and the unfinished one is deleted."""
    if aside.exists() and not (folder / "DONE").exists():
        shutil.rmtree(folder)
        return
    if (aside / RECORD).is_file():
        shutil.rmtree(aside)
    folder.rename(aside)


def start_folder(folder: Path, config: RunConfig, command: str) -> None:
    """Write the record and the settings of a new run. The record is first, so that the folder is known as one of manygate."""
    if (folder / "config.yaml").is_file():
        return
    head = f"# {command}\n" if command and command.isprintable() else ""
    try:
        mark(folder)
        write_text(folder / "config.yaml", head + config.absolute().to_yaml())
    except InputError:
        with suppress(OSError):
            (folder / RECORD).unlink(missing_ok=True)
            folder.rmdir()  # removes only an empty folder
        raise


def mark(folder: Path) -> None:
    """Make the folder of a run, or of a model of a comparison, and mark it as one that manygate wrote."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if not (folder / RECORD).is_file():
        record(folder, ())


def record(folder: Path, names: Sequence[str] = (*RECORDED, LOG_FILE)) -> None:
    """Write the size and the sha256 of the files of a run that are read again."""
    entries = {name: file_entry(folder / name) for name in names if (folder / name).is_file()}
    about = {"run_version": RUN_VERSION, "manygate_version": version("manygate")}
    write_text(folder / RECORD, sealed_text({**about, "files": entries}))
