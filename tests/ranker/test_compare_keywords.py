"""mg.compare has every setting that a comparison takes, with its default."""

from __future__ import annotations

import inspect

import pytest

import manygate as mg
from manygate.config import RunConfig
from manygate.errors import InputError

OF_ONE_RUN = {"architecture", "valid", "test"}
ARGUMENTS = {"log", "valid", "test", "out", "resume", "overwrite", "progress", "on_epoch", "schema", "random_state", "unknown"}


def test_the_parameters_are_the_settings():
    parameters = inspect.signature(mg.compare).parameters
    assert set(parameters) == set(RunConfig.model_fields) - {"config_version", "log"} - OF_ONE_RUN | ARGUMENTS
    for name in set(parameters) - ARGUMENTS - {"replicas"}:
        assert parameters[name].default == RunConfig.model_fields[name].default, name
    assert parameters["replicas"].default == 8


def test_help_describes_the_parameters():
    for name in ("architectures", "replicas", "learning_rate", "random_state"):
        assert f"\n{name} : " in mg.compare.__doc__


def test_an_unknown_name_is_refused_with_the_nearest(log_table):
    with pytest.raises(InputError, match=r"architecure: unknown name\. Did you mean 'architecture'"):
        mg.compare(log_table(), task="click", architecure="mmoe")


def test_one_architecture_alone_is_refused_and_not_ignored(log_table):
    with pytest.raises(InputError, match="a comparison trains architectures"):
        mg.compare(log_table(), task="click", architecture="mmoe")
