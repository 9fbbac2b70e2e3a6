"""Who pays for sharing? Negative transfer and seesaws between tasks, from paired differences between every two models.

Names of models are those of a comparison's results; a gain is always positive when better. All flags follow from *joint* intervals
(:func:`manygate.metrics.paired.gain`), which hold together for all tasks of any two models. So a flag that needs two tasks at
once, as a seesaw does, needs no further correction. Each two models are a family of their own: among twenty such pairs that do
not differ, one may still raise a flag.

The seesaw phenomenon: Tang et al. (RecSys 2020, PLE), section 3, "improving the performance of one task hurts some others".
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from manygate.metrics.paired import PROBABILITY_METRICS, Measured, gain
from manygate.results.base import Interval
from manygate.results.comparison import Difference, Harm, Removal, Seesaw, Transfer, WorseProbability
from manygate.results.summary import JointGain, Verdict

Gains = Mapping[str, JointGain]
Measures = Mapping[str, Mapping[str, Mapping[str, Measured]]]
"""measures[model][task][metric]"""


def transfer(measures: Measures, baseline: str, main: Mapping[str, str]) -> Transfer:
    """What each model gains over the baseline and over each other, and the flags that follow; the form is in docs/results.md.

    Args:
        measures: Of every model, on the same test rows.
        baseline: The model that gives each task its own network.
        main: Each task's main metric.
    """
    others, looks = [name for name in measures if name != baseline], len(main)
    pairs = list(itertools.combinations(others, 2))
    gains = {name: {task: _over(measures[name][task], measures[baseline][task], looks) for task in main} for name in others}
    differences = [
        Difference(
            origin=one, to=two, tasks={t: gain(measures[two][t][key], measures[one][t][key], looks) for t, key in main.items()}
        )
        for one, two in pairs
    ]
    steps = [(baseline, name, _main(gains[name], main)) for name in others]
    steps += [(step.origin, step.to, step.tasks) for step in differences]
    harmed = negative(gains, main)
    return Transfer(
        looks=looks,
        gains=gains,
        differences=differences,
        negative=harmed,
        removed=removed(harmed, gains, differences, main),
        seesaws=[flag for origin, target, tasks in steps for flag in seesaws(origin, target, tasks)],
        probabilities=probabilities(gains, main),
    )


def sure(gain: JointGain) -> int:
    """1 where the joint interval lies above 0, -1 where below, else 0; 0 without one."""
    low, high = gain.joint95 or (0.0, 0.0)
    return 1 if low > 0 else -1 if high < 0 else 0


def turned(gain: JointGain) -> JointGain:
    """The gain the other way round."""
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
    """Negative transfer: the tasks that a model hurts beyond doubt, against the task's own network."""
    return [Harm(model=name, task=task) for name, own in gains.items() for task, key in main.items() if sure(own[task][key]) < 0]


def removed(
    harmed: Sequence[Harm],
    gains: Mapping[str, Mapping[str, Gains]],
    differences: Sequence[Difference],
    main: Mapping[str, str],
) -> list[Removal]:
    """For each negative transfer, the models that take it away: better than the harmful one beyond doubt, and not hurting the task.

    Not hurting is asked of the interval that stands alone, which is the narrower one and so the harder to pass.
    """
    over = {(pair.origin, pair.to): pair.tasks for pair in differences}
    found = []
    for flag, name in itertools.product(harmed, gains):
        task, of = flag.task, flag.model
        if name == of:
            continue
        step = over[of, name][task] if (of, name) in over else turned(over[name, of][task])
        if sure(step) > 0 and gains[name][task][main[task]].verdict != "hurts":
            found.append(Removal(model=name, of=of, task=task, gain=step.gain, joint95=step.joint95))
    return found


def seesaws(origin: str, target: str, gain_of: Gains) -> list[Seesaw]:
    """Pairs of tasks of which one gains and the other loses when ``target`` takes the place of ``origin``.

    ``sure`` when both are beyond doubt; else one is, and the other's point estimate points the other way while its interval does
    not decide.
    """
    flags = []
    for up, down in itertools.permutations(gain_of, 2):
        one, two = gain_of[up], gain_of[down]
        if one.gain is None or two.gain is None or not (one.gain > 0 > two.gain):
            continue
        known = (sure(one), sure(two))
        if known != (0, 0):
            flags.append(Seesaw(origin=origin, to=target, gains=up, loses=down, sure=known == (1, -1)))
    return flags


def probabilities(gains: Mapping[str, Mapping[str, Gains]], main: Mapping[str, str]) -> list[WorseProbability]:
    """Where a model's probabilities are worse than those of the task's own network beyond doubt, and what became of the ranking."""
    return [
        WorseProbability(model=name, task=task, metric=metric, ranking=own[task][key].verdict)
        for name, own in gains.items()
        for task, key in main.items()
        for metric in PROBABILITY_METRICS
        if metric in own[task] and sure(own[task][metric]) < 0
    ]


def _over(one: Mapping[str, Measured], other: Mapping[str, Measured], looks: int) -> dict[str, JointGain]:
    """Gains in every metric; those of probabilities are a family of their own, of as many looks as there are of them and tasks."""
    several = sum(metric in PROBABILITY_METRICS for metric in one)
    return {metric: gain(one[metric], other[metric], looks * (several if metric in PROBABILITY_METRICS else 1)) for metric in one}


def _main(own: Mapping[str, Gains], main: Mapping[str, str]) -> dict[str, JointGain]:
    return {task: own[task][key] for task, key in main.items()}
