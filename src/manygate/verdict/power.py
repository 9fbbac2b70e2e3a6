"""This module says what a comparison of few replicas can find: its power."""

from __future__ import annotations

from collections.abc import Mapping

from manygate.metrics.power import power, size_found
from manygate.metrics.table import metric_label
from manygate.metrics.uncertainty import FEWEST_REPLICAS
from manygate.results.base import required
from manygate.results.comparison import Power
from manygate.results.summary import JointGain
from manygate.verdict.needs import SIZES

ENOUGH_REPLICAS = 5
"""With so many replicas the power is not stated."""
MORE_REPLICAS = 8
OFTEN = 0.8


def power_of_few(effect: Mapping[str, JointGain], main: Mapping[str, str], replicas: int, looks: int) -> Power | None:
    """Return the power for the task with the widest joint interval. It is None with enough replicas, and without intervals."""
    widths = {
        task: (gain.joint95[1] - gain.joint95[0]) / SIZES[main[task]][-1]
        for task, gain in effect.items()
        if gain.joint95 is not None
    }
    if not FEWEST_REPLICAS <= replicas < ENOUGH_REPLICAS or not widths:
        return None
    task = max(widths, key=lambda name: widths[name])
    key, gain = main[task], effect[task]
    sd, se, size = required(gain.sd_replicas, "sd_replicas"), required(gain.se_test, "se_test"), SIZES[key][-1]
    found, with_more = (power(size, sd, count, se, gain.clusters, looks) for count in (replicas, MORE_REPLICAS))
    often = size_found(OFTEN, sd, replicas, se, gain.clusters, looks)
    where = f"{size:g} in {metric_label(key)} on {task}"
    text = (
        f"With {replicas} replicas a true gain of {where} is found in {_cases(found)} of 100 such comparisons, with "
        f"{MORE_REPLICAS} replicas in {_cases(with_more)}; a gain of {often:.2g} is found in {_cases(OFTEN)}."
    )
    return Power(
        task=task,
        metric=key,
        size=size,
        replicas=replicas,
        found=found,
        more_replicas=MORE_REPLICAS,
        found_with_more=with_more,
        size_found=often,
        text=text,
    )


def _cases(share: float) -> str:
    return "fewer than 1" if 100 * share < 1 else f"{100 * share:.0f}"
