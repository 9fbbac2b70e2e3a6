"""The plan of a study: its models, how many runs they get, and the lengths and learning rates that pilots choose from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from manygate.errors import InputError
from manygate.results.study import LabelCorrelation
from manygate.studies.claims import Claim
from manygate.studies.sweep import Protocol, Sweep, Trained

LADDER = (1e-5, 3e-5, 1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)
"""The learning rates that pilots may try; the first and the last are the bounds of the search."""
RATES = (1e-4, 1e-3, 3e-3, 1e-2, 3e-2)
"""The learning rates that every pilot tries: the MMoE paper's grid, and the factors of about 3 around its highest rate."""
PILOT_SEEDS = 1_000_000
"""The distance of the pilots' seeds from those of the long runs."""


@dataclass(frozen=True, kw_only=True)
class Plan(ABC):
    """The plan of a study.

    Args:
        protocol: Settings of all runs; its steps are the shortest length.
        runs: Long runs of each model and correlation of the groups that claims are tested on.
        pilot_runs: Pilot runs of each model, correlation and learning rate.
        longest: Bound of the length. Runs of ``steps`` go on to twice as many until the pilots are at rest, up to this bound.
        rates: Learning rates that the pilots start from; each is one of the ladder's.
        trials: Trials of figure 2, the correlation of labels; 0 if the study has no such figure.
        trial_rows: Rows of each trial.

    Raises :class:`InputError` for a length or a rate that cannot be.
    """

    STUDY: ClassVar[str]
    CLAIMED: ClassVar[tuple[str, ...]]
    """The groups of models on which claims are tested; their pilots choose the length."""

    protocol: Protocol
    runs: int
    pilot_runs: int
    longest: int
    rates: tuple[float, ...] = RATES
    trials: int = 0
    trial_rows: int = 10_000

    def __post_init__(self) -> None:
        problems = []
        if not 0 < self.protocol.steps <= self.longest:
            problems.append(
                f"longest: expected at least the {self.protocol.steps:,} steps of the protocol, found {self.longest:,}."
            )
        if self.longest >= 2 * self.protocol.steps and self.protocol.steps % self.protocol.steps_an_epoch:
            problems.append(
                f"steps_an_epoch: runs that go on need whole epochs, and {self.protocol.steps:,} steps are no multiple of "
                f"{self.protocol.steps_an_epoch:,}."
            )
        unknown = sorted({*self.rates} - {*LADDER})
        if unknown or not self.rates:
            problems.append(f"rates: expected some of {', '.join(f'{rate:g}' for rate in LADDER)}, found {list(self.rates)}.")
        if self.runs > PILOT_SEEDS:
            problems.append(f"runs: at most {PILOT_SEEDS:,}, found {self.runs:,}. More would use the seeds of the pilots.")
        if problems:
            raise InputError(problems)

    @property
    def lengths(self) -> list[int]:
        """The lengths that the pilots choose from: the protocol's steps, doubled up to the bound."""
        lengths = [self.protocol.steps]
        while 2 * lengths[-1] <= self.longest:
            lengths.append(2 * lengths[-1])
        return lengths

    def rows(self, protocol: Protocol, before: int = 0) -> int:
        """Return the number of rows that the pilots and the long runs train at a length, for progress.

        ``before`` is a shorter length that is planned already. Pilots that went so far go on, and count their rows again.
        """
        runs = again = 0
        for group, sweeps in self.pilots().items():
            for sweep in sweeps:
                pilots = sweep.runs * len(sweep.cells)
                runs += pilots + self.runs_of(group) * len(sweep.correlations)
                again += pilots if group in self.CLAIMED else 0
        return (runs * (protocol.steps - before) + again * before) * protocol.batch

    @abstractmethod
    def pilots(self) -> dict[str, list[Sweep]]:
        """List the pilots of every model, by group."""

    @abstractmethod
    def runs_of(self, group: str) -> int:
        """Return the number of long runs of each model and correlation of a group."""

    @abstractmethod
    def label_correlations(self) -> list[LabelCorrelation]:
        """Compute the correlation of labels by cosine; empty if the study has no such figure."""

    @abstractmethod
    def claims(self, trained: Mapping[str, Mapping[str, Trained]], labels: list[LabelCorrelation]) -> list[Claim]:
        """Test the claims of the paper on the trained models, by group and name."""
