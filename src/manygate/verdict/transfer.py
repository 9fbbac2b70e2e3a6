"""This module detects negative transfer and seesaws between tasks, from the paired differences between every two models.

The names of the models are those in the results of a comparison. A gain is positive when it is better, for every metric. All flags
follow from *joint* intervals (:func:`manygate.metrics.paired.gain`), which hold at once for a whole table
(:mod:`manygate.verdict.looks`): the gains of all models over the baseline in the main metrics, those in all other metrics, or the
differences between every two models. A flag that needs two tasks at once, as a seesaw does, needs no further correction.

The seesaw phenomenon: Tang et al. (RecSys 2020, PLE), section 3, "improving the performance of one task hurts some others".
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from manygate.metrics.paired import PROBABILITY_METRICS, Measured, gain
from manygate.results.base import Interval
from manygate.results.comparison import Difference, Harm, Removal, Seesaw, Transfer, WorseProbability
from manygate.results.summary import JointGain, Verdict
from manygate.verdict.looks import looks_at_pairs, looks_by_model

Gains = Mapping[str, JointGain]
Measures = Mapping[str, Mapping[str, Mapping[str, Measured]]]
"""measures[model][task][metric]"""


def transfer(measures: Measures, baseline: str, main: Mapping[str, str], judged: str | None = None) -> Transfer:
    """Compute the gains of each model over the baseline and over every other model, and the flags that follow from them.

    docs/results.md describes the form.

    Args:
        measures: The measured metrics of every model, on the same test rows.
        baseline: The model that gives each task its own network.
        main: Each task's main metric.
        judged: The sharing model that validation prefers. Its joint intervals are narrower than those of the others.
    """
    others = [name for name in measures if name != baseline]
    looks, pair_looks = looks_by_model(others, len(main), judged), looks_at_pairs(others, len(main))
    pairs = list(itertools.combinations(others, 2))
    gains = {
        name: {task: _over(measures[name][task], measures[baseline][task], key, looks[name]) for task, key in main.items()}
        for name in others
    }
    differences = [
        Difference(
            origin=first,
            to=second,
            tasks={t: gain(measures[second][t][key], measures[first][t][key], pair_looks) for t, key in main.items()},
        )
        for first, second in pairs
    ]
    steps = [(baseline, name, _main(gains[name], main)) for name in others]
    steps += [(step.origin, step.to, step.tasks) for step in differences]
    harmed = negative(gains, main)
    return Transfer(
        looks=looks,
        pair_looks=pair_looks,
        gains=gains,
        differences=differences,
        negative=harmed,
        removed=removed(harmed, gains, differences, main),
        seesaws=[flag for origin, target, tasks in steps for flag in seesaws(origin, target, tasks)],
        probabilities=probabilities(gains, main),
    )


def sure(gain: JointGain) -> int:
    """Return 1 if the joint interval lies above 0, -1 if it lies below 0, and 0 if it contains 0 or is missing."""
    low, high = gain.joint95 or (0.0, 0.0)
    return 1 if low > 0 else -1 if high < 0 else 0


def turned(gain: JointGain) -> JointGain:
    """Return the gain with the two models swapped."""
    opposite: dict[Verdict, Verdict] = {"helps": "hurts", "hurts": "helps", "cannot tell": "cannot tell"}
    back = {
        "gain": None if gain.gain is None else -gain.gain,
        "ci95": _turned_interval(gain.ci95),
        "joint95": _turned_interval(gain.joint95),
        "verdict": opposite[gain.verdict],
    }
    return gain.model_copy(update=back)


def _turned_interval(interval: Interval | None) -> Interval | None:
    return None if interval is None else (-interval[1], -interval[0])


def negative(gains: Mapping[str, Mapping[str, Gains]], main: Mapping[str, str]) -> list[Harm]:
    """List the cases of negative transfer: a model is worse for a task, beyond doubt, than the task's own network."""
    return [
        Harm(model=name, task=task)
        for name, gains_of in gains.items()
        for task, key in main.items()
        if sure(gains_of[task][key]) < 0
    ]


def removed(
    harmed: Sequence[Harm],
    gains: Mapping[str, Mapping[str, Gains]],
    differences: Sequence[Difference],
    main: Mapping[str, str],
) -> list[Removal]:
    """List, for each negative transfer, the models that remove it.

    Such a model is better than the harmful model beyond doubt, and it does not hurt the task. The second condition uses ``ci95``
    and not the joint interval: it is narrower, so the condition is harder to meet.
    """
    over = {(pair.origin, pair.to): pair.tasks for pair in differences}
    removals = []
    for flag, name in itertools.product(harmed, gains):
        task, harmful = flag.task, flag.model
        if name == harmful:
            continue
        step = over[harmful, name][task] if (harmful, name) in over else turned(over[name, harmful][task])
        if sure(step) > 0 and gains[name][task][main[task]].verdict != "hurts":
            removals.append(Removal(model=name, of=harmful, task=task, gain=step.gain, joint95=step.joint95))
    return removals


def seesaws(origin: str, target: str, gain_of: Gains) -> list[Seesaw]:
    """List the pairs of tasks where one task gains and the other loses when ``target`` replaces ``origin``.

    ``sure`` is true if both changes are beyond doubt. It is false if only one of them is: the point estimate of the other has the
    opposite sign, but its interval contains zero.
    """
    flags = []
    for up, down in itertools.permutations(gain_of, 2):
        gain_up, gain_down = gain_of[up], gain_of[down]
        if gain_up.gain is None or gain_down.gain is None or not (gain_up.gain > 0 > gain_down.gain):
            continue
        known = (sure(gain_up), sure(gain_down))
        if known != (0, 0):
            flags.append(Seesaw(origin=origin, to=target, gains=up, loses=down, sure=known == (1, -1)))
    return flags


def probabilities(gains: Mapping[str, Mapping[str, Gains]], main: Mapping[str, str]) -> list[WorseProbability]:
    """List where a model's probabilities are worse, beyond doubt, than those of the task's network; add the ranking verdict."""
    return [
        WorseProbability(model=name, task=task, metric=metric, ranking=gains_of[task][key].verdict)
        for name, gains_of in gains.items()
        for task, key in main.items()
        for metric in PROBABILITY_METRICS
        if metric in gains_of[task] and sure(gains_of[task][metric]) < 0
    ]


def _over(measured: Mapping[str, Measured], other: Mapping[str, Measured], main: str, looks: int) -> dict[str, JointGain]:
    """Return the gains in every metric.

    The joint intervals of the other metrics allow for the number of looks times the number of these metrics.
    """
    rest = len(measured) - 1
    return {key: gain(measured[key], other[key], looks if key == main else looks * rest) for key in measured}


def _main(gains_of: Mapping[str, Gains], main: Mapping[str, str]) -> dict[str, JointGain]:
    return {task: gains_of[task][key] for task, key in main.items()}
