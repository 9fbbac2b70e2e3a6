"""What sharing does to a task, told by other logs; and which flags on a log are right by it.

The truth of a log must not come from the flags that it judges. The log's settings say what sharing should do to some tasks, and
nothing of the others. So the effect of a scheme on a task is estimated from the *other* logs of the question: the mean of their
gains (each task at its own best epoch), with its 95 % interval over logs by Student's t. It is what sharing does with so much data,
over worlds, training rows and seeds. Where the interval is clear of zero, sharing helps or hurts; elsewhere the truth is open.

A flag that says the opposite of the truth is wrong. Where the truth is open, a flag is wrong if it contradicts the mean of the
other logs, and unproven if it agrees with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

from manygate.metrics.uncertainty import t_quantile

Judgement = Literal["right", "wrong", "unproven"]
BASELINE = "single_task"
SHARE = ("share", "one checkpoint per task")
EFFECT, SHIPPED = "joint gain or harm", "gain as shipped"


class Truth(NamedTuple):
    """The mean gain over other logs, and its sign: 0 where the interval contains zero."""

    mean: float
    sign: int


class Flag(NamedTuple):
    """Something that is said of a task: a ``sign`` of the change when ``target`` takes the place of ``origin``."""

    kind: str
    origin: str
    target: str
    task: str
    sign: int


def truth_of(entries: Sequence[dict[str, Any]], seed: int, flag: Flag) -> Truth:
    """Return the truth of what a flag is about, for the log of ``seed``, from all other logs of its question."""
    gains = [gain_of(entry, flag) for entry in entries if entry["seed"] != seed]
    mean = sum(gains) / len(gains)
    sd = math.sqrt(sum((gain - mean) ** 2 for gain in gains) / (len(gains) - 1))
    half = t_quantile(len(gains) - 1) * sd / math.sqrt(len(gains))
    return Truth(mean, 1 if mean > half else -1 if mean < -half else 0)


def gain_of(entry: dict[str, Any], flag: Flag) -> float:
    """Return the gain on a log that a flag is about."""
    if flag.kind == SHIPPED:
        return float(entry["as_shipped"][flag.target][flag.task]["gain"])
    if flag.origin == BASELINE:
        return float(entry["gains"][flag.target][flag.task]["gain"])
    pair = f"{flag.origin} to {flag.target}"
    if pair in entry["differences"]:
        return float(entry["differences"][pair][flag.task]["gain"])
    return -float(entry["differences"][f"{flag.target} to {flag.origin}"][flag.task]["gain"])


def verdicts(entry: dict[str, Any]) -> Iterator[Flag]:
    """Return the single verdict of every scheme and task, those that cannot tell with the sign 0."""
    signs = {"helps": 1, "hurts": -1, "cannot tell": 0}
    for model, own in entry["gains"].items():
        for task, gain in own.items():
            yield Flag("single verdict", BASELINE, model, task, signs[gain["verdict"]])


def joint_flags(entry: dict[str, Any]) -> Iterator[Flag]:
    """Return every flag beyond doubt: gains, harms, the gains as shipped of the headline, removals, both sides of sure seesaws."""
    for model, own in entry["gains"].items():
        for task, gain in own.items():
            if sign := sign_of(gain["joint95"]):
                yield Flag(EFFECT, BASELINE, model, task, sign)
    judged = entry["advice"]["judged"]
    for task, gain in entry["as_shipped"][judged].items():  # the headline goes by these
        if sign := sign_of(gain["joint95"]):
            yield Flag(SHIPPED, BASELINE, judged, task, sign)
    for flag in entry["removed"]:
        yield Flag("removal", flag["of"], flag["model"], flag["task"], 1)
    for flag in entry["seesaws"]:
        if flag["sure"]:
            yield Flag("seesaw", flag["from"], flag["to"], flag["gains"], 1)
            yield Flag("seesaw", flag["from"], flag["to"], flag["loses"], -1)


def sign_of(joint: list[float] | None) -> int:
    """Return the side of zero on which an interval lies, or 0."""
    low, high = joint or (0.0, 0.0)
    return 1 if low > 0 else -1 if high < 0 else 0


def judge(entries: Sequence[dict[str, Any]], seed: int, flag: Flag) -> Judgement:
    """Judge a flag of the log of ``seed`` by the other logs."""
    truth = truth_of(entries, seed, flag)
    if truth.sign == flag.sign:
        return "right"
    return "wrong" if truth.mean * flag.sign < 0 else "unproven"


def headline_right(question: str, entry: dict[str, Any]) -> bool:
    """Return whether the headline advises what the settings of the question imply.

    ``conflict``: not to share a bottom. ``related`` and ``related_as_piloted``: to share. ``little``: it cannot tell.
    """
    advice = entry["advice"]
    if question == "little":
        return bool(advice["rule"] == "cannot tell")
    if question.startswith("related"):
        return advice["rule"] in SHARE
    return not (advice["rule"] in (*SHARE, "trade-off") and advice["judged"] == "shared_bottom")


def shown(question: str, entry: dict[str, Any]) -> bool:
    """Return whether the effect that the settings imply is shown beyond doubt.

    ``conflict``: the shared bottom hurts click, with which all others conflict. ``related`` and ``related_as_piloted``: the model
    of the headline helps buy. ``little``: no flag at all.
    """
    flags, advice = list(joint_flags(entry)), entry["advice"]
    if question == "little":
        return not flags
    if question.startswith("related"):
        kind = EFFECT if advice["rule"] == "one checkpoint per task" else SHIPPED
        return Flag(kind, BASELINE, advice["judged"], "buy", 1) in flags
    return Flag(EFFECT, BASELINE, "shared_bottom", "click", -1) in flags


def cured(entry: dict[str, Any]) -> bool:
    """Return whether MMoE takes a harm of the shared bottom away, beyond doubt."""
    return any(flag["model"] == "mmoe" and flag["of"] == "shared_bottom" for flag in entry["removed"])
