"""What to do: the rule that the intervals decide, in words, and what it would take where they do not."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student

from documents import filled
from gain_entries import entry
from manygate.metrics.uncertainty import interval
from manygate.results.comparison import Alternative, Recommendation, SizeNeed, Transfer
from manygate.results.summary import JointGain
from manygate.verdict.recommendation import need, recommend
from manygate.verdict.transfer import negative, probabilities, sure

MAIN = {"click": "auc", "buy": "auc"}


def transfer_of(gains: dict[str, tuple[float, float]], **more: Any) -> Transfer:
    """What transfer() says of models with these gains of click and buy, all known to 0.01."""
    table = {name: {"click": {"auc": entry(x)}, "buy": {"auc": entry(y)}} for name, (x, y) in gains.items()}
    flags = {"negative": negative(table, MAIN), "probabilities": probabilities(table, MAIN)}
    return filled(Transfer, {"looks": 2, "gains": table} | flags | more)


def valid(**means: float) -> dict[str, Any]:
    return {name: interval([mean - 0.01, mean, mean + 0.01]) for name, mean in {"single_task": 0.7, **means}.items()}


def advice(gains: dict[str, tuple[float, float]], chosen: str, **more: Any) -> Recommendation:
    scores = valid(**{name: 0.6 - 0.01 * place for place, name in enumerate(gains)})
    return recommend(transfer_of(gains, **more), scores, chosen, "single_task", MAIN)


CASES = [
    ({"mmoe": (0.02, 0.03)}, "mmoe", "share", "Share with mmoe: on the test rows it helps click (+0.0200; "),
    ({"mmoe": (0.02, 0.0)}, "mmoe", "share", "hurts no task beyond doubt. For buy these rows cannot tell."),
    ({"mmoe": (0.02, -0.012)}, "mmoe", "share", "hurts no task beyond doubt. Looked at alone, it likely hurts buy."),
    ({"mmoe": (0.02, -0.03)}, "mmoe", "share at a price", "only if you accept the harm: it helps click (+0.0200; "),
    (
        {"mmoe": (0.02, -0.03)},
        "single_task",
        "share at a price",
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
    ({"mmoe": (-0.02, 0.0), "ple": (0.0, 0.02)}, "single_task", "separate", "On these test rows ple helps buy and hurts no task"),
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


def test_the_choice_stays_validation_s_and_a_better_one_on_test_is_only_named() -> None:
    recommendation = advice({"mmoe": (0.02, -0.03), "ple": (0.02, 0.001), "omoe": (0.03, -0.012)}, "mmoe")
    assert recommendation.model == "mmoe"
    assert recommendation.alternatives == [Alternative(model="ple", helps=["click"])], "omoe's own interval says that it hurts buy"
    assert "On these test rows ple helps click and hurts no task. Test rows must not choose" in recommendation.text
    assert advice({"mmoe": (0.02, 0.0), "ple": (0.09, 0.09)}, "mmoe").alternatives == []


def test_reasons_name_harm_its_cure_and_spoiled_probabilities() -> None:
    cure = [{"model": "mmoe", "of": "omoe", "task": "click"}, {"model": "mmoe", "of": "omoe", "task": "buy"}]
    spoiled = [{"model": "mmoe", "task": "click", "metric": "log_loss", "ranking": "helps"}]
    recommendation = advice({"mmoe": (0.02, 0.0), "omoe": (-0.03, -0.04)}, "mmoe", removed=cure, probabilities=spoiled)
    assert recommendation.reasons == [
        "Negative transfer: omoe hurts click and buy; mmoe removes this harm for click and buy.",
        "mmoe makes the log loss of click worse though it ranks better. Calibrate it before you use its probabilities.",
    ]


def test_of_many_harmful_models_a_few_are_named() -> None:
    bad = {f"m{at}": (-0.05, 0.0) for at in range(6)}
    cures = [{"model": name, "of": "m0", "task": "click"} for name in ("a", "b", "mmoe", "c")]
    recommendation = advice({"mmoe": (0.02, 0.0), **bad}, "mmoe", removed=cures).reasons
    assert recommendation == [
        "Negative transfer: m0 hurts click; mmoe, a and 2 others remove this harm for click.",
        "Negative transfer: m1 hurts click.",
        "Negative transfer: 4 more models hurt a task: m2, m3 and 2 others.",
    ]


def test_one_replica_cannot_tell() -> None:
    table = transfer_of({"mmoe": (0.02, 0.02)})
    for gain_of in table.gains["mmoe"].values():
        undecided = {"ci95": None, "joint95": None, "sd_replicas": None, "verdict": "cannot tell"}
        gain_of["auc"] = gain_of["auc"].model_copy(update=undecided)
    scores = {"single_task": interval([0.6]), "mmoe": interval([0.7])}
    recommendation = recommend(table, scores, "mmoe", "single_task", MAIN)
    assert recommendation.rule == "cannot tell"
    assert "3 or more replicas are needed for an interval, and there is 1. Train 8 replicas or more." in recommendation.text
    assert recommendation.needs == []


def test_undefined_gains_are_called_so() -> None:
    table = transfer_of({"mmoe": (0.0, 0.0)})
    for gain_of in table.gains["mmoe"].values():
        gain_of["auc"] = entry(None)
    assert recommend(table, valid(mmoe=0.6), "mmoe", "single_task", MAIN).text.endswith("no gain is defined on the test rows.")


def test_nothing_to_judge() -> None:
    scores = {"single_task": interval([0.6, 0.6, 0.6]), "mmoe": interval([math.nan, 0.7, 0.7])}
    recommendation = recommend(transfer_of({"mmoe": (0.0, 0.0)}), scores, "single_task", "single_task", MAIN)
    assert (recommendation.rule, recommendation.judged) == ("cannot tell", None)


def test_what_it_takes_by_hand() -> None:
    """sd 0.01 over 4 replicas, test part 0.0005: the test part stays, the seeds' must come down to what it leaves of 0.002."""
    recommendation = need(
        "click",
        "auc",
        filled(JointGain, {"sd_replicas": 0.01, "se_test": 0.0005 / 1.959964, "clusters": 10**6}),
        replicas=4,
        looks=1,
    )
    goal = math.sqrt(0.002**2 - 0.0005**2)
    expected = next(r for r in range(2, 10_000) if student.ppf(0.975, r - 1) * 0.01 / math.sqrt(r) <= goal)
    assert recommendation.sizes[0] == SizeNeed(size=0.002, replicas=expected, times_rows=1.0)
    assert recommendation.seeds == pytest.approx(student.ppf(0.975, 3) * 0.01 / 2)
    assert [size.size for size in recommendation.sizes] == [0.002, 0.005, 0.01]
    rows = need(
        "click", "auc", filled(JointGain, {"sd_replicas": 0.0001, "se_test": 0.01, "clusters": 10**6}), replicas=10, looks=1
    ).sizes[0]
    assert rows.replicas == 10
    assert rows.times_rows == pytest.approx((1.959964 * 0.01) ** 2 / (0.002**2 - (2.262157 * 0.0001) ** 2 / 10), abs=0.06)
    narrow = need(
        "click", "auc", filled(JointGain, {"sd_replicas": 0.0001, "se_test": 0.0001, "clusters": 10**6}), replicas=10, looks=1
    )
    assert narrow.sizes[0] == SizeNeed(size=0.002, replicas=10, times_rows=1.0)
    lost = need("click", "auc", filled(JointGain, {"sd_replicas": 1.0, "se_test": 0.0001, "clusters": 10**6}), replicas=10, looks=1)
    assert lost.sizes[0].replicas is None


def test_words_say_what_it_takes_and_when_it_is_too_small_to_matter() -> None:
    recommendation = advice({"mmoe": (0.0, 0.0)}, "mmoe").text
    assert "To detect a difference of 0.005 in AUC on click takes " in recommendation
    assert " replicas instead of 3" in recommendation
    assert " times the test rows." in recommendation
    small = transfer_of({"mmoe": (0.0, 0.0)})
    for gain_of in small.gains["mmoe"].values():
        gain_of["auc"] = gain_of["auc"].model_copy(update={"sd_replicas": 1e-5, "se_test": 1e-5})
    recommendation = recommend(small, valid(mmoe=0.6), "mmoe", "single_task", MAIN).text
    assert recommendation.endswith("too small to matter.")
    for gain_of in small.gains["mmoe"].values():
        gain_of["auc"] = gain_of["auc"].model_copy(update={"sd_replicas": 5.0})
    recommendation = recommend(small, valid(mmoe=0.6), "mmoe", "single_task", MAIN).text
    assert "0.01 in AUC on click takes more than 10,000 replicas." in recommendation


@settings(deadline=None)
@given(st.floats(1e-5, 0.3), st.floats(1e-5, 0.1), st.integers(2, 30), st.integers(1, 20))
def test_what_it_takes_is_enough(sd: float, se: float, replicas: int, looks: int) -> None:
    """With the replicas and rows named, the interval is as narrow as asked."""
    for size in need(
        "click", "auc", filled(JointGain, {"sd_replicas": sd, "se_test": se, "clusters": 10**6}), replicas, looks
    ).sizes:
        if size.replicas is None:
            continue
        level = 1 - 0.025 / looks
        seeds = student.ppf(level, size.replicas - 1) * sd / math.sqrt(size.replicas)
        test = student.ppf(level, 9_999) * se / math.sqrt(size.times_rows)
        assert math.hypot(seeds, test) <= size.size * 1.03
        assert size.replicas >= replicas
        assert size.times_rows >= 1


around = st.floats(-0.05, 0.05, allow_nan=False)


@settings(deadline=None)
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
            recommendation = recommend(transfer_of(gains), scores, chosen, "single_task", MAIN)
            assert (recommendation.model, recommendation.judged) == (chosen, "mmoe")
