"""Fresh rows for many runs at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from manygate.datasets.synthetic import Tasks
from manygate.randomness import SYNTHETIC, stream_seed
from manygate.studies.stream import HELD_OUT, TRAINING, VECTORS, HeldOut, Stream, draw_sines

TASKS = Tasks(inputs=7, scale=1.5, alpha=(1.0, 2.0), beta=(0.3, 0.9), noise_var=0.04)
CORRELATIONS = (-0.5, 0.5, 1.0)


@pytest.fixture
def stream() -> Stream:
    return Stream(TASKS, seeds=[3, 4], correlations=CORRELATIONS, rates=2, batch=8, steps=10)


def test_labels_are_those_of_the_paper_for_every_run(stream):
    """Run r = ((seed, correlation), rate): its own vectors, and equation 4 in NumPy."""
    x_SND, y_RNK = stream.draw(50, TRAINING, 0)
    for s, seed in enumerate(stream.seeds):
        for p, cosine in enumerate(CORRELATIONS):
            one = replace(TASKS, correlation=cosine)
            w_KD = one.vectors(np.random.default_rng(stream_seed(SYNTHETIC, seed, VECTORS)))
            exact_NK = one.mean(x_SND[s].double().numpy(), w_KD)
            runs = y_RNK[(s * 3 + p) * 2 : (s * 3 + p) * 2 + 2].double().numpy()
            assert (runs[0] == runs[1]).all(), "learning rates share their rows"
            noise = runs[0] - exact_NK
            assert 0.1 < noise.std() < 0.35
            assert abs(np.corrcoef(noise.T)[0, 1]) < 0.5


def test_every_seed_draws_sines_of_its_own_for_all_its_tasks_and_correlations():
    stream = Stream(replace(TASKS, alpha=(), beta=(), noise_var=0.0), seeds=[3, 4], correlations=CORRELATIONS, sines=5)
    x_SND, y_RNK = stream.draw(50, TRAINING, 0)
    shapes = {seed: draw_sines(5, seed) for seed in (3, 4)}
    assert not np.allclose(shapes[3], shapes[4])
    for s, seed in enumerate(stream.seeds):
        for p, cosine in enumerate(CORRELATIONS):
            w_KD = replace(TASKS, correlation=cosine).vectors(np.random.default_rng(stream_seed(SYNTHETIC, seed, VECTORS)))
            z_NK = x_SND[s].double().numpy() @ w_KD.T
            exact_NK = z_NK + sum(np.sin(a * z_NK + b) for a, b in zip(*shapes[seed], strict=True))
            np.testing.assert_allclose(y_RNK[s * 3 + p].numpy(), exact_NK, atol=1e-4)
    many = np.concatenate([draw_sines(1_000, seed) for seed in range(10)])
    assert (many.mean(), many.std()) == pytest.approx((0.0, 1.0), abs=0.03)


def test_noise_has_its_variance_and_is_shared_between_correlations(stream):
    quiet = Stream(replace(TASKS, noise_var=0.0), [3, 4], CORRELATIONS, 2, 8, 10)
    noise_RNK = (stream.draw(20_000, TRAINING, 0)[1] - quiet.draw(20_000, TRAINING, 0)[1]).numpy()
    assert noise_RNK.var() == pytest.approx(0.04, rel=0.02)
    np.testing.assert_allclose(noise_RNK[0], noise_RNK[4], atol=1e-5)
    assert abs(np.corrcoef(noise_RNK[0].T)[0, 1]) < 0.03


def test_label_correlations_are_those_of_the_closed_form():
    stream = Stream(Tasks(), seeds=range(4), correlations=(0.5, 0.9), batch=64, steps=10)
    _, y_RNK = stream.draw(30_000, TRAINING, 0)
    found_SP = np.array([np.corrcoef(y_NK.numpy().T)[0, 1] for y_NK in y_RNK]).reshape(4, 2)
    for p, cosine in enumerate((0.5, 0.9)):
        assert found_SP[:, p].mean() == pytest.approx(Tasks().pearson(cosine), abs=0.012)


def test_rows_are_fresh_without_end_and_the_same_whoever_asks(stream):
    batches = [batch for epoch in range(4) for batch in stream.batches(0, epoch, 8)]
    seen = torch.cat([batch.number_BM[0] for batch in batches])
    single = Stream(TASKS, [3], CORRELATIONS[:1], 1, 8, 10)
    rows = [batch.number_BM[0].clone() for epoch in range(4) for batch in single.batches(0, epoch, 8)]
    assert torch.equal(torch.cat(rows), seen)
    assert len(torch.unique(seen, dim=0)) == len(seen) == 4 * 80
    alone = Stream(TASKS, [4], CORRELATIONS[2:], 1, 8, 10)
    again = next(alone.batches(0, 3, 8, first=2))
    wanted = batches[32]
    assert torch.equal(again.number_BM[0], wanted.number_BM[10])
    torch.testing.assert_close(again.label_BT[0], wanted.label_BT[10])


def test_held_out_rows_are_no_training_rows_and_errors_are_those_of_each_run(stream):
    held = {part: HeldOut(stream, 30, part) for part in (0, 1)}
    training = stream.draw(30, TRAINING, 0)[0]
    assert not torch.equal(held[0].x_SND, training)
    assert not torch.equal(held[0].x_SND, held[1].x_SND)
    assert torch.equal(held[0].x_SND, stream.draw(30, HELD_OUT, 0)[0])
    batches = list(held[0].slices(20))
    assert [len(batch) for batch in batches] == [20, 10]
    prediction = held[0].y_RNK.numpy() + np.arange(12).reshape(12, 1, 1)
    np.testing.assert_allclose(held[0].squared_error(prediction), np.arange(12).reshape(12, 1).repeat(2, axis=1) ** 2, rtol=1e-4)
