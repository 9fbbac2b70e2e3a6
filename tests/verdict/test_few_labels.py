"""Tasks with too few labels on test for any answer."""

from __future__ import annotations

from typing import Any

from documents import filled
from gain_entries import entry, price_entry, task_gain
from manygate.metrics.uncertainty import interval
from manygate.results.comparison import Recommendation, Transfer
from manygate.results.evaluation import LabelSummary
from manygate.verdict.few_labels import change_words, headline_words, too_few
from manygate.verdict.recommendation import recommend


def parts(rows: int, test: int, all_rows: int, positives: int | None = None, all_positives: int | None = None) -> Any:
    """A task whose training part has what test and validation, which are alike, do not have."""
    left = None if positives is None or all_positives is None else all_positives - 2 * positives
    train = LabelSummary(rows=all_rows - 2 * test, mean=0.5, positives=left)
    other = LabelSummary(rows=rows, mean=0.5, positives=positives)
    return {"train": train, "valid": other, "test": other}


def rare(positives: int, whole: int, rows: int = 600) -> Any:
    return parts(rows, rows, 10 * rows, positives, whole)


LABELS = {"click": rare(300, 3000), "buy": rare(7, 57), "watch": parts(40, 40, 400), "skip": rare(591, 5943)}
EVERY = list(LABELS)


def test_a_task_is_named_if_it_is_undecided_and_has_few_rows_of_the_rarer_label() -> None:
    assert too_few(LABELS, EVERY) == ["buy", "watch", "skip"]
    assert too_few(LABELS, ["click", "skip"]) == ["skip"]
    assert too_few({}, EVERY) == []
    assert too_few({"a": rare(99, 990), "b": rare(100, 1000)}, ["a", "b"]) == ["a"]


def test_test_rows_alone_count() -> None:
    many, few = rare(300, 3000)["test"], rare(7, 57)["test"]
    assert too_few({"a": {"train": few, "valid": few, "test": many}, "b": {"train": many, "valid": many, "test": few}}, "ab") == [
        "b"
    ]


def test_the_headline_counts_them() -> None:
    assert headline_words(LABELS, []) == ""
    assert headline_words(LABELS, ["buy"]) == "There is no answer for buy, which has 7 positives on test."
    several = {"buy": LABELS["buy"], "order": rare(41, 400)}
    assert headline_words(several, [*several]) == "There is no answer for buy and order, which have 7 and 41 positives on test."
    mixed = headline_words(LABELS, ["buy", "watch", "skip"])
    assert mixed.endswith("which have 7 positives, 40 labelled rows and 9 negatives on test.")


def test_the_whole_log_is_counted_beside_the_test_rows() -> None:
    assert change_words(LABELS, "buy") == (
        "buy has 7 positives on test, and 57 in the whole log: with so few an AUC of 0.6 is known to about ± 0.21, "
        "with 800 to about ± 0.02. More could change what is said of it."
    )
    assert change_words(LABELS, "skip").startswith("skip has 9 negatives on test, and 57 in the whole log: with so few an AUC")
    assert change_words(LABELS, "watch") == (
        "watch has 40 labelled rows on test, and 400 in the whole log. More could change what is said of it."
    )


def advice(labels: Any, buy: float = 0.0) -> Recommendation:
    gains = {"click": 0.03, "buy": buy}
    table = {"mmoe": {task: {"auc": entry(gain)} for task, gain in gains.items()}}
    shipped = {"mmoe": {task: task_gain(gain) for task, gain in gains.items()}}
    price = {"mmoe": {task: price_entry(0.0) for task in gains}}
    scores = {name: interval([mean - 0.01, mean, mean + 0.01]) for name, mean in (("single_task", 0.6), ("mmoe", 0.7))}
    transfer = filled(Transfer, {"looks": {"mmoe": 2}, "gains": table})
    return recommend(transfer, shipped, price, scores, "mmoe", "single_task", {"click": "auc", "buy": "auc"}, labels)


def test_a_recommendation_says_so_first_and_asks_for_no_replicas_where_rows_are_missing() -> None:
    found, plain = advice(LABELS), advice(None)
    assert found.headline == f"{plain.headline} There is no answer for buy, which has 7 positives on test."
    assert found.could_change[0] == change_words(LABELS, "buy")
    assert any("on buy" in text for text in plain.could_change)
    assert not any("on buy" in text for text in found.could_change)
    assert found.needs == plain.needs, "the table of the report keeps them"


def test_a_task_that_is_decided_all_the_same_has_its_answer() -> None:
    assert advice(LABELS, buy=0.05) == advice(None, buy=0.05)
