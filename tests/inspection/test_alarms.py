"""The words that alarms share, on entries written by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from documents import filled
from manygate.inspection.alarms import (
    alarm,
    gate_numbers,
    grouped,
    level_name,
    level_words,
    named,
    numbered,
    on_own_expert,
    percent,
    polarised_rows,
    top_expert,
)
from manygate.results.inspection import GateUse, SeenGates


def use(task: str, mean: list[float], sees: list[int]) -> GateUse:
    return filled(GateUse, {"task": task, "mean": mean, "sees": sees, "polarised": 0.625, "entropy_share": 0.25})


def level(replica: int, name: str, uses: Sequence[GateUse] = ()) -> SeenGates:
    return filled(SeenGates, {"replica": replica, "level": name, "tasks": list(uses)})


def test_an_alarm_holds_its_parts_and_starts_with_a_capital_letter():
    assert alarm("kind", "note", "A title", "replica 1 fell", "Do this.", rows=3).to_tree() == {
        "kind": "kind",
        "severity": "note",
        "title": "A title",
        "message": "Replica 1 fell",
        "numbers": {"rows": 3},
        "advice": "Do this.",
    }
    assert alarm("kind", "note", "A title", "", "").message == ""


def test_shares_are_percent():
    assert [percent(share) for share in (0.0, 0.004, 0.0051, 0.955, 1.0)] == ["0 %", "0 %", "1 %", "96 %", "100 %"]
    assert polarised_rows(use("a", [1.0], [0])) == "62 % of rows"


def test_entries_of_a_key_stand_together_in_the_order_of_their_first_appearance():
    entries = [("b", 1), ("a", 2), ("b", 3), ("c", 4), ("a", 5)]
    assert grouped(entries, lambda entry: entry[0]) == [("b", [("b", 1), ("b", 3)]), ("a", [("a", 2), ("a", 5)]), ("c", [("c", 4)])]
    assert grouped([], lambda entry: entry[0]) == []


def test_replicas_count_from_one_and_a_level_is_named_where_there_are_several():
    assert level_name(0, "experts") == "replica 1"
    assert level_name(2, "level 2") == "replica 3, level 2"
    pairs = [
        (level(0, "level 1"), use("a", [0.1, 0.9], [0, 1])),
        (level(4, "experts"), use("a", [1.0, 0.0], [0, 1])),
    ]
    assert level_words(pairs, top_expert) == "replica 1, level 1 expert 2 (90 %); replica 5 expert 1 (100 %)"


def test_nouns_with_one_number_and_with_several():
    assert [numbered("expert", numbers) for numbers in ([0], [0, 1], [4, 1, 2])] == [
        "expert 1",
        "experts 1 and 2",
        "experts 5, 2 and 3",
    ]


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("experts", "experts"),
        ("towers", "towers"),
        ("shared layers below", "shared layers below"),
        ("level 2", "level 2"),
        ("bottom", "the bottom"),
    ],
)
def test_parts_of_a_model_read_as_words(part: str, words: str):
    assert named(part) == words


@pytest.mark.parametrize(
    ("mean", "sees", "others", "expected"),
    [
        ([0.9, 0.0, 0.1], [0, 2], [[1, 2]], True),  # no other task sees expert 1
        ([0.1, 0.0, 0.9], [0, 2], [[1, 2]], False),  # expert 3 is shared
        ([0.9, 0.0, 0.1], [0, 2], [[1, 2], [0, 2]], False),  # a third task sees it too
        ([1.0, 0.0, 0.0], [0], [[1, 2]], False),  # there is no choice
        ([0.9, 0.0, 0.1], [0, 2], [], False),  # there is no other task
    ],
)
def test_an_own_expert_is_seen_by_no_other_task(mean: list[float], sees: list[int], others: list[list[int]], expected: bool):
    first = use("a", mean, sees)
    entry = level(0, "level 1", [first, *[use(f"b{n}", [0.0, 0.5, 0.5], seen) for n, seen in enumerate(others)]])
    assert on_own_expert(entry, first) is expected


def test_the_numbers_of_a_gate_name_its_largest_expert():
    entry = level(1, "level 2")
    assert gate_numbers(entry, use("a", [0.2, 0.7, 0.1], [0, 1, 2])) == {
        "replica": 1,
        "level": "level 2",
        "expert": 1,
        "weight": 0.7,
        "entropy_share": 0.25,
        "polarised": 0.625,
    }
