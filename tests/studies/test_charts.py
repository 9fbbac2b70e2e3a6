"""Figures of a study: each is one SVG element whose words hold the numbers drawn."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree

import pytest

from documents import filled
from manygate.results.study import LabelCorrelation
from manygate.studies.charts import BINS, ROOM, Line, Spot, Whiskers, curves, edges, gains, histogram, pearson, spots


def described(svg: str) -> tuple[str, str]:
    """The title and the description of an SVG element, which must be well formed."""
    root = ElementTree.fromstring(svg)
    words = {re.sub(r"\{.*\}", "", child.tag): child.text or "" for child in root}
    return words["title"], words["desc"]


def test_bins_are_evenly_apart_on_a_logarithmic_scale():
    places = edges([0.2, 5.0, 1.0])
    assert len(places) == BINS + 1
    assert places[0] == pytest.approx(0.2 / ROOM)
    assert places[-1] == pytest.approx(5.0 * ROOM)
    step = math.log(5.0 * ROOM / (0.2 / ROOM)) / BINS
    for before, after in zip(places, places[1:], strict=False):
        assert math.log(after / before) == pytest.approx(step)


def test_correlations_are_listed_beside_the_closed_form():
    points = [filled(LabelCorrelation, {"cosine": c, "mean": c / 2, "sd": 0.01, "exact": c / 2 + 0.001}) for c in (0.0, 0.5, 1.0)]
    _, words = described(pearson("figure-2", points))
    assert words == "0: 0.0000, exactly 0.0010; 0.5: 0.2500, exactly 0.2510; 1: 0.5000, exactly 0.5010"


def test_curves_tell_their_first_and_last_value_and_leave_out_what_is_unknown():
    lines = [Line("mmoe", 0, [5, 10, 15], [2.0, None, 0.5]), Line("omoe", 1, [5, 10, 15], [3.0, 1.0, None])]
    title, words = described(curves("figure-4", "Losses", lines, top=5.0))
    assert title == "Losses"
    assert words == "First to last. mmoe: 2 to 0.5."


def test_a_model_whose_runs_all_diverged_has_no_curve():
    lines = [Line("mmoe", 0, [5, 10], [2.0, 1.0]), Line("omoe", 1, [5, 10], [None, None])]
    assert described(curves("figure-4", "Losses", lines))[1] == "First to last. mmoe: 2 to 1."


def test_gains_tell_their_first_and_last_value():
    lines = [
        Whiskers("mmoe", 3, [0.1, 1.0], [-0.1, 0.25], [(-0.2, 0.0), None]),
        Whiskers("ple", 4, [], [], []),
    ]
    assert described(gains("gains", "Gain", lines)) == ("Gain", "First to last. mmoe: -0.1 to 0.25.")


def test_a_histogram_tells_the_range_of_each_model():
    groups = [("mmoe", 0, [0.2, 0.4, 0.3]), ("omoe", 1, [0.5, 0.9]), ("ple", 2, [])]
    _, words = described(histogram("figure-5", "Final losses", groups, edges([0.2, 0.9])))
    assert words == "mmoe: 0.2 to 0.4; omoe: 0.5 to 0.9"


def test_spots_tell_mean_and_median():
    points = [Spot("mmoe", 0, 0.25, 0.2, 0.3, 0.2, 0.24, 0.28), Spot("ple", 1, 0.5, 0.4, 0.6, 0.45, 0.51, 0.55)]
    svg = spots("beyond", "Final loss", points)
    assert described(svg) == ("Final loss", "mmoe: mean 0.25, median 0.24; ple: mean 0.5, median 0.51")
    assert spots("beyond", "Final loss", points) == svg, "the same numbers give the same text"
