"""This module lists the claims of sections 3 and 5 of the MMoE paper (Ma et al. 2018) that numbers can test, in our own words.

:data:`STATEMENTS` holds them as data: a statement, a description of its test, and the function that compares the losses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from manygate.studies.claims import Claim, Correlations, Finding, Losses, Statement, compared, larger, ratio, spread, tested
from manygate.studies.sweep import Trained

ALIKE = 0.1
"""Two means are nearly the same if they differ by at most this share; otherwise they clearly differ."""
SMALLER = 0.5
"""A gap is far smaller than another if it is at most this share of it."""
LARGER = 1.5
"""A standard deviation is far larger than another if it is at least this many times it; otherwise they are about the same."""
LEAST = 0.05
"""The quantile that represents the lowest losses: the minimum of n runs would fall with n."""
NEAR, WIDE = (1 - ALIKE, 1 + ALIKE), (LARGER, math.inf)
MODELS = ("shared_bottom", "omoe", "mmoe")
MIXTURES = ("omoe", "mmoe")


def claims(compared: Mapping[str, Trained], figure_3: Trained) -> list[Claim]:
    """Test all claims, and return them with their evidence. The first is tested on the models of figure 3."""
    first, *others = STATEMENTS
    return [tested(first, {"shared_bottom": figure_3}), *(tested(statement, compared) for statement in others)]


def _trend(correlations: Sequence[float], loss_PR: np.ndarray) -> list[Finding]:
    """Test the slope of loss on correlation, and the difference between the ends."""
    centred_P = np.array(correlations) - np.mean(correlations)
    weight_P = centred_P / (centred_P**2).sum()

    def slope(samples: list[np.ndarray]) -> np.ndarray:
        means = [weight * sample.mean(axis=1) for weight, sample in zip(weight_P, samples, strict=True)]
        return np.asarray(np.sum(means, axis=0))

    ends = f"{correlations[-1]:g} − {correlations[0]:g}"
    return [
        compared("slope", slope, list(loss_PR), (-math.inf, 0.0), 2),
        compared(ends, lambda s: (s[1] - s[0]).mean(axis=1), [loss_PR[0], loss_PR[-1]], (-math.inf, 0.0), 2),
    ]


def _gaps(loss: Losses, name: str, low: float, high: float) -> Finding:
    samples = [loss(name, low), loss(name, high), loss("mmoe", low), loss("mmoe", high)]

    def margin(s: list[np.ndarray]) -> np.ndarray:
        return np.asarray((SMALLER * (s[0] - s[1]) - (s[2] - s[3])).mean(axis=1))

    return compared(f"{SMALLER:g} × {name}'s gap − mmoe's", margin, samples, (0.0, math.inf), 2)


def _minima(loss: Losses, p: float, comparisons: int) -> Finding:
    def extremes(samples: list[np.ndarray]) -> np.ndarray:
        least = np.stack([np.quantile(sample, LEAST, axis=1) for sample in samples])
        return np.asarray(least.max(axis=0) / least.min(axis=0))

    samples = [loss(name, p, 0) for name in MODELS]
    return compared(f"largest / smallest at {p:g}", extremes, samples, (1.0, LARGER), comparisons)


def _shared_bottom_falls(loss: Losses, correlations: Correlations) -> list[Finding]:
    return _trend(correlations, np.stack([loss("shared_bottom", p) for p in correlations]))


def _symmetric(loss: Losses, correlations: Correlations) -> list[Finding]:
    low = correlations[0]
    return [ratio(f"{n}: task 1 / task 2 at {low:g}", loss(n, low, 0), loss(n, low, 1), NEAR, len(MODELS)) for n in MODELS]


def _higher_is_better(loss: Losses, correlations: Correlations) -> list[Finding]:
    steps = list(zip(correlations[:-1], correlations[1:], strict=True))
    return [larger(f"{n}: {a:g} − {b:g}", loss(n, a), loss(n, b), len(MODELS) * len(steps)) for n in MODELS for a, b in steps]


def _smaller_gap(loss: Losses, correlations: Correlations) -> list[Finding]:
    return [_gaps(loss, name, correlations[0], correlations[-1]) for name in ("omoe", "shared_bottom")]


def _identical_tasks(loss: Losses, correlations: Correlations) -> list[Finding]:
    high = correlations[-1]
    return [ratio(f"mmoe / omoe at {high:g}", loss("mmoe", high), loss("omoe", high), NEAR)]


def _gates_matter(loss: Losses, correlations: Correlations) -> list[Finding]:
    low, high = correlations[0], correlations[-1]
    return [
        ratio(f"omoe: {low:g} / {high:g}", loss("omoe", low), loss("omoe", high), (NEAR[1], math.inf), 2),
        ratio(f"mmoe: {low:g} / {high:g}", loss("mmoe", low), loss("mmoe", high), NEAR, 2),
    ]


def _mixtures_win(loss: Losses, correlations: Correlations) -> list[Finding]:
    count = len(MIXTURES) * len(correlations)
    return [
        larger(f"shared_bottom − {n} at {p:g}", loss("shared_bottom", p), loss(n, p), count) for p in correlations for n in MIXTURES
    ]


def _wider_spread(loss: Losses, correlations: Correlations) -> list[Finding]:
    count = len(MIXTURES) * len(correlations)
    return [
        spread(f"shared_bottom / {n} at {p:g}", loss("shared_bottom", p, 0), loss(n, p, 0), WIDE, count)
        for p in correlations
        for n in MIXTURES
    ]


def _similar_spread(loss: Losses, correlations: Correlations) -> list[Finding]:
    high = correlations[-1]
    return [spread(f"omoe / mmoe at {high:g}", loss("omoe", high, 0), loss("mmoe", high, 0), (1 / LARGER, LARGER))]


def _omoe_spread(loss: Losses, correlations: Correlations) -> list[Finding]:
    low, high = correlations[0], correlations[-1]
    return [spread(f"omoe: {low:g} / {high:g}", loss("omoe", low, 0), loss("omoe", high, 0), WIDE)]


def _comparable_minima(loss: Losses, correlations: Correlations) -> list[Finding]:
    return [_minima(loss, p, len(correlations)) for p in correlations]


STATEMENTS = (
    Statement(
        "shared-bottom-falls",
        "Shared-Bottom gets worse as correlation falls",
        "3.3, figure 3",
        "The less two tasks correlate, the higher is the loss of Shared-Bottom.",
        "Shared-Bottom of 16 units: the slope of loss on correlation, over {all} (the list is ours), is below 0; so is the loss "
        "at the highest minus that at the lowest.",
        _shared_bottom_falls,
    ),
    Statement(
        "trend-general",
        "So it does at other sizes and rates",
        "3.3",
        "Many other choices of hyper-parameters show the same trend.",
        "The same slope and ends for the Shared-Bottom of 113 units.",
        _shared_bottom_falls,
    ),
    Statement(
        "symmetric",
        "The two tasks are symmetric",
        "3.3",
        "Neither of the two tasks is special, so that the results of one are enough.",
        f"Mean loss of the first task over the second's, for each model at {{low}}: within {NEAR[0]:g} and {NEAR[1]:g}.",
        _symmetric,
    ),
    Statement(
        "higher-is-better",
        "Every model is better at higher correlation",
        "5.1",
        "Each of the three models reaches a lower loss where the tasks correlate more.",
        "For each model, the loss at each correlation minus that at the next higher one: above 0.",
        _higher_is_better,
    ),
    Statement(
        "smaller-gap",
        "MMoE loses much less to low correlation",
        "5.1",
        "Low correlation costs MMoE far less than it costs OMoE and Shared-Bottom.",
        f"Gap: loss at {{low}} minus that at {{high}}. {SMALLER:g} times the other model's gap minus MMoE's: above 0.",
        _smaller_gap,
    ),
    Statement(
        "identical-tasks",
        "MMoE and OMoE are alike on identical tasks",
        "5.1",
        "Where the two tasks are the same task, MMoE and OMoE reach nearly the same loss.",
        f"Mean loss of MMoE over that of OMoE at {{high}}: within {NEAR[0]:g} and {NEAR[1]:g}.",
        _identical_tasks,
    ),
    Statement(
        "gates-matter",
        "At low correlation OMoE degrades, MMoE hardly",
        "5.1",
        "As the correlation falls, the loss of OMoE rises clearly and that of MMoE barely moves.",
        f"Mean loss at {{low}} over that at {{high}}: OMoE's above {NEAR[1]:g}, MMoE's within {NEAR[0]:g} and {NEAR[1]:g}.",
        _gates_matter,
    ),
    Statement(
        "mixtures-win",
        "Both mixtures beat Shared-Bottom everywhere",
        "5.1",
        "At every correlation, the mean loss of Shared-Bottom is higher than those of OMoE and MMoE.",
        "Shared-Bottom's loss minus OMoE's and MMoE's at each correlation: above 0.",
        _mixtures_win,
    ),
    Statement(
        "wider-spread",
        "Shared-Bottom's runs spread most",
        "5.2, figure 5",
        "At every correlation, Shared-Bottom varies far more from run to run than OMoE and MMoE do.",
        f"Standard deviation of Shared-Bottom's final losses over OMoE's and MMoE's at each correlation: at least {LARGER:g}.",
        _wider_spread,
    ),
    Statement(
        "similar-at-one",
        "OMoE is as robust as MMoE on identical tasks",
        "5.2, figure 5",
        "Where the two tasks are the same task, OMoE varies from run to run about as little as MMoE.",
        f"Standard deviation of OMoE's final losses over MMoE's at {{high}}: within a factor of {LARGER:g}.",
        _similar_spread,
    ),
    Statement(
        "omoe-less-robust",
        "OMoE is less robust at low correlation",
        "5.2, figure 5",
        "At a correlation of 0.5, OMoE varies clearly more from run to run than it does on identical tasks.",
        f"Standard deviation of OMoE's final losses at {{low}} over that at {{high}}: at least {LARGER:g}.",
        _omoe_spread,
    ),
    Statement(
        "comparable-minima",
        "The best runs of all models are comparable",
        "5.2, figure 5",
        "The best runs of the three models end at about the same loss.",
        f"{LEAST:.0%} quantile of each model's final losses, the largest over the smallest, at each correlation: at most "
        f"{LARGER:g}.",
        _comparable_minima,
    ),
)
"""The claims that final losses test, in the order of the paper."""
