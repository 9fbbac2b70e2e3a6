"""Tests of the forward pass of a step: weightings that balance gradients scale what is shared, and nothing else.

The references combine the tasks' gradients, each of them from a backward pass of its own of the ``fixed`` model.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from manygate.architecture import find_architecture
from manygate.architecture.shared_bottom import SharedBottom
from manygate.config.names import ARCHITECTURES, WEIGHTINGS
from manygate.objective.weighting import StepContext, find_weighting
from manygate.objective.weighting.mgda import MGDA

FACTORS = np.array([0.0, 2.0, 0.5])
"""What the solver returns in these tests: the first task gets nothing."""
FIXED = np.array([1.0, 0.5, 1.0])
"""The weights of the tasks in the schema."""
SHARING = [name for name in ARCHITECTURES if not find_architecture(name).one_model_per_task]
Gradients = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def log(encoded: Any) -> Any:
    return encoded()


@pytest.fixture
def constant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``mgda`` return :data:`FACTORS`."""
    monkeypatch.setattr(MGDA, "solve", lambda self, gramian, _, tasks, __: np.tile(FACTORS[tasks], (len(gramian), 1)))


def gradients_of(run: Any, weight_T: np.ndarray | None = None, rows: int = 48) -> Gradients:
    """Return the gradients of all parameters in a step: those of the losses times ``weight_T``, or those that train."""
    model, weighting = run.model, run.weighting
    batch = run.train.take(torch.arange(rows))
    losses = run.forward(batch, model.draw(rows, 0), tuple(run._left_out()), run._wanted(), weighting.weight_MT)
    for value in model.parameters.values():
        value.grad = None
    if weight_T is None:
        context = StepContext(0, 0, losses.present_MT, run._active(), losses.gramian_MTT)
        objective_M = weighting.objective(losses.loss_MT, context) + losses.penalty_M
        losses.backward(run._objective(objective_M), weighting.weight_MT, run._active())
    else:
        (losses.loss_MT * torch.tensor(weight_T, dtype=torch.float32)).sum().backward()
    dense = {name: value.grad.to_dense() for name, value in model.parameters.items() if value.grad is not None}
    return {
        name: dense[name].double().numpy() if name in dense else np.zeros(value.shape) for name, value in model.parameters.items()
    }


def of_each_task(run: Any) -> list[Gradients]:
    return [gradients_of(run, weight_T) for weight_T in np.eye(3)]


def combination(gradients: list[Gradients], name: str, weight_T: np.ndarray) -> np.ndarray:
    total = np.zeros_like(gradients[0][name])
    for weight, of_task in zip(weight_T, gradients, strict=True):
        total += weight * of_task[name]
    return total


def near(found: np.ndarray, expected: np.ndarray, what: str) -> None:
    scale = max(np.abs(expected).max(), 1e-6)
    np.testing.assert_allclose(found / scale, expected / scale, atol=2e-5, err_msg=what)


@pytest.mark.parametrize("architecture", SHARING)
@pytest.mark.parametrize("replicas", [1, 2])
def test_towers_learn_as_with_fixed_weights(log, trainer, settings, constant, architecture, replicas):
    config = settings(architecture=architecture, replicas=replicas)
    fixed = gradients_of(trainer(log, config))
    found = gradients_of(trainer(log, config.replace(weighting="mgda")))
    for name in found:
        if name.startswith(("trunk.towers", "trunk.bias_tower", "bias_embedding", "trunk.thresholds")):
            near(found[name], fixed[name], name)
    assert np.abs(fixed["trunk.towers.weight"][:, 0]).max() > 0, "the task of weight 0 has a gradient"
    assert not np.allclose(found["embedding.3"], fixed["embedding.3"], rtol=1e-2), "what is shared has another gradient"


@pytest.mark.parametrize(("architecture", "lower"), [("shared_bottom", ()), ("omoe", ()), ("shared_bottom", (6,))])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_what_is_shared_learns_from_the_combination(log, trainer, settings, constant, architecture, lower, precision):
    """All that lies below a layer through which every path leads."""
    config = settings(architecture=architecture, lower_hidden=lower, precision=precision)
    tasks = of_each_task(trainer(log, config))
    found = gradients_of(trainer(log, config.replace(weighting="mgda")))
    for name in found:
        if name.startswith(("trunk.architecture", "trunk.lower", "embedding")):
            expected = combination(tasks, name, FIXED * FACTORS)
            if precision == "float32":
                near(found[name], expected, name)
            else:
                np.testing.assert_allclose(found[name], expected, atol=0.05 * np.abs(expected).max(), err_msg=name)


def test_a_gate_is_a_task_s_own_and_experts_are_shared(log, trainer, settings, constant):
    """The first 15 columns of the weight are those of 3 experts of 5 units, and then 3 of each task's gate."""
    config = settings(architecture="mmoe")
    tasks = of_each_task(trainer(log, config))
    found = gradients_of(trainer(log, config.replace(weighting="mgda")))
    name = "trunk.architecture.level.banks.0.weight"
    near(found[name][..., :15], combination(tasks, name, FIXED * FACTORS)[..., :15], "experts")
    near(found[name][..., 15:], combination(tasks, name, FIXED)[..., 15:], "gates")


@pytest.mark.parametrize("architecture", ["cgc", "stem"])
def test_experts_of_one_task_are_its_own(log, trainer, settings, constant, architecture):
    """One expert of 5 units for each task and a shared one. The gates of CGC have 2 columns each."""
    config = settings(architecture=architecture, task_experts=((1,),), shared_experts=(1,))
    run = trainer(log, config)
    tasks = of_each_task(run)
    found = gradients_of(trainer(log, config.replace(weighting="mgda")))
    names = [name for name in found if "banks" in name and name.endswith("weight")]
    for name in names:
        own, mixed = combination(tasks, name, FIXED), combination(tasks, name, FIXED * FACTORS)
        if architecture == "cgc":
            near(found[name][..., :15], own[..., :15], "experts of a task")
            near(found[name][..., 15:20], mixed[..., 15:20], "the shared expert")
            near(found[name][..., 20:], own[..., 20:], "gates")
    if architecture == "stem":
        own, shared = names
        near(found[own], combination(tasks, own, FIXED), "experts and gates of a task")
        near(found[shared], combination(tasks, shared, FIXED * FACTORS), "the shared expert")


@pytest.mark.parametrize(
    ("architecture", "shared", "own"),
    [
        ("tensor_factorization", ("layers.0.core", "layers.1.first", "layers.0.second"), ("layers.0.third", "layers.1.bias")),
        ("pepnet", ("embedding_gate.weights.0", "unit_gates.0.weights.0"), ("unit_gates.1.weights.1", "first.weight")),
        ("sluice_network", ("alpha", "later.0.weights.0", "first.weight"), ("beta",)),
        ("l2_constrained", (), ("bottoms.weight",)),
    ],
)
def test_parameters_above_the_shared_representation(log, trainer, settings, constant, architecture, shared, own):
    config = settings(architecture=architecture, bottom_hidden=(6, 6), l2_alpha=0.0)
    tasks = of_each_task(trainer(log, config))
    found = gradients_of(trainer(log, config.replace(weighting="mgda")))
    for name in (f"trunk.architecture.{part}" for part in shared):
        near(found[name], combination(tasks, name, FIXED * FACTORS), name)
    for name in (f"trunk.architecture.{part}" for part in own):
        near(found[name], combination(tasks, name, FIXED), name)
    if architecture != "sluice_network":
        near(found["embedding.3"], combination(tasks, "embedding.3", FIXED * FACTORS), "x is what they share")


@pytest.mark.parametrize("name", [name for name in WEIGHTINGS if not find_weighting(name).scales_shared_alone])
def test_methods_that_weight_losses_weight_the_whole_objective(log, trainer, settings, name):
    config = settings(weighting=name, architecture="mmoe")
    run = trainer(log, config)
    found = gradients_of(run)
    weight_T = run.weighting.weight_MT[0].double().numpy()
    for parameter, value in gradients_of(trainer(log, config.replace(weighting="fixed")), weight_T).items():
        near(found[parameter], value, parameter)


@pytest.mark.parametrize("architecture", ["mmoe", "cgc", "tensor_factorization"])
@pytest.mark.parametrize("replicas", [1, 3])
def test_steps_between_readings_keep_the_weights(log, trainer, settings, constant, architecture, replicas):
    """The gradients are those of a step that reads them, though the sum is formed in one pass."""
    config = settings(architecture=architecture, weighting="mgda", replicas=replicas, balance_every=2, dropout=0.0)
    run = trainer(log, config)
    reads = gradients_of(run)
    run.state.step = 1
    assert run._wanted() == "combined"
    between = gradients_of(run)
    for name, value in reads.items():
        near(between[name], value, name)


@pytest.mark.parametrize("architecture", ["mmoe", "ple", "tensor_factorization"])
@pytest.mark.parametrize("every", [1, 2])
def test_a_member_that_stopped_or_diverged_has_no_gradient(log, trainer, settings, constant, architecture, every):
    config = settings(architecture=architecture, weighting="mgda", replicas=3, balance_every=every)
    run = trainer(log, config)
    whole = gradients_of(run)
    for diverged in (None, 1):
        run.state.stopped[1], run.state.diverged[1] = True, diverged
        run.state.step = every - 1
        for name, value in gradients_of(run).items():
            axis = 1 if "embedding" in name else 0
            for m in range(3):
                expected = np.zeros(()) if m == 1 else whole[name].take(m, axis)
                np.testing.assert_allclose(value.take(m, axis), np.broadcast_to(expected, value.take(m, axis).shape), atol=1e-5)


def test_penalties_are_not_weighted(log, trainer, settings, constant, monkeypatch):
    """Here one of the shared layer's outputs, which only a scheme of the user's own has."""

    class Penalised(SharedBottom):
        def forward(self, x_BD: torch.Tensor) -> torch.Tensor:
            self.last = super().forward(x_BD)
            return self.last

        def penalty(self, towers: Any) -> torch.Tensor:
            return 3 * self.last.square().mean()

    monkeypatch.setattr("manygate.model.replicas.find_architecture", lambda name: Penalised)
    config, name = settings(architecture="shared_bottom", dropout=0.0), "trunk.architecture.bottom.weight"
    run = trainer(log, config)
    tasks = of_each_task(run)
    for value in run.model.parameters.values():
        value.grad = None
    run.forward(run.train.take(torch.arange(48)), {}, (False,)).penalty_M.sum().backward()
    penalty = run.model.parameters[name].grad.double().numpy()
    assert np.abs(penalty).max() > 1e-3
    for every, step in ((1, 0), (2, 1)):
        balanced = trainer(log, config.replace(weighting="mgda", balance_every=every))
        gradients_of(balanced)
        balanced.state.step = step
        found = gradients_of(balanced)[name]
        near(found, combination(tasks, name, FIXED * FACTORS) + penalty, name)
