"""What section 3 and 5 of the MMoE paper claim, and whether runs bear it out.

Each claim is tested at several settings: at each learning rate of the grid, and at the one chosen on validation for each model and
correlation, as the paper does. Runs are paired by their seed (see :mod:`manygate.studies.stream`). Means are compared by the paired
difference and its 95 % interval (Student's t), spreads by the ratio of standard deviations and its 95 % bootstrap interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from manygate.metrics import interval
from manygate.studies.sweep import Outcome

CHOSEN = "chosen rates"
RESAMPLES = 2_000
ALIKE = 0.1
"""Means that differ by less than this share count as "almost no difference"."""
LITTLE = 0.5
"""MMoE's loss from lower correlation may be this share of another model's to count as "much smaller"."""
COMPARABLE = 1.5
"""Least losses within this factor of each other count as comparable; standard deviations within its square as similar."""

Outcomes = Mapping[str, Outcome]


class Losses:
    """The final losses of the three models at one setting: a learning rate, or the chosen ones."""

    def __init__(self, outcomes: Outcomes, rate: float | None):
        self.outcomes, self.rate = outcomes, rate

    def __call__(self, name: str, correlation: float) -> np.ndarray:
        """The runs' losses, in the order of their seeds; NaN for those that diverged."""
        outcome = self.outcomes[name]
        p = outcome.sweep.correlations.index(correlation)
        place = outcome.chosen_rate(p) if self.rate is None else outcome.sweep.rates.index(self.rate)
        loss_R = outcome.test_PLR[p, place]
        return np.where(outcome.diverged_PLR[p, place], np.nan, loss_R)


class Finding(NamedTuple):
    """One comparison: what was compared, the estimate with its interval, and whether it bears the claim out (None: cannot tell)."""

    text: str
    estimate: float
    low: float
    high: float
    holds: bool | None


@dataclass(frozen=True)
class Evidence:
    """A claim at one setting."""

    setting: str
    findings: tuple[Finding, ...]

    @property
    def holds(self) -> bool | None:
        """True when every finding does, False when one speaks against it, None when some cannot tell."""
        if any(finding.holds is False for finding in self.findings):
            return False
        return None if any(finding.holds is None for finding in self.findings) else True


@dataclass(frozen=True)
class Claim:
    """A claim of the paper, in its words, with what was found."""

    key: str
    title: str
    section: str
    words: str
    test: str
    evidence: tuple[Evidence, ...]

    @property
    def verdict(self) -> str:
        """Reproduced, perhaps "but depends on the learning rate"; "depends on ..."; cannot tell; not reproduced."""
        first, rest = self.evidence[0], self.evidence[1:]
        if first.holds:
            all_hold = all(one.holds for one in rest)
            return "reproduced" if all_hold else "reproduced, but depends on the learning rate"
        if any(one.holds for one in rest):
            return "depends on the learning rate"
        return "cannot tell" if first.holds is None else "not reproduced"

    @property
    def where(self) -> str:
        """The settings in which it holds and in which not, in words."""
        parts = []
        for holds, word in ((True, "holds at"), (False, "does not hold at"), (None, "undecided at")):
            names = [one.setting for one in self.evidence if one.holds is holds]
            if names:
                parts.append(f"{word} {', '.join(names)}")
        return "; ".join(parts)


def difference(text: str, worse_R: np.ndarray, better_R: np.ndarray) -> Finding:
    """The first is larger: mean paired difference above zero."""
    both = np.isfinite(worse_R) & np.isfinite(better_R)
    mean, low, high = _mean_interval(worse_R[both] - better_R[both])
    return Finding(text, mean, low, high, True if low > 0 else False if high < 0 else None)


def _mean_interval(value_R: np.ndarray) -> tuple[float, float, float]:
    found = interval(value_R.tolist())
    if found["ci95"] is None:
        return math.nan, math.nan, math.nan
    return found["mean"], found["ci95"][0], found["ci95"][1]


def resampled(statistic: Callable[[list[np.ndarray]], np.ndarray], samples: Sequence[np.ndarray]) -> tuple[float, float, float]:
    """A statistic of paired samples with its 95 % percentile bootstrap interval; runs are drawn together.

    ``statistic`` takes arrays (draws, runs) and gives one number a draw. Efron & Tibshirani, "An Introduction to the Bootstrap",
    1993.
    """
    together = np.stack(samples)
    together = together[:, np.isfinite(together).all(axis=0)]
    if together.shape[1] < 3:
        return math.nan, math.nan, math.nan
    random = np.random.Generator(np.random.PCG64(0))
    index = random.integers(together.shape[1], size=(RESAMPLES, together.shape[1]))
    with np.errstate(divide="ignore", invalid="ignore"):  # a draw may hold one run alone
        estimate = float(statistic([sample[None] for sample in together])[0])
        draws = statistic([sample[index] for sample in together])
    low, high = np.quantile(draws[np.isfinite(draws)], [0.025, 0.975]) if np.isfinite(draws).any() else (math.nan, math.nan)
    return estimate, float(low), float(high)


def spread_ratio(text: str, wider_R: np.ndarray, narrower_R: np.ndarray) -> Finding:
    """The first spreads more: ratio of standard deviations above one."""
    estimate, low, high = resampled(lambda s: s[0].std(axis=1, ddof=1) / s[1].std(axis=1, ddof=1), [wider_R, narrower_R])
    return Finding(text, estimate, low, high, True if low > 1 else False if high < 1 else None)


def within(text: str, found: tuple[float, float, float], low: float, high: float) -> Finding:
    """The estimate lies in a range, with its whole interval; False when the interval lies outside."""
    estimate, lower, upper = found
    inside = low <= lower and upper <= high
    outside = upper < low or lower > high
    return Finding(text, estimate, lower, upper, True if inside else False if outside else None)


def claims(outcomes: Outcomes, figure_3: Outcome) -> list[Claim]:
    """Every claim of sections 3.3, 5.1 and 5.2, with its evidence."""
    rates = outcomes["mmoe"].sweep.rates
    settings = [(CHOSEN, Losses(outcomes, None))] + [(f"{rate:g}", Losses(outcomes, rate)) for rate in reversed(rates)]
    correlations = outcomes["mmoe"].sweep.correlations

    def claim(key: str, title: str, section: str, words: str, test: str, find: Callable[[Losses], list[Finding]]) -> Claim:
        return Claim(key, title, section, words, test, tuple(Evidence(name, tuple(find(losses))) for name, losses in settings))

    low, one = min(correlations), max(correlations)
    return [
        Claim(
            "shared-bottom-falls",
            "Shared-Bottom gets worse as correlation falls",
            "3.3, figure 3",
            "As expected, the performance of the model trends down as the task correlation decreases.",
            "Shared-Bottom of 16 units at the learning rate 0.001: the loss at each correlation minus that at the next higher one, "
            "and at the lowest minus that at the highest, paired.",
            (Evidence("0.001", tuple(_figure_3(figure_3))),),
        ),
        claim(
            "higher-is-better",
            "Every model is better at higher correlation",
            "5.1",
            "For all models, the performance on the data with higher correlation is better than that on the data with lower "
            "correlation.",
            f"For each model, the loss at {low:g} minus that at {one:g}, paired.",
            lambda loss: [difference(f"{name}: {low:g} − {one:g}", loss(name, low), loss(name, one)) for name in NAMES],
        ),
        claim(
            "smaller-gap",
            "MMoE loses much less to low correlation",
            "5.1",
            "The gap between performances on data with different correlations of the MMoE model is much smaller than that of the "
            "OMoE model and the Shared-Bottom model.",
            f"Gap: mean loss at {low:g} minus that at {one:g}. MMoE's gap over the other's is at most {LITTLE:g}, with its whole "
            "bootstrap interval.",
            lambda loss: [_gap(loss, name, low, one) for name in ("omoe", "shared_bottom")],
        ),
        claim(
            "identical-tasks",
            "MMoE and OMoE are alike on identical tasks",
            "5.1",
            "In the extreme case where the two tasks are identical, there is almost no difference in performance between the MMoE "
            "model and the OMoE model.",
            f"Mean loss of MMoE over that of OMoE at {one:g}: its interval lies within {1 - ALIKE:g} and {1 + ALIKE:g}.",
            lambda loss: [
                within(
                    f"mmoe / omoe at {one:g}",
                    resampled(lambda s: s[0].mean(axis=1) / s[1].mean(axis=1), [loss("mmoe", one), loss("omoe", one)]),
                    1 - ALIKE,
                    1 + ALIKE,
                )
            ],
        ),
        claim(
            "gates-matter",
            "At low correlation OMoE degrades, MMoE hardly",
            "5.1",
            "When the correlation between tasks decreases, there is an obvious degeneration of performance for the OMoE model "
            "while there is little influence on the MMoE model.",
            f"OMoE's loss at {low:g} minus that at {one:g}, and OMoE's minus MMoE's at {low:g}, paired.",
            lambda loss: [
                difference(f"omoe: {low:g} − {one:g}", loss("omoe", low), loss("omoe", one)),
                difference(f"omoe − mmoe at {low:g}", loss("omoe", low), loss("mmoe", low)),
            ],
        ),
        claim(
            "mixtures-win",
            "Both mixtures beat Shared-Bottom everywhere",
            "5.1",
            "Both MoE models are better than the Shared-Bottom model in all scenarios in terms of average performance.",
            "Shared-Bottom's loss minus OMoE's and MMoE's at each correlation, paired.",
            lambda loss: [
                difference(f"shared_bottom − {name} at {p:g}", loss("shared_bottom", p), loss(name, p))
                for p in correlations
                for name in ("omoe", "mmoe")
            ],
        ),
        claim(
            "wider-spread",
            "Shared-Bottom's runs spread most",
            "5.2, figure 5",
            "In all task correlation settings, the performance variances of Shared-Bottom model are much larger than those of the "
            "MoE based model.",
            "Standard deviation of Shared-Bottom's final losses over OMoE's and MMoE's at each correlation.",
            lambda loss: [
                spread_ratio(f"shared_bottom / {name} at {p:g}", loss("shared_bottom", p), loss(name, p))
                for p in correlations
                for name in ("omoe", "mmoe")
            ],
        ),
        claim(
            "similar-at-one",
            "OMoE is as robust as MMoE on identical tasks",
            "5.2, figure 5",
            "The performance variance of OMoE models is similarly robust as that of MMoE models when task correlation is 1.",
            f"Standard deviation of OMoE's final losses over MMoE's at {one:g}: its interval lies within a factor of "
            f"{COMPARABLE**2:g}.",
            lambda loss: [
                within(
                    f"omoe / mmoe at {one:g}",
                    spread_ratio("", loss("omoe", one), loss("mmoe", one))[1:4],
                    1 / COMPARABLE**2,
                    COMPARABLE**2,
                )
            ],
        ),
        claim(
            "omoe-less-robust",
            "OMoE is less robust at low correlation",
            "5.2, figure 5",
            "The robustness of the OMoE has an obvious drop when the task correlation decreases to 0.5.",
            f"Standard deviation of OMoE's final losses at {low:g} over that at {one:g}, and over MMoE's at {low:g}.",
            lambda loss: [
                spread_ratio(f"omoe: {low:g} / {one:g}", loss("omoe", low), loss("omoe", one)),
                spread_ratio(f"omoe / mmoe at {low:g}", loss("omoe", low), loss("mmoe", low)),
            ],
        ),
        claim(
            "comparable-minima",
            "The best runs of all models are comparable",
            "5.2, figure 5",
            "The lowest losses of all the three models are comparable.",
            f"At each correlation the largest of the three models' least losses is at most {COMPARABLE:g} times the smallest.",
            lambda loss: [_minima(loss, p) for p in correlations],
        ),
    ]


NAMES = ("shared_bottom", "omoe", "mmoe")


def _figure_3(outcome: Outcome) -> list[Finding]:
    """Neighbouring correlations must not be in the wrong order; the ends must be in the right one."""
    correlations, loss_PR = outcome.sweep.correlations, outcome.test_PLR[:, 0]
    ends = difference(f"{correlations[0]:g} − {correlations[-1]:g}", loss_PR[0], loss_PR[-1])
    steps = []
    for p in range(len(correlations) - 1):
        found = difference(f"{correlations[p]:g} − {correlations[p + 1]:g}", loss_PR[p], loss_PR[p + 1])
        steps.append(found._replace(holds=found.holds is not False))
    return [ends, *steps]


def _gap(loss: Losses, name: str, low: float, one: float) -> Finding:
    """MMoE's gap as a share of another model's, where the other has one."""
    samples = [loss("mmoe", low), loss("mmoe", one), loss(name, low), loss(name, one)]
    other = difference("", samples[2], samples[3])
    found = resampled(lambda s: (s[0] - s[1]).mean(axis=1) / (s[2] - s[3]).mean(axis=1), samples)
    if not other.holds:  # without a gap of the other's to be a share of
        return Finding(f"mmoe's gap / {name}'s", *found, other.holds)
    return within(f"mmoe's gap / {name}'s", found, -math.inf, LITTLE)


def _minima(loss: Losses, p: float) -> Finding:
    least = [float(np.nanmin(loss(name, p))) for name in NAMES]
    ratio = max(least) / min(least)
    return Finding(f"largest / smallest least loss at {p:g}", ratio, ratio, ratio, ratio <= COMPARABLE)


def as_json(claim: Claim) -> dict[str, Any]:
    """A claim for ``results.json``."""
    evidence = [
        {
            "setting": one.setting,
            "holds": one.holds,
            "findings": [
                {
                    "text": finding.text,
                    "estimate": _plain(finding.estimate),
                    "ci95": [_plain(finding.low), _plain(finding.high)],
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
