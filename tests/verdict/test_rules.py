"""Every mixture of effect and gain as shipped leads to one rule."""

from __future__ import annotations

import itertools

import pytest

from gain_entries import entry
from manygate.verdict.rules import Outcome, decide, outcome_as_shipped, outcome_per_task

GAIN = {"+": 0.05, "-": -0.05, "0": 0.0}
RULES = {
    ("+", "+"): "share",
    ("+", "0"): "one checkpoint per task",
    ("+", "-"): "one checkpoint per task",
    ("0", "+"): "share",
    ("0", "0"): "cannot tell",
    ("0", "-"): "separate",
    ("-", "+"): "share",
    ("-", "0"): "separate",
    ("-", "-"): "separate",
}
"""The rule for one task, by the signs of effect and gain as shipped, if validation chose the model."""


def outcomes(effect: str, shipped: str) -> tuple[Outcome, Outcome]:
    """The outcomes of a model whose tasks have these signs."""
    effects, gains = ({f"t{at}": entry(GAIN[sign]) for at, sign in enumerate(signs)} for signs in (effect, shipped))
    return outcome_as_shipped(effects, gains), outcome_per_task(effects)


@pytest.mark.parametrize(("effect", "shipped"), list(itertools.product("+0-", repeat=2)))
def test_one_task(effect: str, shipped: str) -> None:
    rule = RULES[effect, shipped]
    assert decide(*outcomes(effect, shipped), kept_separate=False) == rule
    separate = {"share": "look again", "one checkpoint per task": "look again"}
    assert decide(*outcomes(effect, shipped), kept_separate=True) == separate.get(rule, rule)


@pytest.mark.parametrize(
    ("effect", "shipped", "rule"),
    [
        ("++", "+0", "share"),  # the second gain is lost to the price, but nothing is hurt
        ("+0", "+-", "one checkpoint per task"),  # only the price hurts the second task
        ("0-", "+-", "trade-off"),  # a checkpoint per task would not take the harm away
        ("+-", "+-", "trade-off"),
        ("+-", "+0", "trade-off"),  # sharing itself hurts the second task
        ("+-", "0-", "separate"),  # as shipped nothing is gained
        ("+-", "00", "separate"),
        ("0-", "00", "separate"),
        ("00", "+-", "trade-off"),
        ("00", "0-", "separate"),
        ("++", "--", "one checkpoint per task"),
        ("-0", "+0", "share"),  # the kept epoch happens to be better than the task's own
    ],
)
def test_two_tasks(effect: str, shipped: str, rule: str) -> None:
    assert decide(*outcomes(effect, shipped), kept_separate=False) == rule


def test_all_mixtures_of_two_tasks_have_a_rule_that_is_true() -> None:
    for signs in itertools.product("+0-", repeat=4):
        effect, shipped = "".join(signs[:2]), "".join(signs[2:])
        rule = decide(*outcomes(effect, shipped), kept_separate=False)
        if rule == "share":
            assert "+" in shipped
            assert "-" not in shipped
        if rule == "one checkpoint per task":
            assert "+" in effect
            assert "-" not in effect
            assert "+" not in shipped or "-" in shipped, "as shipped it is not good enough"
        if rule == "separate":
            assert "-" in effect + shipped
            assert "+" not in shipped
        if rule == "cannot tell":
            assert effect + shipped == "0000"


def test_harm_by_other_models_counts_only_where_validation_kept_the_tasks_apart() -> None:
    none, harm, help_ = Outcome((), ()), Outcome((), ("t0",)), Outcome(("t0",), ())
    assert decide(none, none, True, [none, harm]) == "separate"
    assert decide(none, none, True, [none, harm, help_]) == "cannot tell"
    assert decide(none, none, True, [none]) == "cannot tell"
    assert decide(none, none, False, [none, harm]) == "cannot tell"
