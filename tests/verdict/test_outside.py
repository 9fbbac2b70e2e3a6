"""The sentences about models from outside."""

from __future__ import annotations

from gain_entries import entry
from manygate.metrics.uncertainty import interval_note
from manygate.results.summary import JointGain
from manygate.verdict.outside import ahead_of_every, headline_words, outside_words


def test_both_sides_with_sizes_from_the_winner_s_side() -> None:
    gains = {"mmoe": {"lightgbm": {"click": entry(0.05), "like": entry(-0.03), "buy": entry(0.001)}}}
    assert outside_words(gains, "mmoe") == [
        "LightGBM is ahead of mmoe on like by 0.0300 (+0.0150 to +0.0450); mmoe is ahead of LightGBM on click by 0.0500 (+0.0350 "
        "to +0.0650). On buy these rows cannot tell."
    ]


def test_a_task_on_which_every_network_is_weaker_is_named() -> None:
    weak = {"lightgbm": {"click": entry(-0.03), "like": entry(-0.05)}}
    fair = {"lightgbm": {"click": entry(-0.02), "like": entry(0.0)}}
    (text,) = outside_words({"mmoe": weak, "single_task": fair}, "single_task")
    assert text.startswith(
        "LightGBM is ahead of single_task on click by 0.0200 (+0.0050 to +0.0350). On like these rows cannot tell."
    )
    assert text.endswith(
        "On click LightGBM is ahead of every network, so the verdicts on sharing compare models that are all weaker there."
    )
    assert ahead_of_every({"a": {"click": entry(-0.03)}, "b": {"click": entry(0.03)}}) == []
    assert ahead_of_every({"a": {"click": entry(-0.03)}, "b": {"click": entry(-0.012)}}) == []


def test_a_baseline_that_is_behind_everywhere() -> None:
    gains = {"mmoe": {"logistic": {"click": entry(0.03)}}, "single_task": {"logistic": {"click": entry(0.0)}}}
    assert outside_words(gains, "mmoe") == [
        "mmoe is ahead of logistic regression on click by 0.0300 (+0.0150 to +0.0450). Logistic regression is ahead of no network "
        "on any task beyond doubt."
    ]


def test_what_is_likely_alone_is_said_and_not_counted_as_beyond_doubt() -> None:
    gains = {"mmoe": {"lightgbm": {"click": entry(-0.012), "like": entry(0.013), "buy": entry(0.0)}}}
    assert outside_words(gains, "mmoe") == [
        "These rows cannot tell whether LightGBM is ahead of mmoe or behind it on any task. Looked at alone, LightGBM is likely "
        "ahead on click by 0.0120 and mmoe is likely ahead on like by 0.0130."
    ]


def test_without_intervals_the_differences_stand_alone() -> None:
    bare = {"ci95": None, "joint95": None, "sd_replicas": None, "se_test": None, "verdict": "cannot tell", "clusters": 9}
    gains = {"mmoe": {"lightgbm": {"click": JointGain.model_validate({**bare, "gain": 0.02, "reason": interval_note(1)})}}}
    why = "3 or more replicas are needed for an interval, and there is 1."
    assert outside_words(gains, "mmoe") == [f"LightGBM minus mmoe: click −0.0200, without intervals. {why}"]


def test_without_a_choice_or_without_a_common_task_nothing_is_claimed() -> None:
    assert outside_words({"mmoe": {"lightgbm": {}}}, "mmoe") == []
    assert outside_words({"mmoe": {"lightgbm": {"click": entry(0.0)}}}, None) == [""]
    assert outside_words({}, "mmoe") == []


def test_each_baseline_has_a_text_of_its_own() -> None:
    gains = {"mmoe": {"lightgbm": {"click": entry(-0.03)}, "constant": {"click": entry(0.2)}}}
    first, second = outside_words(gains, "mmoe")
    assert "LightGBM" in first
    assert "constant prediction" not in first
    assert second.startswith("mmoe is ahead of the constant prediction on click by 0.2000")


def test_the_headline_names_what_is_ahead_of_the_chosen_network_beyond_doubt() -> None:
    gains = {"mmoe": {"lightgbm": {"click": entry(-0.03), "like": entry(-0.012)}, "constant": {"click": entry(0.2)}}}
    assert headline_words(gains, "mmoe") == "But mmoe is behind LightGBM on click."
    assert headline_words({"mmoe": {"lightgbm": {"click": entry(-0.012)}}}, "mmoe") == ""
    assert headline_words(gains, None) == ""
    assert headline_words(gains, "ple") == ""
