"""The keyword parameters are the settings: the same names, the same defaults, one description."""

from __future__ import annotations

import inspect

import manygate as mg
from manygate.config import RunConfig
from manygate.ranker.ranker_keywords import PARAMETERS, RankerKeywords

SETTINGS = set(RunConfig.model_fields) - {"config_version", "log"}
OF_A_COMPARISON = {"architectures", "weightings", "baselines", "weight_sweep", "id_dropouts", "tune"}


def test_the_constructor_has_every_setting_with_its_default():
    parameters = inspect.signature(mg.Ranker).parameters
    assert set(parameters) == SETTINGS - OF_A_COMPARISON | {"schema", "random_state", "unknown"}
    for name, parameter in parameters.items():
        if name in RunConfig.model_fields:
            assert parameter.default == RunConfig.model_fields[name].default, name
            assert parameter.kind is inspect.Parameter.KEYWORD_ONLY


def test_every_parameter_has_a_type():
    annotations = RankerKeywords.__init__.__annotations__
    assert set(annotations) == set(inspect.signature(mg.Ranker).parameters) | {"return"}


def test_help_describes_every_parameter():
    assert PARAMETERS in mg.Ranker.__doc__
    lines = PARAMETERS.splitlines()
    for name in inspect.signature(mg.Ranker).parameters:
        if name != "unknown":
            at = next(number for number, line in enumerate(lines) if line.startswith(f"{name} : "))
            assert ", default " in lines[at]
            assert lines[at + 1].startswith("    ")
            assert len(lines[at + 1].strip()) > 5
