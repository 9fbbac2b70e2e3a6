"""This module tests a claim of a paper: it compares the final losses of runs, with intervals, and gives a verdict.

The test of a claim makes one or several comparisons of final losses. We chose their bounds, and ``test`` describes them. The claim
is reproduced if the 95 % interval of every comparison lies within its bounds. It is not reproduced if an interval lies outside,
after it is widened for the number of comparisons (Bonferroni). Otherwise the runs cannot tell. The verdict uses the long runs at
the rates that pilots chose on validation rows. Pilots with a common learning rate change it only to "depends on the learning rate",
if they have finished training at this rate and contradict the verdict.

Runs are paired by their seed (see :mod:`manygate.studies.stream`), and intervals are bootstrap intervals over runs: percentiles of
a statistic over runs drawn with replacement (Efron & Tibshirani, "An Introduction to the Bootstrap", 1993). Means are over both
tasks; spreads and minima are of the first task, as the MMoE paper reports one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from manygate.results import study
from manygate.studies.sweep import Runs, Trained

RESAMPLES = 5_000
FAR = 2.0
"""A learning rate is unfinished if its mean loss is more than this many times the mean loss at the chosen rate."""
PAPER_RATES = (1e-2, 1e-3, 1e-4)
"""The common learning rates whose pilots are evidence: the grid of the MMoE paper."""

Statistic = Callable[[list[np.ndarray]], np.ndarray]


class Losses:
    """The final losses of models in one setting: long runs at the chosen rates (None), or pilots at a common learning rate."""

    def __init__(self, models: Mapping[str, Trained], rate: float | None = None):
        self.models, self.rate = models, rate

    def __call__(self, name: str, correlation: float, task: int | None = None) -> np.ndarray:
        """Return every run's loss, in the order of the seeds: the mean over tasks, or that of ``task``; NaN for diverged runs."""
        return self._runs(self.models[name], correlation).losses(task)

    def _runs(self, model: Trained, p: float) -> Runs:
        return model.long.at(p) if self.rate is None else model.pilots.at(p, self.rate)

    def learned(self) -> bool:
        """Return whether all models have come to rest at all correlations, with losses near those at the chosen rates."""
        return all(
            self._runs(model, p).at_rest and (self.rate is None or self._near(model, p))
            for model in self.models.values()
            for p in model.long.sweep.correlations
        )

    def _near(self, model: Trained, p: float) -> bool:
        loss_R, chosen_R = (model.pilots.at(p, rate).losses() for rate in (self.rate, model.rate(p)))
        return bool(np.isfinite(loss_R).any() and np.nanmean(loss_R) <= FAR * np.nanmean(chosen_R))


ON_THE_BOUND = 1e4
"""A value lies on a bound if the half of its interval is so many times as long as its distance to the bound."""


class Finding(NamedTuple):
    """A comparison: its value and 95 % interval, its bounds, and whether it lies within them (None: cannot tell).

    ``needed`` is the number of runs that would decide an undecided comparison if its value stays.
    """

    text: str
    value: float
    low: float
    high: float
    bounds: tuple[float, float]
    holds: bool | None
    needed: int | None = None


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
    def needed(self) -> int | None:
        """The number of runs that would decide every undecided comparison of a claim that cannot be told; None if none would."""
        undecided = [finding.needed for finding in self.evidence[0].findings if finding.holds is None]
        known = [needed for needed in undecided if needed is not None]
        return max(known) if self.verdict == "cannot tell" and len(known) == len(undecided) else None

    @property
    def where(self) -> str:
        """The settings in which the claim holds, in which it does not hold, and in which it is undecided."""
        parts = []
        for holds, word in ((True, "holds"), (False, "does not hold"), (None, "undecided")):
            names = [evidence.setting for evidence in self.evidence if evidence.holds is holds]
            if names:
                parts.append(f"{word} at {' and '.join(names)}")
        return "; ".join(parts)


Correlations = Sequence[float]
"""The correlations of the comparison, from the lowest to the highest."""


class Statement(NamedTuple):
    """A statement of the paper, in our words, and its test.

    ``{low}`` and ``{high}`` in ``test`` are the extreme correlations, ``{all}`` is the list of them.
    """

    key: str
    title: str
    section: str
    words: str
    test: str
    compare: Callable[[Losses, Correlations], list[Finding]]


def tested(statement: Statement, models: Mapping[str, Trained]) -> Claim:
    """Test a statement on models in every setting."""
    key, title, section, words, test, compare = statement
    correlations = sorted(next(iter(models.values())).long.sweep.correlations)
    evidence = tuple(
        Evidence(setting, tuple(compare(losses, correlations)), losses.learned()) for setting, losses in settings(models)
    )
    told = {"low": f"{correlations[0]:g}", "high": f"{correlations[-1]:g}", "all": ", ".join(f"{p:g}" for p in correlations)}
    return Claim(key, title, section, words, test.format(**told), evidence)


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
    return judged(text, value, (low, high), (lowest, highest), bounds, together.shape[1])


def judged(
    text: str, value: float, ci95: tuple[float, float], wide: tuple[float, float], bounds: tuple[float, float], runs: int
) -> Finding:
    """Judge a value of some runs: its 95 % interval shows that it lies within bounds, and a wide interval that it does not."""
    within = bounds[0] <= ci95[0] and ci95[1] <= bounds[1]
    outside = wide[1] < bounds[0] or wide[0] > bounds[1]
    needed = None if within or outside else runs_needed(value, ci95, wide, bounds, runs)
    return Finding(text, value, *ci95, bounds, True if within else False if outside else None, needed)


def runs_needed(
    value: float, ci95: tuple[float, float], wide: tuple[float, float], bounds: tuple[float, float], runs: int
) -> int | None:
    """Return the number of runs that would decide a comparison if its value stays; None if no number would.

    The half of an interval towards a bound shrinks with the root of the number of runs, and it decides when it is as long as the
    distance of the value to the bound. A value outside its bounds is decided by the wide interval. No number of runs decides about
    a value that lies on a bound.

    >>> runs_needed(1.0, (-1.0, 3.0), (-2.0, 4.0), (0.0, math.inf), 10), runs_needed(-1.0, (-3.0, 1.0), (-4.0, 2.0), (0.0, 9.0), 10)
    (40, 90)
    """
    halves = []
    for side, bound in enumerate(bounds):
        if math.isfinite(bound):
            beyond = value < bound if side == 0 else value > bound
            half = abs(wide[1 - side] - value) if beyond else abs(value - ci95[side])
            halves.append((beyond, half / abs(value - bound) if value != bound else math.inf))
    outside = [ratio for beyond, ratio in halves if beyond]
    largest = max(outside or [ratio for _, ratio in halves])
    return max(math.ceil(runs * largest**2), runs + 1) if largest < ON_THE_BOUND else None


def larger(text: str, first_R: np.ndarray, second_R: np.ndarray, comparisons: int = 1) -> Finding:
    """Test whether the mean of the first sample is larger: the difference is above zero."""
    return compared(text, lambda s: s[0].mean(axis=1) - s[1].mean(axis=1), [first_R, second_R], (0.0, math.inf), comparisons)


def ratio(text: str, first_R: np.ndarray, second_R: np.ndarray, bounds: tuple[float, float], comparisons: int = 1) -> Finding:
    """Test whether the ratio of means lies within bounds."""
    return compared(text, lambda s: s[0].mean(axis=1) / s[1].mean(axis=1), [first_R, second_R], bounds, comparisons)


def spread(text: str, first_R: np.ndarray, second_R: np.ndarray, bounds: tuple[float, float], comparisons: int = 1) -> Finding:
    """Test whether the ratio of standard deviations lies within bounds."""
    return compared(text, lambda s: s[0].std(axis=1, ddof=1) / s[1].std(axis=1, ddof=1), [first_R, second_R], bounds, comparisons)


def settings(models: Mapping[str, Trained]) -> list[tuple[str, Losses]]:
    """List the settings: the long runs at the chosen rates, then the pilots at each common rate of the MMoE paper's grid."""
    chosen = {model.rate(p) for model in models.values() for p in model.long.sweep.correlations}
    losses = Losses(models)
    listed = [(named(f"the chosen rates, {', '.join(f'{rate:g}' for rate in sorted(chosen))}", losses.learned()), losses)]
    for rate in PAPER_RATES:
        tried = all(rate in model.pilots.rates(p) for model in models.values() for p in model.long.sweep.correlations)
        if tried and chosen != {rate}:
            losses = Losses(models, rate)
            listed.append((named(f"{rate:g} in the pilots", losses.learned()), losses))
    return listed


def named(setting: str, learned: bool) -> str:
    """Return the name of a setting on the page; a setting whose losses have not come to rest is marked."""
    return setting if learned else f"{setting} (unfinished)"


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
                    runs_needed=finding.needed,
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
        runs_needed=claim.needed,
        evidence=evidence,
    )


def _plain(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None
