"""Chooses the c of id dropout for a model of a comparison: a few replicas train with each value, and validation judges them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from manygate.config import RunConfig
from manygate.data.encoded import EncodedLog
from manygate.errors import InputError, setting
from manygate.metrics.uncertainty import interval
from manygate.model.problem import Problem
from manygate.results.comparison import IdDropoutChoice

PILOTS = 3
"""The number of replicas that train with each value. They have the same seeds for each value."""


def pilot_settings(config: RunConfig) -> RunConfig:
    """Return the settings of a run that trains replicas with each value in one program.

    >>> pilots = pilot_settings(RunConfig(id_dropouts=(0.0, 5.0), replicas=8))
    >>> pilots.replicas, [pilots.seed_of(r) for r in range(6)], pilots.replica_id_dropouts
    (6, [0, 0, 1, 1, 2, 2], (0.0, 5.0))
    """
    values = config.id_dropouts
    count = PILOTS * len(values)
    seeds = tuple(r // len(values) for r in range(count))
    return config.replace(replicas=count, replica_seeds=seeds, replica_id_dropouts=values, id_dropouts=())


def choose_id_dropout(log: EncodedLog, config: RunConfig, scores: Callable[[RunConfig], Sequence[float]]) -> IdDropoutChoice:
    """Choose the value with the best mean validation score. Of equal values the first one is chosen.

    ``scores`` trains with some settings and returns each replica's validation score.
    """
    _check_ids(log, config)
    values = config.id_dropouts
    score_R = scores(pilot_settings(config))
    by_value = {f"{value:g}": interval(list(score_R[k :: len(values)])) for k, value in enumerate(values)}
    means = [summary.mean if summary.mean is not None else -float("inf") for summary in by_value.values()]
    return IdDropoutChoice(chosen=values[means.index(max(means))], valid=by_value)


def _check_ids(log: EncodedLog, config: RunConfig) -> None:
    """Raise an :class:`InputError` if the setting would change nothing."""
    inputs = Problem.of(log.encoder, config).inputs
    if not any(feature.drops_ids and feature.id_dropout is None for feature in inputs):
        raise InputError(
            f"{setting('id_dropouts')}: no feature reads this setting: none has ids that can be unseen, or each has its own "
            "id_dropout in the schema. Leave it out."
        )
