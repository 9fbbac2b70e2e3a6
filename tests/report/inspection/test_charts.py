"""Charts of an inspection: the description of each SVG holds the numbers that it draws."""

from __future__ import annotations

from xml.etree import ElementTree

from manygate.report.inspection import charts


def described(svg: str) -> str:
    """The text of a picture for screen readers; the picture is well-formed XML."""
    return " ".join(ElementTree.fromstring(svg).itertext())


def test_utilisation_describes_the_experts_that_a_gate_sees():
    uses = [charts.Use(0.25, 0.1, False), charts.Use(None, 0.0, False), charts.Use(0.75, 0.05, True)]
    text = described(charts.utilisation("k", "Title", uses, 1 / 2, 1.0))
    assert "expert 1: 0.250 ± 0.100; expert 3: 0.750 ± 0.050" in text
    assert "expert 2:" not in text


def test_over_time_describes_the_first_and_the_last_epoch():
    lines = [charts.Line("1", 0, [0.5, 0.3, 0.25]), charts.Line("2", 1, [0.5, 0.7, 0.75])]
    assert "1: 0.500 to 0.250; 2: 0.500 to 0.750" in described(charts.over_time("k", "Title", lines, [1, 2, 3]))


def test_importance_describes_each_drop_with_its_sign():
    bars = [charts.Bar("age", 0.02, 0.005), charts.Bar("item", -0.001, 0.002)]
    text = described(charts.importance("k", "Title", "AUC", bars))
    assert "age: +0.0200; item: −0.0010" in text
    assert "AUC lost" in text
