"""What it would take to decide a task: replicas and test rows, by hand and by the intervals that they give."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student

from documents import filled
from manygate.results.comparison import SizeNeed
from manygate.results.summary import JointGain
from manygate.verdict.needs import need, need_words


def test_what_it_takes_by_hand() -> None:
    """sd 0.01 over 4 replicas, test part 0.0005: the test part stays, the seeds' must come down to what it leaves of 0.002."""
    recommendation = need(
        "click",
        "auc",
        filled(JointGain, {"sd_replicas": 0.01, "se_test": 0.0005 / 1.959964, "clusters": 10**6}),
        replicas=4,
        looks=1,
    )
    goal = math.sqrt(0.002**2 - 0.0005**2)
    expected = next(r for r in range(2, 10_000) if student.ppf(0.975, r - 1) * 0.01 / math.sqrt(r) <= goal)
    assert recommendation.sizes[0] == SizeNeed(size=0.002, replicas=expected, times_rows=1.0)
    assert recommendation.seeds == pytest.approx(student.ppf(0.975, 3) * 0.01 / 2)
    assert [size.size for size in recommendation.sizes] == [0.002, 0.005, 0.01]
    rows = need(
        "click", "auc", filled(JointGain, {"sd_replicas": 0.0001, "se_test": 0.01, "clusters": 10**6}), replicas=10, looks=1
    ).sizes[0]
    assert rows.replicas == 10
    assert rows.times_rows == pytest.approx((1.959964 * 0.01) ** 2 / (0.002**2 - (2.262157 * 0.0001) ** 2 / 10), abs=0.06)
    narrow = need(
        "click", "auc", filled(JointGain, {"sd_replicas": 0.0001, "se_test": 0.0001, "clusters": 10**6}), replicas=10, looks=1
    )
    assert narrow.sizes[0] == SizeNeed(size=0.002, replicas=10, times_rows=1.0)
    lost = need("click", "auc", filled(JointGain, {"sd_replicas": 1.0, "se_test": 0.0001, "clusters": 10**6}), replicas=10, looks=1)
    assert lost.sizes[0].replicas is None


@settings(deadline=None)
@given(st.floats(1e-5, 0.3), st.floats(1e-5, 0.1), st.integers(2, 30), st.integers(1, 20))
def test_what_it_takes_is_enough(sd: float, se: float, replicas: int, looks: int) -> None:
    """With the replicas and rows named, the interval is as narrow as asked."""
    for size in need(
        "click", "auc", filled(JointGain, {"sd_replicas": sd, "se_test": se, "clusters": 10**6}), replicas, looks
    ).sizes:
        if size.replicas is None:
            continue
        level = 1 - 0.025 / looks
        seeds = student.ppf(level, size.replicas - 1) * sd / math.sqrt(size.replicas)
        test = student.ppf(level, 9_999) * se / math.sqrt(size.times_rows)
        assert math.hypot(seeds, test) <= size.size * 1.03
        assert size.replicas >= replicas
        assert size.times_rows >= 1


def words_for(sd: float, se: float) -> str:
    gain = filled(JointGain, {"sd_replicas": sd, "se_test": se, "clusters": 10**6})
    return need_words([need("click", "auc", gain, replicas=3, looks=2)])


def test_words_say_what_it_takes_and_when_it_is_too_small_to_matter() -> None:
    assert words_for(0.005, 0.002).startswith("To know the gain on click to within ±0.005 in AUC takes ")
    assert " replicas instead of 3" in words_for(0.005, 0.002)
    assert words_for(0.0001, 0.002).endswith(" times the test rows.")
    assert words_for(1e-5, 1e-5) == "If there is a difference, it is too small to matter."
    assert words_for(1e-5, 7e-4) == "The gain on click is known to within ±0.002 in AUC.", "0.003 is in an interval from -0.0005"
    assert words_for(5.0, 1e-5).endswith("±0.01 in AUC takes more than 10,000 replicas.")
    assert need_words([]) == ""
