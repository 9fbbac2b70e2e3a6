"""Tests of errors: A weighting that cannot be used gives one clear error before the training."""

from __future__ import annotations

import builtins
import sys
from typing import Any

import pytest

from manygate.config import RunConfig
from manygate.errors import InputError
from manygate.runs.preflight import prepare
from manygate.schema import Schema, Task


def with_tasks(schema: Schema, **changes: Any) -> Schema:
    return schema.model_copy(update={"tasks": tuple(task.model_copy(update=changes) for task in schema.tasks)})


def test_an_unknown_weighting_is_named_with_the_nearest_known_one():
    with pytest.raises(InputError, match=r"weighting 'uncertanty' is unknown\. Did you mean 'uncertainty'\? Known: fixed, "):
        RunConfig.build({"weighting": "uncertanty"})


@pytest.mark.parametrize("decay", [0, -1])
def test_a_decay_is_positive(decay):
    with pytest.raises(InputError, match=f"decay: Input should be greater than 0; found '{decay}'"):
        Task.parse(f"buy:decay={decay}")


def test_a_decay_that_no_weighting_reads_is_named(log_table, log_schema, settings):
    fading = with_tasks(log_schema(), decay=0.9)
    for config in (settings(), settings(weightings="fixed,pcgrad")):
        with pytest.raises(InputError, match="task 'click' has a decay; only weighting='schedule' reads it"):
            prepare(log_table(), config, fading, architectures=config.weightings and ["mmoe"])
    for config in (settings(weighting="schedule"), settings(weightings="fixed,schedule")):
        assert prepare(log_table(), config, fading, architectures=config.weightings and ["mmoe"]).parts


def test_weights_that_are_all_zero_are_named(log_table, log_schema, settings):
    with pytest.raises(InputError, match="tasks: every weight is 0, so there is nothing to learn"):
        prepare(log_table(), settings(), with_tasks(log_schema(), weight=0.0))
    tasks = [task.model_copy(update={"weight": float(t == 0)}) for t, task in enumerate(log_schema().tasks)]
    schema = log_schema().model_copy(update={"tasks": tuple(tasks)})
    assert prepare(log_table(), settings(), schema).parts
    with pytest.raises(InputError, match="replica_weights: a replica whose weights are all zero"):
        prepare(log_table(), settings(replica_weights=((0, 1, 1),)), schema)


@pytest.mark.parametrize("name", ["__main__:Own", "math:pi", "math:Own"])
def test_a_weighting_that_is_no_class_is_named_once(log_table, log_schema, settings, name):
    with pytest.raises(InputError) as caught:
        prepare(log_table(), settings(weighting=name), log_schema())
    assert str(caught.value).count("weighting ") == 1
    assert str(caught.value).startswith(f"weighting {name!r}: ")


@pytest.mark.parametrize("missing", ["torchjd", "quadprog"])
def test_without_torchjd_the_error_gives_the_command_that_installs_it(log_table, log_schema, settings, monkeypatch, missing):
    real = builtins.__import__

    def refuse(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == missing:
            raise ImportError(f"No module named {missing!r}")
        return real(name, *rest, **more)

    if missing == "torchjd":
        for name in [name for name in sys.modules if name.partition(".")[0] == missing]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setattr(builtins, "__import__", refuse)
    else:
        monkeypatch.setattr("torchjd._mixins.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"weighting 'upgrad'.*TorchJD.*pip install 'manygate\[balance\]'"):
        prepare(log_table(), settings(weightings="fixed,upgrad"), log_schema(), architectures=["mmoe"])
    if missing == "torchjd":
        for name in ("fixed", "uncertainty", "gradnorm", "nash_mtl", "famo", "mgda"):
            assert prepare(log_table(), settings(weighting=name), log_schema()).parts
