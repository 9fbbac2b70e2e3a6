"""Figures of a load."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from loadtest.loops import Load, Outcome

REFUSED = (429, 503)


def milliseconds(seconds: Sequence[float]) -> dict[str, float] | None:
    """Return p50, p99 and the maximum in milliseconds. None of none."""
    if not seconds:
        return None
    p50, p99 = np.percentile(seconds, [50, 99])
    return {"p50": round(1e3 * float(p50), 3), "p99": round(1e3 * float(p99), 3), "max": round(1e3 * max(seconds), 3)}


def latencies(outcomes: Sequence[Outcome], *statuses: int) -> list[float]:
    """Return the seconds from the intended time to the end of the answers with a status."""
    return [outcome.ended - outcome.intended for outcome in outcomes if outcome.status in statuses]


def summarise(load: Load) -> dict[str, Any]:
    """Return requests a second, latencies from the intended times, statuses, errors, and how late the generator was.

    ``served_a_second`` are answers 200 until the last answer. ``sent_late`` is from the intended time until a request was sent: it
    holds waits for a free connection.
    """
    outcomes = load.outcomes
    last = max((outcome.ended for outcome in outcomes), default=load.began)
    seconds = max(load.seconds, last - load.began, 1e-9)
    served = [outcome for outcome in outcomes if outcome.status == 200]
    return {
        "seconds": round(seconds, 3),
        "requests": len(outcomes),
        "offered_a_second": round(len(outcomes) / max(load.seconds, 1e-9), 2),
        "served_a_second": round(len(served) / seconds, 2),
        "latency_ms": milliseconds(latencies(outcomes, 200)),
        "refusal_ms": milliseconds(latencies(outcomes, *REFUSED)),
        "refusal_since_sent_ms": milliseconds([o.ended - o.sent for o in outcomes if o.status in REFUSED]),
        "sent_late_ms": milliseconds([outcome.sent - outcome.intended for outcome in outcomes]),
        "statuses": {str(status): count for status, count in sorted(Counter(o.status for o in outcomes if o.status).items())},
        "errors": dict(Counter(outcome.error for outcome in outcomes if not outcome.status)),
    }
