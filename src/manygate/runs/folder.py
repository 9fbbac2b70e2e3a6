"""Checks and opens a run's folder."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from manygate.config import RunConfig
from manygate.errors import InputError, either, setting
from manygate.files import write_text


def model_folder(comparison: Path, name: str) -> Path:
    """Return the folder of a model of a comparison.

    >>> model_folder(Path("runs/first"), "my_module:MyScheme").name
    'my_module.MyScheme'
    """
    return comparison / name.replace(":", ".")


def check_folder(folder: Path, resume: bool, overwrite: bool) -> None:
    """Raise an :class:`InputError` if the output folder holds other files. Called before any work."""
    try:
        exists = folder.exists()
    except OSError as error:
        raise InputError(
            f"{setting('out', str(folder)[:80])}: cannot be written ({error.strerror}). Choose another {setting('out')}."
        ) from None
    if exists and not folder.is_dir():
        raise InputError(f"{setting('out', folder)}: a file of this name exists. Choose another {setting('out')}.")
    if resume or not folder.is_dir() or not any(folder.iterdir()):
        return
    if not overwrite:
        at, out, overwritten = setting("out", folder), setting("out"), setting("overwrite", True)
        resumed = either("resume=True", f"--resume {folder}")
        raise InputError(f"{at} exists. Choose another {out}, continue it with {resumed}, or add {overwritten}.")
    if not (folder / "config.yaml").is_file():
        raise InputError(
            f"{setting('out', folder)}: not a run's folder (no config.yaml), so it is "
            f"not overwritten. Choose another {setting('out')}."
        )


def open_folder(folder: Path, config: RunConfig, resume: bool, overwrite: bool, command: str = "") -> None:
    """Make a run's folder and write its ``config.yaml``, which starts with the command as a comment.

    Called after the data and the settings are checked.
    """
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
            folder.rmdir()  # removes only an empty folder
        raise
    except OSError as error:
        raise InputError(
            f"{setting('out', folder)}: cannot be written ({error.strerror}). Choose another {setting('out')}."
        ) from None
