"""Checks that every weighting passes, for weightings of your own.

Each check says in one sentence what it asks and raises ``AssertionError`` with what it found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import isabstract

import torch
from torch import Tensor

from manygate.config import TrainConfig
from manygate.objective.weighting import StepContext, Weighting, WeightingSetup

MEMBERS, TASKS, STEPS = 3, 4, 12
RATE = 0.05


@dataclass(frozen=True)
class WeightingCase:
    """A weighting to check: its class and the settings of its run."""

    weighting: type[Weighting]
    config: TrainConfig

    def build(self, members: tuple[int, ...] = tuple(range(MEMBERS))) -> Weighting:
        """The weighting of some replicas, each with a stream of its own."""
        weight_MT = torch.tensor([1.0, 0.5, 2.0, 0.0]).expand(len(members), TASKS).clone()
        binary_MT = torch.tensor([True, False, True, True]).expand(len(members), TASKS).clone()
        keys = [(seed, *range(TASKS)) for seed in members]
        return self.weighting(WeightingSetup(weight_MT, torch.full_like(weight_MT, 0.9), binary_MT, keys, self.config))


def check_weighting(weighting: type[Weighting], config: TrainConfig | None = None) -> None:
    """Run every check on a weighting of four tasks and three replicas.

    >>> from manygate.objective.weighting.dwa import DynamicWeightAverage
    >>> check_weighting(DynamicWeightAverage)
    """
    assert isinstance(weighting, type), f"give the class itself, not {weighting!r}"
    assert issubclass(weighting, Weighting), f"{weighting.__name__} is no subclass of manygate.objective.weighting.Weighting"
    assert not isabstract(weighting), f"{weighting.__name__} does not define {', '.join(sorted(weighting.__abstractmethods__))}"
    case = WeightingCase(weighting, config or TrainConfig())
    for check in WEIGHTING_CHECKS:
        check(case)


def losses(step: int, members: tuple[int, ...] = tuple(range(MEMBERS))) -> Tensor:
    """Draw losses above zero. A member has the same losses alone and among others."""
    rows = [torch.rand(TASKS, generator=torch.Generator().manual_seed(1000 * step + member)) + 0.1 for member in members]
    return torch.stack(rows)


def step_context(
    step: int, weighting: Weighting, members: tuple[int, ...] = tuple(range(MEMBERS)), absent: int | None = None
) -> StepContext:
    """Build the context of a step. All tasks with a weight have rows, except the task ``absent``."""
    present_MT = weighting.setup.weight_MT > 0
    if absent is not None:
        present_MT = present_MT & (torch.arange(TASKS) != absent)
    source = [torch.Generator().manual_seed(77 * step + member) for member in members]
    gradient_MTD = torch.stack([torch.randn(TASKS, 6, generator=s) for s in source]) * present_MT.unsqueeze(-1)
    gramian_MTT = gradient_MTD @ gradient_MTD.mT if weighting.needs_gradients_at(step) else None
    return StepContext(step, step // 4, present_MT, torch.ones(len(members), dtype=torch.bool), gramian_MTT)


def advance(weighting: Weighting, step: int, members: tuple[int, ...] = tuple(range(MEMBERS)), absent: int | None = None) -> Tensor:
    """One step as training takes it, with plain descent of what the weighting trains; returns objective_M."""
    view = step_context(step, weighting, members, absent)
    loss_MT = losses(step, members) * view.present_MT
    leaf_MT = loss_MT.clone().requires_grad_()
    objective_M = weighting.objective(leaf_MT, view)
    assert objective_M.shape == (len(members),), f"objective has shape {tuple(objective_M.shape)}, not that of members"
    objective_M.sum().backward()
    with torch.no_grad():
        for value in weighting.parameters.values():
            value -= RATE * (torch.zeros_like(value) if value.grad is None else value.grad)
            value.grad = None
        if weighting.needs_losses_after_update:
            weighting.after_update(losses(step + 500, members) * view.present_MT, view)
    if step % 4 == 3:
        weighting.close_epoch(losses(step + 900, members).double())
    return objective_M.detach()


def weights_are_finite_and_without_a_gradient(case: WeightingCase) -> None:
    """In every step ``weight_MT`` is (members, tasks), finite, in the losses' type and no part of the graph."""
    weighting = case.build()
    for step in range(STEPS):
        advance(weighting, step)
        weight_MT = weighting.weight_MT
        assert weight_MT.shape == (MEMBERS, TASKS), f"weights have shape {tuple(weight_MT.shape)}, not ({MEMBERS}, {TASKS})"
        assert torch.isfinite(weight_MT).all(), f"weights of step {step} are NaN or infinite: {weight_MT.tolist()}"
        assert not weight_MT.requires_grad, "weights have a gradient; compute them under torch.no_grad, or of detached losses"
        assert weight_MT.dtype == torch.float32, f"weights are {weight_MT.dtype}, not float32"


def the_weights_are_those_of_the_objective(case: WeightingCase) -> None:
    """The objective has the losses times ``weight_MT``, or times the fixed weights if the method scales what is shared alone."""
    weighting = case.build()
    scales_shared_alone = weighting.scales_shared_alone
    assert weighting.needs_gradients or not scales_shared_alone, "scales_shared_alone needs needs_gradients"
    for step in range(STEPS):
        leaf_MT = losses(step).requires_grad_()
        weighting.objective(leaf_MT, step_context(step, weighting)).sum().backward()
        assert leaf_MT.grad is not None, "the objective has no gradient by the losses"
        expected_MT = weighting.setup.weight_MT if scales_shared_alone else weighting.weight_MT
        what = "the fixed weights" if scales_shared_alone else "weight_MT"
        assert torch.allclose(leaf_MT.grad, expected_MT, rtol=1e-4, atol=1e-6), (
            f"step {step}: the objective weights the losses by {leaf_MT.grad.tolist()}, which is not {what}, {expected_MT.tolist()}"
        )


def a_weight_of_zero_takes_a_task_out(case: WeightingCase) -> None:
    """The loss of a task whose fixed weight is 0 moves no objective and no other task's weight."""
    objectives = []
    for loss in (0.0, 1e3):
        weighting = case.build()
        view = step_context(0, weighting)
        loss_MT = losses(0)
        loss_MT[:, 3] = loss
        objectives.append(weighting.objective(loss_MT, view).detach())
    assert torch.equal(*objectives), "a task whose fixed weight is 0 moves the objective"


def a_task_without_rows_is_left_out(case: WeightingCase) -> None:
    """In a batch without rows of a task, whose loss then is 0, weights and objective stay finite, and so they do after it."""
    weighting = case.build()
    for step in range(STEPS):
        objective_M = advance(weighting, step, absent=1 if step % 2 else None)
        assert torch.isfinite(objective_M).all(), f"without rows of a task the objective of step {step} is {objective_M.tolist()}"
        assert torch.isfinite(weighting.weight_MT).all(), f"without rows of a task a weight of step {step} is NaN or infinite"


def members_are_independent(case: WeightingCase) -> None:
    """A replica's weights are the same with other replicas beside it and alone."""
    together = case.build()
    singles = {member: case.build((member,)) for member in range(MEMBERS)}
    for step in range(STEPS):
        advance(together, step)
        for member, alone in singles.items():
            advance(alone, step, (member,))
            weights, expected = together.weight_MT[member], alone.weight_MT[0]
            assert torch.allclose(weights, expected, rtol=1e-4, atol=1e-6), (
                f"replica {member} has other weights beside others than alone: {weights.tolist()} and {expected.tolist()}"
            )


def a_restored_state_goes_on_the_same(case: WeightingCase) -> None:
    """What ``tensors`` gives, put back with ``restore``, goes on to the bit as if training had never stopped."""
    first = case.build()
    for step in range(STEPS // 2):
        advance(first, step)
    saved = {name: value.detach().clone() for name, value in first.tensors().items()}
    second = case.build()
    second.restore(saved)
    for step in range(STEPS // 2, STEPS):
        advance(first, step)
        advance(second, step)
        assert torch.equal(first.weight_MT, second.weight_MT), (
            f"after restore the weights of step {step} differ; keep in `state` whatever a later step reads"
        )


def tensors_lie_along_the_members(case: WeightingCase) -> None:
    """``state`` and ``parameters`` are tensors whose first axis is the members', and no name is in both."""
    weighting = case.build()
    for name, value in weighting.tensors().items():
        assert isinstance(value, Tensor), f"{name} is {type(value).__name__}, not a tensor"
        assert value.ndim > 0, f"{name} has no axis for the members"
        assert len(value) == MEMBERS, f"{name} has shape {tuple(value.shape)}, whose first axis is not the {MEMBERS} members'"
    twice = weighting.state.keys() & weighting.parameters.keys()
    assert not twice, f"{sorted(twice)} are both state and parameters"
    strange = [name for name in weighting.parameters if not name.startswith("weighting.")]
    assert not strange, f"name parameters weighting.NAME; found {strange}"


def the_global_generator_is_left_alone(case: WeightingCase) -> None:
    """Random numbers come from the members' own streams (``setup.keys``), never from torch's global generator."""
    before = torch.get_rng_state()
    weighting = case.build()
    for step in range(2):
        advance(weighting, step)
    assert torch.equal(before, torch.get_rng_state()), "torch's global generator is used; draw from the streams of setup.keys"


def reset_members_changes_no_other_member(case: WeightingCase) -> None:
    """``reset_members`` changes the parameters of the members that it gets, and of no other member."""
    weighting = case.build()
    for step in range(2):
        advance(weighting, step)
    before = {name: value.detach().clone() for name, value in weighting.parameters.items()}
    weighting.reset_members([1])
    for name, value in weighting.parameters.items():
        for member in (0, 2):
            assert torch.equal(value[member], before[name][member]), f"reset_members changes {name} of another member"
        assert torch.isfinite(value).all(), f"{name} is NaN or infinite after reset_members"


WEIGHTING_CHECKS: tuple[Callable[[WeightingCase], None], ...] = (
    the_global_generator_is_left_alone,
    weights_are_finite_and_without_a_gradient,
    the_weights_are_those_of_the_objective,
    a_weight_of_zero_takes_a_task_out,
    a_task_without_rows_is_left_out,
    members_are_independent,
    a_restored_state_goes_on_the_same,
    tensors_lie_along_the_members,
    reset_members_changes_no_other_member,
)
