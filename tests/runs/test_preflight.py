"""Everything that can be wrong with data and settings is found before training, and good ones pass."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import manygate as mg
from manygate.config import RunConfig
from manygate.errors import InputError
from manygate.model.problem import Problem
from manygate.runs import preflight
from manygate.runs.preflight import check_memory, check_shared_layer, prepare
from manygate.schema import Schema, Task
from own_schemes import Detached, Own


def with_tasks(schema: Schema, *tasks: Task) -> Schema:
    return Schema(features=schema.features, tasks=tasks, group=schema.group, weight=schema.weight)


CLICK, LIKE = Task(name="click"), Task(name="like", where="click == 1")
AFTER = Task(name="like", after="click")
DECAYING = Task(name="like", where="click == 1", decay=0.9)


def test_a_good_log_is_split_and_encoded(log_table, log_schema, settings) -> None:
    log = prepare(log_table(), settings(), log_schema(), architectures=["mmoe", "single_task"])
    sizes = {part: len(rows) for part, rows in log.parts.items()}
    assert sum(sizes.values()) == 500
    assert sizes == pytest.approx({"train": 300, "valid": 100, "test": 100}, abs=20)
    assert log.schema.task_names == ("click", "like", "watch")


@pytest.mark.parametrize(
    ("changes", "tasks", "problem"),
    [
        ({"architecture": "mmoee"}, (CLICK, LIKE), "Did you mean 'mmoe'"),
        ({"monitor": "clik"}, (CLICK, LIKE), "no task 'clik'"),
        ({"cross_rank": 8}, (CLICK, LIKE), "cross_rank.*: there is no cross layer, since the default of .*cross_layers.* is 0"),
        ({"evaluate_every": 0.001}, (CLICK, LIKE), "1000 evaluations in each epoch, which has"),
        ({"funnel": "escm2_ipw", "escm2_weight": 0.0, "escm2_joint_weight": 0.0}, (CLICK, AFTER), "both are 0, so tasks after"),
        ({"replica_seeds": (1, 2, 3), "replicas": 2}, (CLICK, LIKE), "3 given, and .*replicas.* is 2"),
        ({"replica_rates": (1.0, 2.0), "replicas": 1}, (CLICK, LIKE), "2 given, and .*replicas.* is 1"),
        (
            {"replica_id_dropouts": (0.0, 5.0), "replicas": 1},
            (CLICK, LIKE),
            "id_dropouts.*: 2 given, and .*replicas.* is 1",
        ),
        ({"replica_weights": ((1.0,),)}, (CLICK, LIKE), r"1 number in \[1.0\], and 2 tasks \(click, like\)"),
        ({"replica_weights": ((1.0, 0.0), (0.0, 0.0)), "replicas": 2}, (CLICK, LIKE), "a replica whose weights are all zero"),
        ({"replica_weights": ((0.0, 1.0),)}, (CLICK, Task(name="like", weight=0.0)), "a replica whose weights are all zero"),
        ({}, (Task(name="click", weight=0.0), Task(name="like", weight=0.0)), "every weight is 0, so there is nothing to learn"),
        ({}, (CLICK, DECAYING), "task 'like' has a decay; only .*schedule.* reads it, and it is fixed"),
        ({"weightings": ("fixed", "dwa")}, (CLICK, DECAYING), "reads it, and it is fixed, dwa"),
        ({"weight_sweep": 4}, (CLICK,), "one task alone has no trade-off"),
        ({}, (CLICK, Task(name="like", after="click", loss="pairwise")), "task 'like': the loss pairwise is not for a task after"),
    ],
)
def test_settings_that_make_no_sense_are_refused(log_table, log_schema, settings, changes, tasks, problem) -> None:
    with pytest.raises(InputError, match=problem):
        prepare(log_table(), settings(**changes), with_tasks(log_schema(), *tasks), architectures=["mmoe"])


@pytest.mark.parametrize(
    ("changes", "tasks"),
    [
        ({"funnel": "escm2_ipw", "escm2_weight": 0.0, "escm2_joint_weight": 0.5}, (CLICK, AFTER)),
        ({"replica_seeds": (1, 2), "replicas": 2}, (CLICK, LIKE)),
        ({"replica_weights": ((1.0, 0.0),)}, (CLICK, LIKE)),
        ({}, (CLICK, Task(name="like", weight=0.0))),
        ({"weighting": "schedule"}, (CLICK, DECAYING)),
        ({"weight_sweep": 4}, (CLICK, LIKE)),
        ({"cross_layers": 1, "cross_rank": 8}, (CLICK, LIKE)),
        ({"funnel": "conditional"}, (CLICK, Task(name="like", after="click", loss="pairwise"))),
    ],
)
def test_the_settings_beside_them_are_taken(log_table, log_schema, settings, changes, tasks) -> None:
    assert prepare(log_table(), settings(**changes), with_tasks(log_schema(), *tasks), architectures=["mmoe"]).parts


def test_every_architecture_that_cannot_be_trained_is_named_at_once(log_table, log_schema, settings) -> None:
    with pytest.raises(InputError) as error:
        prepare(log_table(), settings(), log_schema(), architectures=["mmo", "omoee"])
    assert len(error.value.problems) == 2
    config = settings(gate="topk", top_k=9)
    with pytest.raises(InputError) as error:
        prepare(log_table(), config, log_schema(), architectures=["mmoe", "omoe", "shared_bottom"])
    assert [problem.partition(":")[0] for problem in error.value.problems] == ["mmoe", "omoe"]


def test_the_number_of_threads_is_set_before_the_log_is_read(log_table, log_schema, settings, monkeypatch) -> None:
    given: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", given.append)
    prepare(log_table(), settings(threads=1), log_schema())
    assert given == [1]
    prepare(log_table(), settings(threads=None), log_schema())
    assert given == [1]


def test_memory_counts_the_model_and_the_data(encoded, settings, monkeypatch) -> None:
    """Each replica's weights, one replica's gradient and best weights, every encoded row, and the scores of the larger part.

    All at 4 bytes a number, but for 8 of a group and of an offset of a bag.
    """
    log = encoded()
    config = settings(replicas=3)
    problem = Problem.of(log.encoder, config)
    count = mg.model.MultiTaskModel(problem, settings()).parameter_count()
    bags = sum(4 * len(ids) + 8 * len(offsets) for rows in log.parts.values() for ids, offsets in rows.bags)
    rows = sum(len(part) for part in log.parts.values())
    data = bags + rows * (4 * 3 + 4 * 3 + 2 * 4 * 3 + 8)
    scores = 4 * 3 * 3 * max(len(log.parts["valid"]), len(log.parts["test"]))
    needed = 4 * count * 5 + data + scores
    monkeypatch.setattr(preflight, "_memory", lambda device: needed)
    check_memory(problem, config, log)
    monkeypatch.setattr(preflight, "_memory", lambda device: needed - 1)
    text = rf"mmoe with 3 replicas of {count:,} numbers needs at least 0\.00 GB of memory and the {rows} rows need 0\.00 GB"
    with pytest.raises(InputError, match=text) as error:
        check_memory(problem, config, log)
    assert "or give fewer rows" in str(error.value)


def test_of_training_rows_in_files_two_windows_are_in_memory(encoded, log_table, settings, tmp_path, monkeypatch) -> None:
    """Blocks of 50 rows: a window has 150, so of 543 training rows two windows are 300."""
    monkeypatch.setattr(preflight, "WHOLE", 150)
    config = settings(memory="0", rows_folder=str(tmp_path))
    log = encoded(log_table(900), config=config)
    train, valid, test = (log.parts[part].files for part in ("train", "valid", "test"))
    assert train is not None
    assert valid is not None
    assert test is not None
    problem = Problem.of(log.encoder, config)
    count = mg.model.MultiTaskModel(problem, config).parameter_count()
    rows = 2 * train.file_bytes * 150 / len(train) + valid.nbytes + test.nbytes + 4 * 3 * max(len(valid), len(test))
    monkeypatch.setattr(preflight, "_memory", lambda device: 4 * 3 * count + rows)
    check_memory(problem, config, log)
    monkeypatch.setattr(preflight, "_memory", lambda device: 4 * 3 * count + rows - 1)
    with pytest.raises(InputError, match="needs at least"):
        check_memory(problem, config, log)


@pytest.mark.parametrize("scheme", [Own, Detached])
def test_a_shared_layer_has_a_gradient(encoded, settings, scheme: Any) -> None:
    config = settings(architecture=f"own_schemes:{scheme.__name__}")
    problem = Problem.of(encoded().encoder, config)
    if scheme is Own:
        check_shared_layer(problem, config)
        return
    with pytest.raises(InputError, match=r"Detached\.shared_layer returns a module whose output has no gradient"):
        check_shared_layer(problem, config)


def test_settings_of_csv_files_are_refused_for_other_logs(log_table, settings) -> None:
    with pytest.raises(InputError, match="separator: a setting of CSV files, and the log has none"):
        prepare(log_table(60), settings(task=("click",), separator=";"))


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        ({"split": "time", "fractions": (0.6, 0.2, 0.2)}, ["split: validation and test", "fractions: validation and test"]),
        (
            {"id_dropouts": (0.0, 5.0), "weightings": ("dwa", "fixed")},
            ["id_dropouts: a setting of a", "weightings: a setting of a"],
        ),
        ({"weight_sweep": 4}, ["weight_sweep: a setting of a comparison"]),
        ({"cross_rank": 4}, ["cross_rank: there is no cross layer", "below 100,000 training rows", "or give cross_layers=2"]),
        ({"cross_rank": 4, "cross_layers": 0}, ["cross_rank: there is no cross layer, since cross_layers is 0. Leave it out"]),
        ({"id_dropout": 2.0, "replica_id_dropouts": (0.0, 5.0), "replicas": 2}, ["id_dropout: replica_id_dropouts gives the"]),
    ],
)
def test_settings_that_nothing_would_read_are_refused(log_table, log_schema, changes, problems) -> None:
    """All of them are named at once. A setting with the value of its default says nothing, so it is let through."""
    tables = {"log": log_table(), "valid": log_table(60), "test": log_table(60)}
    with pytest.raises(InputError) as error:
        prepare(config=RunConfig(**changes), schema=log_schema(), **tables)
    assert all(problem in str(error.value) for problem in problems)
    defaults = {name: RunConfig.model_fields[name].default for name in changes}
    assert prepare(config=RunConfig(**defaults), schema=log_schema(), **tables)


def test_one_id_dropout_is_refused_beside_a_choice_of_them(log_table, log_schema) -> None:
    config = RunConfig(id_dropout=2.0, id_dropouts=(0.0, 5.0))
    with pytest.raises(InputError, match=r"id_dropout: id_dropouts gives the values\. Leave it out"):
        prepare(log_table(), config, log_schema(), architectures=["mmoe"])
    assert prepare(log_table(), RunConfig(id_dropouts=(0.0, 5.0)), log_schema(), architectures=["mmoe"])


def test_a_split_is_read_where_a_part_is_missing(log_table, log_schema, settings) -> None:
    config = settings(fractions=(0.6, 0.2, 0.2))
    assert len(prepare(log_table(100), config, log_schema(), valid=log_table(60)).parts["valid"]) == 60
