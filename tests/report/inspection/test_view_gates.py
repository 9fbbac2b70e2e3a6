"""Gates as the page shows them: who mixes how many experts, spreads over replicas, segments and epochs, by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from documents import inspection
from manygate.report.inspection import view_gates

BARE: dict[str, Any] = {"architecture": "mmoe", "rows": 100, "replicas": {"looked_at": 2, "of": 2}}

SCALE = "A distance of 0 is the same mixture, 1 is no expert in common."


def gate_of(task: str, sees: list[int], mean: list[float], **changes: Any) -> dict[str, Any]:
    shape = {"sees": sees, "rows": 1234, "mean": mean, "sd": [0.0] * len(mean), "entropy": math.log(2), "entropy_share": 0.5}
    return {**shape, "polarised": 0.25, "task": task, **changes}


def gates(*uses: dict[str, Any], distances: tuple[float, ...] = (), replica: int = 0, level: str = "level 1") -> dict[str, Any]:
    pairs = [{"tasks": [f"t{n}", "x"], "of_means": distance, "by_row": None} for n, distance in enumerate(distances)]
    tree = {"replica": replica, "level": level, "experts": 3, "tasks": list(uses), "distances": pairs}
    return {**tree, "unused": [], "unused_share": None}


def test_a_gate_mixes_as_many_experts_as_its_entropy_tells() -> None:
    one = gate_of("alone", [1], [0.0, 1.0, 0.0], entropy=0.0, entropy_share=None)
    entry = gates(gate_of("click", [0, 1], [0.5, 0.5, 0.0]), one)
    (section,) = view_gates.utilisation(inspection({**BARE, "gates": [entry, gates(one, replica=1)]}))
    assert [panel["mixture"] for panel in section["panels"]] == ["in effect 2.0 of 2 experts", "sees one expert, 1,234 rows"]  # type: ignore[attr-defined]
    assert section["task_experts"], "expert 1 is seen by one gate alone"
    both = gates(gate_of("click", [0, 1, 2], [0.5, 0.5, 0.0]), gate_of("buy", [0, 1, 2], [0.2, 0.2, 0.6]))
    assert not view_gates.utilisation(inspection({**BARE, "gates": [both]}))[0]["task_experts"]


@pytest.mark.parametrize(
    ("distances", "expected"),
    [
        ((), ""),
        ((0.25,), f"The distance between the mean gates is 0.25, between t0 and x. {SCALE}"),
        (
            (0.5, 0.125, 0.75),
            f"two mean gates is 0.12, between t1 and x; the largest is 0.75, between t2 and x. {SCALE}",
        ),
    ],
)
def test_tasks_most_and_least_alike(distances: tuple[float, ...], expected: str) -> None:
    entry = gates(gate_of("click", [0, 1, 2], [0.5, 0.5, 0.0]), distances=distances)
    (section,) = view_gates.utilisation(inspection({**BARE, "gates": [entry]}))
    assert str(section["apart"]).endswith(expected)
    assert bool(section["apart"]) == bool(expected)


def test_the_first_replica_and_the_range_over_all() -> None:
    first = gates(gate_of("click", [0, 1, 2], [0.75, 0.25, 0.0], entropy_share=0.5, polarised=0.25))
    second = gates(gate_of("click", [0, 1, 2], [0.5, 0.5, 0.0], entropy_share=0.75, polarised=0.25), replica=1)
    (row,) = view_gates.gate_table(inspection({**BARE, "gates": [first, second]}))
    assert (row["level"], row["task"]) == ("level 1", "click")
    assert row["numbers"] == [("0.50", "0.50 to 0.75"), ("25.0 %", ""), ("75.0 %", "50.0 % to 75.0 %")]
    alone = gates(gate_of("click", [0], [1.0], entropy_share=None, polarised=None))
    (row,) = view_gates.gate_table(inspection({**BARE, "gates": [alone]}))
    assert row["numbers"] == [("–", ""), ("–", ""), ("100.0 %", "")]


def test_segments_of_the_first_replica_and_the_one_furthest_away() -> None:
    def segment(name: str, mean: list[float], distance: float, replica: int = 0) -> dict[str, Any]:
        return {**gate_of("click", [0, 2], mean), "replica": replica, "level": "level 1", "segment": name, "distance": distance}

    found = [segment("CH", [0.5, 0.0, 0.25], 0.125), segment("DE", [0.25, 0.0, 0.5], 0.375), segment("DE", [1.0, 0.0, 0.0], 0.9, 1)]
    shown = view_gates.segments(inspection({**BARE, "segments": {"by": "country", "segments": [], "gates": found}}))
    assert shown is not None
    assert shown["by"] == "country"
    (heat,) = shown["maps"]  # type: ignore[misc]
    assert heat["reading"] == "Furthest from the mean over all rows: DE, distance 0.38."
    assert heat["experts"] == [0, 2]
    assert [[(cell["text"], cell["heat"], cell["deep"]) for cell in row["cells"]] for row in heat["rows"]] == [
        [("0.50", "0.920", True), ("0.25", "0.470", False)],
        [("0.25", "0.470", False), ("0.50", "0.920", True)],
    ]
    assert view_gates.segments(inspection(BARE)) is None
    assert view_gates.segments(inspection({**BARE, "segments": {"by": "x", "segments": [], "gates": []}})) is None


def test_weights_by_epoch_of_each_task_with_two_experts_or_more() -> None:
    tasks = [{"task": name, "kind": "binary", "rows": 9} for name in ("click", "buy")]
    file: dict[str, Any] = {**BARE, "inspection_version": 1, "tasks": tasks}
    epochs = [
        {"epoch": 1, "gates": [[[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]]},
        {"epoch": 2, "gates": [[[0.25, 0.75, 0.0], [1.0, 0.0, 0.0]]]},
        {"epoch": 3, "gates": []},
    ]
    (panel,) = view_gates.over_time(inspection({**file, "history": epochs}))
    assert (panel["task"], panel["level"]) == ("click", "")
    assert "1: 0.500 to 0.250; 2: 0.500 to 0.750." in str(panel["chart"])
    assert view_gates.over_time(inspection(file)) == []
    levels = [gates(gate_of("click", [0, 1], [0.5, 0.5]), level=f"level {n}") for n in (1, 2)]
    two = [{"epoch": 1, "gates": [[[0.5, 0.5], [0.5, 0.5]]] * 2}]
    panels = view_gates.over_time(inspection({**file, "gates": levels, "history": two}))
    assert [(panel["task"], panel["level"]) for panel in panels] == [
        ("click", "level 1"),
        ("buy", "level 1"),
        ("click", "level 2"),
        ("buy", "level 2"),
    ]


def test_a_measured_model_has_a_chart_for_each_task_and_the_effective_number_of_experts(inspected) -> None:
    document = inspection(inspected("mmoe"))
    (section,) = view_gates.utilisation(document)
    entry = next(entry for entry in document.gates or [] if entry.replica == 0)
    assert [panel["task"] for panel in section["panels"]] == [use.task for use in entry.tasks]  # type: ignore[attr-defined]
    for panel, use in zip(section["panels"], entry.tasks, strict=True):  # type: ignore[call-overload]
        assert panel["mixture"] == f"in effect {math.exp(use.entropy):.1f} of {len(use.sees)} experts"
        assert str(panel["chart"]).startswith("<svg")


def test_replicas_are_apart(inspected) -> None:
    document = inspection(inspected("mmoe"))
    first, second = (view_gates.utilisation(document, replica) for replica in (0, 1))
    assert str(first[0]["panels"][0]["chart"]) != str(second[0]["panels"][0]["chart"])  # type: ignore[index]


def test_a_scheme_without_gates_has_no_section(inspected) -> None:
    document = inspection(inspected("shared_bottom"))
    assert view_gates.utilisation(document) == []
    assert view_gates.gate_table(document) == []
