"""This module plans the study of synthetic tasks in Tang et al., "Progressive Layered Extraction (PLE)", RecSys 2020.

The data are those of the MMoE paper (:mod:`manygate.datasets.synthetic`) with c = 1, m = 10 sines, 512 inputs, and alpha and beta
from N(0, 1). Each model sees 1.4 million rows once, which are 21,875 steps of 64 rows. We choose what the paper leaves open: alpha
and beta are drawn anew for every run, the ten correlations are 0.1 to 1, noise has the variance 0.01, and the sizes are those of
the MMoE paper. All models have as many parameters as an MMoE of 8 experts of 16 units and towers of 8, within 2 %; the two
single-task models have them together. Pilot runs choose the learning rate of each model and correlation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, final

from manygate.datasets.synthetic import Tasks
from manygate.results.study import LabelCorrelation
from manygate.studies.claims import Claim
from manygate.studies.plan import PILOT_SEEDS, Plan
from manygate.studies.ple_claims import claims
from manygate.studies.sweep import Protocol, Sweep, Trained

CORRELATIONS = tuple(round(0.1 * i, 1) for i in range(1, 11))
SCHEMES = ("single_task", "shared_bottom", "mmoe", "cgc", "ple")
BUDGET = 74_146
"""The number of parameters of an MMoE with 8 experts of 16 units and towers of 8 on 512 inputs."""
STEPS = 21_875
"""The number of batches of 64 in 1.4 million rows."""


@final
@dataclass(frozen=True, kw_only=True)
class PlePlan(Plan):
    """The plan of the study."""

    STUDY: ClassVar[str] = "ple-synthetic"
    CLAIMED: ClassVar[tuple[str, ...]] = ("compared",)

    correlations: tuple[float, ...] = CORRELATIONS

    def pilots(self) -> dict[str, list[Sweep]]:
        """List the pilots of the five models."""
        grid = (self.rates,) * len(self.correlations)
        sizes = {"match_parameters": BUDGET}
        return {
            "compared": [
                Sweep(name, {"architecture": name, **sizes}, self.correlations, grid, self.pilot_runs, PILOT_SEEDS)
                for name in SCHEMES
            ]
        }

    def runs_of(self, group: str) -> int:
        """Return the number of long runs of each model and correlation."""
        return self.runs

    def label_correlations(self) -> list[LabelCorrelation]:
        """Return nothing: the paper has no such figure."""
        return []

    def claims(self, trained: Mapping[str, Mapping[str, Trained]], labels: list[LabelCorrelation]) -> list[Claim]:
        """Test the claims of the paper."""
        return claims(trained["compared"])


FULL = PlePlan(
    protocol=Protocol(Tasks(inputs=512, alpha=(), beta=()), steps=STEPS, steps_an_epoch=625, sines=10),
    runs=40,
    pilot_runs=5,
    longest=STEPS,
)
QUICK = replace(
    FULL,
    protocol=replace(FULL.protocol, steps=400, steps_an_epoch=50),
    longest=400,
    runs=5,
    pilot_runs=2,
    correlations=(0.1, 0.5, 1.0),
)
