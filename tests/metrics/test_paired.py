"""Two models on the same rows: values as in metrics, sampling errors as a bootstrap over groups finds them, joint intervals."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student

from manygate import metrics
from manygate.metrics.paired import Measured, gain, half_width, measure

N, R = 4000, 3


def rows(seed: int = 0, size: int = N) -> dict[str, Any]:
    """Labels, weights and groups; a group's rows share their luck."""
    random = np.random.default_rng(seed)
    cluster = random.integers(0, size // 10, size)
    truth = 1 / (1 + np.exp(-(random.normal(size=size) + random.normal(size=size // 10)[cluster] - 1)))
    label = (random.random(size) < truth).astype(np.float64)
    weight = random.choice([0.0, 0.5, 1.0, 2.0], size)
    return {"label_N": label, "weight_N": weight, "cluster_N": cluster, "truth_N": truth}


def scores(of: dict[str, Any], noise: float, seed: int, shift: float = 0.3) -> np.ndarray:
    """Logits that are the truth's, shifted (so that they are badly calibrated), with noise."""
    random = np.random.default_rng(seed)
    logit = np.log(of["truth_N"] / (1 - of["truth_N"]))
    own = 0.1 * random.normal(size=(R, len(logit)))
    return logit + shift + noise * random.normal(size=len(logit)) + own


def measured(of: dict[str, Any], logit_RN: np.ndarray, kind: str = "binary", grouped: bool = True) -> dict[str, Measured]:
    output_RN = 1 / (1 + np.exp(-logit_RN)) if kind == "binary" else logit_RN
    return measure(kind, of["label_N"], logit_RN, output_RN, of["weight_N"], of["cluster_N"], grouped)  # type: ignore[arg-type]


def test_values_are_those_of_the_metrics_turned_so_that_higher_is_better() -> None:
    of = rows()
    logit = scores(of, 1.0, 1)
    found = measured(of, logit)
    assert list(found) == ["auc", "gauc", "log_loss", "calibration", "ece"]
    for r in range(R):
        output = 1 / (1 + np.exp(-logit[r]))
        values, _ = metrics.task_metrics("binary", of["label_N"], output, of["weight_N"], of["cluster_N"])
        for key, sign in (("auc", 1), ("gauc", 1), ("log_loss", -1), ("ece", -1)):
            assert found[key].value_R[r] == pytest.approx(sign * values[key], rel=1e-12)
        assert found["calibration"].value_R[r] == pytest.approx(-abs(math.log(values["calibration"])))
    assert "gauc" not in measured(of, logit, grouped=False)
    regression = measured(of, logit, kind="regression")
    assert list(regression) == ["r2"]
    assert regression["r2"].value_R[0] == metrics.r2(of["label_N"], logit[0], of["weight_N"])


def test_influences_sum_to_zero_and_masked_rows_have_none() -> None:
    of = rows()
    masked = of["cluster_N"] < 50
    of["weight_N"][masked] = 0
    for key, one in measured(of, scores(of, 1.0, 1)).items():
        assert one.influence_G.sum() == pytest.approx(0, abs=1e-12), key
        assert (one.influence_G[:50] == 0).all(), key
        assert np.count_nonzero(one.influence_G) > 200, key


@pytest.mark.parametrize("key", ["auc", "gauc", "log_loss", "calibration", "ece"])
def test_the_sampling_error_is_that_of_a_bootstrap_over_groups(key: str) -> None:
    """Draw groups with replacement 300 times: the spread of the difference is the standard error, within its own noise.

    ECE's is larger, for its bins are taken as given, and the side of each, which may be luck, errs to the wide.
    """
    of = rows()
    logits = [scores(of, noise, seed, shift)[:1] for noise, seed, shift in ((0.7, 1, 0.3), (1.3, 2, 0.7))]
    one, two = (measured(of, logit)[key] for logit in logits)
    se = gain(one, two).se_test
    random = np.random.default_rng(3)
    members = [np.flatnonzero(of["cluster_N"] == g) for g in range(N // 10)]
    drawn = []
    for _ in range(300):
        picked = random.integers(0, N // 10, N // 10)
        take = np.concatenate([members[g] for g in picked])
        sizes = [len(members[g]) for g in picked]
        again = {name: values[take] for name, values in of.items()} | {"cluster_N": np.repeat(np.arange(N // 10), sizes)}
        first, second = (measured(again, logit[:, take])[key] for logit in logits)
        drawn.append(first.value_R[0] - second.value_R[0])
    low, high = (0.85, 2.1) if key == "ece" else (0.85, 1.15)
    assert low < se / np.std(drawn, ddof=1) < high


def test_a_model_gains_nothing_over_itself() -> None:
    of = rows()
    one = measured(of, scores(of, 1.0, 1))
    for own in one.values():
        found = gain(own, own)
        assert (found.gain, found.ci95, found.verdict, found.clusters) == (0.0, (0.0, 0.0), "cannot tell", 0)


def test_the_joint_interval_is_bonferroni_s() -> None:
    """By hand: each of 4 looks at the level 1 - 0.05 / 4."""
    one = Measured(np.array([0.70, 0.72, 0.71]), np.array([0.01, -0.01, 0.005, -0.005]))
    other = Measured(np.array([0.69, 0.70, 0.70]), np.zeros(4))
    found = gain(one, other, looks=4)
    sd = np.std([0.01, 0.02, 0.01], ddof=1)
    se = math.sqrt((2 * 0.01**2 + 2 * 0.005**2) * 4 / 3)
    level = 1 - 0.05 / 8
    half = math.hypot(student.ppf(level, 2) * sd / math.sqrt(3), student.ppf(level, 3) * se)
    assert found.joint95 == pytest.approx([0.04 / 3 - half, 0.04 / 3 + half], rel=1e-6)
    assert gain(one, other, looks=1).joint95 == pytest.approx(gain(one, other).ci95)
    assert found.clusters == 4


@pytest.mark.parametrize(("replicas", "there_are"), [(1, "there is 1"), (2, "there are 2")])
def test_fewer_than_three_replicas_have_no_interval_and_a_reason(replicas: int, there_are: str) -> None:
    one = Measured(np.full(replicas, 0.7), np.array([0.1, -0.1]))
    alone = gain(one, Measured(np.full(replicas, 0.6), np.zeros(2)))
    assert (alone.ci95, alone.joint95, alone.verdict) == (None, None, "cannot tell")
    assert alone.reason == f"3 or more replicas are needed for an interval, and {there_are}."
    assert alone.gain == pytest.approx(0.1)


def test_a_gain_s_interval_stays_within_what_the_metric_can_gain() -> None:
    """Three replicas far apart: t is 4.3, and without the ends the interval of an AUC gain would go from -1.97 to 2.5."""
    influence_G = np.array([0.01, -0.01])
    ends = {"lowest": 0.0, "highest": 1.0}
    one, other = Measured(np.array([0.9, 0.2, 0.7]), influence_G, **ends), Measured(np.array([0.1, 0.8, 0.1]), influence_G, **ends)
    wide = gain(replace(one, lowest=-np.inf), other, looks=4)
    assert wide.ci95[0] < -1
    assert wide.joint95[1] > 1
    bounded = gain(one, other, looks=4)
    assert (bounded.ci95, bounded.joint95, bounded.verdict, bounded.reason) == ((-1, 1), (-1, 1), "cannot tell", None)


def test_measured_metrics_carry_the_ends_of_their_range() -> None:
    of = rows()
    ends = {key: (one.lowest, one.highest) for key, one in measured(of, scores(of, 1.0, 1)).items()}
    assert ends["auc"] == (0, 1)
    assert ends["ece"] == (-1, 0)
    assert ends["log_loss"] == ends["calibration"] == (-np.inf, 0)


def test_one_class_has_no_interval() -> None:
    of = rows()
    of["label_N"][:] = 0
    for key, one in measured(of, scores(of, 1.0, 1)).items():
        found = gain(one, one)
        if key in ("log_loss", "ece"):
            assert found.gain == 0
        else:
            assert (found.gain, found.joint95, found.verdict) == (None, None, "cannot tell"), key
            assert found.reason == "The gain is undefined on the test rows."


values = st.floats(-1, 1, allow_nan=False)


@settings(deadline=None)
@given(st.lists(st.tuples(values, values), min_size=2, max_size=5), st.lists(st.tuples(values, values), min_size=2, max_size=9))
def test_swapping_two_models_flips_the_gain_and_its_intervals(of_replicas: list[Any], of_clusters: list[Any]) -> None:
    one, other = (
        Measured(np.array([pair[at] for pair in of_replicas]), np.array([pair[at] for pair in of_clusters])) for at in (0, 1)
    )
    there, back = gain(one, other, looks=3), gain(other, one, looks=3)
    assert there.gain == pytest.approx(-back.gain, abs=1e-12)
    words = {"helps": "hurts", "hurts": "helps", "cannot tell": "cannot tell"}
    assert there.verdict == words[back.verdict]
    for key in ("ci95", "joint95"):
        if getattr(there, key) is None:
            assert getattr(back, key) is None
        else:
            assert getattr(there, key) == pytest.approx([-getattr(back, key)[1], -getattr(back, key)[0]], abs=1e-9)
    if there.ci95:
        assert there.joint95[0] <= there.ci95[0] <= there.ci95[1] <= there.joint95[1], "joint intervals are wider"


@settings(deadline=None)
@given(st.floats(1e-4, 1), st.integers(2, 40), st.floats(1e-4, 1), st.integers(2, 20_000), st.integers(1, 50))
def test_half_widths_shrink_with_replicas_and_grow_with_looks(
    sd: float, replicas: int, se: float, clusters: int, looks: int
) -> None:
    now = half_width(sd, replicas, se, clusters, looks)
    assert half_width(sd, replicas + 1, se, clusters, looks) < now
    assert half_width(sd, replicas, se, clusters, looks + 1) > now
    assert now >= max(half_width(0.0, replicas, se, clusters, looks), half_width(sd, replicas, 0.0, clusters, looks))


def test_models_off_by_as_much_in_opposite_directions_are_not_told_apart() -> None:
    """Labels drawn from p; one model says a little more, one as much less: hardly ever may calibration or ECE be sure."""
    wrong = {"calibration": 0, "ece": 0}
    for seed in range(60):
        random = np.random.default_rng(seed)
        p_n = 1 / (1 + np.exp(-random.normal(-2.5, 1.0, 5000)))
        label_n = (random.random(5000) < p_n).astype(float)
        two = []
        for factor in (1.005, 0.995):
            output_rn = np.tile(p_n * factor, (4, 1)) * (1 + 1e-4 * random.normal(size=(4, 1)))
            two.append(measure("binary", label_n, np.log(output_rn), output_rn, np.ones(5000), np.arange(5000), False))
        for key in wrong:
            wrong[key] += gain(two[0][key], two[1][key]).verdict != "cannot tell"
    assert max(wrong.values()) <= 6, wrong
