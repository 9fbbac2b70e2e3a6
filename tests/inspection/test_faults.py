"""The bar: each planted fault is raised as an alarm, and healthy models, several seeds of each, raise none."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from manygate import datasets
from manygate.config import RunConfig
from manygate.data.encoded import EncodedLog
from manygate.inspection.look import look, look_at_run
from manygate.model import MultiTaskModel
from manygate.runs.preflight import prepare
from manygate.runs.run import Trained, train_one
from manygate.training.progress import Progress

SETTINGS = {
    "batch_size": 1024,
    "replicas": 3,
    "epochs": 3,
    "learning_rate": 3e-3,
    "threads": 1,
    "device": "cpu",
    "expert_hidden": (32,),
}
EXPERTS, WIDTH, TASKS = 8, 32, 4
BANK = "trunk.architecture.level.banks.0"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> EncodedLog:
    path = datasets.impressions(tmp_path_factory.mktemp("faults") / "log", rows=20_000).folder
    return prepare(path, RunConfig.build({**SETTINGS, "log": str(path)}))


def trained(log: EncodedLog, **changes: Any) -> Trained:
    return train_one(log, RunConfig.build({**SETTINGS, **changes}), None, Progress())


@pytest.fixture(scope="module")
def mmoe(log: EncodedLog) -> Trained:
    return trained(log)


@pytest.fixture
def model(mmoe: Trained) -> Iterator[MultiTaskModel]:
    """The trained MMoE, to be broken: its parameters are put back afterwards."""
    kept = {name: value.detach().clone() for name, value in mmoe.model.parameters.items()}
    with torch.no_grad():
        yield mmoe.model
        for name, value in mmoe.model.parameters.items():
            value.copy_(kept[name])


def inspected(model: MultiTaskModel, log: EncodedLog, *parts: str) -> dict[str, Any]:
    return look(model, log.parts["test"], parts)


def alarms(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {alarm.kind: alarm for alarm in document.alarms if alarm.severity != "note"}


def test_healthy_mmoe_raises_nothing(mmoe: Trained, log: EncodedLog):
    assert alarms(mmoe.result.inspection) == {}
    assert alarms(look(mmoe.model, log.parts["test"])) == {}
    assert [entry.epoch for entry in mmoe.result.history if entry.gates] == [1, 2, 3]


@pytest.mark.parametrize("architecture", ["ple", "shared_bottom"])
def test_other_healthy_schemes_raise_nothing(log: EncodedLog, architecture: str):
    found = trained(log, architecture=architecture)
    assert alarms(found.result.inspection) == {}
    assert alarms(look(found.model, log.parts["test"])) == {}


@pytest.mark.parametrize("task", range(TASKS))
def test_a_collapsed_gate_is_raised(model: MultiTaskModel, log: EncodedLog, task: int):
    """Its columns read one numeric input, so that expert 2's logit is always far above the others'."""
    columns = model.parameters[f"{BANK}.weight"][1, :, EXPERTS * WIDTH :]
    columns[:, task * EXPERTS : (task + 1) * EXPERTS] = 0.0
    first = model.embedding.columns_of(["duration"])[0]  # the first step of the scale: above 0 on nearly every row
    columns[first, task * EXPERTS + 2] = 60.0
    found = alarms(inspected(model, log, "gates"))
    alarm = found["collapsed_gate"]
    assert alarm.severity == "serious"
    assert alarm.title == f"The gate of {log.schema.task_names[task]} has collapsed"
    assert "replica 2 expert 3" in alarm.message
    assert "--gate-dropout" in alarm.advice
    (gate,) = alarm.numbers["gates"]
    assert (gate["replica"], gate["expert"]) == (1, 2)
    assert gate["weight"] > 0.9


def test_dead_units_are_raised(model: MultiTaskModel, log: EncodedLog):
    """95 % of expert 5 of the first replica."""
    model.parameters[f"{BANK}.bias"][0, 4 * WIDTH : 4 * WIDTH + round(0.95 * WIDTH)] = -1e4
    found = alarms(inspected(model, log, "dead"))
    assert set(found) == {"dead_units"}
    (network,) = found["dead_units"].numbers["networks"]
    assert (network["replica"], network["name"]) == (0, "expert 5")
    assert network["dead"] >= round(0.95 * WIDTH) / WIDTH - 1e-5
    assert "--expert-norm" in found["dead_units"].advice


def test_a_dead_tower_is_raised_once(model: MultiTaskModel, log: EncodedLog):
    model.parameters["trunk.towers.hidden.biases.0"][2, 3] = -1e4
    found = alarms(inspected(model, log, "dead"))
    assert set(found) == {"dead_tower"}, "its units are not told twice"
    assert found["dead_tower"].title == "The tower of buy is dead"
    assert "replica 3" in found["dead_tower"].message


def test_identical_experts_are_raised(model: MultiTaskModel, log: EncodedLog):
    weight, bias = model.parameters[f"{BANK}.weight"], model.parameters[f"{BANK}.bias"]
    here, there = slice(6 * WIDTH, 7 * WIDTH), slice(WIDTH, 2 * WIDTH)
    weight[2, :, there], bias[2, there] = weight[2, :, here].clone(), bias[2, here].clone()
    found = alarms(inspected(model, log, "experts"))
    assert set(found) == {"identical_experts"}
    (pair,) = found["identical_experts"].numbers["pairs"]
    assert (pair["replica"], sorted(pair["experts"])) == (2, [1, 6])
    assert "replica 3 experts 2 and 7" in found["identical_experts"].message


def test_an_unused_expert_is_raised(model: MultiTaskModel, log: EncodedLog):
    columns = model.parameters[f"{BANK}.weight"][0, :, EXPERTS * WIDTH :]
    first = model.embedding.columns_of(["duration"])[0]
    for task in range(TASKS):
        columns[first, task * EXPERTS + 5] = -60.0
    found = alarms(inspected(model, log, "gates"))
    assert found["unused_expert"].numbers["levels"] == [{"replica": 0, "level": "experts", "experts": [5]}]
    assert "replica 1 expert 6" in found["unused_expert"].message


def test_a_collapsed_embedding_is_raised(model: MultiTaskModel, log: EncodedLog):
    """Every vector of user_id becomes a multiple of one."""
    table, start = model.parameters["embedding.8"], 0
    for feature in model.embedding.chosen:
        if feature.name == "user_id":
            own = table[start : start + feature.rows, 1]
            own.copy_(own.norm(dim=1, keepdim=True) * own[5] / own[5].norm())
        start += feature.rows if feature.kind == "sparse" and feature.dim else 0
    found = alarms(inspected(model, log, "embeddings"))
    assert found["collapsed_embedding"].title == "The embedding of user_id has collapsed"
    assert [one["replica"] for one in found["collapsed_embedding"].numbers["tables"]] == [1]


def test_tasks_in_conflict_are_raised(model: MultiTaskModel, log: EncodedLog):
    """A task and its opposite: like is click with its labels turned round, and reads what click reads."""
    rows = {part: copy(found) for part, found in log.parts.items()}["test"]
    rows = replace(rows, label_BT=rows.label_BT.copy(), weight_BT=rows.weight_BT.copy())
    rows.label_BT[:, 1], rows.weight_BT[:, 1] = 1 - rows.label_BT[:, 0], rows.weight_BT[:, 0]
    for name, value in model.parameters.items():
        if name.startswith("trunk.towers"):
            value[:, 1] = value[:, 0]
    weight = model.parameters[f"{BANK}.weight"]
    first = EXPERTS * WIDTH
    weight[:, :, first + EXPERTS : first + 2 * EXPERTS] = weight[:, :, first : first + EXPERTS]
    found = look(model, rows, ["conflict", "gates"])
    assert alarms(found)["conflict"].title == "click and like pull against each other"
    notes = {alarm.kind: alarm for alarm in found.alarms if alarm.severity == "note"}
    assert notes["same_mixture"].title == "click and like use the same mixture", "worth knowing, and no fault"


def test_labels_of_noise_are_raised(log: EncodedLog):
    """Clicks that change places among the rows: nothing can be learned about them."""
    random, parts = np.random.default_rng(0), {}
    for part, rows in log.parts.items():
        label_BT = rows.label_BT.copy()
        label_BT[:, 0] = random.permutation(label_BT[:, 0])
        parts[part] = replace(rows, label_BT=label_BT)
    found = trained(replace(log, parts=parts), architecture="mmoe", replicas=1, epochs=2)
    alarm = alarms(found.result.inspection)["noise_task"]
    assert alarm.severity == "serious"
    assert alarm.title == "click is predicted no better than by chance"
    assert alarm.numbers["value"] == pytest.approx(0.5, abs=0.05)
    assert "noise_task" in alarms(look(found.model, parts["test"], ["noise"]))


def test_a_run_looks_at_every_replica_alone(mmoe: Trained, log: EncodedLog):
    found = look_at_run(mmoe.model, log.parts["valid"])
    assert found == mmoe.result.inspection
    assert found.parts == ["gates", "dead", "experts", "noise"]
    assert [entry.replica for entry in found.gates] == [0, 1, 2]
    assert found.rows == len(log.parts["valid"])
    assert not {"conflict", "affinity", "importance", "embeddings"} & found.model_fields_set
