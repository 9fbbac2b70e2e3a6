"""This module separates what sharing does to a task from what it costs to ship one checkpoint for all tasks.

A sharing model is measured twice on the test rows: each task at the best epoch of its own clock, and all tasks at the epoch that is
kept. Three paired differences follow, and they add up in the mean::

    effect of sharing  =  own best epoch - baseline
    price              =  own best epoch - kept epoch
    gain as shipped    =  kept epoch - baseline  =  effect - price
"""

from __future__ import annotations

from collections.abc import Mapping

from manygate.metrics.paired import Measured, gain
from manygate.results.comparison import Price, TaskGain

ByTask = Mapping[str, Measured]
"""The measured main metric of each task."""


def prices(own: ByTask, kept: ByTask, main: Mapping[str, str], looks: int) -> dict[str, Price]:
    """Return what each task loses to the one checkpoint of its model. A positive price means that its own epoch is better."""
    differences = {task: gain(own[task], kept[task], looks) for task in main}
    return {
        task: Price(
            metric=main[task],
            price=difference.gain,
            ci95=difference.ci95,
            joint95=difference.joint95,
            sd_replicas=difference.sd_replicas,
            se_test=difference.se_test,
            clusters=difference.clusters,
            reason=difference.reason,
        )
        for task, difference in differences.items()
    }


def gains_as_shipped(kept: ByTask, baseline: ByTask, main: Mapping[str, str], looks: int) -> dict[str, TaskGain]:
    """Return each task's gain over the baseline with the checkpoint that is kept."""
    return {task: TaskGain(**dict(gain(kept[task], baseline[task], looks)), metric=key) for task, key in main.items()}
