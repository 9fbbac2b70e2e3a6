"""The story of the demo: which gains count as finding the truth, and what is said where they do not."""

from __future__ import annotations

import pytest

from documents import filled
from gain_entries import entry
from manygate.cli.demo_story import demo_story
from manygate.results.comparison import ComparisonDocument, Difference
from manygate.results.story import Story
from manygate.results.summary import JointGain

SURE, WEAK = 0.04, 0.005
"""Gains beyond and within a joint half-width of 0.015."""


def told_by(
    buy: JointGain,
    bottom: tuple[JointGain, JointGain],
    gated: tuple[JointGain, JointGain],
    step: tuple[JointGain, JointGain],
    origin: str,
) -> Story:
    """The story of gains: of buy under mmoe, and of click and like under shared_bottom, under mmoe, and from one to the other."""
    tasks = ("click", "like")
    ends = {"origin": origin, "to": "mmoe" if origin == "shared_bottom" else "shared_bottom"}
    gains = {
        "shared_bottom": {task: {"auc": gain} for task, gain in zip(tasks, bottom, strict=True)},
        "mmoe": {"buy": {"auc": buy}, **{task: {"auc": gain} for task, gain in zip(tasks, gated, strict=True)}},
    }
    tree = {
        "data": {"tasks": {"buy": {"train": {"positives": 123}}}},
        "transfer": {"gains": gains, "differences": [Difference(**ends, tasks=dict(zip(tasks, step, strict=True)))]},
    }
    return demo_story(filled(ComparisonDocument, tree))


def story(
    buy: float, bottom: tuple[float, float], gated: tuple[float, float], step: tuple[float, float], origin: str = "shared_bottom"
) -> Story:
    sign = 1 if origin == "shared_bottom" else -1
    pairs = [(entry(first), entry(second)) for first, second in (bottom, gated, (sign * step[0], sign * step[1]))]
    return told_by(entry(buy), *pairs, origin)


def found(told: Story) -> list[str]:
    return [claim.found for claim in told.claims]


@pytest.mark.parametrize("origin", ["shared_bottom", "mmoe"])
def test_a_comparison_that_finds_everything(origin: str) -> None:
    told = story(SURE, (WEAK, -SURE), (-WEAK, WEAK), (WEAK, SURE), origin)
    assert found(told) == ["found", "found", "found"]
    assert told.summary == "This comparison finds all of it (3 claims)."
    assert "only 123 purchases" in told.truth[0]
    assert told.claims[0].evidence == "+0.0400 (+0.0250 to +0.0550) over a model of its own"
    assert told.claims[1].evidence.startswith("click +0.0050 (−0.0100 to +0.0200) and like −0.0400")
    assert told.claims[2].evidence == "like +0.0400 (+0.0250 to +0.0550) over shared_bottom"


def test_what_the_intervals_do_not_show_is_said_to_be_open() -> None:
    told = story(WEAK, (-WEAK, -WEAK), (WEAK, WEAK), (WEAK, WEAK))
    assert found(told) == ["cannot tell"] * 3
    assert told.summary.startswith("This comparison finds 0 of 3 claims. For the rest, these rows and seeds are too few.")


def test_the_opposite_of_the_truth_is_called_so() -> None:
    assert found(story(-SURE, (SURE, SURE), (WEAK, WEAK), (WEAK, WEAK))) == ["contradicted", "contradicted", "cannot tell"]
    told = story(SURE, (-SURE, WEAK), (-2 * SURE, WEAK), (-SURE, WEAK))
    assert found(told) == ["found", "found", "contradicted"]
    assert "It contradicts the truth on “The gates of mmoe take most of this harm away”" in told.summary


def test_most_of_a_harm_is_half_of_it_or_more() -> None:
    assert found(story(SURE, (-2 * SURE, WEAK), (-SURE, WEAK), (SURE, WEAK)))[2] == "found"
    assert found(story(SURE, (-2.1 * SURE, WEAK), (-1.1 * SURE, WEAK), (SURE, WEAK)))[2] == "cannot tell"
    assert found(story(SURE, (-0.02, WEAK), (-WEAK, WEAK), (0.012, WEAK)))[2] == "cannot tell", "half of it may be luck"


def test_gates_that_hurt_the_other_task_do_not_take_the_harm_away() -> None:
    assert found(story(SURE, (-SURE, WEAK), (WEAK, -SURE), (SURE, -SURE)))[2] == "cannot tell"


def test_gains_without_an_interval_leave_all_open() -> None:
    none = JointGain(
        gain=0.5, ci95=None, joint95=None, sd_replicas=None, se_test=0.1, verdict="cannot tell", clusters=10, reason="too few"
    )
    told = told_by(none, (none, none), (none, none), (none, none), "mmoe")
    assert found(told) == ["cannot tell"] * 3
    assert "no interval" in told.claims[0].evidence
