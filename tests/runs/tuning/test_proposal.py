"""Proposals: a function of the seed, the number and what is known; failed trials, running ones, and repetitions."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from manygate.errors import InputError
from manygate.runs.tuning.proposal import Known, _told, distributions, optuna, propose
from searched import ranges, space

SPACE = space()


def known(count: int) -> list[Known]:
    """Trials of which those with more experts and less dropout are better."""
    found: list[Known] = []
    for number in range(count):
        params = propose(SPACE, found, "random", 1, 5, number)
        found.append(Known(params, (float(params["experts"]) - 4 * float(params["dropout"]),)))
    return found


@pytest.mark.parametrize("sampler", ["gp", "tpe", "random"])
def test_the_same_knowledge_gives_the_same_proposal(sampler: Any) -> None:
    before = known(12)
    first = propose(SPACE, before, sampler, 1, 3, 12)
    assert propose(SPACE, list(before), sampler, 1, 3, 12) == first
    assert propose(SPACE, before, sampler, 1, 4, 12) != first
    assert propose(SPACE, before, sampler, 1, 3, 13) != first
    assert all(values.holds(first[name]) for name, values in SPACE.ranges.items())


def test_gp_finds_the_good_corner() -> None:
    before = known(15)
    for number in range(15, 20):
        params = propose(SPACE, before, "gp", 1, 0, number)
        before.append(Known(params, (float(params["experts"]) - 4 * float(params["dropout"]),)))
    best = max(before, key=lambda trial: trial.values or ())
    assert best.params["experts"] == 4
    assert best.params["dropout"] < 0.02  # type: ignore[operator]


def test_several_objectives() -> None:
    before = [Known(trial.params, (trial.values[0], -trial.values[0])) for trial in known(11) if trial.values]
    assert set(propose(SPACE, before, "gp", 2, 0, 11)) == set(SPACE.ranges)


def test_a_running_trial_moves_the_proposal_away() -> None:
    before = known(14)
    first = propose(SPACE, before, "gp", 1, 0, 14)
    second = propose(SPACE, [*before, Known(first, None)], "gp", 1, 0, 14)
    assert SPACE.settings(first) != SPACE.settings(second)


def test_a_failed_trial_counts_with_the_worst_value() -> None:
    params = {"learning_rate": 0.01, "experts": 3, "dropout": 0.1}
    trials = [Known(params, (3.0, 1.0)), Known(params, (2.0, 5.0)), Known(params, ()), Known(params, None)]
    assert [trial.values for trial in _told(trials)] == [(3.0, 1.0), (2.0, 5.0), [2.0, 1.0], None]
    assert _told([Known(params, ()), Known(params, None)]) == [Known(params, None)]


def test_settings_that_are_known_are_not_proposed_again() -> None:
    """All trials have the same seeds, so the same settings would give the same score."""
    small = space({"experts": {"int": [1, 6]}})
    found: list[Known] = []
    for number in range(6):
        found.append(Known(propose(small, found, "random", 1, 0, number), (1.0,)))
    assert sorted(trial.params["experts"] for trial in found) == [1, 2, 3, 4, 5, 6]
    assert propose(small, found, "random", 1, 0, 6)["experts"] in range(1, 7), "nothing is left: one is repeated"


def test_the_kinds_of_ranges_are_distributions_of_optuna() -> None:
    trees = {"a": {"log": [0.1, 1]}, "b": {"log_int": [1, 8]}, "c": {"ordered": [[1], [2], [3]]}, "d": {"choice": ["x", None]}}
    made = distributions(ranges(trees))
    assert (made["a"].log, made["b"].log, made["b"].high) == (True, True, 8)
    assert (made["c"].low, made["c"].high) == (0, 2)
    assert made["d"].choices == ('"x"', "null")


def test_nothing_is_printed_and_the_level_of_messages_stays(capfd: pytest.CaptureFixture[str]) -> None:
    level = optuna().logging.get_verbosity()
    propose(SPACE, known(12), "gp", 1, 0, 12)
    assert optuna().logging.get_verbosity() == level
    assert capfd.readouterr() == ("", "")


def test_without_optuna_the_error_has_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"pip install 'manygate\[tune\]'"):
        optuna()
