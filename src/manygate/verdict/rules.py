"""This module holds the rules of the recommendation: what the joint intervals say about the tasks decides what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from manygate.results.comparison import Rule
from manygate.results.summary import JointGain
from manygate.verdict.transfer import sure

Gains = Mapping[str, JointGain]


@dataclass(frozen=True)
class Outcome:
    """The tasks that a model helps and those that it hurts, beyond doubt."""

    helped: tuple[str, ...]
    hurt: tuple[str, ...]

    @property
    def rule(self) -> Rule:
        """The rule that follows from this outcome alone.

        >>> Outcome(("click",), ()).rule, Outcome(("click",), ("buy",)).rule, Outcome((), ("buy",)).rule, Outcome((), ()).rule
        ('share', 'trade-off', 'separate', 'cannot tell')
        """
        if self.helped:
            return "trade-off" if self.hurt else "share"
        return "separate" if self.hurt else "cannot tell"


def outcome_per_task(effect: Gains) -> Outcome:
    """Return the outcome with a checkpoint for each task: the effect of sharing, without the price of one checkpoint."""
    return Outcome(
        helped=tuple(task for task in effect if sure(effect[task]) > 0),
        hurt=tuple(task for task in effect if sure(effect[task]) < 0),
    )


def outcome_as_shipped(effect: Gains, shipped: Gains) -> Outcome:
    """Return the outcome with the checkpoint that is kept.

    A task counts as hurt also where sharing itself hurts it and the gain as shipped is undecided: its own best epoch is the best
    that the model can offer to this task, and one checkpoint for all tasks does not make it better.
    """
    helped = tuple(task for task in shipped if sure(shipped[task]) > 0)
    hurt = tuple(task for task in shipped if sure(shipped[task]) < 0 or (sure(effect[task]) < 0 and task not in helped))
    return Outcome(helped, hurt)


def decide(shipped: Outcome, per_task: Outcome, kept_separate: bool, others: Sequence[Outcome] = ()) -> Rule:
    """Return the rule that holds.

    Args:
        shipped: What the judged model does as shipped.
        per_task: What it does with a checkpoint for each task.
        kept_separate: True if validation chose a model per task.
        others: What all sharing models do, as shipped and with a checkpoint for each task.

    >>> one, none = Outcome(("click",), ()), Outcome((), ())
    >>> decide(one, one, False), decide(none, one, False), decide(one, one, True), decide(none, none, False)
    ('share', 'one checkpoint per task', 'look again', 'cannot tell')
    """
    if shipped.rule == "share":
        return "look again" if kept_separate else "share"
    if per_task.rule == "share":
        return "look again" if kept_separate else "one checkpoint per task"
    if shipped.rule == "cannot tell" and kept_separate:
        harm, help_ = any(other.hurt for other in others), any(other.helped for other in others)
        return "separate" if harm and not help_ else "cannot tell"
    return shipped.rule
