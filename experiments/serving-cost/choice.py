"""Which width of a scheme is equal to the reference, as plan.md defines it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from study import MARGINS

from manygate.metrics.uncertainty import interval

Entry = dict[str, Any]
EQUAL, WORSE, UNSURE = "equal", "worse", "cannot tell"


class Difference(NamedTuple):
    """A mean of paired differences with its 95 % interval."""

    mean: float
    low: float
    high: float

    def verdict(self, margin: float) -> str:
        """Say whether what was measured may be worse by the margin.

        >>> [Difference(0.0, low, high).verdict(0.5) for low, high in ((-0.4, 0.4), (-0.6, 0.6), (-0.7, -0.6))]
        ['equal', 'cannot tell', 'worse']
        """
        return EQUAL if self.low > -margin else WORSE if self.high < -margin else UNSURE


def quality(entry: Entry, part: str) -> np.ndarray:
    """The mean of the tasks' metrics, by seed."""
    return np.mean(entry[part], axis=0)


def of_scheme(log: Entry, scheme: str) -> list[Entry]:
    """The trainings of a scheme, the cheapest first."""
    return sorted((entry for entry in log["trainings"] if entry["scheme"] == scheme), key=lambda entry: entry["flops"])


def reference(log: Entry) -> Entry:
    """The models of each task at their best width on validation rows."""
    return max(of_scheme(log, "single_task"), key=lambda entry: float(quality(entry, "valid").mean()))


def against(entry: Entry, other: Entry, part: str) -> Difference:
    """The quality of a training minus that of another, seed by seed."""
    summary = interval([float(value) for value in quality(entry, part) - quality(other, part)])
    assert summary.mean is not None, f"{entry['scheme']} at {entry['width']}: a metric of a seed is undefined"
    assert summary.ci95 is not None, "there are fewer than three seeds"
    return Difference(summary.mean, *summary.ci95)


def verdicts(log: Entry, scheme: str, margin: float, part: str = "valid") -> dict[str, str]:
    """The verdict on each width of a scheme, the cheapest first."""
    best = reference(log)
    return {entry["width"]: against(entry, best, part).verdict(margin) for entry in of_scheme(log, scheme)}


def cheapest(log: Entry, scheme: str, margin: float, part: str = "valid") -> Entry | None:
    """The cheapest width that is equal to the reference. None if there is none."""
    found = verdicts(log, scheme, margin, part)
    return next((entry for entry in of_scheme(log, scheme) if found[entry["width"]] == EQUAL), None)


def chosen(name: str, log: Entry) -> dict[str, Entry | None]:
    """The cheapest equal width of each scheme of a log, in the order of the trainings."""
    schemes = dict.fromkeys(entry["scheme"] for entry in log["trainings"])
    return {scheme: cheapest(log, scheme, MARGINS[name]) for scheme in schemes}
