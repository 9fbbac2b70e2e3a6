"""Every setting of numbers refuses true and false."""

from __future__ import annotations

import re

import pytest

from manygate.config import RunConfig
from manygate.errors import InputError

NUMERIC = [
    name
    for name, field in RunConfig.model_fields.items()
    if name not in ("config_version", "sparse_gradients") and re.search(r"\b(int|float)\b", str(field.annotation))
]


@pytest.mark.parametrize("name", NUMERIC)
@pytest.mark.parametrize("value", [True, False, [True], [[1, True]]])
def test_true_is_no_number(name, value):
    with pytest.raises(InputError, match=f"^{name}: expected a number; found {re.escape(repr(value))}"):
        RunConfig.build({name: value})
    with pytest.raises(InputError, match=f"run.yaml: {name}: expected a number"):
        RunConfig.build({name: value}, "run.yaml")


def test_every_true_that_is_no_number_is_listed_and_switches_take_it():
    with pytest.raises(InputError) as caught:
        RunConfig.build({"replicas": True, "learning_rate": False, "dim": 4})
    assert len(caught.value.problems) == 2
    assert len(NUMERIC) > 40
    switches = RunConfig.build({"gate_bias": True, "expert_norm": True, "sparse_gradients": False})
    assert (switches.gate_bias, switches.expert_norm, switches.sparse_gradients) == (True, True, False)
