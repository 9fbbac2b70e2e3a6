"""The headline and the paragraph of each rule, word for word."""

from __future__ import annotations

import pytest

from gain_entries import entry, judged, price_entry, task_gain
from manygate.results.comparison import Rule
from manygate.verdict.advice import advice, headline, price_words
from manygate.verdict.judged import Judged
from manygate.verdict.rules import decide


def told(model: Judged, kept_separate: bool = False) -> tuple[Rule, str, str, list[str]]:
    rule = decide(model.as_shipped, model.per_task, kept_separate)
    return rule, headline(rule, model, kept_separate), advice(rule, model, kept_separate, replicas=5), price_words(rule, model)


def test_share() -> None:
    rule, title, text, prices = told(judged(click=(0.02, 0.0), buy=(0.0, 0.0)))
    assert rule == "share"
    assert title == "Use one shared model, mmoe: it helps click and clearly hurts no task."
    assert text == (
        "Share with mmoe: on the test rows it helps click (+0.0200; +0.0050 to +0.0350) and hurts no task beyond doubt. "
        "For buy these rows cannot tell."
    )
    assert prices == []


def test_share_although_the_one_checkpoint_costs_something() -> None:
    rule, title, text, prices = told(judged(click=(0.03, 0.01), buy=(0.02, 0.0)))
    assert rule == "share"
    assert title == "Use one shared model, mmoe: it helps all 2 tasks and clearly hurts no task."
    assert "click (+0.0200; +0.0050 to +0.0350)" in text, "the gain as shipped, and not the effect of .03"
    assert prices == [
        "One checkpoint for all tasks costs click 0.0100 (+0.0070 to +0.0130): sharing itself gains +0.0300, and as shipped the "
        "gain is +0.0200. The setting keep: best-per-task saves the price."
    ]


def test_a_checkpoint_for_each_task_where_only_the_price_stands_in_the_way() -> None:
    rule, title, text, prices = told(judged(click=(0.02, 0.015), buy=(0.0, 0.03)))
    assert rule == "one checkpoint per task"
    assert (
        title == "Use one shared model, mmoe, with a checkpoint for each task: this way it helps click and clearly hurts no task."
    )
    assert text == (
        "Share with mmoe, and keep a checkpoint for each task (setting keep: best-per-task): then it helps click (+0.0200; "
        "+0.0050 to +0.0350) and hurts no task beyond doubt. One checkpoint for all tasks would spoil this: click would be "
        "undecided (+0.0050; −0.0100 to +0.0200), for a price of 0.0150 (+0.0120 to +0.0180) and buy would be hurt (−0.0300; "
        "−0.0450 to −0.0150), for a price of 0.0300 (+0.0270 to +0.0330)."
    )
    assert prices == [], "the paragraph has the figures"


def test_a_leaning_that_the_table_of_effects_does_not_show_is_one_as_shipped() -> None:
    """The effect on buy is undecided. With the one checkpoint it is likely hurt."""
    _, _, text, _ = told(judged(click=(0.02, 0.0), buy=(-0.009, 0.003)))
    assert text.endswith("Looked at alone, as shipped it likely hurts buy.")
    _, _, text, _ = told(judged(click=(0.0, 0.0), buy=(-0.009, 0.003)))
    assert "Looked at alone, as shipped it likely hurts buy." in text
    _, _, text, _ = told(judged(click=(0.02, 0.0), buy=(-0.012, 0.0)))
    assert text.endswith("Looked at alone, it likely hurts buy.")


@pytest.mark.parametrize("kept_separate", [True, False])
def test_a_trade_off(kept_separate: bool) -> None:
    rule, title, text, _ = told(judged(click=(0.02, 0.0), buy=(-0.02, 0.0)), kept_separate)
    assert rule == "trade-off"
    figures = "click (+0.0200; +0.0050 to +0.0350)", "buy (−0.0200; −0.0350 to −0.0050)"
    assert all(figure in text for figure in figures)
    expected = "Keep one model per task, unless click matters more: sharing with mmoe hurts buy."
    other = "The shared model mmoe helps click but hurts buy: use it only if you accept that."
    assert title == (expected if kept_separate else other)


@pytest.mark.parametrize("kept_separate", [True, False])
def test_separate_where_sharing_hurts(kept_separate: bool) -> None:
    rule, title, text, prices = told(judged(click=(0.0, 0.0), buy=(-0.02, -0.015)), kept_separate)
    assert rule == "separate"
    assert title == "Keep one model per task: the shared model mmoe hurts buy and clearly helps no task."
    assert "buy (−0.0200; −0.0350 to −0.0050)" in text, "as shipped it is undecided; the effect proves the harm"
    assert ("as validation chose" in text) == kept_separate
    assert prices == []


def test_separate_does_not_deny_help_that_the_price_takes_away() -> None:
    """The table of effects has a filled mark for click, and the sentence on its price stands below."""
    rule, title, _, prices = told(judged(click=(0.02, 0.015), buy=(-0.02, 0.0)))
    assert rule == "separate"
    assert title == (
        "Keep one model per task: the shared model mmoe hurts buy and, with one checkpoint for all tasks, clearly helps no task."
    )
    assert prices[0].startswith("One checkpoint for all tasks costs click 0.0150")


def test_separate_where_only_the_price_hurts_names_the_way_out() -> None:
    rule, _, text, prices = told(judged(click=(0.0, 0.0), buy=(0.0, 0.02)))
    assert rule == "separate"
    assert "buy (−0.0200; −0.0350 to −0.0050)" in text
    assert prices[0].startswith("One checkpoint for all tasks costs buy 0.0200 (+0.0170 to +0.0230)")
    (tried,) = told(Judged("mmoe", {"a": entry(-0.012)}, {"a": task_gain(-0.02)}, {"a": price_entry(0.001)}))[3]
    assert tried == "Sharing itself does not clearly hurt a: try the setting keep: best-per-task."


@pytest.mark.parametrize(("price", "how"), [(0.0, ""), (0.02, ", with a checkpoint for each task,")])
def test_look_again_where_validation_kept_the_tasks_apart(price: float, how: str) -> None:
    rule, title, text, _ = told(judged(click=(0.02, price), buy=(0.0, 0.0)), kept_separate=True)
    assert rule == "look again"
    expected = "Look again: validation prefers one model per task, but the shared model mmoe"
    assert title == f"{expected}{how} helps click and clearly hurts none."
    assert text.startswith("Look again: validation chose one model per task, but mmoe, the best way of sharing on validation, ")
    assert text.endswith("If click matters most, let validation watch it.")
    assert ("keep: best-per-task" in text) == bool(price)


def test_look_again_says_what_it_likely_hurts() -> None:
    _, title, text, _ = told(judged(click=(0.02, 0.0), buy=(-0.012, 0.0)), kept_separate=True)
    assert title.endswith("mmoe helps click and clearly hurts none.")
    assert "hurts no task beyond doubt. Looked at alone, it likely hurts buy. If click matters most" in text


@pytest.mark.parametrize(("kept_separate", "what"), [(False, "what you have"), (True, "one model per task")])
def test_cannot_tell(kept_separate: bool, what: str) -> None:
    rule, title, text, prices = told(judged(click=(0.012, 0.0), buy=(0.0, 0.0)), kept_separate)
    assert rule == "cannot tell"
    assert title == f"Keep {what} for now: these data do not show whether the shared model mmoe helps or hurts."
    assert "Looked at alone, it likely helps click." in text
    assert text.endswith("Keep what you have today until more data or more replicas decide.")
    assert prices == []


def test_many_tasks_are_counted_in_the_headline() -> None:
    helped = {f"t{at}": (0.02, 0.0) for at in range(5)}
    assert "it helps all 5 tasks" in told(judged(**helped))[1]
    assert "it helps 5 of 6 tasks" in told(judged(**helped, other=(0.0, 0.0)))[1]
