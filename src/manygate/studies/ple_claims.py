"""This module lists the claims of the PLE paper (Tang et al. 2020) about synthetic tasks that numbers can test, in our own words.

A model's gain is the loss of single-task models less its own (the paper's MTL gain for an error that is better when it is lower).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from manygate.studies.claims import Claim, Correlations, Finding, Losses, Statement, compared, larger, tested
from manygate.studies.sweep import Trained

MORE = 1.87
"""The paper's PLE has 87 % more gain than its MMoE, in the mean over the correlations."""
ABOUT = 0.25
"""A ratio is about another if it differs from it by at most this share."""
CHANCE = 0.5
"""The share of runs in which chance alone would let one task gain and the other lose."""
OTHERS = ("mmoe", "shared_bottom")


def claims(models: Mapping[str, Trained]) -> list[Claim]:
    """Test all claims, and return them with their evidence."""
    return [tested(statement, models) for statement in STATEMENTS]


def _most_gain(loss: Losses, correlations: Correlations) -> list[Finding]:
    """A difference of gains is one of losses: the loss of the single-task models cancels."""
    count = len(OTHERS) * len(correlations)
    return [larger(f"{n} − ple at {p:g}", loss(n, p), loss("ple", p), count) for p in correlations for n in OTHERS]


def _more_gain(loss: Losses, correlations: Correlations) -> list[Finding]:
    single_R, mmoe_R, ple_R = (np.mean([loss(name, p) for p in correlations], axis=0) for name in ("single_task", "mmoe", "ple"))

    def finding(text: str, of_mmoe: float, sign: float, of_ple: float = 1.0) -> Finding:
        def margin(s: list[np.ndarray]) -> np.ndarray:
            return np.asarray(sign * (of_ple * (s[0] - s[2]) - of_mmoe * (s[0] - s[1])).mean(axis=1))

        return compared(text, margin, [single_R, mmoe_R, ple_R], (0.0, math.inf), 3)

    low, high = (1 - ABOUT) * MORE, (1 + ABOUT) * MORE
    return [
        finding("mmoe's gain", -1.0, 1.0, of_ple=0.0),
        finding(f"ple's gain − {low:.3g} × mmoe's", low, 1.0),
        finding(f"{high:.3g} × mmoe's gain − ple's", high, -1.0),
    ]


def _seesaw(loss: Losses, correlations: Correlations) -> list[Finding]:
    low, findings = correlations[0], []
    for name in OTHERS:
        samples = [loss(model, low, task) for task in (0, 1) for model in ("single_task", name)]

        def share(s: list[np.ndarray]) -> np.ndarray:
            return np.asarray(((s[0] > s[1]) != (s[2] > s[3])).mean(axis=1))

        findings.append(compared(f"{name} at {low:g}", share, samples, (CHANCE, math.inf), len(OTHERS)))
    return findings


STATEMENTS = (
    Statement(
        "most-gain",
        "PLE gains most at every correlation",
        "synthetic data",
        "PLE gains more over single-task models than MMoE and hard sharing do, whatever the correlation of the tasks.",
        "The loss of MMoE and of Shared-Bottom minus that of PLE at each correlation, which is the difference of gains: above 0.",
        _most_gain,
    ),
    Statement(
        "more-gain",
        "PLE gains about 87 % more than MMoE",
        "synthetic data",
        "In the mean over the correlations, the gain of PLE is 87 % above that of MMoE.",
        "Gains in the mean over tasks and correlations. MMoE's is above 0, and PLE's is between "
        f"{(1 - ABOUT) * MORE:.3g} and {(1 + ABOUT) * MORE:.3g} times MMoE's.",
        _more_gain,
    ),
    Statement(
        "seesaw",
        "Hard sharing and MMoE show a seesaw",
        "synthetic data",
        "At low correlation, hard sharing and MMoE improve one task at the expense of the other.",
        "The share of runs at {low} in which one task gains over single-task models and the other loses: above "
        f"{CHANCE:g}, which is what chance alone gives two tasks without any gain.",
        _seesaw,
    ),
)
"""The claims that final losses test."""
