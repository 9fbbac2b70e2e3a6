"""The importance of settings: a setting that decides has more than one that does nothing."""

from __future__ import annotations

from typing import Any

import pytest

from manygate.runs.tuning.importance import FEWEST, importance
from manygate.runs.tuning.ledger import Entry
from manygate.runs.tuning.owner import Owner
from manygate.runs.tuning.proposal import propose
from searched import space

SPACE = space()


def trials(count: int, value: Any) -> list[Entry]:
    found = []
    for number in range(count):
        params = propose(SPACE, [], "random", 1, 0, number)
        told = value(params)
        found.append(Entry(number, number, number, "complete", {}, params, Owner.current(), 0, told, {}, {}))
    return found


@pytest.mark.parametrize("objectives", [1, 2])
def test_the_setting_that_decides_is_the_most_important(objectives: int) -> None:
    shares = importance(SPACE, trials(60, lambda params: (-params["dropout"],) * objectives), objectives)
    assert shares is not None
    assert set(shares) == set(SPACE.ranges)
    assert next(iter(shares)) == "dropout"
    assert shares["dropout"] > 0.6
    assert sum(shares.values()) == pytest.approx(1)


def test_few_or_equal_trials_say_nothing() -> None:
    assert importance(SPACE, trials(FEWEST - 1, lambda params: (params["dropout"],)), 1) is None
    assert importance(SPACE, trials(30, lambda params: (1.0,)), 1) is None
