"""Entries of a table of gains, as a comparison writes them."""

from __future__ import annotations

from typing import Any

from manygate.results.comparison import Price, TaskGain
from manygate.results.summary import JointGain
from manygate.verdict.judged import Judged


def entry(gain: float | None, half: float = 0.01, joint: float | None = None) -> JointGain:
    """A gain with an interval of its own and a joint one, half as wide again unless said."""
    if gain is None:
        return _gain(gain=None, ci95=None, joint95=None, verdict="cannot tell")
    wide = 1.5 * half if joint is None else joint
    verdict = "helps" if gain > half else "hurts" if gain < -half else "cannot tell"
    return _gain(gain=gain, ci95=(gain - half, gain + half), joint95=(gain - wide, gain + wide), verdict=verdict)


def _gain(**fields: Any) -> JointGain:
    return JointGain(**fields, sd_replicas=0.01, se_test=0.005, clusters=10_000)


def task_gain(gain: float | None, half: float = 0.01, joint: float | None = None) -> TaskGain:
    """The same as a gain of AUC as shipped."""
    return TaskGain(**dict(entry(gain, half, joint)), metric="auc")


def price_entry(price: float | None, half: float = 0.002, joint: float | None = None) -> Price:
    """A price of one checkpoint; it is known better than a gain, since both epochs are of one model."""
    found = entry(price, half, joint)
    shared = {name: getattr(found, name) for name in ("ci95", "joint95", "sd_replicas", "se_test", "clusters")}
    return Price(metric="auc", price=price, **shared)


def judged(**tasks: tuple[float, float]) -> Judged:
    """A model with these effects and prices."""
    return Judged(
        "mmoe",
        {task: entry(effect) for task, (effect, _) in tasks.items()},
        {task: task_gain(effect - price) for task, (effect, price) in tasks.items()},
        {task: price_entry(price) for task, (_, price) in tasks.items()},
    )
