"""Joint intervals of a whole table hold together: the shares of the 5 % add up to no more than all of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manygate.verdict.looks import looks_at_pairs, looks_by_model


@given(st.integers(1, 20), st.integers(1, 12), st.integers(0, 20))
def test_the_shares_of_all_cells_add_up_to_one(models: int, tasks: int, at: int) -> None:
    names = [f"m{k}" for k in range(models)]
    judged = names[at] if at < models else None
    looks = looks_by_model(names, tasks, judged)
    assert list(looks) == names
    assert sum(tasks / count for count in looks.values()) == pytest.approx(1.0)
    if judged is not None:
        assert looks[judged] == min(looks.values()), "the judged model's intervals are the narrowest"
        assert looks[judged] == (tasks if models == 1 else 2 * tasks)


def test_every_pair_and_task_is_a_look() -> None:
    assert looks_at_pairs(list("abcd"), 3) == 18
    assert looks_at_pairs(["a"], 3) == 3, "there is no pair, and no cell that could use it"
