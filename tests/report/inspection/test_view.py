"""An inspection as the page shows it: sentences, tables and heat maps, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from documents import inspection
from manygate.report.inspection import view

BARE: dict[str, Any] = {"architecture": "mmoe", "rows": 1200, "replicas": {"looked_at": 2, "of": 8}}
ALARM = {"kind": "x", "title": "Gone", "message": "M.", "numbers": {}, "advice": "A."}


def alarms(*severities: str, **changes: Any) -> list[dict[str, Any]]:
    return [{**ALARM, "severity": severity, **changes} for severity in severities]


@pytest.mark.parametrize(
    ("severities", "expected"),
    [
        ((), "No fault was found in mmoe."),
        (("note",), "No fault was found in mmoe."),
        (("warning", "note"), "Gone."),
        (("warning", "warning"), "2 alarms about mmoe."),
        (("serious", "warning", "note"), "2 alarms about mmoe, 1 of them serious."),
        (("serious", "serious"), "2 alarms about mmoe, all of them serious."),
    ],
)
def test_the_summary_counts_alarms_and_no_notes(severities: tuple[str, ...], expected: str) -> None:
    document = inspection({**BARE, "alarms": alarms(*severities)})
    assert view.summary(document) == expected
    assert len(view.alarms_only(document)) == len([name for name in severities if name != "note"])


def test_with_few_rows_nothing_was_looked_for() -> None:
    document = inspection({**BARE, "parts": ["gates", "noise"], "alarms": alarms("note", kind="few_rows")})
    assert view.summary(document) == "Too few rows to look for faults in mmoe."
    assert view.looked_for(document) == ""


def test_what_was_looked_for_is_named_by_the_parts_that_were_measured() -> None:
    assert view.looked_for(inspection({**BARE, "parts": ["noise", "dead", "importance"]})) == (
        "dead units and towers, tasks whose labels are noise"
    )


def test_facts_of_a_part_of_a_log_and_of_all_of_it() -> None:
    file = {"inspection_version": 1, "log": "log/", "rows_of_log": 5000}
    assert view.facts(inspection({**BARE, **file})) == ["mmoe", "log/", "1,200 of 5,000 rows, spread evenly", "2 of 8 replicas"]
    whole = {**BARE, **file, "rows_of_log": 1200, "replicas": {"looked_at": 1, "of": 1}}
    assert view.facts(inspection(whole)) == ["mmoe", "log/", "1,200 rows", "1 replica"]
    assert view.facts(inspection(BARE)) == ["mmoe", "1,200 rows", "2 of 8 replicas"]


def test_experts_of_the_first_replica_by_pairs() -> None:
    likeness = {"level": "level 1", "cka": [[1.0, 0.9], [0.9, None]], "cosine": [[1.0, -0.5], [-0.5, None]], "scale": [0.25, 1.5]}
    document = inspection({**BARE, "experts": [{"replica": 0, **likeness}, {"replica": 1, **likeness}]})
    (section,) = view.likeness(document)
    assert section["scales"] == ["0.25", "1.50"]
    (same, pair), (_, unknown) = section["rows"]  # type: ignore[misc]
    assert (same["text"], same["sub"], same["heat"], same["self"], same["deep"]) == ("1.00", "", "0.000", True, False)
    assert (pair["text"], pair["sub"], pair["heat"], pair["deep"]) == ("0.90", "-0.50", "0.729", True), "0.9 times 0.9 squared"
    assert unknown["text"] == "–"
    assert view.likeness(inspection(BARE)) == []


def test_units_of_the_first_replica_beside_the_worst_of_any() -> None:
    def layer(replica: int, part: str, number: int, dead: float) -> dict[str, Any]:
        network = {"name": "expert 1", "units": 1000, "dead": dead, "mostly_zero": 0.5, "zeros": 0.25}
        return {"replica": replica, "part": part, "layer": number, "networks": [network]}

    layers = [layer(0, "experts", 1, 0.1), layer(0, "experts", 2, 0.2), layer(0, "towers", 1, 0.0), layer(1, "experts", 1, 0.7)]
    rows = view.units(inspection({**BARE, "dead": {"layers": layers, "towers": []}}))
    assert [(row["part"], row["units"], row["dead_text"], row["worst"]) for row in rows] == [
        ("experts, layer 1", "1,000", "10.0 %", "70.0 %"),
        ("experts, layer 2", "1,000", "20.0 %", "20.0 %"),
        ("towers", "1,000", "0 %", "0 %"),
    ]
    assert (rows[0]["zeros_text"], rows[0]["mostly"]) == ("25.0 %", "50.0 %")
    (own,) = view.units(inspection({**BARE, "dead": {"layers": [{**layer(0, "tower", 1, 0.0), "model": "click"}], "towers": []}}))
    assert own["part"] == "tower of click"


def test_conflict_by_pair_and_layer_the_input_first() -> None:
    def entry(layer: str, tasks: list[str], mean: float) -> dict[str, Any]:
        return {"layer": layer, "tasks": tasks, "mean": mean, "se": None, "below_zero": 0.25, "by_replica": [mean]}

    found = [entry("experts", ["a", "b"], -0.1), entry("input", ["a", "b"], 0.4), entry("experts", ["a", "c"], 0.05)]
    shown = view.conflict(inspection({**BARE, "conflict": found}))
    assert shown is not None
    assert shown["layers"] == ["input", "experts"]
    first, second = shown["rows"]  # type: ignore[misc]
    assert first["name"] == "a and b"
    assert [(cell["text"], cell["side"], cell["strength"]) for cell in first["cells"]] == [
        ("+0.40", "helps", 70),
        ("−0.10", "hurts", 18),
    ]
    assert first["cells"][0]["sub"] == "25% below 0"
    assert [cell["text"] for cell in second["cells"]] == ["–", "+0.05"]
    assert view.conflict(inspection(BARE)) is None


def test_an_effect_is_coloured_where_it_is_sure_and_another_task_s() -> None:
    found = [
        {"of": "a", "on": "a", "mean": 0.05, "se": None},
        {"of": "a", "on": "b", "mean": -0.01, "se": 0.002},
        {"of": "b", "on": "a", "mean": 0.005, "se": 0.004},
        {"of": "b", "on": "b", "mean": 0.02, "se": 0.001},
    ]
    shown = view.affinity(inspection({**BARE, "affinity": found}))
    assert shown is not None
    (own, hurt), (unsure, _) = (row["cells"] for row in shown["rows"])  # type: ignore[attr-defined]
    assert (own["text"], own["side"], own["sub"]) == ("+5.000 %", "none", "")
    assert (hurt["text"], hurt["side"], hurt["sub"], hurt["strength"]) == ("−1.000 %", "hurts", "± 0.400", 70)
    assert (unsure["side"], unsure["strength"]) == ("none", 35)


def test_fifteen_features_are_drawn_and_the_rest_is_counted() -> None:
    features = [{"feature": f"f{n}", "drop": 0.1 if n else None, "se": None} for n in range(21)]
    entry = {"task": "click", "metric": "auc", "value": 0.75, "rows": 9, "repeats": 3, "features": features}
    (panel,) = view.importance(inspection({**BARE, "importance": [entry]}))
    assert (panel["score"], panel["label"], panel["rest"]) == ("0.7500", "AUC", 5)
    unknown = {**entry, "features": features[:1]}
    assert view.importance(inspection({**BARE, "importance": [unknown]})) == []


def test_tables_that_use_least_of_their_dimensions_come_first() -> None:
    def table(feature: str, share: float | None, of: str = "shared", replica: int = 0) -> dict[str, Any]:
        plain = {"rank": 2.0, "share": share, "values": [1.0, 0.5]}
        return {
            "replica": replica,
            "feature": feature,
            "of": of,
            "dim": 4,
            "seen": 9,
            "possible": 3,
            "plain": plain,
            "by_use": plain,
        }

    found = [table("user", 0.9), table("item", 0.2), table("item", 0.5, "click"), table("tag", 0.1, replica=1)]
    shown = view.embeddings(inspection({**BARE, "embeddings": found}))
    assert shown is not None
    assert [(row["name"], row["of"], row["share"], row["style"]) for row in shown["rows"]] == [  # type: ignore[attr-defined]
        ("item", "shared", "20.0 %", 0),
        ("item", "click", "50.0 %", 0),
        ("user", "shared", "90.0 %", 1),
    ]
    assert (shown["owners"], shown["some"]) == (["shared", "click"], False)
    many = view.embeddings(inspection({**BARE, "embeddings": [table(f"f{n}", n / 10) for n in range(9)]}))
    assert many is not None
    assert many["some"]
    assert many["rows"][8]["style"] is None  # type: ignore[index]


def test_noise_in_words() -> None:
    entry = {"task": "click", "metric": "auc", "rows": 1234, "value": 0.5, "se": 0.01, "chance": 0.5}
    found = [{**entry, "verdict": verdict} for verdict in ("better", "noise")] + [
        {**entry, "value": None, "se": None, "verdict": "too few rows"}
    ]
    better, noise, few = view.noise(inspection({**BARE, "noise": found}))
    assert (better["word"], better["class"], better["half"], better["chance"]) == ("better than chance", "helps", "0.0200", "0.5")
    assert (noise["word"], noise["class"], noise["rows"]) == ("no better than chance", "hurts", "1,234")
    assert (few["value"], few["half"]) == ("undefined", "undefined")


def test_a_measured_model_has_a_panel_for_each_task_and_both_replicas_in_its_facts(inspected) -> None:
    document = inspection(inspected("mmoe"))
    assert [panel["task"] for panel in view.importance(document)] == [entry.task for entry in document.importance or []]
    facts = " ".join(view.facts(document))
    assert "mmoe" in facts
    assert "2 replicas" in facts
