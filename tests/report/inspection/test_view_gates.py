"""The sections about gates: a chart for each task of each level, and what each gate mixes."""

from __future__ import annotations

import math

from manygate.report.inspection import view_gates
from manygate.results.inspection import InspectionDocument


def read(tree) -> InspectionDocument:
    return InspectionDocument.from_tree(tree, "test")


def test_utilisation_has_a_chart_for_each_task_and_the_effective_number_of_experts(inspected):
    document = read(inspected("mmoe"))
    (section,) = view_gates.utilisation(document)
    entry = next(entry for entry in document.gates if entry.replica == 0)
    assert [panel["task"] for panel in section["panels"]] == [use.task for use in entry.tasks]
    for panel, use in zip(section["panels"], entry.tasks, strict=True):
        assert panel["told"] == f"mixes {math.exp(use.entropy):.1f} of {len(use.sees)}"
        assert str(panel["chart"]).startswith("<svg")


def test_replicas_are_apart(inspected):
    document = read(inspected("mmoe"))
    first, second = view_gates.utilisation(document), view_gates.utilisation(document, 1)
    assert str(first[0]["panels"][0]["chart"]) != str(second[0]["panels"][0]["chart"])


def test_a_scheme_without_gates_has_no_section(inspected):
    assert view_gates.utilisation(read(inspected("shared_bottom"))) == []
    assert view_gates.gate_table(read(inspected("shared_bottom"))) == []
