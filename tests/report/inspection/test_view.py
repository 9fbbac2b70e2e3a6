"""The sentences and tables of an inspection's page, from small documents."""

from __future__ import annotations

import pytest

from manygate.report.inspection import view
from manygate.results.inspection import InspectionDocument


@pytest.fixture(scope="module")
def document(inspected):
    return InspectionDocument.from_tree(inspected("mmoe"), "test")


def alarmed(document, *severities: str):
    """The document with alarms of these severities alone."""
    first = next(iter(document.alarms), None)
    if first is None:
        pytest.fail("the small model raises no alarm or note to copy")
    alarms = []
    for number, severity in enumerate(severities):
        changes = {"severity": severity, "title": f"Alarm {number}", "kind": "unused_expert"}
        alarms.append(first.model_copy(update=changes))
    return document.model_copy(update={"alarms": alarms})


def test_the_summary_counts_alarms_and_leaves_notes_out(document):
    assert view.summary(alarmed(document)) == "No fault was found in mmoe."
    assert view.summary(alarmed(document, "note", "note")) == "No fault was found in mmoe."
    assert view.summary(alarmed(document, "serious", "note")) == "Alarm 0."
    assert view.summary(alarmed(document, "serious", "warning", "warning")) == "3 alarms about mmoe, 1 of them serious."
    assert view.summary(alarmed(document, "serious", "serious")) == "2 alarms about mmoe, all of them serious."


def test_notes_are_no_alarms(document):
    kept = view.alarms_only(alarmed(document, "note", "serious", "note", "warning"))
    assert [alarm.severity for alarm in kept] == ["serious", "warning"]


def test_facts_name_the_architecture_and_the_replicas(document):
    facts = " ".join(view.facts(document))
    assert "mmoe" in facts
    assert "2 replicas" in facts


def test_importance_has_a_panel_for_each_task(document):
    panels = view.importance(document)
    assert [panel["task"] for panel in panels] == [entry.task for entry in document.importance]
