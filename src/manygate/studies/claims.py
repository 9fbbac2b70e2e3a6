"""This module tests a claim of a paper: it compares the final losses of runs, with intervals, and gives a verdict.

The test of a claim makes one or several comparisons of final losses. We chose their bounds, and ``test`` describes them. The claim
is reproduced if the 95 % interval of every comparison lies within its bounds. It is not reproduced if an interval lies outside,
after it is widened for the number of comparisons (Bonferroni). Otherwise the runs cannot tell. The verdict uses the rates that
validation chose. Settings with a common learning rate change it only to "depends on the learning rate", if such a setting has
finished training and contradicts it.

Runs are paired by their seed (see :mod:`manygate.studies.stream`), and intervals are bootstrap intervals over runs: percentiles of
a statistic over runs drawn with replacement (Efron & Tibshirani, "An Introduction to the Bootstrap", 1993). Means are over both
tasks; spreads and minima are of the first task, as the paper reports one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from manygate.results import study
from manygate.studies.sweep import Outcome

RESAMPLES = 5_000
FALLING = 0.05
"""A mean training loss has not converged if it fell by more than this share over the last sixth of the steps."""
FAR = 2.0
"""A learning rate is unfinished if its mean loss is more than this many times the mean loss at the chosen rate."""

Statistic = Callable[[list[np.ndarray]], np.ndarray]


class Losses:
    """The final losses of the models at one setting: a common learning rate, or the chosen rates (None)."""

    def __init__(self, outcomes: Mapping[str, Outcome], rate: float | None):
        self.outcomes, self.rate = outcomes, rate

    def __call__(self, name: str, correlation: float, task: int | None = None) -> np.ndarray:
        """Return every run's loss, in the order of the seeds: the mean over tasks, or that of ``task``; NaN for diverged runs."""
        outcome = self.outcomes[name]
        p = outcome.sweep.correlations.index(correlation)
        return outcome.losses(p, self._rate_index(outcome, p), task)

    def _rate_index(self, outcome: Outcome, p: int) -> int:
        return outcome.chosen_rate(p) if self.rate is None else outcome.sweep.rates.index(self.rate)

    def learned(self) -> bool:
        """Return whether all models have converged at all correlations, with losses near those at the chosen rates."""
        return all(
            at_rest(outcome.curve_EPLR[:, p, self._rate_index(outcome, p)]) and self._near(outcome, p)
            for outcome in self.outcomes.values()
            for p in range(len(outcome.sweep.correlations))
        )

    def _near(self, outcome: Outcome, p: int) -> bool:
        loss_R, chosen_R = (outcome.losses(p, rate) for rate in (self._rate_index(outcome, p), outcome.chosen_rate(p)))
        return bool(np.isfinite(loss_R).any() and np.nanmean(loss_R) <= FAR * np.nanmean(chosen_R))


class Finding(NamedTuple):
    """A comparison: its value and 95 % interval, its bounds, and whether it lies within them (None: cannot tell)."""

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
        """True if every finding holds, False if a finding does not hold, None if some findings are undecided."""
        if any(finding.holds is False for finding in self.findings):
            return False
        return None if any(finding.holds is None for finding in self.findings) else True


@dataclass(frozen=True)
class Claim:
    """A claim of a paper, in our words, with the evidence; the first evidence gives the verdict."""

    key: str
    title: str
    section: str
    words: str
    test: str
    evidence: tuple[Evidence, ...]

    @property
    def verdict(self) -> str:
        """The verdict: reproduced, not reproduced, cannot tell, or depends on the learning rate."""
        first, rest = self.evidence[0], self.evidence[1:]
        if first.holds is not None and any(other.learned and other.holds is (not first.holds) for other in rest):
            return "depends on the learning rate"
        return {True: "reproduced", False: "not reproduced", None: "cannot tell"}[first.holds]

    @property
    def where(self) -> str:
        """The settings in which the claim holds, in which it does not hold, and in which it is undecided."""
        parts = []
        for holds, word in ((True, "holds"), (False, "does not hold"), (None, "undecided")):
            names = [evidence.setting for evidence in self.evidence if evidence.holds is holds]
            if names:
                parts.append(f"{word} at {' and '.join(names)}")
        return "; ".join(parts)


def compared(
    text: str, statistic: Statistic, samples: Sequence[np.ndarray], bounds: tuple[float, float], comparisons: int = 1
) -> Finding:
    """Compare a statistic of paired samples with bounds.

    ``statistic`` takes arrays (draws, runs) and gives a number for each draw. ``comparisons`` is the number of comparisons of the
    claim.
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
    """Test whether the mean of the first sample is larger: the difference is above zero."""
    return compared(text, lambda s: s[0].mean(axis=1) - s[1].mean(axis=1), [first_R, second_R], (0.0, math.inf), comparisons)


def ratio(text: str, first_R: np.ndarray, second_R: np.ndarray, bounds: tuple[float, float], comparisons: int = 1) -> Finding:
    """Test whether the ratio of means lies within bounds."""
    return compared(text, lambda s: s[0].mean(axis=1) / s[1].mean(axis=1), [first_R, second_R], bounds, comparisons)


def spread(text: str, first_R: np.ndarray, second_R: np.ndarray, bounds: tuple[float, float], comparisons: int = 1) -> Finding:
    """Test whether the ratio of standard deviations lies within bounds."""
    return compared(text, lambda s: s[0].std(axis=1, ddof=1) / s[1].std(axis=1, ddof=1), [first_R, second_R], bounds, comparisons)


def settings(outcomes: Mapping[str, Outcome]) -> list[tuple[str, Losses]]:
    """List the settings: the chosen rates first, then each common rate, unless it is the chosen rate everywhere."""
    rates = outcomes["mmoe"].sweep.rates
    chosen = {
        outcome.sweep.rates[outcome.chosen_rate(p)] for outcome in outcomes.values() for p in range(len(outcome.sweep.correlations))
    }
    losses = Losses(outcomes, None)
    rates_named = named(", ".join(f"{rate:g}" for rate in sorted(chosen)), losses.learned())
    named_losses = [(f"the chosen rates, {rates_named}", losses)]
    for rate in reversed(rates):
        if chosen != {rate}:
            losses = Losses(outcomes, rate)
            named_losses.append((named(f"{rate:g}", losses.learned()), losses))
    return named_losses


def named(setting: str, learned: bool) -> str:
    """Return the name of a setting on the page; a setting whose losses have not converged is marked."""
    return setting if learned else f"{setting} (unfinished)"


def at_rest(curve_ER: np.ndarray) -> bool:
    """Return whether the mean training loss of the runs has converged: it hardly fell over the last sixth of the epochs."""
    curve_E, sixth = np.nanmean(curve_ER, axis=-1), -(-len(curve_ER) // 6)
    return bool(len(curve_E) > sixth and curve_E[-1] >= (1 - FALLING) * curve_E[-1 - sixth])


def claim_record(claim: Claim) -> study.Claim:
    """Convert a claim to a record of ``results.json``."""
    evidence = [
        study.Evidence(
            setting=setting.setting,
            learned=setting.learned,
            holds=setting.holds,
            findings=[
                study.Finding(
                    text=finding.text,
                    value=_plain(finding.value),
                    ci95=(_plain(finding.low), _plain(finding.high)),
                    bounds=(_plain(finding.bounds[0]), _plain(finding.bounds[1])),
                    holds=finding.holds,
                )
                for finding in setting.findings
            ],
        )
        for setting in claim.evidence
    ]
    return study.Claim(
        key=claim.key,
        title=claim.title,
        section=claim.section,
        claim=claim.words,
        test=claim.test,
        verdict=claim.verdict,
        where=claim.where,
        evidence=evidence,
    )


def _plain(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None
