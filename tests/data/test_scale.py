"""Scales: places stay in range and in order whatever the numbers, and zero-inflated columns keep their resolution."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from manygate.data import scale as scale_module
from manygate.data.scale import LARGEST, NumberSample, Scale, fit_scale

ENCODINGS = ("piecewise", "minmax", "standard", "log1p")
quick = settings(max_examples=150, deadline=None, derandomize=True)
every = pytest.mark.parametrize("encoding", ENCODINGS)
odd = st.sampled_from([0.0, -0.0, 1.0, -1.0, 1e308, -1e308, 1.7e308, 5e-324, -5e-324, 2.5e-310, 1e16, 1e16 + 2, 0.1, 1e-30])
numbers = st.lists(st.one_of(st.floats(allow_nan=False), odd, st.integers(-3, 3).map(float)), min_size=1, max_size=60)


def fitted(values: Any, encoding: str = "piecewise", bins: int = 16) -> tuple[Scale, list[str]]:
    sample = NumberSample(1, 0)
    sample.add(np.asarray(values, dtype=np.float64).reshape(-1, 1))
    return fit_scale(sample, 0, encoding, bins)


@every
@quick
@given(train=numbers, new=numbers, bins=st.integers(1, 20))
def test_places_are_finite_monotone_and_in_range(encoding, train, new, bins):
    scale, _ = fitted(train, encoding, bins)
    place = scale(np.array(train))
    assert place.dtype == np.float32
    assert np.isfinite(place).all()
    every_number = np.sort(np.array([*train, *new, np.inf, -np.inf]))
    sorted_places = scale(every_number)
    assert np.isfinite(sorted_places).all()
    assert (np.diff(sorted_places) >= 0).all()
    if encoding in ("piecewise", "minmax"):
        assert (sorted_places >= 0).all()
        assert (sorted_places <= scale.units).all()
    assert sorted_places.min() == (place.min() if scale.units else 0.0), "values beyond the training range are clipped to it"
    assert sorted_places.max() == (place.max() if scale.units else 0.0)
    if encoding == "piecewise" and scale.units:
        assert {place.min(), place.max()} == {0.0, np.float32(scale.units)}
        assert scale.units <= 2 * bins + 1
    if encoding == "minmax" and scale.units:
        assert {place.min(), place.max()} == {0.0, 1.0}


@every
@quick
@given(numbers)
def test_a_scale_survives_json(encoding, values):
    import json

    scale, _ = fitted(values, encoding)
    text = json.dumps(asdict(scale), allow_nan=False)
    again = TypeAdapter(Scale).validate_python(json.loads(text))
    assert again == scale
    np.testing.assert_array_equal(again(np.array(values)), scale(np.array(values)))


@every
def test_affine_values(encoding):
    values = np.array([2.0, 4.0, 6.0, 8.0])
    logs = np.log1p(values)
    expected = {
        "minmax": (values - 2) / 6,
        "standard": (values - 5) / values.std(),
        "log1p": (logs - logs.mean()) / logs.std(),
        "piecewise": [0, 1, 2, 3],
    }[encoding]
    np.testing.assert_allclose(fitted(values, encoding, bins=3)[0](values), expected, rtol=1e-6, atol=1e-7)


def test_log1p_is_odd_and_takes_negative_numbers():
    values = np.array([-1e6, -10.0, 0.0, 10.0, 1e6])
    place = fitted(values, "log1p")[0](values)
    np.testing.assert_allclose(place, -place[::-1], atol=1e-6)


def test_a_zero_inflated_column_keeps_the_zero_and_the_resolution_of_the_rest():
    random = np.random.default_rng(0)
    for share in (0.3, 0.9, 0.99):
        values = np.where(random.random(20_000) < share, 0.0, random.lognormal(3, 1, 20_000))
        scale, _ = fitted(values)
        zero, smallest = scale(np.array([0.0, values[values > 0].min()]))
        assert zero == 0
        assert smallest >= 1, "zero is a step below the smallest positive number"
        rest = np.sort(values[values > 0])
        places = scale(rest)
        assert scale.units >= 14
        step = np.histogram(places, bins=np.arange(1, scale.units + 1))[0] / len(rest)
        assert step.max() < 2.5 / (scale.units - 1), "the rest is spread evenly over the bins"
        assert places.max() - places.min() > 0.85 * scale.units


def test_atoms_inside_and_at_the_end_have_steps_on_either_side():
    values = np.concatenate([np.linspace(0, 10, 101), np.full(200, 5.0), np.full(200, 10.0)])
    scale, _ = fitted(values, bins=8)
    below, at, above = scale(np.array([np.nextafter(5.0, 0), 5.0, np.nextafter(5.0, 9)]))
    assert at - below == pytest.approx(1.0)
    assert above - at == pytest.approx(1.0)
    assert scale(np.array([10.0]))[0] - scale(np.array([np.nextafter(10.0, 0)]))[0] == pytest.approx(1.0)


def test_equal_mass_in_each_bin_of_a_smooth_column():
    values = np.random.default_rng(1).exponential(size=16_000)
    scale, _ = fitted(values)
    assert scale.units == 16
    np.testing.assert_allclose(np.histogram(scale(values), bins=np.arange(17))[0] / 16_000, 1 / 16, atol=2e-3)


@every
@pytest.mark.parametrize("values", [[7.0] * 5, [np.nan] * 5, [7.0, np.nan], [np.inf] * 3, [np.inf, 3.0, 3.0]])
def test_constants_teach_nothing_and_say_so(encoding, values):
    scale, warnings = fitted(values, encoding)
    assert scale.units == 0
    assert "teaches nothing" in warnings[-1]
    place = scale(np.array([0.0, 7.0, 1e308, np.inf]))
    assert (place == 0).all()
    assert np.isnan(scale(np.array([np.nan]))[0]) == bool(np.isnan(values).any())


@every
def test_nulls_stay_null_where_training_saw_some_and_else_take_the_median(encoding):
    values = np.array([1.0, 2.0, 3.0, 4.0, 100.0])
    with_nulls, _ = fitted([*values, np.nan], encoding)
    without, _ = fitted(values, encoding)
    assert np.isnan(with_nulls(np.array([np.nan]))).all()
    np.testing.assert_array_equal(without(np.array([np.nan])), without(np.array([3.0])))


@every
def test_infinities_count_as_the_ends_and_are_reported(encoding):
    scale, warnings = fitted([1.0, 2.0, 3.0, np.inf, -np.inf], encoding)
    np.testing.assert_array_equal(scale(np.array([np.inf, -np.inf])), scale(np.array([3.0, 1.0])))
    assert "2 infinite values" in warnings[0]


@every
def test_the_largest_numbers_do_not_overflow(encoding):
    values = np.array([-1.79e308, -LARGEST, 0.0, 5e-324, LARGEST, 1.79e308])
    scale, warnings = fitted(values, encoding)
    place = scale(values)
    assert warnings == []
    assert np.isfinite(place).all()
    assert (np.diff(place) >= 0).all()


def test_the_sample_is_uniform_bounded_and_independent_of_batches(monkeypatch):
    monkeypatch.setattr(scale_module, "SAMPLE_ROWS", 300)
    rows = np.stack([np.arange(5000.0), np.where(np.arange(5000) % 4, 1.0, np.nan)], axis=1)
    samples = []
    for size in (5000, 1, 7, 299, 1024):
        sample = NumberSample(2, seed=3)
        for start in range(0, 5000, size):
            sample.add(rows[start : start + size])
        samples.append(sample)
    for sample in samples:
        assert len(sample.rows) == 300
        np.testing.assert_array_equal(np.sort(sample.rows[:, 0]), np.sort(samples[0].rows[:, 0]))
        assert sample.null_share(1) == 0.25
        assert sample.count == 5000
    assert abs(np.mean(samples[0].rows[:, 0]) - 2500) < 4 * 1443 / 300**0.5
    other = NumberSample(2, seed=4)
    other.add(rows)
    assert not np.array_equal(other.rows[:, 0], samples[0].rows[:, 0])


@every
def test_numbers_a_rounding_apart_are_still_told_apart_or_the_user_is_told(encoding):
    scale, warnings = fitted([1e16, 1e16 + 2, 1e16], encoding)
    low, high = scale(np.array([1e16, 1e16 + 2]))
    assert np.isfinite([low, high]).all()
    assert low < high
    assert bool(warnings) == (encoding == "log1p")
    assert scale.encoding == ("standard" if encoding == "log1p" else encoding)
