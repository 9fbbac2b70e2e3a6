"""The charts of an inspection describe in words what they draw."""

from __future__ import annotations

from xml.etree import ElementTree

from manygate.report.inspection.charts import MOST_NUMBERS, Bar, Line, Use, importance, over_time, spectra, utilisation


def described(chart: str) -> str:
    return str(ElementTree.fromstring(chart).findtext("desc"))


def texts(chart: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(chart).iter("text")]


def test_the_use_of_experts_names_those_that_the_gate_sees_counted_from_one() -> None:
    uses = [Use(0.75, 0.1, False), Use(None, 0.0, False), Use(0.25, 0.05, True)]
    chart = utilisation("key", "title", uses, even=0.5, top=1.0)
    assert described(chart) == ("Mean weight and standard deviation over rows. expert 1: 0.750 ± 0.100; expert 3: 0.250 ± 0.050.")
    assert [text for text in texts(chart) if text in ("1", "2", "3")][:3] == ["1", "2", "3"]


def test_of_many_experts_some_are_numbered() -> None:
    chart = utilisation("key", "title", [Use(1 / 40, 0.0, False)] * 40, even=1 / 40, top=0.1)
    numbered = [int(text) for text in texts(chart) if text.isdigit() and int(text) > 0]
    assert numbered == list(range(1, 41, 3)), "every third, so that no more than 16 are written"


def test_weights_over_time_name_the_first_and_the_last_epoch() -> None:
    lines = [Line("1", 0, [0.5, 0.25]), Line("2", 1, [0.5, 0.75])]
    chart = over_time("key", "title", lines, [1, 2])
    assert described(chart) == "Mean weight, first epoch to last. 1: 0.500 to 0.250; 2: 0.500 to 0.750."
    assert "1: 0.500 to 0.500" in described(over_time("key", "title", [Line("1", 0, [0.5])], [7]))


def test_names_at_the_ends_of_lines_are_left_out_where_they_are_too_many() -> None:
    for count, shown in ((MOST_NUMBERS, True), (MOST_NUMBERS + 1, False)):
        lines = [Line(f"expert-{e}", e, [1 / count, 1 / count]) for e in range(count)]
        assert ("expert-0" in texts(over_time("key", "title", lines, [1, 2]))) == shown


def test_importance_names_each_drop_with_its_sign() -> None:
    chart = importance("key", "title", "AUC", [Bar("age", 0.05, 0.01), Bar("user", -0.002, 0.01)])
    assert described(chart) == "age: +0.0500; user: −0.0020"
    assert {"age", "user", "+0.0500", "−0.0020", "AUC lost"} <= set(texts(chart))
    assert "a_name_that_is_lo…" in texts(importance("key", "title", "AUC", [Bar("a_name_that_is_longer_than_that", 0.1, 0.0)]))


def test_spectra_name_the_smallest_value_of_each_table() -> None:
    chart = spectra("key", "title", [("user", 0, [1.0, 0.5, 0.125]), ("age", 1, [1.0])])
    assert described(chart) == "Singular values over the largest. user: smallest 0.12; age: smallest 1.00."
