"""The synthetic tasks have the vectors, labels, noise and correlations of their definition."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import manygate as mg
from manygate import datasets
from manygate.datasets.synthetic import Tasks
from manygate.errors import InputError

PAPER_TABLE = {  # literature: c, alpha, beta -> exact Pearson correlations at p
    "A": (Tasks(), {-1: -0.361, -0.5: -0.144, 0: 0.0, 0.25: 0.093, 0.5: 0.203, 0.75: 0.361, 0.9: 0.563, 0.95: 0.712, 1: 0.998}),
    "no phase": (
        Tasks(alpha=(1, 2, 3, 4), beta=(0,) * 4),
        {-1: -0.999, -0.5: -0.282, 0.25: 0.135, 0.5: 0.282, 0.9: 0.689, 1: 0.999},
    ),
    "short": (Tasks(alpha=(1, 2, 3, 4), beta=(0,) * 4, scale=0.3), {-0.5: -0.471, 0.25: 0.232, 0.5: 0.471, 0.9: 0.885, 1: 0.998}),
}


def label_by_hand(tasks: Tasks, x: list[float], w: list[float]) -> float:
    z = sum(a * b for a, b in zip(w, x, strict=True))
    return z + sum(math.sin(a * z + b) for a, b in zip(tasks.alpha, tasks.beta, strict=True))


@pytest.mark.parametrize("name", list(PAPER_TABLE))
def test_the_closed_form_has_the_known_values(name):
    tasks, expected = PAPER_TABLE[name]
    for p, value in expected.items():
        assert tasks.pearson(p) == pytest.approx(value, abs=5.1e-4)
    assert tasks.pearson(0.0) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("p", [-1.0, -0.5, 0.0, 0.25, 0.5, 0.75, 0.9, 1.0])
def test_figure_2_lies_on_the_closed_form(p):
    """A hundred draws of 10,000 rows, as in the paper; the mean is within 3 standard errors of the exact value."""
    tasks, random = Tasks(correlation=p, inputs=10), np.random.default_rng(int(100 * p) + 200)
    found = []
    for _ in range(100):
        _, y_NK = tasks.draw(10_000, tasks.vectors(random), random)
        found.append(np.corrcoef(y_NK.T)[0, 1])
    error = np.std(found, ddof=1) / 10
    assert abs(np.mean(found) - tasks.pearson()) < 3 * error + 2e-4  # the sample correlation is biased by about 1/(2N)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.floats(-1, 1),
    st.floats(0.1, 3),
    st.lists(st.tuples(st.floats(-4, 4), st.floats(-4, 4)), max_size=6),
)
def test_the_curve_is_increasing_and_convex_from_0_to_1(p, scale, sines):
    tasks = Tasks(scale=scale, alpha=tuple(a for a, _ in sines), beta=tuple(b for _, b in sines))
    curve = np.array([tasks.pearson(q) for q in np.linspace(0, 1, 21)])
    assert (np.diff(curve) > -1e-9).all()
    assert (np.diff(curve, 2) > -1e-9).all()
    assert abs(tasks.pearson(p)) <= curve[-1] + 1e-9


@pytest.mark.parametrize("p", [-1.0, -0.3, 0.0, 0.5, 1.0])
def test_vectors_have_their_length_and_cosine(p):
    w_KD = Tasks(correlation=p, scale=0.7).vectors(np.random.default_rng(1))
    np.testing.assert_allclose(w_KD @ w_KD.T, 0.49 * np.array([[1, p], [p, 1]]), atol=1e-12)


def test_many_tasks_have_their_matrix():
    gram = [[1.0, 0.9, 0.1, 0.0], [0.9, 1.0, 0.1, 0.0], [0.1, 0.1, 1.0, -0.5], [0.0, 0.0, -0.5, 1.0]]
    tasks = Tasks(correlation=gram, tasks=4, inputs=7, scale=2.0)
    w_KD = tasks.vectors(np.random.default_rng(1))
    np.testing.assert_allclose(w_KD @ w_KD.T, 4 * np.array(gram), atol=1e-12)
    assert tasks.pearson() == Tasks(scale=2.0).pearson(0.9)


def test_labels_are_equation_4():
    tasks, random = Tasks(inputs=6, noise_var=0.0, alpha=(1.5, -2.0), beta=(0.3, 1.0)), np.random.default_rng(3)
    w_KD = tasks.vectors(random)
    x_ND, y_NK = tasks.draw(20, w_KD, random)
    for n in range(20):
        for k in range(2):
            assert y_NK[n, k] == pytest.approx(label_by_hand(tasks, x_ND[n].tolist(), w_KD[k].tolist()), abs=1e-12)


def test_noise_has_its_variance_and_is_each_task_s_own():
    tasks, random = Tasks(correlation=1.0, inputs=3, noise_var=0.01), np.random.default_rng(5)
    w_KD = tasks.vectors(random)
    x_ND, y_NK = tasks.draw(200_000, w_KD, random)
    noise_NK = y_NK - tasks.mean(x_ND, w_KD)
    np.testing.assert_allclose(np.cov(noise_NK.T), [[0.01, 0], [0, 0.01]], atol=5 * 0.01 * math.sqrt(2 / 200_000))


def test_a_stream_never_repeats():
    tasks, random = Tasks(inputs=3), np.random.default_rng(5)
    batches = tasks.stream(4, tasks.vectors(random), random)
    one, two = next(batches), next(batches)
    assert one[0].shape == (4, 3)
    assert one[1].shape == (4, 2)
    assert not np.array_equal(one[0], two[0])


def test_the_folder_trains(tmp_path: Path):
    out = datasets.synthetic(tmp_path / "p", correlation=0.9, rows=600, inputs=5, tasks=3, seed=7).folder
    again = datasets.synthetic(tmp_path / "q", correlation=0.9, rows=600, inputs=5, tasks=3, seed=7).folder
    assert [p.read_bytes() for p in sorted(out.glob("*.parquet"))] == [p.read_bytes() for p in sorted(again.glob("*.parquet"))]
    assert [pq.read_table(out / f"{part}.parquet").num_rows for part in ("train", "valid", "test")] == [480, 60, 60]
    found = mg.Ranker(epochs=1, experts=2, expert_hidden=4, threads=1, device="cpu").fit(out, progress="none")
    assert found.schema.task_names == ("y1", "y2", "y3")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"correlation": 1.5}, "correlation: expected a cosine from -1 to 1, found 1.5"),
        (
            {"correlation": -0.6, "tasks": 3},
            "no vectors have these cosines (least eigenvalue -0.2); 3 tasks cannot all be below -0.500",
        ),
        ({"correlation": [[1, 0.5], [0.4, 1]]}, "symmetric, with ones"),
        ({"correlation": [[1, 0.5, 0], [0.5, 1, 0], [0, 0, 1]]}, "expected 2 x 2 cosines, found 3 x 3"),
        ({"tasks": 0}, "tasks: expected at least 1"),
        ({"tasks": 5, "inputs": 4}, "inputs: 5 tasks need as many inputs"),
        ({"scale": 0}, "scale: expected a positive number"),
        ({"noise_var": -0.1}, "noise_var: expected a variance"),
        ({"alpha": (1, 2), "beta": (1,)}, "alpha, beta: one of each for every sine, found 2 and 1"),
        ({"rows": 5}, "rows: expected a whole number of at least 30"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_arguments_are_named_and_nothing_is_written(arguments, problem, tmp_path: Path):
    with pytest.raises(InputError, match=re.escape(problem)):
        datasets.synthetic(tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_what_was_written_is_returned(tmp_path):
    written = datasets.synthetic(tmp_path / "out", rows=100, inputs=5)
    assert written.rows == {"train": 80, "valid": 10, "test": 10}
    assert written.truth == tmp_path / "out" / "truth"
    assert written.ceiling is None
