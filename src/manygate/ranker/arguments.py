"""Reads what users of scikit-learn, LightGBM and pandas pass, and refuses what has no meaning here with the remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from manygate.config import RunConfig
from manygate.config.names import import_named
from manygate.errors import InputError, did_you_mean, raise_all
from manygate.schema import Schema
from manygate.training.progress import ProgressMode


def listed(names: str | Sequence[str]) -> tuple[str, ...]:
    """One name or several, as several."""
    return (names,) if isinstance(names, str) else tuple(names)


def read_schema(schema: Schema | str | Path | None) -> Schema | None:
    """A schema, or the one in a YAML file."""
    return Schema.load(schema) if isinstance(schema, str | Path) else schema


def progress_mode(progress: ProgressMode | bool | None) -> ProgressMode:
    """What ``progress`` means: True shows it, False or None does not.

    >>> progress_mode(False), progress_mode(True), progress_mode("plain")
    ('none', 'auto', 'plain')
    """
    if progress is None or isinstance(progress, bool):
        return "auto" if progress else "none"
    return progress


def build_config(keywords: Mapping[str, Any], log: Any = None, valid: Any = None, test: Any = None) -> RunConfig:
    """The settings that keyword parameters give; ``random_state`` is another name of ``seed``.

    Parameters that have their default count as not given. Paths become part of the settings, so that a later command finds the same
    validation rows again. Where a part of the log is a table in memory, the settings name no log at all: splitting it anew would
    take rows that trained the model for validation rows.
    """
    settings = dict(keywords)
    settings.pop("schema", None)
    state = settings.pop("random_state", None)
    if state is not None:
        if settings.get("seed", 0) not in (0, state):
            raise InputError(f"random_state={state!r} and seed={settings['seed']!r}: both name the seed. Give one of them.")
        if isinstance(state, bool) or not isinstance(state, int | np.integer):
            raise InputError(f"random_state={state!r}: give a whole number, which becomes the seed.")
        settings["seed"] = int(state)
    fields = RunConfig.model_fields
    given = {name: value for name, value in settings.items() if name not in fields or not _is_default(value, fields[name].default)}
    parts = {"valid": valid, "test": test}
    if isinstance(log, str | Path) and all(part is None or isinstance(part, str | Path) for part in parts.values()):
        given |= {name: str(part) for name, part in {"log": log, **parts}.items() if part is not None}
    config = RunConfig.build(given)
    import_named(given)
    return config


def _is_default(value: Any, default: Any) -> bool:
    return type(value) is type(default) and bool(value == default)


def check_run(out: object, resume: bool, overwrite: bool, on_epoch: object) -> None:
    """Refuse arguments of a run that would be ignored, and a callback that cannot be called."""
    problems = [f"{name}=True: there is no out, so there is no run to {name}. Give out=FOLDER." for name, given in
                (("resume", resume), ("overwrite", overwrite)) if given and out is None]  # fmt: skip
    if on_epoch is not None and not callable(on_epoch):
        problems.append(f"on_epoch: expected a function of one EpochEnd, found {type(on_epoch).__name__}.")
    raise_all(problems)


def refuse_arguments(unknown: Mapping[str, Any]) -> None:
    """Refuse arguments that ``fit`` does not have, with the way to say the same here."""
    raise_all(f"{name}: no argument of fit.{_REMEDIES.get(name) or _remedy(name)}" for name in unknown)


_REMEDIES = {
    "verbose": " Give progress=True or progress=False.",
    "sample_weight": " Name the column of the weights: Ranker(weight='...').",
    "validation_data": " Give valid=, a table with labels.",
    "eval_set": " Give valid=, a table with labels.",
    "callbacks": " Give on_epoch=, a function of one EpochEnd.",
    "y": " The labels are columns of the log: Ranker(task='click').fit(X.assign(click=y)).",
}
"""What users of other libraries give to ``fit``, and the way to say the same here."""
_FIT = ("log", "valid", "test", "schema", "out", "resume", "overwrite", "progress", "on_epoch")


def _remedy(name: str) -> str:
    if name in RunConfig.model_fields or name == "random_state":
        return f" It is a parameter of Ranker: Ranker({name}=...)."
    return did_you_mean(name, _FIT) or f" It has {', '.join(_FIT)}; settings are parameters of Ranker."


def refuse_arrays(log: Any, second: Any = None) -> None:
    """Refuse ``fit(X, y)`` and NumPy arrays, whose columns have no names; the error has the remedy."""
    if isinstance(log, np.ndarray):
        raise InputError(
            "a NumPy array has no column names, so that the labels cannot be found in it. "
            "Give a DataFrame that holds features and labels: pd.DataFrame(X, columns=[...]).assign(click=y)."
        )
    name = type(second).__name__
    if isinstance(second, np.ndarray) or name == "Series" or (isinstance(second, list | tuple) and _holds_numbers(second)):
        raise InputError(
            f"fit takes one table that holds features and labels, and the second argument is a table of validation rows; found "
            f"{name}. Put the labels into the table and name them: Ranker(task='click').fit(X.assign(click=y))."
        )


def _holds_numbers(values: Sequence[Any]) -> bool:
    return bool(values) and all(isinstance(value, int | float) for value in values)
