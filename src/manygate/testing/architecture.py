"""Checks that every sharing scheme passes, for schemes of your own.

Each check says in one sentence what it asks and raises ``AssertionError`` with what it found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import isabstract

import torch
from torch import Tensor
from torch.func import functional_call

from manygate.architecture import Architecture, Inputs
from manygate.config import ModelConfig
from manygate.errors import InputError
from manygate.layers.decay import undecayed_parameters
from manygate.layers.gate import Gates
from manygate.layers.tower import BiasTower, Towers
from manygate.layers.units import Drawn
from manygate.model.trunk import Trunk
from manygate.objective.weighting.shared import shared_gramian

SMALL = ModelConfig(experts=4, expert_hidden=(6,), bottom_hidden=(8,), tower_hidden=(5,), dropout=0.0)
WIDTH, BIAS, ROWS = 7, 2, 24


@dataclass(frozen=True)
class Case:
    """A scheme to check: its class, the settings it is built from, and how many tasks the run has."""

    scheme: type[Architecture]
    config: ModelConfig
    tasks: int

    @property
    def own_tasks(self) -> int:
        return 1 if self.scheme.one_model_per_task else self.tasks

    @property
    def inputs(self) -> int:
        return WIDTH * (self.tasks + 1 if self.scheme.own_embeddings else 1)

    def build(self, seed: int = 0) -> Architecture:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.scheme.build(Inputs(WIDTH), self.tasks, self.config)

    def trunk(self, seed: int = 0) -> Trunk:
        scheme = self.build(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 1)
            towers = Towers(self.own_tasks, scheme.output_width, self.config.tower_hidden, self.config.dropout)
            return Trunk(scheme, towers, BiasTower(self.own_tasks, BIAS))

    def bias(self, count: int = ROWS) -> Tensor:
        return torch.randn(count, BIAS, generator=torch.Generator().manual_seed(9))

    def rows(self, count: int = ROWS, seed: int = 1) -> Tensor:
        return torch.randn(count, self.inputs, generator=torch.Generator().manual_seed(seed))


def check_architecture(scheme: type[Architecture], config: ModelConfig = SMALL, tasks: int = 3) -> None:
    """Run every check on a scheme built from some settings.

    >>> from manygate.architecture import MMoE
    >>> check_architecture(MMoE)
    """
    assert isinstance(scheme, type), f"give the class itself, not {scheme!r}"
    assert issubclass(scheme, Architecture), f"{scheme.__name__} is no subclass of manygate.Architecture"
    assert not isabstract(scheme), f"{scheme.__name__} does not define {', '.join(sorted(scheme.__abstractmethods__))}"
    case = Case(scheme, config, tasks)
    width = getattr(case.build(), "output_width", None)
    assert isinstance(width, int), f"output_width is {width!r}, not a whole number; set it in __init__"
    for check in CHECKS:
        check(case)


def gives_a_vector_per_row_and_task(case: Case) -> None:
    """forward(x_BD) is h_BTH or h_B1H in the type of x, finite, for any number of rows; ``penalty`` is one finite number."""
    model = case.trunk().eval()
    for rows in (1, 2, 33):
        h_BTH = model.architecture(case.rows(rows))
        assert isinstance(h_BTH, Tensor), f"forward gives {type(h_BTH).__name__}, not a tensor"
        wanted = (rows, case.own_tasks, model.architecture.output_width)
        assert h_BTH.shape in (wanted, (rows, 1, wanted[-1])), (
            f"forward gives {tuple(h_BTH.shape)} for {rows} rows, not (rows, tasks, output_width) = {wanted}"
        )
        assert h_BTH.dtype == torch.float32, f"forward gives {h_BTH.dtype} for float32 rows"
        assert torch.isfinite(h_BTH).all(), "forward gives NaN or infinity for ordinary rows"
        penalty = model.architecture.penalty(model.towers)
        assert penalty.shape == (), f"penalty has shape {tuple(penalty.shape)}, not that of one number"
        assert torch.isfinite(penalty), "penalty is NaN or infinite"


def rows_are_independent(case: Case) -> None:
    """A row's output never depends on its batch-mates, while training neither: no normalisation over the batch."""
    for training in (False, True):
        model = case.trunk().train(training)
        x_BD, other_BD = case.rows(), case.rows(seed=2)
        other_BD[5] = x_BD[5]
        _drawn(model, ROWS)
        first, second = (model.architecture(x) for x in (x_BD, other_BD))
        assert torch.equal(first[5], second[5]), "a row's output changes with the other rows of its batch"
    model.eval()
    alone = torch.cat([model.architecture(x_BD[i : i + 1]) for i in range(ROWS)])
    torch.testing.assert_close(alone, model.architecture(x_BD), rtol=1e-4, atol=1e-5)


def every_parameter_is_used(case: Case) -> None:
    """The loss reaches every parameter."""
    model = case.trunk().train()
    _drawn(model, 256)
    logit_BT, penalty = model(case.rows(256), case.bias(256))
    (logit_BT.square().sum() + penalty).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, f"{name} is not used"
        assert parameter.numel() == 0 or (parameter.grad != 0).any(), f"{name} has no influence on the loss"


def a_seed_decides_the_weights(case: Case) -> None:
    """Initial weights come from torch's global generator alone: the same seed gives the same, another seed others."""
    first, again, other = (case.build(seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(value, again[name]) for name, value in first.items()), "the same seed gives other weights"
    assert any(not torch.equal(value, other[name]) for name, value in first.items()), "another seed gives the same weights"


def gates_are_shares(case: Case) -> None:
    """Each row of ``gates`` is (tasks, experts) of weights from 0 to 1 that sum to one."""
    model = case.trunk().eval()
    for level, gate_BTE in enumerate(model.architecture.gates(case.rows())):
        assert gate_BTE.ndim == 3, f"gates of level {level} have shape {tuple(gate_BTE.shape)}, not (rows, tasks, experts)"
        assert gate_BTE.shape[:2] == (ROWS, case.own_tasks), f"gates of level {level} have shape {tuple(gate_BTE.shape)}"
        assert (gate_BTE >= 0).all(), f"gates of level {level} have negative weights"
        torch.testing.assert_close(gate_BTE.sum(dim=-1), torch.ones(ROWS, case.own_tasks), rtol=0, atol=1e-5)


def replicas_run_as_one(case: Case) -> None:
    """``torch.vmap`` over stacked parameters gives what each model alone gives, gradients included."""
    models = [case.trunk(seed).train() for seed in (0, 10)]
    for model in models:
        _drawn(model, ROWS)
    names = [name for name, _ in models[0].named_parameters()]
    stacked = {name: torch.stack([dict(m.named_parameters())[name].detach() for m in models]).requires_grad_() for name in names}
    x_MBD = torch.stack([case.rows(), case.rows(seed=2)])

    bias_BC = case.bias()

    def loss(values: dict[str, Tensor], x_BD: Tensor) -> Tensor:
        logit_BT, penalty = functional_call(models[0], values, (x_BD, bias_BC))
        total: Tensor = logit_BT.square().sum() + penalty
        return total

    together = torch.vmap(loss)(stacked, x_MBD)
    together.sum().backward()
    for m, model in enumerate(models):
        alone = loss(dict(model.named_parameters()), x_MBD[m])
        torch.testing.assert_close(together[m], alone, rtol=1e-4, atol=1e-5)
        for name, gradient in zip(names, torch.autograd.grad(alone, list(model.parameters())), strict=True):
            gradient_of_replicas = stacked[name].grad
            assert gradient_of_replicas is not None
            assert torch.allclose(gradient_of_replicas[m], gradient, rtol=1e-3, atol=1e-4), (
                f"{name}: another gradient among replicas than alone"
            )


def shared_parameters_are_its_own(case: Case) -> None:
    """``shared_parameters`` lists parameters of the scheme, each once; ``learning_rates`` names some of them."""
    scheme = case.build()
    parameters = {id(parameter) for parameter in scheme.parameters()}
    shared = [id(parameter) for parameter in scheme.shared_parameters()]
    assert parameters.issuperset(shared), "shared_parameters lists what is no parameter of the scheme"
    assert len(set(shared)) == len(shared), "shared_parameters lists a parameter twice"
    unknown = set(scheme.learning_rates()) - {name for name, _ in scheme.named_parameters()}
    assert not unknown, f"learning_rates names {sorted(unknown)}, which are no parameters of the scheme"


def weight_decay_is_declared(case: Case) -> None:
    """``undecayed``, of the scheme and of each module within it, names parameters that it has."""
    try:
        undecayed_parameters(case.build())
    except InputError as error:
        raise AssertionError(str(error)) from None


def every_task_reads_the_shared_layer(case: Case) -> None:
    """Where there is a ``shared_layer``, each task's gradient at its output is there, and among replicas what it is alone."""
    models = [case.trunk(seed).train() for seed in (0, 10)]
    if models[0].shared_layer() is None:
        return
    for model in models:
        _drawn(model, ROWS)
    values = [{name: value.detach().requires_grad_() for name, value in model.named_parameters()} for model in models]
    bias_BC, units = case.bias(), models[0].shared_units()

    def outputs(values: dict[str, Tensor], x_BD: Tensor) -> tuple[Tensor, Tensor]:
        logit_BT, _, shared_B = functional_call(models[0], values, (x_BD, bias_BC, False, True))
        return logit_BT.square().sum(dim=0), shared_B

    alone = []
    for values_of_model in values:
        loss_T, shared_B = outputs(values_of_model, case.rows())
        assert isinstance(shared_B, Tensor), f"shared_layer gives {type(shared_B).__name__}, not a tensor, alone or first"
        assert shared_B.requires_grad, "shared_layer gives what has no gradient"
        assert len(shared_B) == ROWS, f"shared_layer gives {tuple(shared_B.shape)}, not (rows, ...)"
        alone.append(shared_gramian(loss_T.unsqueeze(0), shared_B, units)[0])
        unread = [t for t, length in enumerate(alone[-1].diagonal()) if length == 0]
        assert not unread, f"the tasks {unread} do not read what shared_layer gives; choose a layer below, or return None"
    stacked = {
        name: torch.stack([values_of_model[name].detach() for values_of_model in values]).requires_grad_() for name in values[0]
    }
    together = shared_gramian(*torch.vmap(outputs)(stacked, torch.stack([case.rows()] * 2)), units)
    torch.testing.assert_close(together, torch.stack(alone), rtol=1e-3, atol=1e-5)


def shared_above_is_complete(case: Case) -> None:
    """``shared_above`` lists what several tasks train above the shared layer, and nothing that is used below it."""
    model = case.trunk().eval()
    x_BD, layer = case.rows().requires_grad_(), model.shared_layer()
    logit_BT, _, *shared = model(x_BD, case.bias(), shared=layer is not None, cuts=layer is not None)
    parameters = dict(model.architecture.named_parameters())
    listed = {name for name, value in parameters.items() if any(value is above for above in model.architecture.shared_above())}
    trained = {name: torch.zeros_like(value) for name, value in parameters.items()}
    for loss in logit_BT.square().sum(dim=0):
        gradients = torch.autograd.grad(loss, list(parameters.values()), retain_graph=True, allow_unused=True)
        for name, gradient in zip(parameters, gradients, strict=True):
            trained[name] += 0 if gradient is None else gradient != 0
    missing = [name for name, count in trained.items() if name not in listed and (count > 1).any()]
    assert not missing, f"several tasks train {missing} above the shared layer; list them in shared_above, or move shared_layer up"
    if not shared or not listed:
        return
    below = torch.autograd.grad(shared[0].sum(), [parameters[name] for name in listed], allow_unused=True)
    assert all(gradient is None for gradient in below), "shared_above lists a parameter that the shared layer or one below it uses"


def bf16_stays_near(case: Case) -> None:
    """Under autocast to bf16 the logits stay near those of float32, and gates still sum to one."""
    model, x_BD = case.trunk().eval(), case.rows()
    exact, _ = model(x_BD, case.bias())
    with torch.autocast("cpu", torch.bfloat16):
        rough, _ = model(x_BD, case.bias())
        gates = model.architecture.gates(x_BD)
    if not any(isinstance(module, Gates) and module.selects for module in model.modules()):  # a near tie selects another expert
        torch.testing.assert_close(rough.float(), exact, rtol=0.1, atol=0.1)
    for gate_BTE in gates:
        torch.testing.assert_close(gate_BTE.float().sum(dim=-1), torch.ones(ROWS, case.own_tasks), rtol=0, atol=1e-5)


CHECKS: tuple[Callable[[Case], None], ...] = (
    gives_a_vector_per_row_and_task,
    rows_are_independent,
    every_parameter_is_used,
    a_seed_decides_the_weights,
    gates_are_shares,
    replicas_run_as_one,
    shared_parameters_are_its_own,
    weight_decay_is_declared,
    every_task_reads_the_shared_layer,
    shared_above_is_complete,
    bf16_stays_near,
)


def _drawn(model: torch.nn.Module, rows: int) -> None:
    """What dropout and noise would draw, the same in every call."""
    for index, module in enumerate(_draws(model)):
        module.drawn = module.draw(rows, (index,), torch.device("cpu"))


def _draws(model: torch.nn.Module) -> Iterator[Drawn]:
    yield from (module for module in model.modules() if isinstance(module, Drawn) and module.active)
