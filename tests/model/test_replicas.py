"""Test that one batched program for all members gives the same results as each member alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from manygate.config.names import ARCHITECTURES
from manygate.data.encoded import EncodedLog
from manygate.data.rows import Rows
from manygate.model import MultiTaskModel
from manygate.model.problem import Problem
from manygate.model.replicas import member_axis

REPLICAS = 2
VARIANTS = {
    "adamw": {},
    "adam, clipped": {"optimizer": "adam", "clip_norm": 0.5},
    "sgd, sparse, clipped": {"optimizer": "sgd", "sparse_gradients": True, "clip_norm": 0.5, "learning_rate": 0.05},
    "adagrad, sparse": {"optimizer": "adagrad", "sparse_gradients": True},
    "row-wise adagrad, dense": {"table_optimizer": "rowwise_adagrad", "table_learning_rate": 0.02},
    "row-wise adagrad, sparse, clipped": {"table_optimizer": "rowwise_adagrad", "sparse_gradients": True, "clip_norm": 0.5},
    "adam, sparse, deep": {
        "optimizer": "adam",
        "sparse_gradients": True,
        "expert_hidden": (5, 4),
        "bottom_hidden": (6, 6),
        "tower_hidden": (4, 3),
        "gate_bias": True,
        "schedule": "cosine",
        "warmup": 0.1,
    },
}

GATES = {
    "noisy top-k": {"gate": "topk", "top_k": 1, "experts": 4},
    "dselect-k": {"gate": "dselect_k", "top_k": 2, "experts": 6},
    "gate dropout, normalised experts": {  # sgd: Adam divides by gradients near zero
        "gate_dropout": 0.3,
        "expert_norm": True,
        "importance_weight": 0.1,
        "optimizer": "sgd",
        "learning_rate": 0.05,
    },
    "gates of their own features": {"gate_features": ("user", "age"), "temperature": 2.0, "gate_bias": True},
    "lower layers": {"lower_hidden": (6,), "shared_experts": (1,), "task_experts": ((2, 0, 1),)},
    "cross layers": {"cross_layers": 2, "cross_rank": 3},
}

OWN = {
    "own order, own rates": {"replica_data": "order", "replica_rates": (1.0, 0.1), "clip_norm": 0.5},
    "bootstrap, sparse": {"replica_data": "bootstrap", "sparse_gradients": True, "optimizer": "adam", "clip_norm": 0.5},
    "bootstrap, own weights, adagrad": {
        "replica_data": "bootstrap",
        "replica_weights": ((1.0, 2.0, 0.5), (0.0, 1.0, 3.0)),
        "replica_rates": (0.5, 1.0),
        "optimizer": "adagrad",
    },
    "averaged": {"weight_average": 0.9},
    "averaged, own order, own rates, sparse": {
        "weight_average": 0.9,
        "replica_data": "order",
        "replica_rates": (1.0, 0.2),
        "sparse_gradients": True,
    },
    "bootstrap, own rates, row-wise adagrad, averaged": {
        "replica_data": "bootstrap",
        "replica_rates": (1.0, 0.2),
        "table_optimizer": "rowwise_adagrad",
        "sparse_gradients": True,
        "weight_average": 0.9,
        "clip_norm": 0.5,
    },
    "own id dropout": {"replica_id_dropouts": (0.0, 5.0)},
    "own order, own id dropout, sparse": {"replica_data": "order", "replica_id_dropouts": (20.0, 2.0), "sparse_gradients": True},
    "own order, own rates, sgd, sparse": {
        "replica_data": "order",
        "replica_rates": (0.2, 1.0),
        "sparse_gradients": True,
        "optimizer": "sgd",
        "learning_rate": 0.05,
    },
}


SETTINGS = {
    "replicas": REPLICAS,
    "seed": 4,
    "batch_size": 8,
    "epochs": 1,
    "dropout": 0.2,
    "bias_dropout": 0.3,
    "learning_rate": 3e-3,
}


@pytest.fixture(scope="module")
def long_log(encoded, log_table, repeating_ages, settings) -> EncodedLog:
    """Build a log of exactly one hundred batches of eight training rows.

    It has bias features, bags, two embedding widths, a number whose values are also ids, target statistics, and three tasks with
    masks.
    """
    config = settings(fractions=(0.8, 0.1, 0.1), number_ids=5, target_statistics=True)
    log = encoded(repeating_ages(log_table(1500, seed=3)), config=config)
    assert list(log.encoder.number_ids) == ["age"]
    log.parts["train"] = log.parts["train"].where(np.arange(len(log.parts["train"])) < 800)
    assert len(log.parts["train"]) == 800
    return log


def trained(trainer, log, config) -> MultiTaskModel:
    """Return the model after one epoch, of a hundred steps or as many as the settings say. Its best weights are the last ones."""
    training = trainer(log, config)
    state = training.fit()
    assert state.step == (config.max_steps or 100)
    assert state.best_epoch == [1] * len(training.model.members)
    return training.model


ALL = [(name, "adam, sparse, deep") for name in ARCHITECTURES]
ALL += [(name, variant) for variant in VARIANTS for name in ("single_task", "mmoe") if (name, variant) not in ALL]
ALL.remove(("single_task", "adamw"))
ALL.remove(("mmoe", "adamw"))
ALL += [(name, variant) for variant in GATES for name in ("mmoe", "ple")]
ALL += [(name, "own order, own rates") for name in ARCHITECTURES]
ALL += [("mmoe", "own id dropout")]
ALL += [(name, "cross layers") for name in ("single_task", "stem", "l2_constrained")]
ALL += [(name, variant) for variant in OWN for name in ("single_task", "ple", "stem") if (name, variant) not in ALL]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_replicas_equal_serial_runs_after_a_hundred_steps(long_log, trainer, settings, architecture):
    assert_replicas_equal(long_log, trainer, settings(**SETTINGS, architecture=architecture), range(REPLICAS))


@pytest.mark.parametrize(("architecture", "variant"), ALL)
def test_a_replica_equals_its_serial_run_with_other_settings(long_log, trainer, settings, architecture, variant):
    """After thirty steps, and the second replica alone: what it draws and reads is not what a run of one draws by default."""
    config = settings(**SETTINGS, architecture=architecture).replace(**{**VARIANTS, **GATES, **OWN}[variant], max_steps=30)
    assert_replicas_equal(long_log, trainer, config, [1])


def assert_replicas_equal(log, trainer, config, replicas) -> None:
    """Compare some replicas of a run with their serial runs."""
    together = trained(trainer, log, config)
    per_replica = len(together.members) // REPLICAS
    for r in replicas:
        alone = trained(trainer, log, config.of_replicas(r, 1))
        for name, value in together.parameters.items():
            part = value.unflatten(member_axis(name), (REPLICAS, per_replica)).select(member_axis(name), r)
            torch.testing.assert_close(part, alone.parameters[name], rtol=1e-3, atol=1e-4, msg=lambda m, n=name: f"{n}: {m}")
    weights = together.parameters["trunk.towers.weight"]
    assert not torch.allclose(weights[0], weights[per_replica]), "replicas must differ from one another"


def test_replicas_start_from_the_weights_of_their_own_seed(encoded, trainer, settings):
    log = encoded()
    for architecture in ARCHITECTURES:
        together = trainer(log, settings(architecture=architecture, replicas=3, seed=10)).model
        share = len(together.members) // 3
        for r in range(3):
            alone = trainer(log, settings(architecture=architecture, replicas=1, seed=10 + r)).model
            for name, value in together.parameters.items():
                axis = member_axis(name)
                assert torch.equal(value.narrow(axis, r * share, share), alone.parameters[name])


@pytest.mark.parametrize(("key", "value"), [("optimizer", "sgd"), ("optimizer", "adagrad"), ("table_optimizer", "rowwise_adagrad")])
def test_sparse_and_dense_gradients_train_the_same_model(long_log, trainer, settings, key, value):
    config = settings(**{key: value}, batch_size=8, epochs=1, learning_rate=0.02, replicas=2, clip_norm=1.0)
    dense, sparse = (trained(trainer, long_log, config.replace(sparse_gradients=on, max_steps=40)) for on in (False, True))
    assert (dense.sparse, sparse.sparse) == (False, True)
    for name in dense.parameters:
        torch.testing.assert_close(dense.parameters[name], sparse.parameters[name], rtol=1e-4, atol=1e-5)


def with_labels(log: EncodedLog, change: int) -> EncodedLog:
    """The log with other training labels of one task."""
    rows = log.parts["train"]
    label, weight = rows.label_BT.copy(), rows.weight_BT.copy()
    label[:, change] = 1 - label[:, change]
    weight[::2, change] *= 3
    train = Rows(rows.id_BS, rows.number_BM, rows.bags, label, weight, rows.group_B)
    return EncodedLog(log.source, log.encoder, {**log.parts, "train": train})


@pytest.mark.parametrize("clip_norm", [None, 0.1])
def test_single_task_models_do_not_touch_each_other(encoded, trainer, settings, clip_norm):
    log = encoded()
    config = settings(architecture="single_task", replicas=2, clip_norm=clip_norm, dropout=0.2)
    before, after = (trainer(training_log, config) for training_log in (log, with_labels(log, 1)))
    before.fit(), after.fit()
    members = before.model.members
    assert [member.tasks for member in members] == [(0,), (1,), (2,)] * 2
    for name, value in before.model.parameters.items():
        axis = member_axis(name)
        for m, member in enumerate(members):
            same = torch.equal(value.select(axis, m), after.model.parameters[name].select(axis, m))
            assert same == (member.tasks != (1,)) or (name.startswith("bias_embedding") and member.tasks == (1,)), (name, m)


def test_shared_models_do_touch_each_other(encoded, trainer, settings):
    log, config = encoded(), settings(architecture="mmoe")
    before, after = (trainer(training_log, config) for training_log in (log, with_labels(log, 1)))
    before.fit(), after.fit()
    weight = "trunk.architecture.level.banks.0.weight"
    assert not torch.equal(before.model.parameters[weight], after.model.parameters[weight])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_logits_and_gates_have_a_row_per_replica_row_and_task(toy_inputs, toy_batch, settings, architecture):
    inputs = toy_inputs()
    model = MultiTaskModel(Problem.binary(inputs, 3), settings(architecture=architecture, replicas=2))
    batch = toy_batch(inputs, 7, 3)
    logit_RBT = model.logits(batch)
    assert logit_RBT.shape == (2, 7, 3)
    assert not logit_RBT.requires_grad
    gates = model.gates(batch)
    levels = {"omoe": [3], "mmoe": [3], "ml_mmoe": [3], "cgc": [4], "ple": [4, 4], "adatt": [3, 3], "stem": [4]}
    assert [gate.shape for gate in gates] == [(2, 7, 3, experts) for experts in levels.get(architecture, [])]
    assert model.parameter_count() == sum(v.numel() for v in model.parameters.values()) / 2


def test_single_task_logits_come_in_the_order_of_replicas_and_tasks(toy_inputs, toy_batch, settings):
    inputs = toy_inputs()
    model = MultiTaskModel(Problem.binary(inputs, 3), settings(architecture="single_task", replicas=2))
    with torch.no_grad():
        model.parameters["trunk.towers.weight"].zero_()
        model.parameters["trunk.bias_tower.weight"].zero_()
        model.parameters["trunk.towers.bias"].copy_(torch.arange(6.0).view(6, 1))
    logit_RBT = model.logits(toy_batch(inputs, 4, 3))
    assert logit_RBT[:, 0].tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert torch.equal(logit_RBT, logit_RBT[:, :1].expand(2, 4, 3))


def test_dropout_works_while_training_alone_and_by_its_rate(toy_inputs, toy_batch, settings):
    inputs = toy_inputs()
    batch = toy_batch(inputs, 6, 2)
    model = MultiTaskModel(Problem.binary(inputs, 2), settings(replicas=2, dropout=0.5))
    plain = model.forward(batch)[0]
    assert torch.equal(plain, model.forward(batch)[0])
    masks = [model.draw(6, step) for step in (0, 0, 1)]
    dropped = [model.forward(batch, mask)[0] for mask in masks]
    assert torch.equal(dropped[0], dropped[1])
    assert not torch.equal(dropped[0], dropped[2])
    assert not torch.equal(dropped[0], plain)
    for mask in masks[0].values():
        assert not torch.equal(mask[0], mask[1]), "each replica has its own stream"
    without = MultiTaskModel(Problem.binary(inputs, 2), settings(replicas=2, dropout=0.0))
    assert without.draw(6, 0) == {}


def test_each_layer_draws_a_mask_of_its_own(toy_inputs, settings):
    model = MultiTaskModel(Problem.binary(toy_inputs(), 2), settings(replicas=2, dropout=0.5, expert_hidden=(32, 32), experts=2))
    masks = [mask.flatten() for mask in model.draw(6, 0).values()]
    alike = [(a, b) for a, mask in enumerate(masks) for b, earlier in enumerate(masks[:a]) if torch.equal(mask, earlier)]
    same_shape = [mask.shape == following.shape for mask, following in zip(masks, masks[1:], strict=False)]
    assert any(same_shape), "the test needs layers of the same shape"
    assert alike == []


def test_the_main_network_does_not_read_bias_features(toy_inputs, toy_batch, settings):
    inputs = toy_inputs()
    model = MultiTaskModel(Problem.binary(inputs, 2), settings())
    batch = toy_batch(inputs, 20, 2)
    hidden = model.bias_embedding.hide(batch, torch.ones(20, dtype=torch.bool))
    with torch.no_grad():
        model.parameters["trunk.bias_tower.weight"].zero_()
        assert torch.equal(model.forward(batch)[0], model.forward(hidden)[0]), "bias features reach the bias tower alone"
        model.parameters["trunk.bias_tower.weight"].fill_(1.0)
        assert not torch.equal(model.forward(batch)[0], model.forward(hidden)[0])
        assert all(torch.equal(*pair) for pair in zip(model.gates(batch), model.gates(hidden), strict=True))


def test_hidden_bias_rows_follow_the_rate_and_the_step(toy_inputs, toy_batch, settings):
    inputs = toy_inputs()
    batch = toy_batch(inputs, 4000, 1)
    model = MultiTaskModel(Problem.binary(inputs, 1), settings(bias_dropout=0.25))
    first, again, other = (model.hide_bias(batch, step) for step in (3, 3, 4))
    changed = (first.number_BM.isnan() & ~batch.number_BM.isnan())[:, -1]
    assert changed.float().mean().item() == pytest.approx(0.25 * 0.75, abs=0.03)
    assert torch.equal(first.id_BS, again.id_BS)
    assert not torch.equal(first.id_BS, other.id_BS)
    assert MultiTaskModel(Problem.binary(inputs, 1), settings(bias_dropout=0.0)).hide_bias(batch, 3) is batch
    plain = toy_inputs(bias=False)
    assert MultiTaskModel(Problem.binary(plain, 1), settings(bias_dropout=0.5)).hide_bias(batch, 3) is batch


def test_sparse_gradients_are_chosen_by_the_size_of_the_tables(toy_inputs, settings):
    from dataclasses import replace

    inputs = toy_inputs()
    big = (*inputs[:-1], replace(inputs[0], name="z", rows=100_001, dim=1))
    assert not MultiTaskModel(Problem.binary(inputs, 1), settings()).sparse
    assert MultiTaskModel(Problem.binary(big, 1), settings()).sparse
    assert not MultiTaskModel(Problem.binary(big, 1), settings(sparse_gradients=False)).sparse


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_inputs_without_any_column_still_give_logits(settings, toy_batch, toy_inputs, architecture):
    """If every feature is constant, there is no input, but the model can learn a base rate."""
    from manygate.data.rows import Input

    model = MultiTaskModel(
        Problem.binary((Input("b", "dense", False, units=0),), 2), settings(architecture=architecture, replicas=2)
    )
    assert model.logits(toy_batch(toy_inputs(), 5, 2)).shape == (2, 5, 2)


def test_members_that_have_stopped_are_left_out(encoded, trainer, settings):
    log = encoded()
    training = trainer(log, settings(architecture="mmoe", replicas=3))
    batch = training.train.take(torch.arange(16))
    whole, _ = training.model.forward(batch, training.model.draw(16, 0))
    part, _ = training.model.forward(batch, training.model.draw(16, 0), stopped=[False, True, False])
    assert (part[1] == 0).all()
    torch.testing.assert_close(part[[0, 2]], whole[[0, 2]])
    part.square().sum().backward()
    for name, value in training.model.parameters.items():
        assert (value.grad.select(member_axis(name), 1) == 0).all(), name
