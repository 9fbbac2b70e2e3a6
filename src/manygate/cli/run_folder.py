"""The folder and the settings of a run that ``manygate train``, ``compare`` or ``demo`` starts or continues."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from manygate.cli.flags import resolve
from manygate.config import RunConfig
from manygate.errors import InputError
from manygate.files import read_text
from manygate.training.interrupt import Interrupted
from manygate.training.torchrun import under_torchrun

Result = TypeVar("Result")
RUN_FILES = ("metrics.jsonl", "packs", "bundle")
"""Files and folders that a training run writes; a comparison has them in the folder of each architecture."""


def run_settings(
    command: str,
    log: str | None,
    config: Path | None,
    given: Mapping[str, object],
    resume: Path | None,
    out: Path | None,
    overwrite: bool,
) -> RunConfig:
    """The settings of a new run, or with ``resume`` those in the folder of the run that is continued."""
    if resume is not None:
        check_resumed(log is not None or config is not None or bool(given) or out is not None or overwrite)
        return _settings_to_resume(command, resume)
    settings = resolve(config, {**given, **({} if log is None else {"log": log})})
    if settings.log is None:
        raise InputError("no log is given. Give a file, a folder or a glob, or 'log:' in --config.")
    return settings


def check_resumed(others: bool) -> None:
    """Raise an :class:`InputError` if a run that is continued is given a log or settings."""
    if others:
        raise InputError("--resume continues a run in its own folder, with its own log and settings; leave out all others.")


def _settings_to_resume(command: str, resume: Path) -> RunConfig:
    if (resume / "tuning.yaml").is_file():
        raise InputError(f"--resume {resume}: a search for settings. Continue it with: manygate tune --resume {resume}")
    other = "train" if any((resume / name).exists() for name in RUN_FILES) else "compare"
    known = any((folder / name).exists() for folder in resume.glob("*/") for name in RUN_FILES)
    if other != command and (other == "train" or known):
        raise InputError(f"--resume {resume}: a run of manygate {other}. Continue it with: manygate {other} --resume {resume}")
    if not (resume / "config.yaml").is_file():
        raise InputError(f"--resume {resume}: no run here (no config.yaml). Give the --out of the run that was stopped.")
    return RunConfig.load(resume / "config.yaml")


def free_folder(command: str) -> Path:
    """The first of runs/COMMAND-1, runs/COMMAND-2, ... that does not exist."""
    number = 1
    while (folder := Path("runs") / f"{command}-{number}").exists():
        number += 1
    return folder


def folder_of_train() -> Path:
    """Return the folder of a run without --out. Under torchrun there is none: after a restart it would be another one."""
    if under_torchrun():
        raise InputError("under torchrun a run needs --out, so that processes that are started again find it. Add --out FOLDER.")
    return free_folder("train")


def command_line(resume: Path | None = None) -> str:
    """The command line as given; with ``resume`` the command line that started the run, which heads its config.yaml."""
    if resume is not None:
        first = read_text(resume / "config.yaml").partition("\n")[0]
        if first.startswith("# manygate "):
            return first.removeprefix("# ")
    return shlex.join(["manygate", *(argument for argument in sys.argv[1:] if argument != "--debug")])


def resumable(command: str, folder: Path, imports: tuple[str, ...], work: Callable[[], Result]) -> Result:
    """Call ``work``; when a signal stops it, the message gives the command that continues the run.

    It does so also where no network is being trained: while baselines are fitted, for example.
    """
    try:
        return work()
    except KeyboardInterrupt as error:
        stop = error if isinstance(error, Interrupted) else Interrupted(signal.SIGINT)
        words = ["manygate", command, "--resume", str(folder), *(word for module in imports for word in ("--import", module))]
        remedy = f"{stop.resume} Continue with: {shlex.join(words)}".strip()
        raise Interrupted(stop.signal, remedy) from None
