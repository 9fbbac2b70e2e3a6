"""Notes on documents written by hand: worth knowing, and no fault."""

from __future__ import annotations

from typing import Any

from documents import filled
from manygate.inspection.notes import few_rows, lonely_tasks, own_experts_only, same_mixtures
from manygate.inspection.rules import raise_alarms
from manygate.results.inspection import Inspection


def test_a_task_that_helps_none_is_a_note():
    def entry(on: str, mean: float) -> dict[str, Any]:
        return {"of": "buy", "on": on, "mean": mean, "se": 1e-4}

    (note,) = raise_alarms(
        filled(Inspection, {"rows": 100, "affinity": [entry("buy", 0.1), entry("click", -1e-3), entry("like", -2e-3)]})
    )
    assert (note.kind, note.severity) == ("helps_no_task", "note")
    assert raise_alarms(filled(Inspection, {"rows": 100, "affinity": [entry("click", -1e-3), entry("like", -1e-4)]})) == []


def test_one_gate_for_all_tasks_is_not_said_to_be_the_same():
    pair = {"tasks": ["click", "like"], "of_means": 0.01, "by_row": 0.0}
    entry = {"replica": 0, "level": "experts", "tasks": [], "unused": [], "unused_share": 0.0}
    assert raise_alarms(filled(Inspection, {"rows": 100, "gates": [entry | {"distances": [pair]}]})) == []
    other = {"tasks": ["click", "buy"], "of_means": 0.4, "by_row": 0.5}
    (note,) = raise_alarms(filled(Inspection, {"rows": 100, "gates": [entry | {"distances": [pair, other]}]}))
    assert (note.kind, note.severity) == ("same_mixture", "note")


def gates_of(mean: list[float], replica: int = 0) -> dict[str, Any]:
    """A level where expert 1 is click's, expert 2 is buy's and expert 3 is shared."""
    click = {"task": "click", "sees": [0, 2], "mean": mean, "polarised": 0.9, "entropy_share": 0.1}
    buy = {"task": "buy", "sees": [1, 2], "mean": [0.0, 0.5, 0.5], "polarised": 0.0, "entropy_share": 1.0}
    return {"replica": replica, "level": "level 1", "tasks": [click, buy], "unused": [], "unused_share": 0.0, "distances": []}


def test_a_task_that_relies_on_its_own_expert_is_noted_once_for_all_replicas():
    document = {"gates": [gates_of([0.95, 0.0, 0.05]), gates_of([0.05, 0.0, 0.95], 1), gates_of([0.91, 0.0, 0.09], 2)]}
    (note,) = own_experts_only(filled(Inspection, document))
    assert (note.kind, note.severity, note.title) == ("own_expert_only", "note", "click uses hardly any shared expert")
    assert "replica 1, level 1 expert 1 (95 %); replica 3, level 1 expert 1 (91 %)." in note.message
    assert [gate["replica"] for gate in note.numbers["gates"]] == [0, 2], "the second gives its weight to the shared one"
    assert list(own_experts_only(filled(Inspection, {}))) == []


def test_the_same_mixture_names_the_pair_and_its_levels():
    pair = {"tasks": ["click", "buy"], "of_means": 0.01, "by_row": 0.02}
    apart = {"tasks": ["click", "like"], "of_means": 0.01, "by_row": 0.2}
    entries = [{"replica": r, "level": "level 2", "tasks": [], "distances": [pair, apart]} for r in (0, 1)]
    (note,) = same_mixtures(filled(Inspection, {"gates": entries}))
    assert note.title == "click and buy use the same mixture"
    assert note.message == "The total variation between their gates is below 0.03: replica 1, level 2; replica 2, level 2."
    assert note.numbers["gates"] == [{"replica": r, "level": "level 2", **pair} for r in (0, 1)]


def test_a_distance_by_row_that_is_undefined_counts_as_none():
    """No row belongs to both tasks; another pair of the level shows that the gates are not one."""
    pair = {"tasks": ["click", "buy"], "of_means": 0.01, "by_row": None}
    other = {"tasks": ["click", "like"], "of_means": 0.4, "by_row": 0.5}
    entry = {"replica": 0, "level": "experts", "tasks": [], "distances": [pair, other]}
    assert [note.title for note in same_mixtures(filled(Inspection, {"gates": [entry]}))] == ["click and buy use the same mixture"]


def test_few_rows_are_counted_in_words_and_numbers():
    (note,) = few_rows(filled(Inspection, {"rows": 57}))
    assert (note.kind, note.severity, note.numbers) == ("few_rows", "note", {"rows": 57})
    assert "The inspection read 57 rows. It judges gates and units from 100 rows on." in note.message


def test_a_lonely_task_lists_what_its_steps_do_to_the_others():
    entries = [{"of": "buy", "on": on, "mean": mean, "se": 1e-4} for on, mean in (("click", -1e-3), ("like", -2e-2))]
    (note,) = lonely_tasks(filled(Inspection, {"affinity": entries}))
    assert "the loss of every other task rises: click +0.10 %, like +2.0 %." in note.message
    assert note.numbers == {"task": "buy", "on": entries}
    undefined = [{"of": "buy", "on": "click", "mean": -1e-3, "se": None}]
    assert list(lonely_tasks(filled(Inspection, {"affinity": undefined}))) == []
