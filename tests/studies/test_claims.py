"""Comparisons of paired runs: intervals, bounds, and the verdict that follows from them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from manygate.studies.claims import Claim, Evidence, Finding, at_rest, claim_record, compared, larger, named, ratio, spread


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


def test_losses_are_at_rest_where_they_fell_by_a_twentieth_at_most():
    falling = np.array([2.0, 1.5, 1.2, 1.1, 1.06, 1.0]).reshape(6, 1)  # 1.06 -> 1.00 is 5.7 %
    assert not at_rest(falling)
    assert at_rest(np.array([2.0, 1.5, 1.2, 1.1, 1.05, 1.0]).reshape(6, 1))
    assert not at_rest(np.ones((1, 1))), "one epoch shows no course"


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
        "evidence": [
            {
                "setting": "0.1 (unfinished)",
                "learned": True,
                "holds": True,
                "findings": [{"text": "a", "value": 1.0, "ci95": [0.5, None], "bounds": [0.0, None], "holds": True}],
            }
        ],
    }
