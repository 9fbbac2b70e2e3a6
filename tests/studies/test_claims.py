"""Comparisons of paired runs: intervals, bounds, and the verdict that follows from them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manygate.studies.claims import (
    Claim,
    Evidence,
    Finding,
    claim_record,
    compared,
    judged,
    larger,
    named,
    ratio,
    settings,
    spread,
)
from study_outcomes import trained


def test_intervals_against_known_ones():
    """Of a mean the percentile interval is near Student's; of a ratio of deviations it covers the true one."""
    random = np.random.default_rng(0)
    a, b = random.normal(1.0, 1.0, 200), random.normal(0.0, 1.0, 200)
    mean, half = (a - b).mean(), 1.972 * (a - b).std(ddof=1) / 200**0.5
    one = larger("a - b", a, b)
    assert one.value == pytest.approx(mean)
    assert (one.low, one.high) == pytest.approx((mean - half, mean + half), abs=0.02)
    assert one.holds is True
    assert larger("", b - 10, a).holds is False
    assert larger("", a - a.mean(), b - b.mean()).holds is None
    wide = spread("", 3 * a, b, (1.5, np.inf))
    assert wide.value == pytest.approx(3 * a.std(ddof=1) / b.std(ddof=1))
    assert wide.low < 3 < wide.high
    assert wide.holds is True
    assert spread("", b, 3 * a, (1.5, np.inf)).holds is False
    assert spread("", a, b, (1 / 1.5, 1.5)).holds is True


def test_many_comparisons_refute_only_beyond_a_wider_interval():
    random = np.random.default_rng(3)
    draw = random.normal(0, 1.0, 100)
    value_R = draw - draw.mean() - 2.2 * draw.std(ddof=1) / 10  # 2.2 standard errors below zero
    alone, among = (compared("", lambda s: s[0].mean(axis=1), [value_R], (0.0, np.inf), n) for n in (1, 6))
    assert (alone.holds, among.holds) == (False, None)
    assert (alone.low, alone.high) == (among.low, among.high)


def test_a_ratio_of_means_by_hand():
    finding = ratio("", np.array([2.0, 4.0, 6.0]), np.array([1.0, 2.0, 3.0]), (1.9, 2.1))
    assert (finding.value, finding.low, finding.high, finding.holds) == (2.0, 2.0, 2.0, True)
    assert ratio("", np.array([1.0, np.nan, 3.0]), np.ones(3), (0, 9)).holds is None, "two runs are too few"


def test_the_runs_that_would_decide_follow_from_the_interval_by_hand():
    """Half of an interval shrinks with the root of the runs: 3 times as far as the bound takes 9 times the runs."""
    inside = judged("", 1.0, (-2.0, 4.0), (-3.0, 5.0), (0.0, math.inf), 20)
    assert (inside.holds, inside.needed) == (None, 180)
    outside = judged("", -1.0, (-2.0, 0.5), (-3.0, 1.0), (0.0, math.inf), 20)
    assert (outside.holds, outside.needed) == (None, 80), "the wide interval refutes: 2 beside a distance of 1"
    both = judged("", 1.0, (0.7, 1.4), (0.6, 1.5), (0.9, 1.1), 20)
    assert both.needed == 320, "the larger of 3 and 4 times the distance"
    assert judged("", 0.9, (0.7, 1.4), (0.6, 1.5), (0.9, 1.1), 20).needed is None, "it lies on the bound"
    assert judged("", 1.0 + 2**-52, (0.0, 2.0), (0.0, 2.0), (-1.0, 1.0), 3).needed is None, "rounding has put it beside the bound"
    assert judged("", 1.0, (0.95, 1.05), (0.9, 1.2), (0.9, 1.1), 20)[-2:] == (True, None)
    assert judged("", 2.0, (1.5, 2.5), (1.2, 2.8), (0.9, 1.1), 20)[-2:] == (False, None)
    assert compared("", lambda s: s[0].mean(axis=1), [np.ones(2)], (0.0, 1.0)).needed is None, "two runs are too few"


@given(
    value=st.floats(-2, 2),
    halves=st.tuples(st.floats(0.01, 3), st.floats(0.01, 3)),
    wider=st.floats(1, 2),
    runs=st.integers(3, 200),
)
def test_so_many_runs_decide_if_the_value_stays(value, halves, wider, runs):
    bounds = (-1.0, 1.0)

    def with_runs(count: int) -> Finding:
        low, high = (half * math.sqrt(runs / count) for half in halves)
        return judged("", value, (value - low, value + high), (value - wider * low, value + wider * high), bounds, count)

    needed = with_runs(runs).needed
    if needed is not None:
        assert needed > runs
        assert with_runs(math.ceil(needed * 1.0001) + 1).holds is not None
        assert with_runs(max(int(needed * 0.99) - 1, 1)).holds is None or needed <= runs * 1.02 + 2


def test_a_claim_that_cannot_be_told_asks_for_the_most_runs_of_its_undecided_comparisons():
    def finding(holds: bool | None, needed: int | None) -> Finding:
        return Finding("a", 1.0, 0.5, 2.0, (0.0, 1.5), holds, needed)

    def claim(*findings: Finding) -> Claim:
        return Claim("", "", "", "", "", (Evidence("0.01", findings),))

    assert claim(finding(True, None), finding(None, 300), finding(None, 70)).needed == 300
    assert claim(finding(None, 300), finding(False, None)).needed is None, "it is refuted already"
    assert claim(finding(None, 300), finding(None, None)).needed is None, "no number decides the second"
    assert claim(finding(True, None)).needed is None


def test_settings_are_the_long_runs_and_then_pilots_at_common_rates():
    models = {"mmoe": trained("mmoe", {0.5: (1.0, 0.1)}, (1e-3, 3e-3, 1e-2, 3e-2), runs=5)}
    names = [name for name, _ in settings(models)]
    assert names == ["the chosen rates, 0.03", "0.01 in the pilots", "0.001 in the pilots"]
    models["mmoe"].long.at(0.5).test_RT[:] = 7.0
    (_, chosen), (_, common), _ = settings(models)
    assert (chosen("mmoe", 0.5) == 7.0).all(), "the verdict goes by the long runs"
    assert not (common("mmoe", 0.5) == 7.0).any()
    alone = {"mmoe": trained("mmoe", {0.5: (1.0, 0.1)}, (1e-3, 1e-2), runs=5)}
    assert [name for name, _ in settings(alone)] == ["the chosen rates, 0.01", "0.001 in the pilots"]


def evidence(holds: bool | None, learned: bool = True, setting: str = "0.01") -> Evidence:
    return Evidence(setting, (Finding("a", 1.0, 0.5, math.inf, (0.0, math.inf), holds),), learned)


@pytest.mark.parametrize(
    ("first", "others", "verdict"),
    [
        (True, [], "reproduced"),
        (False, [], "not reproduced"),
        (None, [evidence(True)], "cannot tell"),
        (True, [evidence(False)], "depends on the learning rate"),
        (True, [evidence(False, learned=False)], "reproduced"),
        (False, [evidence(None)], "not reproduced"),
    ],
)
def test_the_verdict_is_that_of_the_first_setting(first, others, verdict):
    assert Claim("", "", "", "", "", (evidence(first), *others)).verdict == verdict


def test_a_claim_claim_record():
    claim = Claim("key", "title", "5.1", "words", "test", (evidence(True, setting=named("0.1", False)),))
    tree = claim_record(claim).to_tree()
    assert tree == {
        "key": "key",
        "title": "title",
        "section": "5.1",
        "claim": "words",
        "test": "test",
        "verdict": "reproduced",
        "where": "holds at 0.1 (unfinished)",
        "runs_needed": None,
        "evidence": [
            {
                "setting": "0.1 (unfinished)",
                "learned": True,
                "holds": True,
                "findings": [
                    {"text": "a", "value": 1.0, "ci95": [0.5, None], "bounds": [0.0, None], "holds": True, "runs_needed": None}
                ],
            }
        ],
    }
