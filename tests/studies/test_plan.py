"""Plans: lengths, rates, and what cannot be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from manygate.datasets.synthetic import Tasks
from manygate.errors import InputError
from manygate.studies.mmoe_synthetic import FULL, MmoePlan
from manygate.studies.plan import PILOT_SEEDS
from manygate.studies.sweep import Protocol

SHORT = replace(FULL, protocol=Protocol(Tasks(), batch=8, steps=10, steps_an_epoch=5), longest=10)


def test_lengths_double_up_to_the_bound():
    assert FULL.lengths == [30_000, 60_000, 120_000]
    assert replace(SHORT, longest=39).lengths == [10, 20]
    assert SHORT.lengths == [10]


def test_rows_are_those_of_pilots_and_long_runs():
    plan: MmoePlan = replace(SHORT, runs=7, runs_beyond=5, pilot_runs=2, schemes_beyond=("ple",), rates=(1e-3, 1e-2))
    claimed, others = 6 + 9, 3 + 6  # cells of figure 3 and of three models; of one scheme and of four tasks
    runs = (2 * 2 + 7) * claimed + (2 * 2 + 5) * others
    assert plan.rows(plan.protocol) == runs * 10 * 8
    longer = replace(plan.protocol, steps=30)
    assert plan.rows(longer, before=10) == (runs * 20 + 2 * 2 * claimed * 10) * 8


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"longest": 9}, "longest: expected at least the 10 steps"),
        ({"longest": 20, "protocol": replace(SHORT.protocol, steps_an_epoch=4)}, "steps_an_epoch: runs that go on need whole"),
        ({"rates": (2e-3,)}, "rates: expected some of 1e-05"),
        ({"rates": ()}, "rates: expected some of"),
        ({"runs": PILOT_SEEDS + 1}, "runs: at most 1,000,000"),
    ],
)
def test_plans_that_cannot_be_are_refused(change, problem):
    with pytest.raises(InputError, match=problem):
        replace(SHORT, **change)
    assert replace(SHORT, protocol=replace(SHORT.protocol, steps_an_epoch=4)).lengths == [10], "one length needs no whole epochs"
