"""Tests of ordinal tasks: their thresholds, loss and expected label, and training with them."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
import torch

from manygate import Ranker
from manygate.config import DataConfig, RunConfig
from manygate.data.batches import Batch
from manygate.data.fit import fit_encoder
from manygate.data.labels import LabelScale, Levels
from manygate.data.rows import Input
from manygate.errors import InputError
from manygate.model import MultiTaskModel
from manygate.model.logits import predict
from manygate.model.ordinal import Ordinals, Thresholds, expected_label, ordinal_loss
from manygate.model.problem import Problem
from manygate.objective.loss import Losses
from manygate.schema import Feature, Schema, Task
from manygate.scoring.bundle import load_bundle, save_bundle
from manygate.scoring.predictor import Predictor

LEVELS = (None, Levels((0.0, 1.0, 2.5), (-1.0, 0.5, 2.0, 4.0)), Levels((-0.5,), (-1.0, 1.0)))
TASKS = (
    Task(name="click"),
    Task(name="watch", kind="regression", loss="ordinal"),
    Task(name="stars", kind="regression", loss="ordinal"),
)
ORDINAL_TASKS = (Task(name="click"), Task(name="watch", kind="regression", where="click == 1", loss="ordinal", levels=6))


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def by_hand(output: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Compute the losses of (click, watch, stars) of one row. The outputs are their logits and those of two more cuts of watch."""
    click = -math.log(sigmoid(output[0]) if label[0] else 1 - sigmoid(output[0]))
    losses = [click]
    for logits, levels, y in (([output[1], output[3], output[4]], LEVELS[1], label[1]), ([output[2]], LEVELS[2], label[2])):
        terms = []
        for z, cut in zip(logits, levels.cuts, strict=True):
            p = sigmoid(z)
            terms.append(-math.log(p) if y > cut else -math.log(1 - p))
        losses.append(sum(terms) / len(terms))
    return np.array(losses)


def test_losses_equal_those_computed_row_by_row():
    rng = np.random.default_rng(0)
    output, label = (
        rng.normal(size=(2, 20, 5)),
        np.stack([rng.integers(0, 2, 20), rng.normal(1, 2, 20), rng.normal(0, 1, 20)], axis=1),
    )
    label[:3, 1] = [0.0, 1.0, 2.5]  # a label that equals a cut is not above it
    losses = Losses(TASKS, torch.tensor([[0, 1, 2]] * 2), Ordinals(LEVELS, member_tasks=3, first=3))
    rows = losses.rows(torch.tensor(output).float(), torch.tensor(label).float().unsqueeze(0))
    expected = [[by_hand(output[m, b], label[b]) for b in range(20)] for m in range(2)]
    np.testing.assert_allclose(rows, expected, rtol=1e-5)


def test_a_model_per_task_finds_its_own_cuts():
    """Each of the members (click, watch, stars) has a logit and two further logits. stars uses no further logit."""
    rng = np.random.default_rng(1)
    output, label = rng.normal(size=(3, 10, 3)), rng.normal(size=(3, 10, 1))
    label[0] = label[0] > 0
    ordinals = Ordinals(LEVELS, member_tasks=1, first=1)
    assert ordinals.cuts == [(0, 3)]
    rows = Losses(TASKS, torch.tensor([[0], [1], [2]]), ordinals).rows(torch.tensor(output).float(), torch.tensor(label).float())
    for b in range(10):
        joint = np.array([output[0, b, 0], output[1, b, 0], output[2, b, 0], *output[1, b, 1:]])
        np.testing.assert_allclose(rows[:, b, 0], by_hand(joint, label[:, b, 0]), rtol=1e-5)
    read = ordinals.read(torch.tensor(output).float(), [(0,), (1,), (2,)])
    assert read[0].tolist() == torch.tensor(output[0, :, :1]).float().tolist()
    p = [sigmoid(z) for z in output[1, 0]]
    assert read[1, 0, 0].item() == pytest.approx(-1 + 1.5 * p[0] + 1.5 * p[1] + 2 * p[2], rel=1e-5)
    assert read[2, 0, 0].item() == pytest.approx(-1 + 2 * sigmoid(output[2, 0, 0]), rel=1e-5)


def test_thresholds_begin_at_levels_of_equal_mass_and_stay_ordered():
    thresholds = Thresholds([(0, 4), (1, 1), (2, 2)])
    first = math.log(4)  # P(y > first cut) = 4/5
    z = torch.cat([torch.tensor([[first, 0.0, 0.0]]), thresholds(torch.tensor([[first, 0.0, 0.0]]))], dim=1)
    assert z.sigmoid()[0, [0, 3, 4, 5]].tolist() == pytest.approx([0.8, 0.6, 0.4, 0.2])
    assert z.shape == (1, 7)
    assert thresholds.gap.shape == (4,)
    with torch.no_grad():
        thresholds.gap.normal_(0, 5)
        above = thresholds(torch.zeros(1, 3))[0, :3]
    assert bool((above.diff() <= 0).all()), "a higher cut never has a higher probability"


def test_an_expected_label_lies_between_the_lowest_and_the_highest_level():
    levels = LEVELS[1]
    ends = [expected_label(torch.full((1, 1, 3), z), levels).item() for z in (-1e4, 1e4)]
    assert ends == [-1.0, 4.0]
    assert ordinal_loss(torch.full((1, 1, 3), 1e4), torch.tensor([[9.0]]), levels).item() == 0.0


def graded(rows: int = 8000) -> pa.Table:
    """Build a log with 0 to 60 seconds watched and 1 to 5 stars. Both depend on one hidden number and on the item."""
    rng = np.random.default_rng(0)
    item = rng.integers(0, 6, rows)
    latent = item / 2 - 1 + rng.logistic(size=rows)
    stars = 1.0 + (latent[:, None] > [-2.0, -0.5, 1.0, 3.0]).sum(axis=1)
    return pa.table({"item": item, "click": rng.integers(0, 2, rows), "watch": 60 / (1 + np.exp(-latent)), "stars": stars})


@pytest.mark.parametrize("architecture", ["mmoe", "single_task"])
def test_the_prediction_is_the_mean(architecture):
    tasks = ["click", "watch:kind=regression,loss=ordinal,levels=20", "stars:loss=ordinal"]
    log = graded()
    settings = {"epochs": 20, "learning_rate": 0.02, "batch_size": 1024, "replicas": 2}
    ranker = Ranker(task=tasks, architecture=architecture, **settings).fit(log, progress="none")
    predictions = ranker.predict(log)
    for name in ("watch", "stars"):
        value, label, item = predictions[name].to_numpy(), log[name].to_numpy(), log["item"].to_numpy()
        for i in range(6):
            assert value[item == i].mean() == pytest.approx(label[item == i].mean(), rel=0.05), (name, i)


def test_a_saved_model_has_its_thresholds(encoded, log_schema, trainer, settings, tmp_path):
    log = encoded(schema=log_schema().model_copy(update={"tasks": ORDINAL_TASKS}))
    run = trainer(log, settings(replicas=2, epochs=2))
    before = run.model.parameters["trunk.thresholds.gap"].detach().clone()
    run.fit()
    assert not torch.equal(before, run.model.parameters["trunk.thresholds.gap"])
    save_bundle(tmp_path / "bundle", Predictor(run.model, log.encoder))
    loaded = load_bundle(tmp_path / "bundle")
    model, encoder = loaded.model, loaded.encoder
    assert encoder.labels == log.encoder.labels
    assert np.array_equal(predict(model, run.monitor.split), predict(run.model, run.monitor.split))


@pytest.mark.parametrize("architecture", ["mmoe", "single_task"])
def test_replicas_equal_serial_runs(encoded, log_schema, trainer, settings, architecture):
    log = encoded(schema=log_schema().model_copy(update={"tasks": ORDINAL_TASKS}))
    together = trainer(log, settings(architecture=architecture, replicas=2, epochs=2))
    together.fit()
    logits = predict(together.model, together.monitor.split)
    for r in range(2):
        seeds = {"seed": together.config.seed_of(r), "shuffle_seed": together.config.shuffle_seed}
        alone = trainer(log, settings(architecture=architecture, epochs=2, **seeds))
        alone.fit()
        np.testing.assert_allclose(predict(alone.model, alone.monitor.split)[0], logits[r], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("architecture", ["mmoe", "single_task"])
def test_before_training_all_levels_are_equally_likely(architecture):
    """This holds for each task, even if another task has more levels."""
    inputs = [Input("x", "dense", False, units=3)]
    tens = Levels(tuple(np.arange(9.0)), tuple(np.arange(10.0)))
    tasks = (Task(name="a"), Task(name="b", kind="regression"), Task(name="c", kind="regression"))
    scales = {"a": LabelScale(), "b": LabelScale(levels=LEVELS[1]), "c": LabelScale(levels=tens)}
    problem = Problem(tuple(inputs), tasks, scales)
    model = MultiTaskModel(problem, RunConfig(architecture=architecture, replicas=2, dropout=0.0))
    with torch.no_grad():
        model.parameters["trunk.towers.weight"].zero_()
    batch = Batch(torch.zeros(1, 0, dtype=torch.int32), torch.zeros(1, 1), [], torch.zeros(1, 3), torch.ones(1, 3))
    found_RT = model.logits(batch)[:, 0]
    assert found_RT[0].tolist() == pytest.approx([0.0, np.mean(LEVELS[1].means), 4.5], abs=1e-5)
    assert torch.equal(found_RT[0], found_RT[1])


def test_members_of_the_same_task_are_read_together():
    rng = np.random.default_rng(2)
    tasks_M = [(0,), (1,), (2,), (0,), (1,), (2,)]
    output = torch.tensor(rng.normal(size=(6, 4, 3))).float()
    ordinals = Ordinals(LEVELS, member_tasks=1, first=1)
    one_by_one = torch.cat([ordinals.read(output[m : m + 1], [tasks_M[m]]) for m in range(6)])
    assert torch.equal(ordinals.read(output, tasks_M), one_by_one)


def test_rare_labels_are_all_in_the_sample_and_count_by_weight(monkeypatch):
    monkeypatch.setattr("manygate.data.scale.SAMPLE_ROWS", 50)
    schema = Schema(
        tasks=(Task(name="click"), Task(name="watch", kind="regression", loss="ordinal", levels=2)),
        features=(Feature(name="x", kind="dense"),),
        weight="w",
    )
    label = np.array([float(i) for i in range(20)])
    watch = pa.array([label[i // 100] if i % 100 == 0 else None for i in range(2000)])
    weight = np.array([3.0 if i // 100 >= 15 else 1.0 for i in range(2000)])
    table = pa.table({"click": np.arange(2000) % 2, "watch": watch, "x": np.arange(2000.0), "w": weight})
    scale = fit_encoder(schema, DataConfig(), [("log", batch) for batch in table.to_batches(300)]).labels["watch"]
    weight = np.where(label >= 15, 3.0, 1.0)
    cut = label[np.searchsorted(np.cumsum(weight), weight.sum() / 2)]
    assert scale.decode(np.array(scale.levels.cuts)) == pytest.approx([cut])
    low, high = (np.average(label[inside], weights=weight[inside]) for inside in (label <= cut, label > cut))
    assert scale.decode(np.array(scale.levels.means)) == pytest.approx([low, high])


def test_levels_without_an_ordinal_loss_are_refused():
    with pytest.raises(InputError, match="levels are for the loss ordinal"):
        Task.parse("watch:kind=regression,levels=5")
    with pytest.raises(InputError, match=r"levels: .* greater than or equal to 2; found '1'"):
        Task.parse("watch:loss=ordinal,levels=1")
    assert Task.parse("watch:loss=ordinal,levels=5").kind == "regression"
