"""This module plans the MMoE study: sections 3 and 5 of Ma et al., "Modeling Task Relationships in Multi-task Learning with
Multi-gate Mixture-of-Experts", KDD 2018.

We choose what the paper leaves open: c = 1, five sines with alpha = 1..5 and beta = i pi / 4, noise of variance 0.01, an unlimited
stream of new rows in batches of 64, 30,000 steps or more, Adam's default moments, Glorot-uniform weights. A run's final loss is its
mean squared error after the last step, over its tasks, which are symmetric. It is measured on 4,000 rows of the run that training
does not use. Pilot runs choose the learning rate of each model and correlation, by mean loss on 1,000 other rows. They try the
paper's grid and three more rates. The rate is constant over the steps, as in the paper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import numpy as np

from manygate.datasets.synthetic import Tasks
from manygate.metrics.uncertainty import t_quantile
from manygate.randomness import SYNTHETIC, stream_seed
from manygate.results.study import LabelCorrelation
from manygate.studies.claims import Claim, Evidence, judged
from manygate.studies.mmoe_claims import claims
from manygate.studies.plan import PILOT_SEEDS, Plan
from manygate.studies.sweep import Protocol, Sweep, Trained

CORRELATIONS = (0.5, 0.9, 1.0)
COMPARED = ("shared_bottom", "omoe", "mmoe")
PAPER_WIDTHS: dict[str, dict[str, Any]] = {"shared_bottom": {"bottom_hidden": 113}, "omoe": {}, "mmoe": {}}
BUDGET = 14_818
"""The number of parameters of the paper's MMoE; schemes beyond the paper have as many, within 2 %."""
FIGURE_2 = tuple(round(0.1 * i, 1) for i in range(11))
FIGURE_3 = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
MANY_TASKS = 4
PEARSON = 3  # purpose of a stream, beside those of manygate.studies.stream


@final
@dataclass(frozen=True, kw_only=True)
class MmoePlan(Plan):
    """The plan of the study; schemes beyond the paper and four tasks have ``runs_beyond`` long runs."""

    STUDY: ClassVar[str] = "mmoe-synthetic"
    CLAIMED: ClassVar[tuple[str, ...]] = ("figure 3", "compared")

    runs_beyond: int
    schemes_beyond: tuple[str, ...]

    def pilots(self) -> dict[str, list[Sweep]]:
        """List the pilots: figure 3, figures 4 and 5, the schemes beyond the paper, four tasks."""
        return {
            "figure 3": [self._pilot("shared_bottom", "figure-3", FIGURE_3, bottom_hidden=16)],
            "compared": [self._pilot(name, name, **PAPER_WIDTHS[name]) for name in COMPARED],
            "beyond": [self._pilot(name, name, match_parameters=BUDGET) for name in self.schemes_beyond],
            "many tasks": [
                replace(self._pilot(name, f"{name}-{MANY_TASKS}-tasks", (0.5, 1.0), **PAPER_WIDTHS[name]), tasks=MANY_TASKS)
                for name in COMPARED
            ],
        }

    def _pilot(self, scheme: str, name: str, correlations: tuple[float, ...] = CORRELATIONS, **settings: Any) -> Sweep:
        grid = (self.rates,) * len(correlations)
        return Sweep(name, {"architecture": scheme, **settings}, correlations, grid, self.pilot_runs, PILOT_SEEDS)

    def runs_of(self, group: str) -> int:
        """Return the number of long runs of each model and correlation of a group."""
        return self.runs if group in self.CLAIMED else self.runs_beyond

    def label_correlations(self) -> list[LabelCorrelation]:
        """Compute figure 2."""
        return figure_2(self)

    def claims(self, trained: Mapping[str, Mapping[str, Trained]], labels: list[LabelCorrelation]) -> list[Claim]:
        """Test the claims of the paper on the trained models, by group and name."""
        (figure_3,) = trained["figure 3"].values()
        return [_pearson_claim(labels, self.trials), *claims(trained["compared"], figure_3)]


FULL = MmoePlan(
    protocol=Protocol(Tasks()),
    runs=200,
    pilot_runs=20,
    longest=120_000,
    trials=100,
    runs_beyond=22,
    schemes_beyond=("single_task", "l2_constrained", "cross_stitch", "cgc", "ple"),
)
QUICK = replace(
    FULL,
    protocol=Protocol(Tasks(), steps=1_000, steps_an_epoch=100),
    longest=1_000,
    runs=20,
    pilot_runs=3,
    runs_beyond=5,
    schemes_beyond=("cross_stitch", "ple"),
)


def figure_2(plan: MmoePlan) -> list[LabelCorrelation]:
    """Compute the label correlation for each cosine: simulated in trials, as in the paper, and in closed form."""
    tasks, points = plan.protocol.tasks, []
    value_PT = np.empty((len(FIGURE_2), plan.trials))
    for trial in range(plan.trials):
        random = np.random.default_rng(stream_seed(SYNTHETIC, plan.protocol.first_seed + trial, PEARSON))
        x_ND = random.standard_normal((plan.trial_rows, tasks.inputs))
        noise_NK = tasks.noise_var**0.5 * random.standard_normal((plan.trial_rows, 2))
        state = random.bit_generator.state
        for p, cosine in enumerate(FIGURE_2):
            random.bit_generator.state = state  # the same directions at every cosine
            at_cosine = replace(tasks, correlation=cosine)
            y_NK = at_cosine.mean(x_ND, at_cosine.vectors(random)) + noise_NK
            value_PT[p, trial] = np.corrcoef(y_NK.T)[0, 1]
    for cosine, value_T in zip(FIGURE_2, value_PT, strict=True):
        exact, error = tasks.pearson(cosine), value_T.std(ddof=1) / plan.trials**0.5
        off = (value_T.mean() - exact) / error
        points.append(
            LabelCorrelation(
                cosine=cosine,
                exact=exact,
                mean=float(value_T.mean()),
                sd=float(value_T.std(ddof=1)),
                standard_errors_off=float(off),
            )
        )
    return points


def _pearson_claim(points: Sequence[LabelCorrelation], trials: int) -> Claim:
    """Test the claim of figure 2; the page shows the distance of the trials from the closed form, and a unit test checks it."""
    findings = []
    for point in (other for other in points if other.cosine > 0):
        half = t_quantile(trials - 1) * point.sd / trials**0.5
        ci95 = point.mean - half, point.mean + half
        findings.append(judged(f"at cosine {point.cosine:g}", point.mean, ci95, ci95, (0.0, np.inf), trials))
    return Claim(
        "label-correlation",
        "Labels of correlated vectors correlate",
        "3.2, figure 2",
        "Tasks whose vectors have a positive cosine have positively correlated labels, though the labels are not linear.",
        "The mean of the trials' correlations at each cosine above 0: above 0.",
        (Evidence("the cosines above 0", tuple(findings)),),
    )
