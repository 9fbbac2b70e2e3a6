"""Entries of a table of gains, as a comparison writes them."""

from __future__ import annotations

from typing import Any


def entry(gain: float | None, half: float = 0.01, joint: float | None = None) -> dict[str, Any]:
    """A gain with an interval of its own and a joint one, half as wide again unless said."""
    if gain is None:
        return {"gain": None, "ci95": None, "joint95": None, "verdict": "cannot tell"}
    wide = 1.5 * half if joint is None else joint
    verdict = "helps" if gain > half else "hurts" if gain < -half else "cannot tell"
    return {"gain": gain, "ci95": [gain - half, gain + half], "joint95": [gain - wide, gain + wide], "verdict": verdict}
