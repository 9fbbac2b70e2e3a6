"""Charts: what they describe in words, what they hold, and which architectures none beats."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import pytest

from documents import render
from manygate.report.charts import (
    Cost,
    Curve,
    Gain,
    Point,
    Reliability,
    Spot,
    curves,
    flops,
    forest,
    frontier,
    plane,
    reliability,
    span,
    undominated,
)
from sample_runs import ARCHITECTURES, compared


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return compared()


@pytest.fixture(scope="module")
def page(document: dict[str, Any]) -> str:
    return render(document)


def best_below(costs: list[Cost], one: Cost) -> float:
    return max(other.mean for other in costs if other.flops <= one.flops)


@pytest.mark.parametrize("widest", [1.0, 100.0], ids=["matched", "log scale"])
def test_frontier_of_many_with_equal_scores(widest: float) -> None:
    points = [Cost(f"scheme {place}", place, 1e5 * widest ** (place / 15), 0.8) for place in range(16)]
    chart = frontier("key", "title", "AUC", points)
    assert all(f"scheme {place}" in chart for place in range(16))
    assert "Beaten by none in both: scheme 0." in chart


def test_span_holds_zero_and_skips_what_is_undefined() -> None:
    low, high = span(
        [Gain("a", 0.2, [0.1, 0.3], "helps"), Gain("b", None, None, "cannot tell"), Gain("c", 0.1, None, "cannot tell")]
    )
    assert low < 0
    assert high > 0.3
    assert span([]) == (-0.01, 0.01)


def test_charts_are_described_and_keep_text_as_text(page: str) -> None:
    charts = re.findall(r"<svg viewBox=.*?</svg>", page, re.S)
    assert len(charts) == 4 + 6 + 4 + 8 + 3
    for chart in charts:
        tree = ElementTree.fromstring(chart)
        assert tree.get("role") == "img"
        assert tree.find("title").text  # type: ignore[union-attr]
        assert len(tree.find("desc").text or "") > 20  # type: ignore[union-attr]
        assert tree.findall(".//text")
        assert "width" not in tree.attrib
        assert "font-family" not in chart
    assert re.search(r"<desc id=\"forest-0-desc\">[^<]*mmoe: \+0\.00\d\d, ", page)


def test_frontier_shows_every_architecture_and_marks_those_that_none_beats(document: dict[str, Any], page: str) -> None:
    assert "Accuracy against compute" in page
    costs = [
        Cost(name, 0, document["results"][name]["flops"], place, (place - 0.1, place + 0.1))
        for place, name in enumerate(ARCHITECTURES)
    ]
    for name in ARCHITECTURES:
        assert re.search(rf"{name}: [\d,]+ FLOPs", page)
    assert undominated(costs) == [one.name for one in sorted(costs, key=lambda c: c.flops) if one.mean >= best_below(costs, one)]


def described(chart: str) -> str:
    """The chart's description, of a chart that is well-formed."""
    return str(ElementTree.fromstring(chart).findtext("desc"))


def test_a_forest_names_each_gain_its_interval_and_its_verdict() -> None:
    rows = [
        Gain("mmoe", 0.01, (0.005, 0.015), "helps"),
        Gain("ple", -0.02, None, "cannot tell"),
        Gain("omoe", None, None, "cannot tell"),
    ]
    chart = forest("key", "click", "AUC", "single_task", rows, (-0.03, 0.02))
    assert described(chart) == (
        "Gain with 95 % interval. mmoe: +0.0100, +0.0050 to +0.0150, helps; "
        "ple: −0.0200, no interval, cannot tell; omoe: undefined, no interval, cannot tell."
    )
    words = [text.text for text in ElementTree.fromstring(chart).iter("text")]
    assert {"mmoe", "ple", "omoe", "+0.0100", "−0.0200", "undefined", "◂ hurts", "helps ▸"} <= set(words)


def test_a_plane_names_both_gains_and_its_axes() -> None:
    spot = Spot("mmoe", 3, Gain("mmoe", 0.01, (0.0, 0.02), "helps"), Gain("mmoe", -0.02, None, "hurts"))
    chart = plane("key", ("click", "buy"), ("AUC", "AUC"), [spot])
    assert described(chart) == "click across and buy up. mmoe: +0.0100 and −0.0200."
    words = [text.text for text in ElementTree.fromstring(chart).iter("text")]
    assert {"click, gain in AUC", "buy, gain in AUC"} <= set(words)


def test_curves_name_the_first_and_the_last_mean() -> None:
    line = Curve("mmoe", 0, [Point(1, 0.5), Point(2, 0.75, (0.7, 0.8))], best=2)
    assert described(curves("key", "AUC", [line])) == "Mean over replicas, first epoch to last drawn. mmoe: 0.5000 to 0.7500."
    assert "mmoe: 0.5000 to 0.5000" in described(curves("key", "AUC", [Curve("mmoe", 0, [Point(1, 0.5)])]))


def test_reliability_names_its_lines() -> None:
    lines = [Reliability("mmoe", 0, [(0.1, 0.2), (0.4, 0.3)]), Reliability("ple", 1, [(0.1, 0.1)])]
    assert "Observed rate by predicted rate for mmoe, ple;" in described(reliability("key", "title", lines))
    assert reliability("key", "title", [Reliability("zero", 0, [(0.0, 0.0)])])


def test_of_equals_the_first_alone_is_beaten_by_none() -> None:
    costs = [
        Cost("dear", 0, 30, 0.8),
        Cost("one", 1, 10, 0.8),
        Cost("two", 2, 10, 0.8),
        Cost("cheap", 3, 5, 0.7),
        Cost("worse", 4, 6, 0.6),
    ]
    assert undominated(costs) == ["cheap", "one"]


def test_flops_in_short() -> None:
    assert [flops(value) for value in (0, 999, 1000, 29_824, 1_234_567, 2.5e9)] == ["0", "999", "1 k", "29.8 k", "1.23 M", "2.5 G"]
