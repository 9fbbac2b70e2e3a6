"""What sections 3 and 5 of the MMoE paper claim, and whether runs bear it out.

A claim is tested by one or several comparisons of final losses, with bounds of our choice that its ``test`` names. It is reproduced
where the 95 % interval of every comparison lies within its bounds; not reproduced where one lies outside, its interval widened for
the number of comparisons (Bonferroni); else the runs cannot tell. The verdict is that of the learning rates chosen on validation. A
common learning rate decides nothing, but the verdict says so where one that has been learned to the end decides the other way.

Runs are paired by their seed (see :mod:`manygate.studies.stream`), and intervals are bootstrap intervals over runs: percentiles of
a statistic over runs drawn with replacement (Efron & Tibshirani, "An Introduction to the Bootstrap", 1993). Means are over both
tasks; spreads and minima are of the first task, as the paper reports one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from manygate.studies.sweep import Outcome

RESAMPLES = 5_000
ALIKE = 0.1
"""Means within this share of each other are "almost no difference" and "little influence"; more is "obvious"."""
SMALLER = 0.5
"""A gap of at most this share of another is "much smaller"."""
LARGER = 1.5
"""A standard deviation of at least so many times another is "much larger"; within this factor they are "similar"."""
LEAST = 0.05
"""The quantile that stands for the lowest losses: the least of n runs alone would fall with n."""
FALLING = 0.05
"""A mean training loss that fell by more than this share over the last sixth of the steps has not come to rest."""
FAR = 2.0
"""A learning rate whose mean loss is more than so many times that of the chosen one is not learned to the end, or never will be."""
NAMES = ("shared_bottom", "omoe", "mmoe")

Statistic = Callable[[list[np.ndarray]], np.ndarray]


class Losses:
    """The final losses of the three models at one setting: a common learning rate, or the chosen ones (None)."""

    def __init__(self, outcomes: Mapping[str, Outcome], rate: float | None):
        self.outcomes, self.rate = outcomes, rate

    def __call__(self, name: str, correlation: float, task: int | None = None) -> np.ndarray:
        """Every run's loss, the mean of its tasks or of one, in the order of the seeds; NaN for runs that diverged."""
        outcome = self.outcomes[name]
        p = outcome.sweep.correlations.index(correlation)
        return outcome.losses(p, self._place(outcome, p), task)

    def _place(self, outcome: Outcome, p: int) -> int:
        return outcome.chosen_rate(p) if self.rate is None else outcome.sweep.rates.index(self.rate)

    def learned(self) -> bool:
        """Whether all three models, at all correlations, have come to rest, and near what they reach at the chosen rates."""
        return all(
            at_rest(outcome.curve_EPLR[:, p, self._place(outcome, p)]) and self._near(outcome, p)
            for outcome in self.outcomes.values()
            for p in range(len(outcome.sweep.correlations))
        )

    def _near(self, outcome: Outcome, p: int) -> bool:
        own, best = (outcome.losses(p, place) for place in (self._place(outcome, p), outcome.chosen_rate(p)))
        return bool(np.isfinite(own).any() and np.nanmean(own) <= FAR * np.nanmean(best))


class Finding(NamedTuple):
    """One comparison: its value and 95 % interval, the bounds that it must keep, and whether it does (None: cannot tell)."""

    text: str
    value: float
    low: float
    high: float
    bounds: tuple[float, float]
    holds: bool | None


@dataclass(frozen=True)
class Evidence:
    """A claim at one setting."""

    setting: str
    findings: tuple[Finding, ...]
    learned: bool = True

    @property
    def holds(self) -> bool | None:
        """True when every finding does, False when one speaks against it, None when some cannot tell."""
        if any(finding.holds is False for finding in self.findings):
            return False
        return None if any(finding.holds is None for finding in self.findings) else True


@dataclass(frozen=True)
class Claim:
    """A claim of the paper, in its words, with what was found; the first evidence is that of the verdict."""

    key: str
    title: str
    section: str
    words: str
    test: str
    evidence: tuple[Evidence, ...]

    @property
    def verdict(self) -> str:
        """Reproduced, not reproduced, cannot tell, or depends on the learning rate."""
        first, rest = self.evidence[0], self.evidence[1:]
        if first.holds is not None and any(one.learned and one.holds is (not first.holds) for one in rest):
            return "depends on the learning rate"
        return {True: "reproduced", False: "not reproduced", None: "cannot tell"}[first.holds]

    @property
    def where(self) -> str:
        """The settings in which it holds, in which not, and in which the runs cannot tell."""
        parts = []
        for holds, word in ((True, "holds"), (False, "does not hold"), (None, "undecided")):
            names = [one.setting for one in self.evidence if one.holds is holds]
            if names:
                parts.append(f"{word} at {' and '.join(names)}")
        return "; ".join(parts)


def compared(
    text: str, statistic: Statistic, samples: Sequence[np.ndarray], bounds: tuple[float, float], comparisons: int = 1
) -> Finding:
    """A statistic of paired samples held against bounds.

    ``statistic`` takes arrays (draws, runs) and gives one number a draw; ``comparisons`` is how many the claim makes.
    """
    together = np.stack(samples)
    together = together[:, np.isfinite(together).all(axis=0)]
    if together.shape[1] < 3:
        return Finding(text, math.nan, math.nan, math.nan, bounds, None)
    random = np.random.Generator(np.random.PCG64(0))
    index = random.integers(together.shape[1], size=(RESAMPLES, together.shape[1]))
    with np.errstate(divide="ignore", invalid="ignore"):  # a draw may hold one run alone
        value = float(statistic([sample[None] for sample in together])[0])
        draws = statistic([sample[index] for sample in together])
    draws = draws[np.isfinite(draws)]
    tail = 0.025 / comparisons
    if not draws.size:
        return Finding(text, value, math.nan, math.nan, bounds, None)
    low, high, lowest, highest = (float(q) for q in np.quantile(draws, [0.025, 0.975, tail, 1 - tail]))
    holds = True if bounds[0] <= low and high <= bounds[1] else False if highest < bounds[0] or lowest > bounds[1] else None
    return Finding(text, value, low, high, bounds, holds)


def larger(text: str, first_R: np.ndarray, second_R: np.ndarray, comparisons: int = 1) -> Finding:
    """The mean of the first is larger: difference above zero."""
    return compared(text, lambda s: s[0].mean(axis=1) - s[1].mean(axis=1), [first_R, second_R], (0.0, math.inf), comparisons)


def ratio(text: str, first_R: np.ndarray, second_R: np.ndarray, bounds: tuple[float, float], comparisons: int = 1) -> Finding:
    """The ratio of means lies within bounds."""
    return compared(text, lambda s: s[0].mean(axis=1) / s[1].mean(axis=1), [first_R, second_R], bounds, comparisons)


def spread(text: str, first_R: np.ndarray, second_R: np.ndarray, bounds: tuple[float, float], comparisons: int = 1) -> Finding:
    """The ratio of standard deviations lies within bounds."""
    return compared(text, lambda s: s[0].std(axis=1, ddof=1) / s[1].std(axis=1, ddof=1), [first_R, second_R], bounds, comparisons)


def claims(outcomes: Mapping[str, Outcome], figure_3: Outcome) -> list[Claim]:
    """The claims of sections 3.3, 5.1 and 5.2 that numbers can speak to, with their evidence."""
    correlations = sorted(outcomes["mmoe"].sweep.correlations)
    low, one = correlations[0], correlations[-1]
    alike, large = (1 - ALIKE, 1 + ALIKE), (LARGER, math.inf)
    steps = list(zip(correlations[:-1], correlations[1:], strict=True))
    settings, rested = _settings(outcomes), all(at_rest(curve_ER) for curve_ER in figure_3.curve_EPLR[:, :, 0].swapaxes(0, 1))

    def claim(key: str, title: str, section: str, words: str, test: str, find: Callable[[Losses], list[Finding]]) -> Claim:
        evidence = tuple(Evidence(name, tuple(find(losses)), losses.learned()) for name, losses in settings)
        return Claim(key, title, section, words, test, evidence)

    return [
        Claim(
            "shared-bottom-falls",
            "Shared-Bottom gets worse as correlation falls",
            "3.3, figure 3",
            "As expected, the performance of the model trends down as the task correlation decreases.",
            "Shared-Bottom of 16 units at the learning rate 0.001: the slope of loss on correlation, over "
            f"{', '.join(f'{p:g}' for p in figure_3.sweep.correlations)} (the list is ours), is below 0; so is the loss at the "
            "highest minus that at the lowest.",
            (Evidence(_named("0.001", rested), tuple(_trend(figure_3.sweep.correlations, figure_3.final_losses())), rested),),
        ),
        claim(
            "trend-general",
            "So it does at other sizes and rates",
            "3.3",
            "This trend is general for many different hyper-parameter settings.",
            "The same slope and ends for the Shared-Bottom of 113 units.",
            lambda loss: _trend(correlations, np.stack([loss("shared_bottom", p) for p in correlations])),
        ),
        claim(
            "symmetric",
            "The two tasks are symmetric",
            "3.3",
            "Note that the two regression tasks are symmetric so it's sufficient to report the results on one task.",
            f"Mean loss of the first task over the second's, for each model at {low:g}: within {alike[0]:g} and {alike[1]:g}.",
            lambda loss: [ratio(f"{n}: task 1 / task 2 at {low:g}", loss(n, low, 0), loss(n, low, 1), alike, 3) for n in NAMES],
        ),
        claim(
            "higher-is-better",
            "Every model is better at higher correlation",
            "5.1",
            "For all models, the performance on the data with higher correlation is better than that on the data with lower "
            "correlation.",
            "For each model, the loss at each correlation minus that at the next higher one: above 0.",
            lambda loss: [
                larger(f"{n}: {a:g} − {b:g}", loss(n, a), loss(n, b), len(NAMES) * len(steps)) for n in NAMES for a, b in steps
            ],
        ),
        claim(
            "smaller-gap",
            "MMoE loses much less to low correlation",
            "5.1",
            "The gap between performances on data with different correlations of the MMoE model is much smaller than that of the "
            "OMoE model and the Shared-Bottom model.",
            f"Gap: loss at {low:g} minus that at {one:g}. {SMALLER:g} times the other model's gap minus MMoE's: above 0.",
            lambda loss: [_gaps(loss, name, low, one) for name in ("omoe", "shared_bottom")],
        ),
        claim(
            "identical-tasks",
            "MMoE and OMoE are alike on identical tasks",
            "5.1",
            "In the extreme case where the two tasks are identical, there is almost no difference in performance between the MMoE "
            "model and the OMoE model.",
            f"Mean loss of MMoE over that of OMoE at {one:g}: within {alike[0]:g} and {alike[1]:g}.",
            lambda loss: [ratio(f"mmoe / omoe at {one:g}", loss("mmoe", one), loss("omoe", one), alike)],
        ),
        claim(
            "gates-matter",
            "At low correlation OMoE degrades, MMoE hardly",
            "5.1",
            "When the correlation between tasks decreases, however, there is an obvious degeneration of performance for the OMoE "
            "model while there is little influence on the MMoE model.",
            f"Mean loss at {low:g} over that at {one:g}: OMoE's above {alike[1]:g}, MMoE's within {alike[0]:g} and {alike[1]:g}.",
            lambda loss: [
                ratio(f"omoe: {low:g} / {one:g}", loss("omoe", low), loss("omoe", one), (alike[1], math.inf), 2),
                ratio(f"mmoe: {low:g} / {one:g}", loss("mmoe", low), loss("mmoe", one), alike, 2),
            ],
        ),
        claim(
            "mixtures-win",
            "Both mixtures beat Shared-Bottom everywhere",
            "5.1",
            "Both MoE models are better than the Shared-Bottom model in all scenarios in terms of average performance.",
            "Shared-Bottom's loss minus OMoE's and MMoE's at each correlation: above 0.",
            lambda loss: [
                larger(f"shared_bottom − {n} at {p:g}", loss("shared_bottom", p), loss(n, p), 2 * len(correlations))
                for p in correlations
                for n in ("omoe", "mmoe")
            ],
        ),
        claim(
            "wider-spread",
            "Shared-Bottom's runs spread most",
            "5.2, figure 5",
            "In all task correlation settings, the performance variances of Shared-Bottom model are much larger than those of the "
            "MoE based model.",
            f"Standard deviation of Shared-Bottom's final losses over OMoE's and MMoE's at each correlation: at least {LARGER:g}.",
            lambda loss: [
                spread(f"shared_bottom / {n} at {p:g}", loss("shared_bottom", p, 0), loss(n, p, 0), large, 2 * len(correlations))
                for p in correlations
                for n in ("omoe", "mmoe")
            ],
        ),
        claim(
            "similar-at-one",
            "OMoE is as robust as MMoE on identical tasks",
            "5.2, figure 5",
            "The performance variance of OMoE models is similarly robust as that of MMoE models when task correlation is 1.",
            f"Standard deviation of OMoE's final losses over MMoE's at {one:g}: within a factor of {LARGER:g}.",
            lambda loss: [spread(f"omoe / mmoe at {one:g}", loss("omoe", one, 0), loss("mmoe", one, 0), (1 / LARGER, LARGER))],
        ),
        claim(
            "omoe-less-robust",
            "OMoE is less robust at low correlation",
            "5.2, figure 5",
            "The robustness of the OMoE has an obvious drop when the task correlation decreases to 0.5.",
            f"Standard deviation of OMoE's final losses at {low:g} over that at {one:g}: at least {LARGER:g}.",
            lambda loss: [spread(f"omoe: {low:g} / {one:g}", loss("omoe", low, 0), loss("omoe", one, 0), large)],
        ),
        claim(
            "comparable-minima",
            "The best runs of all models are comparable",
            "5.2, figure 5",
            "The lowest losses of all the three models are comparable.",
            f"{LEAST:.0%} quantile of each model's final losses, the largest over the smallest, at each correlation: at most "
            f"{LARGER:g}.",
            lambda loss: [_minima(loss, p, len(correlations)) for p in correlations],
        ),
    ]


def _settings(outcomes: Mapping[str, Outcome]) -> list[tuple[str, Losses]]:
    """The chosen rates first, then each common rate that is not the same thing."""
    rates = outcomes["mmoe"].sweep.rates
    chosen = {one.sweep.rates[one.chosen_rate(p)] for one in outcomes.values() for p in range(len(one.sweep.correlations))}
    losses = Losses(outcomes, None)
    named = _named(", ".join(f"{rate:g}" for rate in sorted(chosen)), losses.learned())
    settings = [(f"the chosen rates, {named}", losses)]
    for rate in reversed(rates):
        if chosen != {rate}:
            losses = Losses(outcomes, rate)
            settings.append((_named(f"{rate:g}", losses.learned()), losses))
    return settings


def _named(setting: str, learned: bool) -> str:
    return setting if learned else f"{setting} (unfinished)"


def at_rest(curve_ER: np.ndarray) -> bool:
    """Whether the mean training loss of some runs hardly fell over the last sixth of the epochs."""
    curve_E, sixth = np.nanmean(curve_ER, axis=-1), -(-len(curve_ER) // 6)
    return bool(len(curve_E) > sixth and curve_E[-1] >= (1 - FALLING) * curve_E[-1 - sixth])


def _trend(correlations: Sequence[float], loss_PR: np.ndarray) -> list[Finding]:
    """Slope of loss on correlation, and the ends."""
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


def _gaps(loss: Losses, name: str, low: float, one: float) -> Finding:
    samples = [loss(name, low), loss(name, one), loss("mmoe", low), loss("mmoe", one)]

    def margin(s: list[np.ndarray]) -> np.ndarray:
        return np.asarray((SMALLER * (s[0] - s[1]) - (s[2] - s[3])).mean(axis=1))

    return compared(f"{SMALLER:g} × {name}'s gap − mmoe's", margin, samples, (0.0, math.inf), 2)


def _minima(loss: Losses, p: float, comparisons: int) -> Finding:
    def extremes(samples: list[np.ndarray]) -> np.ndarray:
        least = np.stack([np.quantile(sample, LEAST, axis=1) for sample in samples])
        return np.asarray(least.max(axis=0) / least.min(axis=0))

    samples = [loss(name, p, 0) for name in NAMES]
    return compared(f"largest / smallest at {p:g}", extremes, samples, (1.0, LARGER), comparisons)


def as_json(claim: Claim) -> dict[str, Any]:
    """A claim for ``results.json``."""
    evidence = [
        {
            "setting": one.setting,
            "learned": one.learned,
            "holds": one.holds,
            "findings": [
                {
                    "text": finding.text,
                    "value": _plain(finding.value),
                    "ci95": [_plain(finding.low), _plain(finding.high)],
                    "bounds": [_plain(bound) for bound in finding.bounds],
                    "holds": finding.holds,
                }
                for finding in one.findings
            ],
        }
        for one in claim.evidence
    ]
    return {
        "key": claim.key,
        "title": claim.title,
        "section": claim.section,
        "claim": claim.words,
        "test": claim.test,
        "verdict": claim.verdict,
        "where": claim.where,
        "evidence": evidence,
    }


def _plain(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None
