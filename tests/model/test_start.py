"""A training begins with the weights of some replicas of another model."""

from __future__ import annotations

import torch

from manygate.config import RunConfig
from manygate.model import MultiTaskModel
from manygate.model.problem import Problem
from manygate.model.replicas import member_axis
from manygate.model.start import Start


def test_the_weights_of_the_replicas_that_are_asked_for(toy_inputs) -> None:
    for architecture in ("mmoe", "single_task"):
        problem, config = Problem.binary(toy_inputs(), tasks=2), RunConfig(replicas=3, architecture=architecture)
        start = Start(MultiTaskModel(problem, config))
        part = MultiTaskModel(problem, config.of_replicas(1, 2), initialise=False)
        start.copy_to(part, 1)
        per_replica = len(start.model.members) // 3
        for name, value in part.parameters.items():
            expected = start.model.parameters[name].narrow(member_axis(name), per_replica, 2 * per_replica)
            torch.testing.assert_close(value, expected, rtol=0, atol=0)


def test_the_digest_tells_weights_apart(toy_inputs) -> None:
    problem = Problem.binary(toy_inputs(), tasks=2)
    one, same, other = (Start(MultiTaskModel(problem, RunConfig(seed=seed))) for seed in (0, 0, 1))
    assert one.digest == same.digest != other.digest
