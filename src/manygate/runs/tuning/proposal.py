"""Proposes the settings of a trial. The result depends on the seed, the trial's number and the trials that are known, alone.

Each proposal makes a study of Optuna in memory, adds the trials that are known, and asks once. So a study that was stopped, and one
that several processes share, propose what one process would have proposed with the same knowledge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from manygate.config.ranges import Range
from manygate.errors import InputError
from manygate.randomness import TUNING, stream_seed
from manygate.runs.tuning.space import Space, Value, choices

Sampler = Literal["gp", "tpe", "random"]
INSTALL = "a search for settings needs Optuna. Install it with: pip install 'manygate[tune]'"
REDRAWS = 100
"""How often settings are drawn anew if they are those of a trial that is known: the same seeds would give the same score."""


@dataclass(frozen=True)
class Known:
    """A trial that a proposal may use.

    ``values`` are its objectives, higher is better; None while it runs, and empty if it failed.
    """

    params: Mapping[str, Value]
    values: Sequence[float] | None


def optuna() -> Any:
    """Import Optuna. Without it, raise an :class:`InputError` with the install command."""
    try:
        import optuna as library
    except ImportError:
        raise InputError(INSTALL) from None
    return library


@contextmanager
def silent() -> Iterator[None]:
    """Show no message of Optuna: what a user must know is said by the search itself."""
    library = optuna()
    level = library.logging.get_verbosity()
    library.logging.set_verbosity(library.logging.ERROR)
    try:
        yield
    finally:
        library.logging.set_verbosity(level)


def distributions(ranges: Mapping[str, Range]) -> dict[str, Any]:
    """Return Optuna's distribution of each range."""
    library, made = optuna().distributions, {}
    for name, values in ranges.items():
        if values.kind == "choice":
            made[name] = library.CategoricalDistribution(choices(values))
        elif values.kind == "ordered":
            made[name] = library.IntDistribution(0, len(values.values) - 1)
        elif values.is_whole:
            made[name] = library.IntDistribution(*values.ends, log=values.is_log)
        else:
            made[name] = library.FloatDistribution(*values.ends, log=values.is_log)
    return made


def propose(space: Space, known: Sequence[Known], sampler: Sampler, objectives: int, seed: int, number: int) -> dict[str, Value]:
    """Propose the values of trial ``number``.

    Args:
        space: The search space.
        known: The trials that are known, in the order of their numbers.
        sampler: ``gp`` is a Gaussian process with a Matern kernel of order 5/2 and one length scale for each setting (Snoek et al.,
            NeurIPS 2012), ``tpe`` a tree-structured Parzen estimator, ``random`` uniform draws.
        objectives: The number of objectives.
        seed: The seed of the study.
        number: The number of the trial, which chooses a stream of random numbers of its own.

    A failed trial counts with the worst value of the others. Without that, samplers would know nothing of it and propose its
    neighbourhood again.
    """
    library, made = optuna(), distributions(space.ranges)
    taken = [space.settings(trial.params) for trial in known]
    with silent():
        found = _ask(library, made, _told(known), _sampler(library, sampler, stream_seed(TUNING, seed, number)), objectives)
        for redraw in range(1, REDRAWS):
            if space.settings(found) not in taken:
                break
            found = _ask(library, made, [], _sampler(library, "random", stream_seed(TUNING, seed, number, redraw)), objectives)
    return found


def _sampler(library: Any, name: Sampler, seed: int) -> Any:
    classes = {"gp": "GPSampler", "tpe": "TPESampler", "random": "RandomSampler"}
    return getattr(library.samplers, classes[name])(seed=seed % 2**32)


def _ask(library: Any, made: Mapping[str, Any], told: Sequence[Known], sampler: Any, objectives: int) -> dict[str, Value]:
    study = library.create_study(directions=["maximize"] * objectives, sampler=sampler)
    for trial in told:
        state = library.trial.TrialState.RUNNING if trial.values is None else library.trial.TrialState.COMPLETE
        study.add_trial(library.trial.create_trial(state=state, values=trial.values, params=trial.params, distributions=made))
    params: dict[str, Value] = study.ask(made).params
    return params


def _told(known: Sequence[Known]) -> list[Known]:
    """Return the trials with the worst values for failed ones. Without any values, failed trials are left out."""
    finished = [trial.values for trial in known if trial.values]
    told: list[Known] = []
    for trial in known:
        if trial.values is None or trial.values:
            told.append(trial)
        elif finished:
            told.append(Known(trial.params, np.min(finished, axis=0).tolist()))
    return told
