"""Metrics against scikit-learn, naive loops, finite differences, bootstraps and hand-computed values."""

import ast
import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as oracle

from manygate import metrics
from manygate.errors import InputError
from metric_samples import quick, sample, tables

BINARY = ("auc", "log_loss", "normalised_entropy", "calibration", "ece", "average_precision")


def naive_auc(label, score, weight):
    pairs = wins = 0.0
    for y, s, w in zip(label, score, weight, strict=True):
        for y2, s2, w2 in zip(label, score, weight, strict=True):
            if y == 1 and y2 == 0:
                pairs += w * w2
                wins += w * w2 * ((s > s2) + (s == s2) / 2)
    return wins / pairs if pairs else math.nan


def same(ours, theirs):
    assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12, nan_ok=True)


@quick
@given(tables())
def test_binary_metrics_agree_with_sklearn(table):
    label, score, weight, _ = table
    y, p, w = (column[weight > 0] for column in (label, score, weight))
    values, reasons = metrics.task_metrics("binary", label, score, weight)
    assert set(values) == set(BINARY)
    assert set(reasons) == {name for name, value in values.items() if math.isnan(value)}
    if y.size:
        loss = oracle.log_loss(y, p, sample_weight=w, labels=[0, 1])
        same(values["log_loss"], loss)
    if y.any():
        same(values["average_precision"], oracle.average_precision_score(y, p, sample_weight=w))
    if len(set(y)) == 2:
        same(values["auc"], oracle.roc_auc_score(y, p, sample_weight=w))
        rate = np.average(y, weights=w)
        same(values["normalised_entropy"], loss / -(rate * math.log(rate) + (1 - rate) * math.log(1 - rate)))
    else:
        assert math.isnan(values["auc"])
        assert math.isnan(values["normalised_entropy"])


@quick
@given(tables("regression"))
def test_regression_metrics_agree_with_sklearn(table):
    label, score, weight, _ = table
    y, p, w = (column[weight > 0] for column in (label, score, weight))
    values, reasons = metrics.task_metrics("regression", label, score, weight)
    if y.size == 0:
        assert reasons == dict.fromkeys(("rmse", "mae", "r2"), "no labelled row (null, outside the sample space, or of weight 0)")
        return
    same(values["rmse"], oracle.root_mean_squared_error(y, p, sample_weight=w))
    same(values["mae"], oracle.mean_absolute_error(y, p, sample_weight=w))
    same(values["r2"], oracle.r2_score(y, p, sample_weight=w) if len(set(y)) > 1 else math.nan)


@quick
@given(tables())
def test_gauc_agrees_with_a_loop_over_groups(table):
    label, score, weight, group = table
    total, sum_of_weight, counted = 0.0, 0.0, 0
    for g in set(group[weight > 0]):
        inside = group == g
        value = naive_auc(label[inside], score[inside], weight[inside])
        if not math.isnan(value):
            total, sum_of_weight, counted = (
                total + weight[inside].sum() * value,
                sum_of_weight + weight[inside].sum(),
                counted + 1,
            )
    same(metrics.gauc(label, score, group, weight), total / sum_of_weight if counted else math.nan)
    assert metrics.gauc_groups(label, group, weight) == (counted, len(set(group[weight > 0])))


def test_gauc_keeps_large_group_ids_apart():
    big = 2**60
    group = np.array([big, big, big + 1, big + 1])
    assert metrics.gauc([0, 1, 1, 1], [1, 2, 3, 4], group) == 1.0
    assert metrics.gauc_groups([0, 1, 1, 1], group) == (1, 2)
    assert metrics.gauc([0, 1, 0, 1], [0.1, 0.2, 0.8, 0.9], group, [1, 1, 3, 3]) == 1.0
    assert metrics.gauc([0, 1, 0, 1], [0.1, 0.2, 0.9, 0.8], group, [1, 1, 3, 3]) == 0.25


def naive_bins(label, score, weight, bins):
    """Exact fractions: the block of ties goes where the middle of its mass lies."""
    total, before, inside = sum(map(Fraction, weight)), Fraction(0), {}
    for value in sorted(set(score[weight > 0])):
        rows = [i for i in range(len(score)) if score[i] == value and weight[i] > 0]
        mass = sum(Fraction(weight[i]) for i in rows)
        inside.setdefault(min(bins - 1, int(bins * (before + mass / 2) / total)), []).extend(rows)
        before += mass
    return [inside[b] for b in sorted(inside)]


@quick
@given(tables(), st.sampled_from((1, 2, 5, 15)))
def test_calibration_error_and_curve_agree_with_a_loop(table, bins):
    label, score, weight, _ = table
    curve = metrics.calibration_curve(label, score, weight, bins)
    expected = naive_bins(label, score, weight, bins)
    assert [point.rows for point in curve] == [len(rows) for rows in expected]
    for point, rows in zip(curve, expected, strict=True):
        same(point.predicted, np.average(score[rows], weights=weight[rows]))
        same(point.observed, np.average(label[rows], weights=weight[rows]))
    json.dumps([point.to_tree() for point in curve], allow_nan=False)
    gaps = [abs(np.sum(weight[rows] * (label - score)[rows])) for rows in naive_bins(label, score, weight, 15)]
    same(metrics.ece(label, score, weight), sum(gaps) / weight.sum() if gaps else math.nan)


def test_bins_have_equal_mass_without_ties():
    rng = np.random.default_rng(0)
    curve = metrics.calibration_curve(rng.integers(0, 2, 450), rng.permutation(450) / 450)
    assert [point.rows for point in curve] == [30] * 15


def test_values_by_hand():
    assert metrics.auc([0, 1], [0.5, 0.5]) == 0.5  # a tie, not an undefined result
    assert metrics.auc([0, 0, 1], [1, 3, 2], [1, 3, 1]) == 0.25
    assert metrics.log_loss([1], [0.0]) == pytest.approx(-math.log(np.finfo(float).eps))
    assert metrics.calibration([1, 0], [0.5, 0.25], [3, 2]) == 1.5
    assert metrics.ece([0, 1], [0.25, 0.75], [3, 1]) == 0.25
    assert metrics.average_precision([1, 0, 1], [3, 2, 1]) == pytest.approx((1 + 2 / 3) / 2)
    assert metrics.rmse([0, 0], [3, 1], [1, 0]) == 3
    assert metrics.mae([0, 0], [3, 1], [1, 3]) == 1.5
    assert metrics.r2([0, 2, 4], [0, 2, 0]) == -1


def bits(value):
    return np.asarray(value, dtype=float).tobytes()


@quick
@given(tables(weights=(0.5, 1, 2.7)), st.integers(0, 9), st.sampled_from(("binary", "regression")))
def test_masked_rows_change_no_bit(table, seed, kind):
    label, score, weight, group = table
    rng = np.random.default_rng(seed)
    kept = rng.permutation(label.size + 7) < label.size
    wide = [np.full(kept.size, fill) for fill in (math.nan, math.nan, 0.0, 1)]
    for column, values in zip(wide, table, strict=True):
        column[kept] = values
    values, reasons = metrics.task_metrics(kind, label, score, weight, group)
    masked_values, masked_reasons = metrics.task_metrics(kind, *wide)
    assert list(values) == list(masked_values)
    assert bits(list(values.values())) == bits(list(masked_values.values()))
    assert reasons == masked_reasons
    assert metrics.calibration_curve(label, score, weight) == metrics.calibration_curve(*wide[:3])
    assert metrics.gauc_groups(label, group, weight) == metrics.gauc_groups(wide[0], wide[3], wide[2])
    plain, masked = metrics.influence(kind, label, score, weight), metrics.influence(kind, *wide[:3])
    assert bits(plain) == bits(masked[kept])
    assert not masked[~kept].any()
    for groups, wide_groups in ((None, None), (group, wide[3])):
        assert bits(metrics.standard_error(plain, groups)) == bits(metrics.standard_error(masked, wide_groups))


def test_no_weight_is_weight_one():
    label, score = sample(np.random.default_rng(1), 50)
    probability = 1 / (1 + np.exp(-score))
    ones = metrics.task_metrics("binary", label, probability, np.ones(50))
    assert metrics.task_metrics("binary", label, probability) == ones


def test_undefined_metrics_say_why():
    values, reasons = metrics.task_metrics("binary", [0] * 120, np.zeros(120), None, np.arange(120))
    assert list(values) == ["auc", "gauc", *BINARY[1:]]
    one_class = "only one class among 120 rows: all labels are 0"
    assert reasons == dict.fromkeys(("auc", "gauc", "normalised_entropy", "average_precision"), one_class) | {
        "calibration": "no positives are expected among 120 rows: all predictions are 0"
    }
    assert metrics.task_metrics("binary", [0, 1], [0.1, 0.2], None, [1, 2])[1] == {"gauc": "no group has both classes"}
    empty = "no labelled row (null, outside the sample space, or of weight 0)"
    for table in (([], [], None, []), ([1, 0], [0.2, 0.3], [0, 0], [1, 1])):
        assert metrics.task_metrics("binary", *table)[1] == dict.fromkeys(values, empty)
        assert metrics.calibration_curve(*table[:3]) == []
    assert metrics.task_metrics("regression", [3.0], [2.0])[1] == {"r2": "no variance to explain among 1 row: all labels are 3"}
    # 0.1 is not exact in binary, so its mean over rows can differ from it by rounding
    assert math.isnan(metrics.r2([0.1] * 3, [0, 1, 2]))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_result_from_a_number_that_is_not_finite_is_undefined(bad):
    for label, score, what in (([0, 1, 1], [0.2, bad, 0.3], "prediction"), ([0, bad, 1], [0.2, 0.2, 0.3], "label")):
        for kind in ("binary", "regression"):
            values, reasons = metrics.task_metrics(kind, label, score, None, [1, 1, 1])
            assert all(map(math.isnan, values.values()))
            assert set(reasons.values()) == {f"the {what} is not a finite number in 1 of 3 rows"}
            assert np.isnan(metrics.influence(kind, label, score)).all()
            assert math.isnan(metrics.standard_error(metrics.influence(kind, label, score)))
    assert metrics.calibration_curve([0, 1], [bad, 0.5]) == []


def test_wrong_input_is_refused():
    with pytest.raises(InputError, match="0 or 1; found 2"):
        metrics.auc([0, 2], [1, 2])
    with pytest.raises(InputError, match="between 0 and 1"):
        metrics.log_loss([0, 1], [0.5, 1.5])
    with pytest.raises(InputError, match="one length"):
        metrics.auc([0, 1], [1, 2, 3])
    with pytest.raises(InputError, match="1-D"):
        metrics.rmse([[0, 1]], [[0, 1]])
    for weight in (-1, math.nan, math.inf):
        with pytest.raises(InputError, match="weights"):
            metrics.auc([0, 1], [1, 2], [1, weight])


def test_imports_nothing_heavy():
    tree = ast.parse(Path(metrics.task.__file__).read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    roots = {(getattr(node, "module", None) or node.names[0].name).split(".")[0] for node in imports}
    assert roots == {"__future__", "math", "typing", "numpy", "manygate"}
