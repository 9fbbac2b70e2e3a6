"""Tunes the architectures of a comparison, each with the same number of trials."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from manygate.config import RunConfig, TuneConfig
from manygate.config.settings import BY_ROWS
from manygate.config.tune_settings import TRIAL_REPLICAS
from manygate.data.encoded import EncodedLog
from manygate.results.comparison import TunedArchitecture
from manygate.runs.folder import mark
from manygate.runs.tuning.choice import choose
from manygate.runs.tuning.ledger import Ledger
from manygate.runs.tuning.run import description, plan
from manygate.runs.tuning.storage import open_storage
from manygate.runs.tuning.study import Study
from manygate.training.progress import Progress


def trial_settings(config: RunConfig) -> RunConfig:
    """Return the default settings of the trials, with seeds that the comparison does not use.

    >>> trials = trial_settings(RunConfig(seed=3, replicas=8, tune=20))
    >>> [trials.seed_of(r) for r in range(trials.replicas)], trials.tune
    ([11, 12], 0)
    """
    return config.replace(tune=0, replicas=TRIAL_REPLICAS, seed=config.seed + config.replicas)


def tune_architecture(
    log: EncodedLog, config: RunConfig, given: Sequence[str], folder: Path | None, progress: Progress
) -> TunedArchitecture:
    """Search for settings of one architecture in its default space, and return those of the best trial.

    Settings in ``given`` and those that differ from their defaults stay as they are. The settings of ``BY_ROWS`` were chosen by the
    number of rows, unless they are in ``given``. With a folder the search can continue.
    """
    defaults = RunConfig().model_dump()
    changed = [name for name, value in config.model_dump().items() if name not in BY_ROWS and value != defaults[name]]
    space, tuning, objectives = plan(log, trial_settings(config), TuneConfig(trials=config.tune), (*given, *changed))
    if folder is not None:
        for part in (folder, folder / "trials"):
            mark(part)
    ledger = Ledger(open_storage(None, folder), tuning.study, len(objectives), description(log, space, tuning))
    entries = Study(log, space, tuning, objectives, ledger, folder, progress).run()
    chosen = choose(entries, None)
    return TunedArchitecture(
        trial=chosen.number,
        settings=chosen.settings,
        valid=entries[chosen.number].values[0],
        valid_default=entries[0].values[0] if entries[0].values else None,
        failed=sum(entry.state == "failed" for entry in entries.values()),
        seconds=round(sum(entry.seconds or 0.0 for entry in entries.values()), 3),
    )
