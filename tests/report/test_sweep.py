"""The section on fixed weights."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from documents import render
from sample_runs import TASKS, compared


def swept(tasks: int, undefined: bool = False) -> dict[str, Any]:
    document = compared(TASKS[:tasks], replicas=2)
    names = [task.name for task in TASKS[:tasks]]

    def values(level: float) -> dict[str, Any]:
        return {name: level + 0.01 * t for t, name in enumerate(names)}

    points = [
        {"weights": values(0.5 + p), "valid": values(0.6 + 0.01 * p), "test": values(0.61 + 0.01 * p), "on_front": p == 2}
        for p in range(3)
    ]
    if undefined:
        points[0]["test"] = dict.fromkeys(names)
    methods = {
        name: {"test": values(level), "valid": values(level), "hypervolume_added": added, "verdict": verdict, "against": []}
        for name, level, added, verdict in (("mmoe", 0.6, 0.0, "dominated"), ("omoe", 0.7, 0.0123, "beyond the sweep"))
    }
    document["sweep"] = {
        "mmoe": {
            "replicas": 2,
            "seconds": 3.0,
            "reference": dict.fromkeys(names, 0.5),
            "hypervolume": {"valid": 0.04, "test": 0.05},
            "points": points,
            "methods": methods,
        }
    }
    return document


@pytest.mark.parametrize("tasks", [2, 3, 4])
@pytest.mark.parametrize("undefined", [False, True])
def test_every_method_and_vector_is_shown(tasks, undefined):
    page = render(swept(tasks, undefined))
    section = page[page.index('<section id="weights">') : page.index('<section id="learning">')]
    assert section.count("<svg viewBox") == 1
    for text in (
        "dominated",
        "beyond the sweep",
        "+24.60 %",
        "0.0500",
        "guessing reaches: 0.5 for click",
        "3 weight vectors, 2 replicas each",
    ):
        assert text in section
    assert section.count("vector 3:") == 1
    assert section.count("vector 1:") == (0 if undefined else 1)
    assert ("undefined" in section) == undefined
    assert 'href="#weights"' in page
    start = section.index("<svg viewBox")
    ElementTree.fromstring(section[start : section.index("</svg>", start) + 6])


def test_without_a_sweep_there_is_no_section():
    assert 'id="weights"' not in render(compared())
