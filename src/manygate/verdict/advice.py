"""This module writes the headline and the paragraph of the recommendation: what to do, and why, by the test rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from manygate.metrics.uncertainty import interval_note
from manygate.results.comparison import Rule
from manygate.results.summary import JointGain
from manygate.text import count_of, interval, listed, number
from manygate.verdict.judged import Judged
from manygate.verdict.rules import Gains

PER_TASK = "keep: best-per-task"
"""The setting that ships a checkpoint for each task, as a line of a configuration: Python and the command line have other marks."""


def headline(rule: Rule, judged: Judged, kept_separate: bool) -> str:
    """Write the answer in one plain sentence."""
    shipped, name = judged.as_shipped, judged.name
    helps, hurts = _named(shipped.helped, judged.effect), _named(shipped.hurt, judged.effect)
    if rule == "share":
        return f"Use one shared model, {name}: it helps {helps} and clearly hurts no task."
    if rule == "one checkpoint per task":
        helps = _named(judged.per_task.helped, judged.effect)
        return (
            f"Use one shared model, {name}, with a checkpoint for each task: this way it helps {helps} and clearly hurts no task."
        )
    if rule == "trade-off" and kept_separate:
        return f"Keep one model per task, unless {helps} {_matter(shipped.helped)} more: sharing with {name} hurts {hurts}."
    if rule == "trade-off":
        return f"The shared model {name} helps {helps} but hurts {hurts}: use it only if you accept that."
    if rule == "separate" and not shipped.hurt:
        return "Keep one model per task: no shared model clearly helps a task, and some hurt one."
    if rule == "separate":
        how = ", with one checkpoint for all tasks," if judged.helped_but_for_the_price else ""
        return f"Keep one model per task: the shared model {name} hurts {hurts} and{how} clearly helps no task."
    if rule == "look again":
        best, how = (shipped, "") if shipped.rule == "share" else (judged.per_task, ", with a checkpoint for each task,")
        helps = _named(best.helped, judged.effect)
        but = f"but the shared model {name}{how} helps {helps} and clearly hurts none"
        return f"Look again: validation prefers one model per task, {but}."
    keep = "Keep one model per task for now" if kept_separate else "Keep what you have for now"
    return f"{keep}: these data do not show whether the shared model {name} helps or hurts."


def advice(rule: Rule, judged: Judged, kept_separate: bool, replicas: int) -> str:
    """Write the paragraph: what to do, with the figures that decide it."""
    shipped, name = judged.as_shipped, judged.name
    helps, hurts, rest = _effects(shipped.helped, judged.shipped), _harms(judged), _rest(judged)
    best = f"{name}, the best way of sharing on validation,"
    if rule == "share":
        return f"Share with {name}: on the test rows it helps {helps} and hurts no task beyond doubt.{rest}"
    if rule == "one checkpoint per task":
        return f"Share with {name}, and keep a checkpoint for each task (setting {PER_TASK}): {_per_task_words(judged)}"
    if rule == "trade-off" and kept_separate:
        unless = f"unless {listed(shipped.helped)} {_matter(shipped.helped)} more"
        return f"Keep one model per task, as validation chose, {unless}: {best} helps {helps} but hurts {hurts}.{rest}"
    if rule == "trade-off":
        return f"Share with {name} only if you accept the harm: it helps {helps} and hurts {hurts}.{rest}"
    if rule == "separate" and not shipped.hurt:
        why = "on the test rows no way of sharing helps a task beyond doubt, and some hurt"
        return f"Keep one model per task, as validation chose: {why}."
    if rule == "separate" and kept_separate:
        return f"Keep one model per task, as validation chose: {best} helps no task beyond doubt and hurts {hurts}.{rest}"
    if rule == "separate":
        chose = f"Validation chose {name}, but on the test rows it helps no task beyond doubt and hurts {hurts}.{rest}"
        return f"Keep one model per task. {chose}"
    if rule == "look again":
        return _look_again(judged, best, helps)
    return _cannot_tell(judged, kept_separate, replicas)


def _look_again(judged: Judged, best: str, helps: str) -> str:
    shipped = judged.as_shipped
    if shipped.rule == "share":
        helped: Sequence[str] = shipped.helped
        why = f"{best} helps {helps} on the test rows and hurts no task beyond doubt.{_rest(judged)}"
    else:
        helped = judged.per_task.helped
        why = f"{best} would help if you keep a checkpoint for each task (setting {PER_TASK}): {_per_task_words(judged)}"
    look = f"If {listed(helped)} {_matter(helped)} most, let validation watch {'it' if len(helped) == 1 else 'one of them'}."
    return f"Look again: validation chose one model per task, but {why} {look}"


def _cannot_tell(judged: Judged, kept_separate: bool, replicas: int) -> str:
    chose = "Validation chose one model per task, and these" if kept_separate else "These"
    cannot = f"{chose} data cannot tell whether sharing with {judged.name} helps or hurts"
    if note := interval_note(replicas):
        return f"{cannot}. {note} Train 8 replicas or more before you change anything."
    if not any(gain.joint95 for gain in judged.shipped.values()):
        return f"{cannot}: no gain is defined on the test rows."
    widest = _widest(judged.shipped)
    why = f"every interval that holds for all tasks together contains zero{widest}.{_leanings(judged, judged.shipped)}"
    return f"{cannot} any task: {why} Keep what you have today until more data or more replicas decide."


def _per_task_words(judged: Judged) -> str:
    """Write what a checkpoint for each task gives, and what one checkpoint for all tasks loses of it."""
    helps = _effects(judged.per_task.helped, judged.effect)
    spoiled = dict.fromkeys([*judged.helped_but_for_the_price, *judged.hurt_by_the_price_alone])
    costs = listed([_spoiled(task, judged) for task in spoiled])
    return f"then it helps {helps} and hurts no task beyond doubt. One checkpoint for all tasks would spoil this: {costs}."


def _spoiled(task: str, judged: Judged) -> str:
    """Write what a task has left of its gain with one checkpoint for all tasks."""
    verb = "hurt" if task in judged.as_shipped.hurt else "undecided"
    shipped, price = judged.shipped[task], judged.price[task]
    figures = f"({number(shipped.gain, signed=True)}; {interval(shipped.joint95)})"
    return f"{task} would be {verb} {figures}, for a price of {number(price.price)} ({interval(price.joint95)})"


def price_words(rule: Rule, judged: Judged) -> list[str]:
    """Write a sentence about the tasks for which one checkpoint costs something beyond doubt, unless the advice says it already."""
    if rule == "one checkpoint per task" or (rule == "look again" and judged.as_shipped.rule != "share"):
        return []
    sentences = []
    for task in judged.priced:
        effect, shipped, price = judged.effect[task], judged.shipped[task], judged.price[task]
        sentences.append(
            f"One checkpoint for all tasks costs {task} {number(price.price)} ({interval(price.joint95)}): sharing itself gains "
            f"{number(effect.gain, signed=True)}, and as shipped the gain is {number(shipped.gain, signed=True)}. "
            f"The setting {PER_TASK} saves the price."
        )
    unpriced = [task for task in judged.hurt_by_the_price_alone if task not in judged.priced]
    if unpriced:
        sentences.append(f"Sharing itself does not clearly hurt {listed(unpriced)}: try the setting {PER_TASK}.")
    return sentences


def _named(tasks: Sequence[str], of_all: Gains) -> str:
    """Write a few names, or the number of many."""
    if 1 < len(tasks) == len(of_all):
        return f"all {count_of(len(tasks), 'task')}"
    return listed(tasks) if len(tasks) <= 3 else f"{len(tasks)} of {count_of(len(of_all), 'task')}"


def _matter(tasks: Sequence[str]) -> str:
    return "matters" if len(tasks) == 1 else "matter"


def _effects(tasks: Sequence[str], gains: Gains) -> str:
    """Write the tasks with their gains and joint intervals."""
    return listed([_effect(task, gains[task]) for task in tasks])


def _effect(task: str, gain: JointGain) -> str:
    return f"{task} ({number(gain.gain, signed=True)}; {interval(gain.joint95)})"


def _harms(judged: Judged) -> str:
    return listed([_effect(task, judged.harm(task)) for task in judged.as_shipped.hurt])


def _rest(judged: Judged) -> str:
    """Write the sentences about the tasks whose gains are not beyond doubt."""
    known = {*judged.as_shipped.helped, *judged.as_shipped.hurt}
    unsure = [task for task in judged.shipped if task not in known]
    undecided = [task for task in unsure if judged.shipped[task].verdict == "cannot tell"]
    undecided_words = f" For {listed(undecided)} these rows cannot tell." if undecided else ""
    return _leanings(judged, unsure) + undecided_words


def _leanings(judged: Judged, tasks: Iterable[str]) -> str:
    """Write the sentence about the tasks where ``ci95`` does not contain zero although the joint interval does.

    The gains are those as shipped. The sentence says so where the table of effects shows another verdict.
    """
    leaning = [task for task in tasks if judged.shipped[task].verdict != "cannot tell"]
    by_verb = {verb: [task for task in leaning if judged.shipped[task].verdict == verb] for verb in ("helps", "hurts")}
    phrases = listed([f"likely {verb} {listed(named)}" for verb, named in by_verb.items() if named])
    unlike = any(judged.effect[task].verdict != judged.shipped[task].verdict for task in leaning)
    return f" Looked at alone, {'as shipped ' if unlike else ''}it {phrases}." if phrases else ""


def _widest(gains: Gains) -> str:
    spans = {task: gain.joint95[1] - gain.joint95[0] for task, gain in gains.items() if gain.joint95}
    task = max(spans, key=lambda name: spans[name], default=None)
    return f" (the widest: {task}, {interval(gains[task].joint95)})" if task else ""
