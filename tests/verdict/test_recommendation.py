"""What to do: the rule that the intervals decide, for every mixture of effect, price and gain as shipped."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from documents import filled
from gain_entries import entry, price_entry, task_gain
from manygate.metrics.uncertainty import interval
from manygate.results.comparison import Alternative, Recommendation, Transfer
from manygate.verdict.recommendation import judged_model, recommend
from manygate.verdict.transfer import negative, probabilities, sure

MAIN = {"click": "auc", "buy": "auc"}
Pairs = Mapping[str, tuple[float, float]]
FREE = (0.0, 0.0)


def transfer_of(gains: Pairs, **more: Any) -> Transfer:
    """What transfer() says of models with these effects on click and buy, all known to 0.01."""
    table = {name: {"click": {"auc": entry(x)}, "buy": {"auc": entry(y)}} for name, (x, y) in gains.items()}
    flags = {"negative": negative(table, MAIN), "probabilities": probabilities(table, MAIN)}
    return filled(Transfer, {"looks": dict.fromkeys(gains, 2), "gains": table} | flags | more)


def valid(**means: float) -> dict[str, Any]:
    return {name: interval([mean - 0.01, mean, mean + 0.01]) for name, mean in {"single_task": 0.7, **means}.items()}


def advice(gains: Pairs, chosen: str, prices: Pairs | None = None, **more: Any) -> Recommendation:
    """The recommendation for models with these effects, less these prices of one checkpoint."""
    paid = {name: (prices or {}).get(name, FREE) for name in gains}
    shipped = {name: {t: task_gain(gains[name][at] - paid[name][at]) for at, t in enumerate(MAIN)} for name in gains}
    price = {name: {t: price_entry(paid[name][at]) for at, t in enumerate(MAIN)} for name in gains}
    scores = valid(**{name: 0.6 - 0.01 * place for place, name in enumerate(gains)})
    return recommend(transfer_of(gains, **more), shipped, price, scores, chosen, "single_task", MAIN)


def undefined(recommendation_of: Transfer) -> tuple[Any, Any]:
    """Gains as shipped that equal the effects, and no prices."""
    shipped = {
        name: {task: task_gain(None).model_copy(update=dict(gain["auc"])) for task, gain in by_task.items()}
        for name, by_task in recommendation_of.gains.items()
    }
    return shipped, {name: {task: price_entry(None) for task in by_task} for name, by_task in recommendation_of.gains.items()}


CASES: list[Any] = [
    ({"mmoe": (0.02, 0.03)}, "mmoe", "share", "Share with mmoe: on the test rows it helps click (+0.0200; "),
    ({"mmoe": (0.02, 0.0)}, "mmoe", "share", "hurts no task beyond doubt. For buy these rows cannot tell."),
    ({"mmoe": (0.02, -0.012)}, "mmoe", "share", "hurts no task beyond doubt. Looked at alone, it likely hurts buy."),
    ({"mmoe": (0.02, -0.03)}, "mmoe", "trade-off", "only if you accept the harm: it helps click (+0.0200; "),
    (
        {"mmoe": (0.02, -0.03)},
        "single_task",
        "trade-off",
        "Keep one model per task, as validation chose, unless click matters",
    ),
    (
        {"mmoe": (-0.02, 0.0)},
        "mmoe",
        "separate",
        "Validation chose mmoe, but on the test rows it helps no task beyond doubt and hurts",
    ),
    (
        {"mmoe": (-0.02, 0.0)},
        "single_task",
        "separate",
        "as validation chose: mmoe, the best way of sharing on validation, helps no",
    ),
    (
        {"mmoe": (-0.02, 0.0), "ple": (0.0, 0.02)},
        "single_task",
        "separate",
        "these test rows ple helps buy and clearly hurts no task",
    ),
    (
        {"mmoe": (0.0, 0.0), "omoe": (-0.03, 0.0)},
        "single_task",
        "separate",
        "no way of sharing helps a task beyond doubt, and some",
    ),
    (
        {"mmoe": (0.0, 0.0), "omoe": (-0.03, 0.0)},
        "mmoe",
        "cannot tell",
        "These data cannot tell whether sharing with mmoe helps or hurts",
    ),
    (
        {"mmoe": (0.0, 0.0), "omoe": (-0.03, 0.03)},
        "single_task",
        "cannot tell",
        "Validation chose one model per task, and these data",
    ),
    ({"mmoe": (0.0, 0.02)}, "single_task", "look again", "If buy matters most, let validation watch it."),
    (
        {"mmoe": (0.012, 0.0)},
        "mmoe",
        "cannot tell",
        "every interval that holds for all tasks together contains zero (the widest: click, −0.0030 to +0.0270). "
        "Looked at alone, it likely helps click.",
    ),
]


@pytest.mark.parametrize(("gains", "chosen", "rule", "words"), CASES)
def test_the_rule_follows_from_the_joint_intervals(gains: Any, chosen: str, rule: str, words: str) -> None:
    recommendation = advice(gains, chosen)
    assert recommendation.rule == rule
    assert words in recommendation.text
    assert (recommendation.model, recommendation.judged) == (chosen, "mmoe")
    assert "  " not in recommendation.text


PRICED: list[Any] = [
    ((0.02, 0.0), (0.005, 0.0), "mmoe", "cannot tell", "one checkpoint per task"),
    ((0.02, 0.0), (0.001, 0.0), "mmoe", "share", "share"),
    ((0.02, 0.0), (0.0, 0.02), "mmoe", "trade-off", "one checkpoint per task"),
    ((0.02, 0.0), (0.005, 0.02), "mmoe", "separate", "one checkpoint per task"),
    ((0.02, 0.0), (0.006, 0.0), "single_task", "cannot tell", "look again"),
    ((0.0, 0.0), (0.0, 0.02), "mmoe", "separate", "separate"),
    ((-0.02, 0.0), (0.0, 0.0), "mmoe", "separate", "separate"),
    ((-0.02, 0.02), (-0.01, 0.0), "mmoe", "share", "trade-off"),
    ((0.02, -0.02), (0.02, -0.01), "mmoe", "cannot tell", "separate"),
]


@pytest.mark.parametrize(("effect", "price", "chosen", "shipped_alone", "rule"), PRICED)
def test_the_price_of_one_checkpoint_changes_the_advice(
    effect: tuple[float, float], price: tuple[float, float], chosen: str, shipped_alone: str, rule: str
) -> None:
    """``shipped_alone`` is the rule if the gain as shipped were all that is known."""
    left = (effect[0] - price[0], effect[1] - price[1])
    assert advice({"mmoe": left}, chosen).rule == shipped_alone
    found = advice({"mmoe": effect}, chosen, prices={"mmoe": price})
    assert found.rule == rule
    assert found.headline
    assert ("keep: best-per-task" in found.text) == (rule in ("one checkpoint per task", "look again"))


def test_help_of_another_model_counts_although_its_one_checkpoint_spoils_it() -> None:
    """Otherwise the headline would say that no shared model helps a task, beside a filled mark in the table of effects."""
    gains = {"mmoe": (0.0, 0.0), "omoe": (-0.03, 0.02)}
    found = advice(gains, "single_task", prices={"omoe": (0.0, 0.02)})
    assert found.rule == "cannot tell"
    assert found.headline.startswith("Keep one model per task for now")


def test_an_alternative_must_be_good_as_shipped() -> None:
    gains = {"mmoe": (0.0, 0.0), "ple": (0.02, 0.0)}
    assert [named.model for named in advice(gains, "mmoe").alternatives] == ["ple"]
    assert advice(gains, "mmoe", prices={"ple": (0.01, 0.0)}).alternatives == []
    assert advice(gains, "mmoe", prices={"ple": (0.0, 0.012)}).alternatives == [], "as shipped it likely hurts buy"


def test_the_choice_stays_validation_s_and_a_better_one_on_test_is_only_named() -> None:
    recommendation = advice({"mmoe": (0.02, -0.03), "ple": (0.02, 0.001), "omoe": (0.03, -0.012)}, "mmoe")
    assert recommendation.model == "mmoe"
    assert recommendation.alternatives == [Alternative(model="ple", helps=["click"])], "omoe's own interval says that it hurts buy"
    assert "On these test rows ple helps click and clearly hurts no task. Test rows must not choose" in recommendation.text
    assert advice({"mmoe": (0.02, 0.0), "ple": (0.09, 0.09)}, "mmoe").alternatives == []


def test_one_replica_cannot_tell() -> None:
    table = transfer_of({"mmoe": (0.02, 0.02)})
    for gain_of in table.gains["mmoe"].values():
        undecided = {"ci95": None, "joint95": None, "sd_replicas": None, "verdict": "cannot tell"}
        gain_of["auc"] = gain_of["auc"].model_copy(update=undecided)
    scores = {"single_task": interval([0.6]), "mmoe": interval([0.7])}
    recommendation = recommend(table, *undefined(table), scores, "mmoe", "single_task", MAIN)
    assert recommendation.rule == "cannot tell"
    assert (
        "3 or more replicas are needed for an interval, and there is 1. Train 8 replicas or more before you change anything."
        in recommendation.text
    )
    assert recommendation.needs == []


def test_undefined_gains_are_called_so() -> None:
    table = transfer_of({"mmoe": (0.0, 0.0)})
    for gain_of in table.gains["mmoe"].values():
        gain_of["auc"] = entry(None)
    recommendation = recommend(table, *undefined(table), valid(mmoe=0.6), "mmoe", "single_task", MAIN)
    assert recommendation.text.endswith("no gain is defined on the test rows.")


def test_nothing_to_judge() -> None:
    scores = {"single_task": interval([0.6, 0.6, 0.6]), "mmoe": interval([math.nan, 0.7, 0.7])}
    table = transfer_of({"mmoe": (0.0, 0.0)})
    recommendation = recommend(table, *undefined(table), scores, "single_task", "single_task", MAIN)
    assert (recommendation.rule, recommendation.judged) == ("cannot tell", None)
    assert recommendation.headline == "There is nothing to recommend: only single_task has a validation score."


def test_what_could_change_the_answer_is_said() -> None:
    """Power first, then what it takes to decide, then the choice; mmoe is behind in the made-up validation scores."""
    power, need, choice = advice({"mmoe": (0.0, 0.0)}, "mmoe").could_change
    assert power.startswith("With 3 replicas a true gain of 0.01 in AUC on click is found in ")
    assert need.startswith("To know the gain on click to within ±0.005 in AUC takes ")
    assert " replicas instead of 3" in need
    assert " times the test rows." in need
    assert choice == "Validation does not separate mmoe from single_task: more replicas or validation rows could change the choice."


@pytest.mark.parametrize(("ahead", "said"), [([0.01, 0.012, 0.011], False), ([0.01, -0.012, 0.011], True), ([0.01, 0.02], True)])
def test_a_choice_that_the_replicas_do_not_carry_is_said(ahead: list[float], said: bool) -> None:
    table = transfer_of({"mmoe": (0.02, 0.02)})
    scores = {"single_task": interval([0.7] * len(ahead)), "mmoe": interval([0.7 + step for step in ahead])}
    found = recommend(table, *undefined(table), scores, "mmoe", "single_task", MAIN).could_change
    assert any("does not separate mmoe from single_task" in sentence for sentence in found) == said


around = st.floats(-0.05, 0.05, allow_nan=False)


@settings(deadline=None, max_examples=40)
@given(st.tuples(around, around), st.tuples(around, around), st.sampled_from(["mmoe", "single_task"]))
def test_the_rule_turns_round_with_the_gains_and_its_words_are_true(first: Any, other: Any, chosen: str) -> None:
    """All gains turned: what was shared is kept apart, a price stays a price, and what could not be told still cannot."""
    recommendation = advice({"mmoe": first, "ple": other}, chosen)
    back = advice({"mmoe": (-first[0], -first[1]), "ple": (-other[0], -other[1])}, chosen)
    if chosen == "mmoe":
        turned = {"share": "separate", "separate": "share"}
        assert back.rule == turned.get(recommendation.rule, recommendation.rule)
    beyond = {name: [sure(entry(value)) for value in values] for name, values in (("mmoe", first), ("ple", other))}
    if recommendation.rule in ("share", "look again"):
        assert 1 in beyond["mmoe"]
        assert -1 not in beyond["mmoe"]
    if "no way of sharing helps" in recommendation.text:
        assert 1 not in beyond["mmoe"] + beyond["ple"]
        assert -1 in beyond["ple"]
    for named in recommendation.alternatives:
        assert named.model == "ple"
        assert -1 not in beyond["ple"]
        assert [task for task, sign in zip(MAIN, beyond["ple"], strict=True) if sign > 0] == named.helps
    assert recommendation.model == chosen


def test_of_several_ways_of_sharing_the_one_judged_is_the_best_on_validation() -> None:
    """omoe is the best on the test rows by far and mmoe on validation, in whatever order they come."""
    for gains in ({"mmoe": (0.02, 0.0), "omoe": (0.2, 0.2)}, {"omoe": (0.2, 0.2), "mmoe": (0.02, 0.0)}):
        scores = valid(single_task=0.5, mmoe=0.7, omoe=0.6)
        for chosen in ("mmoe", "single_task"):
            table = transfer_of(gains)
            recommendation = recommend(table, *undefined(table), scores, chosen, "single_task", MAIN)
            assert (recommendation.model, recommendation.judged) == (chosen, "mmoe")
            assert judged_model(scores, chosen, gains) == "mmoe"
