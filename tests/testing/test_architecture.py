"""The checks for a scheme of the user's own: sound schemes pass, and each check finds its faults."""

from __future__ import annotations

import pytest
import torch

import manygate as mg
from manygate.architecture import MMoE
from manygate.layers.experts import Experts
from manygate.testing import CHECKS, Case, check_architecture
from manygate.testing.architecture import SMALL
from own_schemes import Own, Unfinished


class Leaky(Own):
    """Normalises over the batch."""

    def forward(self, x_BD):
        return super().forward(x_BD - x_BD.mean(dim=0))


class Idle(Own):
    """Has a parameter that nothing uses."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.spare = self.bottom.bias.new_zeros(3).requires_grad_()
        self.register_parameter("spare_weight", type(self.bottom.weight)(self.spare.detach()))


class Numb(Own):
    """Has a parameter that is used and changes nothing."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.spare = torch.nn.Parameter(torch.ones(3))

    def forward(self, x_BD):
        return super().forward(x_BD) + 0 * self.spare.sum()


class Signed(Own):
    """Shows weights that sum to one, one of them below zero."""

    def gates(self, x_BD):
        return (torch.tensor([1.5, -0.5]).expand(len(x_BD), self.tasks, 2),)


class Wide(Own):
    """Says another width than it gives."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.output_width += 1


class Apart(Own):
    """Names a layer that one task alone reads."""

    def __init__(self, inputs: int, tasks: int, hidden: tuple[int, ...]):
        super().__init__(inputs, tasks, hidden)
        self.last = Experts(inputs, 1, hidden)

    def forward(self, x_BD):
        return torch.cat([super().forward(x_BD)[:, 1:], self.last(x_BD)[0]], dim=1)

    def shared_layer(self):
        return self.bottom


class Mixing(Own):
    """Says nothing of what all tasks train above the shared layer."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.last = torch.nn.Linear(self.output_width, self.output_width)

    def forward(self, x_BD):
        return self.last(super().forward(x_BD))

    def shared_layer(self):
        return self.bottom


class Twofold(Mixing):
    """Lists a parameter that is used below the shared layer, too."""

    def forward(self, x_BD):
        return super().forward(x_BD + self.last.weight.mean())

    def shared_above(self):
        return list(self.last.parameters())


class Widthless(Own):
    """Has no width."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.output_width = None


class Double(Own):
    """Gives numbers of another type."""

    def forward(self, x_BD):
        return super().forward(x_BD).double()


class Endless(Own):
    """Gives infinity where a number is large."""

    def forward(self, x_BD):
        return super().forward(x_BD) + torch.where(x_BD.abs() > 1, torch.inf, 0.0).sum(dim=1)[:, None, None]


class PenaltyPerTask(Own):
    """Gives a penalty for each task."""

    def penalty(self, towers):
        return torch.zeros(3)


class PenaltyUndefined(Own):
    """Gives a penalty that is no number."""

    def penalty(self, towers):
        return torch.tensor(torch.nan)


class Unseeded(Own):
    """Draws its weights from a generator of its own."""

    generator = torch.Generator()

    def __init__(self, *arguments):
        super().__init__(*arguments)
        torch.nn.init.normal_(self.bottom.weight, generator=self.generator)


class Unsown(Own):
    """Has the same weights for every seed."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        for parameter in self.parameters():
            torch.nn.init.constant_(parameter, 0.5)


class Short(Own):
    """Shows gate weights that sum to less than one."""

    def gates(self, x_BD):
        return (torch.tensor([0.5, 0.4]).expand(len(x_BD), self.tasks, 2),)


class OneGate(Own):
    """Shows one gate for all tasks."""

    def gates(self, x_BD):
        return (torch.tensor([0.5, 0.5]).expand(len(x_BD), 1, 2),)


class Batched(Own):
    """Gives other numbers where several models run at once."""

    def forward(self, x_BD):
        return super().forward(x_BD) * (2.0 if torch._C._functorch.is_batchedtensor(x_BD) else 1.0)


class Stolen(Own):
    """Lists a parameter that is not the scheme's."""

    def shared_parameters(self):
        return [*super().shared_parameters(), torch.nn.Parameter(torch.ones(1))]


class Repeated(Own):
    """Lists each parameter twice."""

    def shared_parameters(self):
        return super().shared_parameters() * 2


class Rated(Own):
    """Names a learning rate of what it does not have."""

    def learning_rates(self):
        return {"botom.weight": 2.0}


class Spared(Own):
    """Spares a parameter that it does not have from weight decay."""

    undecayed = ("gain",)


class Rough(Own):
    """Loses most of its output under autocast."""

    def forward(self, x_BD):
        h_BTH = super().forward(x_BD)
        return h_BTH * 30 if torch.is_autocast_enabled("cpu") else h_BTH


@pytest.mark.parametrize(
    ("given", "problem"),
    [("mmoe", "give the class itself"), (int, "int is no subclass"), (Unfinished, "Unfinished does not define build, forward")],
)
def test_what_is_no_scheme_is_said_so(given, problem: str) -> None:
    with pytest.raises(AssertionError, match=problem):
        check_architecture(given)


@pytest.mark.parametrize("scheme", [Own, MMoE])
def test_sound_schemes_pass_every_check(scheme: type[mg.Architecture]) -> None:
    check_architecture(scheme)


@pytest.mark.parametrize(
    ("scheme", "problem"),
    [
        (Leaky, "changes with the other rows"),
        (Idle, "spare_weight is not used"),
        (Numb, "spare has no influence on the loss"),
        (Signed, "gates of level 0 have negative weights"),
        (Wide, "forward gives"),
        (Apart, r"the tasks \[2\] do not read"),
        (Widthless, "output_width is None, not a whole number"),
        (Double, r"forward gives torch.float64 for float32 rows"),
        (Endless, "forward gives NaN or infinity"),
        (PenaltyPerTask, r"penalty has shape \(3,\)"),
        (PenaltyUndefined, "penalty is NaN"),
        (Unseeded, "the same seed gives other weights"),
        (Unsown, "another seed gives the same weights"),
        (Short, "not close"),
        (OneGate, r"gates of level 0 have shape \(24, 1, 2\)"),
        (Batched, "not close"),
        (Stolen, "lists what is no parameter of the scheme"),
        (Repeated, "lists a parameter twice"),
        (Rated, r"learning_rates names \['botom.weight'\]"),
        (Spared, "undecayed names 'gain', which is no parameter of it"),
        (Mixing, r"several tasks train \['last.weight', 'last.bias'\] above the shared layer"),
        (Twofold, "a parameter that the shared layer or one below it uses"),
        (Rough, "not close"),
    ],
)
def test_faults_are_found(scheme: type[mg.Architecture], problem: str) -> None:
    with pytest.raises(AssertionError, match=problem):
        check_architecture(scheme)


@pytest.mark.parametrize(
    ("scheme", "check"),
    [
        (Wide, "gives_a_vector_per_row_and_task"),
        (Leaky, "rows_are_independent"),
        (Numb, "every_parameter_is_used"),
        (Unseeded, "a_seed_decides_the_weights"),
        (Short, "gates_are_shares"),
        (Batched, "replicas_run_as_one"),
        (Stolen, "shared_parameters_are_its_own"),
        (Spared, "weight_decay_is_declared"),
        (Apart, "every_task_reads_the_shared_layer"),
        (Mixing, "shared_above_is_complete"),
        (Rough, "bf16_stays_near"),
    ],
)
def test_each_fault_is_found_by_its_own_check(scheme: type[mg.Architecture], check: str) -> None:
    checks = {function.__name__: function for function in CHECKS}
    with pytest.raises(AssertionError):
        checks[check](Case(scheme, SMALL, 3))
    checks[check](Case(Own, SMALL, 3))


def test_a_scheme_is_checked_with_the_settings_and_the_number_of_tasks_that_are_given() -> None:
    seen = []

    class Watched(Own):
        @classmethod
        def build(cls, inputs, tasks, config):
            seen.append((inputs.width, tasks, config.expert_hidden))
            return super().build(inputs, tasks, config)

    check_architecture(Watched, SMALL.model_copy(update={"expert_hidden": (4,)}), tasks=2)
    assert set(seen) == {(7, 2, (4,))}


def test_checks_leave_the_random_state_alone() -> None:
    state = torch.get_rng_state()
    check_architecture(Own)
    assert torch.equal(torch.get_rng_state(), state)
