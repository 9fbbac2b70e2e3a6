"""When a run is evaluated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manygate.config import RunConfig
from manygate.errors import InputError
from manygate.training.schedule import Schedule


def test_parts_of_an_epoch_are_of_about_equal_size():
    schedule = Schedule.of(RunConfig(evaluate_every=0.25), 10)
    assert [schedule.end(part) for part in range(4)] == [3, 5, 8, 10]
    assert [schedule.number(2, part) for part in range(4)] == [2, 2.25, 2.5, 2.75]
    assert type(schedule.number(2, 0)) is int
    once = Schedule.of(RunConfig(), 10)
    assert (once.parts, once.end(0)) == (1, 10)


@given(st.integers(1, 500), st.integers(1, 40))
def test_every_evaluation_has_batches_of_its_own_and_the_last_ends_the_epoch(batches, parts):
    if parts > batches:
        return
    ends = [0, *(Schedule(batches, parts).end(part) for part in range(parts))]
    sizes = [after - before for before, after in zip(ends, ends[1:], strict=False)]
    assert ends[-1] == batches
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("parts", [1, 2, 3, 6, 7, 10, 13, 40])
def test_a_share_may_be_written_with_a_few_decimals(parts):
    assert Schedule.of(RunConfig(evaluate_every=float(f"{1 / parts:.5f}")), 100).parts == parts


def test_shares_that_do_not_divide_an_epoch_or_its_batches_are_refused():
    for share in (0.3, 0.7, 0.75):
        with pytest.raises(InputError, match=r"evaluate_every: expected 1 divided by a whole number.*found 0\.\d+"):
            RunConfig.build({"evaluate_every": share})
    for share in (0, 2, -1):
        with pytest.raises(InputError, match="evaluate_every"):
            RunConfig.build({"evaluate_every": share})
    with pytest.raises(InputError, match=r"evaluate_every.*4 evaluations in each epoch, which has 3 batches. Evaluate less often"):
        Schedule.of(RunConfig(evaluate_every=0.25), 3)
