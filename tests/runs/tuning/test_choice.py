"""The trial that is trained again: the best one, the nearest on a front, or a picked one."""

from __future__ import annotations

from typing import Any

import pytest

from manygate.errors import InputError
from manygate.runs.tuning.choice import best_of, choose, front
from manygate.runs.tuning.ledger import Entry
from manygate.runs.tuning.owner import Owner


def entries(*values: Any) -> dict[int, Entry]:
    """A trial for each entry: its values, or its state."""
    found = {}
    for number, value in enumerate(values):
        state = value if isinstance(value, str) else "complete"
        about = {"reason": f"reason {number}"} if state == "failed" else {}
        told = (9.0,) if value == "pruned" else () if isinstance(value, str) else tuple(value)
        owner = Owner.current()
        found[number] = Entry(number, number, number, state, {"experts": number}, {}, owner, 0, told, {}, about)  # type: ignore[arg-type]
    return found


def test_the_best_complete_trial_is_chosen_and_of_equal_ones_the_first() -> None:
    found = entries([1.0], [3.0], "failed", [3.0], "pruned")
    chosen = choose(found, None)
    assert (chosen.number, chosen.settings) == (1, {"experts": 1})
    assert chosen.rule == "the best value on validation rows"
    assert best_of(entries("failed").values()) is None


def test_of_a_front_the_trial_nearest_to_the_best_values_is_chosen() -> None:
    """The second objective has a hundred times the range of the first, which must not matter."""
    found = entries([0.70, 100.0], [0.80, 0.0], [0.79, 80.0], [0.75, 79.0], [0.5, 50.0])
    assert [entry.number for entry in front(found.values())] == [0, 1, 2]
    assert choose(found, None).number == 2
    assert "nearest" in choose(found, None).rule


def test_a_front_of_one_trial() -> None:
    assert choose(entries([1.0, 2.0], [0.5, 1.0]), None).number == 0


def test_a_picked_trial_must_be_complete() -> None:
    found = entries([1.0], [3.0], "failed")
    assert (choose(found, 0).number, choose(found, 0).rule) == (0, "picked by hand")
    with pytest.raises(InputError, match="pick=2: this trial is failed"):
        choose(found, 2)


def test_without_a_complete_trial_the_reasons_are_named() -> None:
    with pytest.raises(InputError, match="no trial was completed") as error:
        choose(entries("failed", "failed"), None)
    assert error.value.problems[1:] == ("reason 0", "reason 1")
