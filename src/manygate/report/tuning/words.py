"""This module words the objectives, the values and the outcome of a search for settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from manygate.metrics.table import metric_label
from manygate.results.comparison import TaskGain
from manygate.results.tuning import TunedObjective
from manygate.text import count_of, interval, listed, number
from manygate.verdict.transfer import sure


def objective_words(objective: TunedObjective) -> str:
    """Return what an objective is, in words.

    >>> objective_words(TunedObjective(name="click", task="click", metric="auc", better="higher"))
    'AUC of click'
    """
    if objective.metric is None:
        return "mean of the tasks, in standard errors above guessing"
    return f"{metric_label(objective.metric)} of {objective.task}"


def axis_label(objective: TunedObjective) -> str:
    """Return the words for an axis, with an arrow to the better side.

    >>> axis_label(TunedObjective(name="click", task="click", metric="auc", better="higher"))
    'AUC of click ↑'
    """
    if objective.metric is None:
        return "standard errors above guessing ↑"
    if objective.better == "one":
        return f"distance from 1 of {objective_words(objective)} ↓"
    return f"{objective_words(objective)} {'↑' if objective.better == 'higher' else '↓'}"


def score(objective: TunedObjective, value: float) -> str:
    """Return a value as the metric has it. The distance from 1 stands for a ratio that is best at 1.

    >>> score(TunedObjective(name="click/log_loss", task="click", metric="log_loss", better="lower"), -0.25)
    '0.2500'
    """
    if objective.metric is None:
        return f"{value:.2f}"
    return number(value if objective.better == "higher" else -value)


def half(objective: TunedObjective, value: float) -> str:
    """Return a standard error in the form of a score."""
    return f"{value:.2f}" if objective.metric is None else number(value)


def scores(objectives: Sequence[TunedObjective], values: Sequence[float]) -> str:
    """Return the values of a trial."""
    return ", ".join(score(objective, value) for objective, value in zip(objectives, values, strict=True))


def headline(architecture: str, gains: Mapping[str, TaskGain] | None) -> str:
    """Return the answer in a sentence: what the tuned settings gain over the default ones, beyond doubt."""
    if gains is None:
        return f"No trial was better on validation rows than the default settings of {architecture}, so they stay."
    helped = [task for task, gain in gains.items() if sure(gain) and (gain.gain or 0) > 0]
    hurt = [task for task, gain in gains.items() if sure(gain) and (gain.gain or 0) < 0]
    if len(gains) == 1:
        ((task, gain),) = gains.items()
        verb = "helps" if helped else "hurts" if hurt else "makes no clear difference to"
        return f"Tuning {architecture} {verb} {task}: {_change(gain)}."
    if not helped and not hurt:
        return f"Tuning {architecture} makes no clear difference to any of its {count_of(len(gains), 'task')}."
    if not hurt:
        subject = f"all {len(gains)} tasks" if len(helped) == len(gains) else listed(helped)
        return f"Tuning {architecture} helps {subject} and clearly hurts none."
    helps = f"helps {listed(helped)} and" if helped else "helps no task clearly and"
    return f"Tuning {architecture} {helps} hurts {listed(hurt)}."


def side(gain: TaskGain) -> int:
    """Return 1 for a task that is helped beyond doubt, -1 for one that is hurt, and 0 otherwise."""
    return sure(gain)


def setting_value(value: JsonValue) -> str:
    """Return the value of a setting, as a configuration file has it; long fractions are rounded.

    >>> setting_value([128, 64]), setting_value(0.00123456), setting_value(None), setting_value("adam")
    ('128, 64', '0.00123', 'default', 'adam')
    """
    if value is None:
        return "default"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list):
        return ", ".join(setting_value(part) if not isinstance(part, list) else f"[{setting_value(part)}]" for part in value)
    return str(value)


def _change(gain: TaskGain) -> str:
    return f"{number(gain.gain, signed=True)} {metric_label(gain.metric)} ({interval(gain.ci95)})"
