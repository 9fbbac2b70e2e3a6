"""Checks and opens a run's folder."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from manygate.config import RunConfig
from manygate.errors import InputError
from manygate.files import write_text


def check_folder(folder: Path, resume: bool, overwrite: bool) -> None:
    """Refuse an output folder that holds something else; called before any work."""
    try:
        there = folder.exists()
    except OSError as error:
        raise InputError(f"--out {str(folder)[:80]}: cannot be written ({error.strerror}). Choose another --out.") from None
    if there and not folder.is_dir():
        raise InputError(f"--out {folder}: a file of this name exists. Choose another --out.")
    if resume or not folder.is_dir() or not any(folder.iterdir()):
        return
    if not overwrite:
        raise InputError(f"--out {folder} exists. Choose another --out, continue it with --resume {folder}, or add --overwrite.")
    if not (folder / "config.yaml").is_file():
        raise InputError(f"--out {folder}: not a run's folder (no config.yaml), so it is not overwritten. Choose another --out.")


def open_folder(folder: Path, config: RunConfig, resume: bool, overwrite: bool, command: str = "") -> None:
    """Make a run's folder, once its data and settings are known to be good, and write its configuration under its command."""
    check_folder(folder, resume, overwrite)
    try:
        if overwrite and not resume and folder.is_dir():
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "config.yaml").is_file():
            head = f"# {command}\n" if command and command.isprintable() else ""
            write_text(folder / "config.yaml", head + config.to_yaml())
    except InputError:
        with suppress(OSError):
            folder.rmdir()  # only if there is nothing in it
        raise
    except OSError as error:
        raise InputError(f"--out {folder}: cannot be written ({error.strerror}). Choose another --out.") from None
