"""Rules on documents written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from documents import filled
from manygate.inspection.rules import RULES, raise_alarms
from manygate.results.inspection import Conflict, Inspection, SeenTower


def test_every_rule_is_silent_where_its_part_was_not_measured():
    empty = {"architecture": "mmoe", "rows": 1_000, "parts": [], "alarms": []}
    assert raise_alarms(filled(Inspection, empty)) == []
    assert len(RULES) == 12


def test_polarised_by_row_is_a_warning_and_for_sparse_gates_meant():
    use = {"task": "buy", "sees": [0, 1], "mean": [0.5, 0.5], "polarised": 0.8, "entropy_share": 0.1}
    entry = {"replica": 0, "level": "experts", "tasks": [use], "unused": [], "unused_share": 0.0, "distances": []}
    (alarm,) = raise_alarms(filled(Inspection, {"rows": 100, "gates": [entry], "gate": "softmax"}))
    assert (alarm.kind, alarm.severity) == ("polarised_gate", "warning")
    assert "replica 1 80 % of rows" in alarm.message
    assert raise_alarms(filled(Inspection, {"rows": 100, "gates": [entry], "gate": "topk"})) == []


@pytest.mark.parametrize(("expert", "kind", "severity"), [(0, "own_expert_only", "note"), (2, "collapsed_gate", "serious")])
def test_a_task_that_relies_on_its_own_expert_has_not_collapsed(expert, kind, severity):
    """Expert 1 is click's own, 2 is buy's own, 3 is shared."""
    mean = [0.98 if e == expert else 0.01 for e in range(3)]
    click = {"task": "click", "sees": [0, 2], "mean": mean, "polarised": 0.9, "entropy_share": 0.1}
    buy = {"task": "buy", "sees": [1, 2], "mean": [0.0, 0.5, 0.5], "polarised": 0.0, "entropy_share": 1.0}
    entry = {"replica": 0, "level": "level 1", "tasks": [click, buy], "unused": [], "unused_share": 0.0, "distances": []}
    (alarm,) = raise_alarms(filled(Inspection, {"rows": 100, "gates": [entry], "gate": "softmax"}))
    assert (alarm.kind, alarm.severity) == (kind, severity)
    assert f"expert {expert + 1} (98 %)" in alarm.message


@pytest.mark.parametrize(("auc", "raised"), [(0.99, []), (0.9947, ["note"]), (0.999, ["note"]), (0.9991, ["serious"]), (None, [])])
def test_a_task_that_is_predicted_too_well_is_an_alarm(auc: float | None, raised: list[str]) -> None:
    entry = {"task": "buy", "metric": "auc", "rows": 4321, "value": auc, "se": 0.001, "chance": 0.5, "verdict": "better"}
    alarms = raise_alarms(filled(Inspection, {"rows": 1_000, "noise": [entry]}))
    assert [(alarm.kind, alarm.severity) for alarm in alarms] == [("perfect_task", severity) for severity in raised]
    explained = {**entry, "metric": "r2"}
    assert raise_alarms(filled(Inspection, {"rows": 1_000, "noise": [explained]})) == []


def kinds(**parts: Any) -> list[str]:
    return [alarm.kind for alarm in raise_alarms(filled(Inspection, {"rows": 1_000, **parts}))]


def tower(task: str, replica: int) -> dict[str, Any]:
    return {"replica": replica, "task": task, "why": "its logit is constant"}


def network(name: str, dead: float = 0.85, zeros: float = 0.87) -> dict[str, Any]:
    return {"name": name, "units": 20, "dead": dead, "zeros": zeros, "mostly_zero": dead}


def layer(part: str, *networks: dict[str, Any], replica: int = 0) -> dict[str, Any]:
    return {"replica": replica, "part": part, "layer": 1, "networks": list(networks)}


def noise(verdict: str, value: float | None = 0.502, se: float | None = 0.01) -> dict[str, Any]:
    return {"task": "buy", "metric": "auc", "rows": 4321, "value": value, "se": se, "chance": 0.5, "verdict": verdict}


def test_the_most_severe_alarms_come_first():
    gates = {"replica": 0, "level": "experts", "tasks": [], "unused": [1], "unused_share": 0.1, "distances": []}
    affinity = [{"of": "buy", "on": "click", "mean": -0.1, "se": 0.01}]
    dead = {"layers": [], "towers": [tower("buy", 0)]}
    assert kinds(gates=[gates], affinity=affinity, dead=dead) == ["dead_tower", "unused_expert", "helps_no_task"]


def test_with_few_rows_only_noise_is_judged():
    dead = {"layers": [], "towers": [tower("buy", 0)]}
    assert [alarm.kind for alarm in raise_alarms(filled(Inspection, {"rows": 99, "dead": dead, "noise": [noise("noise")]}))] == [
        "noise_task",
        "few_rows",
    ]


def test_dead_towers_are_grouped_by_task():
    towers = [tower("buy", 0), tower("like", 1), tower("buy", 2)]
    buy, like = raise_alarms(filled(Inspection, {"rows": 1_000, "dead": {"layers": [], "towers": towers}}))
    assert buy.title == "The tower of buy is dead"
    assert "(replica 1: its logit is constant; replica 3: its logit is constant)" in buy.message
    assert buy.numbers == {
        "task": "buy",
        "towers": [filled(SeenTower, towers[0]).to_tree(), filled(SeenTower, towers[2]).to_tree()],
    }
    assert like.numbers["towers"] == [filled(SeenTower, towers[1]).to_tree()]


def test_dead_units_show_six_networks_and_count_the_rest():
    experts = layer("experts", *[network(f"expert {e + 1}") for e in range(8)])
    layers = [experts, layer("bottom", network("bottom", 0.95), replica=1)]
    bottom, experts = raise_alarms(filled(Inspection, {"rows": 1_000, "dead": {"layers": layers, "towers": []}}))
    assert (experts.title, experts.severity) == ("Dead units in experts", "warning")
    assert experts.message.startswith(
        "Replica 1, expert 1: 85 % of 20 units are zero on every row, and so are 87 % of all its outputs; "
    )
    assert "expert 6: " in experts.message
    assert "expert 7: " not in experts.message
    assert "; and 2 more. A unit that is zero" in experts.message
    assert len(experts.numbers["networks"]) == 8
    assert (bottom.title, bottom.severity) == ("Dead units in the bottom", "serious")


def test_the_units_of_a_dead_tower_are_left_to_its_own_alarm():
    layers = [layer("towers", network("tower of buy"), network("tower of like"))]
    dead = {"layers": layers, "towers": [tower("buy", 0)]}
    _, units = raise_alarms(filled(Inspection, {"rows": 1_000, "dead": dead}))
    assert [one["name"] for one in units.numbers["networks"]] == ["tower of like"]
    elsewhere = {"layers": layers, "towers": [tower("buy", 1)]}
    assert len(raise_alarms(filled(Inspection, {"rows": 1_000, "dead": elsewhere}))[1].numbers["networks"]) == 2, (
        "another replica's tower"
    )


def test_identical_experts_are_listed_as_pairs_and_six_are_shown():
    alike = [[1.0] * 5 for _ in range(5)]
    (alarm,) = raise_alarms(
        filled(Inspection, {"rows": 1_000, "experts": [{"replica": 0, "level": "experts", "cka": alike, "cosine": alike}]})
    )
    assert len(alarm.numbers["pairs"]) == 10, "five experts have ten pairs"
    assert "replica 1 experts 1 and 2; replica 1 experts 1 and 3; " in alarm.message
    assert "; and 4 more pairs. One of them" in alarm.message
    undefined: list[list[float | None]] = [[None, None], [None, None]]
    assert kinds(experts=[{"replica": 0, "level": "experts", "cka": undefined, "cosine": undefined}]) == []


def test_noise_is_serious_and_too_few_rows_are_a_note():
    (alarm,) = raise_alarms(filled(Inspection, {"rows": 1_000, "noise": [noise("noise")]}))
    assert (alarm.kind, alarm.severity) == ("noise_task", "serious")
    assert "On its 4,321 rows: AUC 0.5020 ± 0.0200, and chance is 0.5." in alarm.message
    (note,) = raise_alarms(filled(Inspection, {"rows": 1_000, "noise": [noise("too few rows", None, None)]}))
    assert (note.kind, note.severity) == ("too_few_rows", "note")
    assert "On its 4,321 rows: undefined, and chance is 0.5." in note.message
    assert kinds(noise=[noise("better")]) == []


def test_conflicts_are_grouped_by_pair():
    entries = [
        {"tasks": ["click", "buy"], "layer": "experts", "mean": -0.5, "below_zero": 1.0},
        {"tasks": ["click", "buy"], "layer": "embeddings", "mean": -0.41, "below_zero": 0.95},
        {"tasks": ["click", "like"], "layer": "experts", "mean": -0.1, "below_zero": 1.0},
    ]
    (alarm,) = raise_alarms(filled(Inspection, {"rows": 1_000, "conflict": entries}))
    assert alarm.title == "click and buy pull against each other"
    assert "Mean cosine by layer: experts -0.50, embeddings -0.41." in alarm.message
    assert alarm.numbers["layers"] == [filled(Conflict, entry).to_tree() for entry in entries[:2]]


def test_collapsed_tables_are_grouped_by_feature():
    ranks = {"plain": {"rank": 1.25, "share": 0.16}, "by_use": {"rank": 1.5, "share": 0.2}}
    tables = [
        {"replica": r, "feature": "user", "of": of, "dim": 8, "possible": 8, **ranks} for r, of in ((0, "shared"), (1, "buy"))
    ]
    (alarm,) = raise_alarms(filled(Inspection, {"rows": 1_000, "embeddings": tables}))
    assert "(effective rank of replica 1: 1.2 of 8; replica 2, buy: 1.2 of 8)" in alarm.message
    assert alarm.numbers["tables"][0] == {"replica": 0, "feature": "user", "of": "shared", "dim": 8, "possible": 8, "rank": 1.25}


def test_unused_experts_are_listed_level_by_level():
    entry = {"level": "level 1", "tasks": [], "distances": []}
    first = {"replica": 0, "unused": [0, 3], "unused_share": 0.25, **entry}
    second = {"replica": 1, "unused": [2], "unused_share": 0.125, **entry}
    (alarm,) = raise_alarms(filled(Inspection, {"rows": 1_000, "gates": [first, second]}))
    assert alarm.severity == "warning"
    assert "replica 1, level 1 experts 1 and 4; replica 2, level 1 expert 3." in alarm.message
    assert alarm.numbers["levels"][1] == {"replica": 1, "level": "level 1", "experts": [2]}
