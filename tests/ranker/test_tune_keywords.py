"""The parameters of mg.tune are the settings of a run and of a search."""

from __future__ import annotations

import inspect

import manygate as mg
from manygate.config import RunConfig, TuneConfig

NOT_HERE = {"config_version", "log", "architectures", "weightings", "baselines", "weight_sweep", "id_dropouts", "tune"}
ARGUMENTS = {"log", "valid", "test", "out", "overwrite", "progress", "schema", "random_state", "unknown"}


def test_the_parameters_are_the_settings() -> None:
    parameters = inspect.signature(mg.tune).parameters
    assert set(parameters) == set(RunConfig.model_fields) - NOT_HERE | set(TuneConfig.model_fields) | ARGUMENTS
    for name in set(parameters) & set(RunConfig.model_fields) - ARGUMENTS - {"replicas"}:
        assert parameters[name].default == RunConfig.model_fields[name].default, name
    for name in set(TuneConfig.model_fields) - {"space"}:
        assert parameters[name].default == TuneConfig.model_fields[name].default, name
    assert parameters["replicas"].default == 2


def test_help_describes_the_parameters() -> None:
    for name in ("space", "trials", "objective", "learning_rate"):
        assert f"\n{name} : " in str(mg.tune.__doc__)
