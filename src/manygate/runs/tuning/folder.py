"""The folder of a study, in which several processes may work at once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from manygate.config import RunConfig, TuneConfig
from manygate.errors import InputError, raise_all, setting
from manygate.files import RECORD, locked, read_text, to_json, write_text, writing
from manygate.results.log_record import LOG_FILE, LogRecord
from manygate.runs.folder import check_folder, mark, move_aside, start_folder
from manygate.runs.log_check import check_log
from manygate.runs.run import FREE_SETTINGS
from manygate.runs.tuning.storage import hidden
from manygate.schema.reading import read_yaml, validated
from manygate.text import cut

SETTINGS = "tuning.yaml"
"""The settings of the search and its space."""
FREE = ("pick", "storage")
"""Settings of a search that may change when it continues: what is trained again, and the address of the same database."""
START_SECONDS = 20
"""How long a process waits for another that has just begun the same study."""


@contextmanager
def study_folder(
    folder: Path,
    config: RunConfig,
    tuning: TuneConfig,
    log: LogRecord,
    overwrite: bool = False,
    command: str = "",
    reads: Sequence[str | Path] = (),
) -> Iterator[None]:
    """Begin a study in a folder, or join the one that is there. Meanwhile the folder is held together with other processes.

    Raises :class:`InputError` if the folder holds something else, or a study of another log or with other settings. A run that is
    overwritten is deleted when the new study has ended well.
    """
    target = folder.resolve()
    aside = target.with_name(f".{target.name}.replaced")
    if overwrite:
        check_folder(folder, False, True, reads)
        if target.is_dir() and any(target.iterdir()):
            move_aside(target, aside)
    if not has_study(target):
        _begin(folder, config, tuning, log, command, reads)
    check_log(target, log)
    raise_all(_differences(folder, config, tuning))
    with locked(target, START_SECONDS, shared=True):
        try:
            yield
        except InputError as error:
            if aside.is_dir():
                error.add_problem(f"the run that was to be replaced is kept: {aside}")
            raise
        if overwrite and (aside / RECORD).is_file():
            shutil.rmtree(aside)


def has_study(folder: Path) -> bool:
    """Return whether a folder holds a study that has begun."""
    return (folder / SETTINGS).is_file()


def load_study(folder: Path) -> tuple[RunConfig, TuneConfig]:
    """Return the settings of the study in a folder."""
    tree = read_yaml(read_text(folder / SETTINGS), str(folder / SETTINGS))
    return RunConfig.load(folder / "config.yaml"), validated(TuneConfig, tree, str(folder / SETTINGS))


def _begin(folder: Path, config: RunConfig, tuning: TuneConfig, log: LogRecord, command: str, reads: Sequence[str | Path]) -> None:
    """Write the files of a new study, ``tuning.yaml`` last. Another process may do the same at this moment."""
    if folder.is_dir() and any(folder.iterdir()):
        with locked(folder, START_SECONDS):
            if has_study(folder):
                return
    check_folder(folder, False, False, reads)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(folder, START_SECONDS):
        if has_study(folder):
            return
        start_folder(folder, config, hidden(command))
        for name in ("trials", "final"):
            mark(folder / name)
        write_text(folder / LOG_FILE, to_json(log.to_tree()))
        write_text(folder / SETTINGS, yaml.safe_dump(_tree(tuning), sort_keys=False, allow_unicode=True, width=120))


def _tree(tuning: TuneConfig) -> dict[str, object]:
    """Return the settings of a search without a password."""
    tree = tuning.model_dump(mode="json")
    return {**tree, "storage": hidden(tuning.storage) if tuning.storage else None}


def _differences(folder: Path, config: RunConfig, tuning: TuneConfig) -> list[str]:
    """Return the settings in which a search differs from the one in the folder."""
    config_then, tuning_then = load_study(folder)
    config = config.absolute()
    pairs = [
        (name, getattr(config_then, name), getattr(config, name)) for name in RunConfig.model_fields if name not in FREE_SETTINGS
    ]
    pairs += [(name, getattr(tuning_then, name), getattr(tuning, name)) for name in TuneConfig.model_fields if name not in FREE]
    remedy = f"Give the same value, or another {setting('out')}."
    return [
        f"{setting(name)}: the study in {folder} was begun with {cut(_shown(then))}, and now it is {cut(_shown(now))}. {remedy}"
        for name, then, now in pairs
        if then != now
    ]


def _shown(value: object) -> object:
    return {name: part.model_dump() for name, part in value.items()} if isinstance(value, dict) else value
