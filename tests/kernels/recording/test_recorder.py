"""A recording gives what the function gives, to the bit, and is refused where it could not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import manygate as mg
from manygate.config.names import ARCHITECTURES
from manygate.data.encoded import EncodedLog
from manygate.kernels.recording import Recorder, record
from manygate.kernels.recording.recorder import EAGER_CALLS, TRIALS, Recording
from manygate.schema import Schema, Task

Values = dict[str, Tensor]


def values(seed: int, rows: int = 6) -> Values:
    source = torch.Generator().manual_seed(seed)
    drawn = {"x": torch.randn(rows, 4, generator=source), "w": torch.randn(4, 3, generator=source)}
    drawn["w"].requires_grad_()
    return drawn


def gradients(function: Callable[..., tuple[Tensor, ...]], given: Values) -> list[Tensor]:
    """Outputs, and the gradients of their weighted sum."""
    outputs = function(given)
    weights = [torch.linspace(-1, 2, output.numel()).view(output.shape) for output in outputs]
    moving = [(output * weight).sum() for output, weight in zip(outputs, weights, strict=True) if output.requires_grad]
    asked = [value for value in given.values() if value.requires_grad]
    return [*outputs, *torch.autograd.grad(sum(moving, torch.zeros(())), asked)]


def chain(given: Values) -> tuple[Tensor, ...]:
    """Views of views, a kernel that writes into what another made, an output that is a view and one without a gradient."""
    h = (given["x"] @ given["w"]).relu()
    h = h.unsqueeze(0).expand(2, -1, -1).transpose(0, 1).flatten(1)[:, 1:5].clone()
    h.mul_(2.0)
    h[:, 0] += given["x"].sum(dim=1)
    return h.t()[1:], (h.detach() > 0).sum(dim=1), h.square().mean()


def with_constant(given: Values) -> tuple[Tensor, ...]:
    return ((given["x"] @ given["w"] + torch.arange(3.0)) / torch.full((), 7.0),)


def in_parts(given: Values) -> tuple[Tensor, ...]:
    first, second = given["w"].split([1, 2], dim=1)
    return torch.cat([given["x"] @ second, given["x"] @ first], dim=1).softmax(dim=1), given["x"].amax(dim=0)


def many(given: Values) -> tuple[Tensor, ...]:
    def one(x: Tensor) -> Tensor:
        return torch.nn.functional.layer_norm(x @ given["w"], (3,)).exp()

    return (torch.vmap(one)(given["x"].unfold(0, 2, 1).transpose(1, 2)),)


def of_a_list(given: Values) -> tuple[Tensor, ...]:
    return (torch._foreach_mul([given["x"] @ given["w"]], 2.0)[0],)


@pytest.mark.parametrize("function", [chain, with_constant, in_parts, many, of_a_list])
@pytest.mark.parametrize("also", ["w", "x and w"])
def test_outputs_and_gradients_are_the_same_bits_on_other_numbers(function, also) -> None:
    def given(seed: int) -> Values:
        drawn = values(seed)
        drawn["x"].requires_grad_(also != "w")
        return drawn

    recording = record(function, given(0))
    assert recording is not None
    for seed in range(1, 4):
        for found, expected in zip(gradients(recording, given(seed)), gradients(function, given(seed)), strict=True):
            assert torch.equal(found, expected)
            assert (found.dtype, found.stride()) == (expected.dtype, expected.stride())


def reads_a_number(given: Values) -> tuple[Tensor, ...]:
    return (given["x"] @ given["w"] * (2.0 if given["x"][0, 0] > 0 else 3.0),)


def counts(given: Values) -> tuple[Tensor, ...]:
    return ((given["x"] @ given["w"])[given["x"][:, 0] > 0].sum(),)


def draws(given: Values) -> tuple[Tensor, ...]:
    return (torch.dropout(given["x"] @ given["w"], 0.5, True),)


LEFT_OUT = torch.ones(3, requires_grad=True)


def learns_apart(given: Values) -> tuple[Tensor, ...]:
    return (given["x"] @ given["w"] * LEFT_OUT,)


def writes(given: Values) -> tuple[Tensor, ...]:
    given["x"].mul_(2.0)
    return (given["x"] @ given["w"],)


def product(given: Values) -> tuple[Tensor, ...]:
    """Its gradient is made of other kernels under a dispatch mode."""
    return ((given["x"] @ given["w"]).prod(dim=1),)


def sparse(given: Values) -> tuple[Tensor, ...]:
    """Its gradient is sparse, which lies in no memory of its own."""
    return (torch.nn.functional.embedding(given["x"].int().clamp(0, 3), given["w"], sparse=True),)


OUTSIDE = torch.ones(3, requires_grad=True)


def gives_what_learns(given: Values) -> tuple[Tensor, ...]:
    return given["x"] @ given["w"], OUTSIDE


@pytest.mark.parametrize("function", [product, sparse, gives_what_learns])
def test_what_would_not_be_the_same_or_fails_from_a_recording_is_not_recorded(function) -> None:
    recorder = Recorder(function)
    for seed in range(5):
        assert torch.equal(recorder(values(seed))[0], function(values(seed))[0])
    assert list(recorder.recordings.values()) == [None]


def shared_gradient(given: Values) -> tuple[Tensor, ...]:
    return (given["a"] + given["b"],)


def test_what_gives_other_numbers_in_each_call_is_not_recorded() -> None:
    calls = iter(range(1, 100))
    recorder = Recorder(lambda given: (given["x"] @ given["w"] * next(calls),))
    for seed in range(5):
        recorder(values(seed))
    assert list(recorder.recordings.values()) == [None]


def test_parameters_never_share_the_memory_of_their_gradients() -> None:
    recording = record(shared_gradient, {name: torch.ones(3, requires_grad=True) for name in "ab"})
    assert recording is not None
    given = {name: torch.ones(3, requires_grad=True) for name in "ab"}
    recording(given)[0].sum().backward()
    assert given["a"].grad.data_ptr() != given["b"].grad.data_ptr()


def test_a_second_derivative_is_refused() -> None:
    recording, given = record(with_constant, values(0)), values(1)
    assert recording is not None
    (slope,) = torch.autograd.grad(recording(given)[0].sum(), given["w"], create_graph=True)
    with pytest.raises(RuntimeError, match="does not require grad"):
        slope.sum().backward()


def test_under_autocast_of_the_callers_a_function_runs_as_it_is() -> None:
    recorder = Recorder(with_constant)
    for _ in range(4):
        recorder(values(0))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(recorder(values(1))[0], with_constant(values(1))[0])


def test_autocast_within_a_function_keeps_casts_of_leaves_alone() -> None:
    def function(given: Values) -> tuple[Tensor, ...]:
        with torch.autocast("cpu", torch.bfloat16):
            return ((given["x"] @ given["w"] + (2 * given["x"]) @ given["w"]).float(), (given["x"] @ given["w"]).float().exp())

    def given(seed: int) -> Values:
        drawn = values(seed)
        leaf = drawn["x"].requires_grad_()
        return {"x": leaf * 1.0, "w": drawn["w"], "leaf": leaf}

    recorder = Recorder(function)
    for seed in range(6):
        found, expected = given(seed), given(seed)
        for call, each in ((recorder, found), (function, expected)):
            sum(output.sum() for output in call(each)).backward()
        assert torch.equal(found["leaf"].grad, expected["leaf"].grad)
    assert None not in recorder.recordings.values()


@pytest.mark.parametrize("function", [reads_a_number, counts, draws, learns_apart])
def test_what_depends_on_more_than_shapes_is_not_recorded(function) -> None:
    assert record(function, values(0)) is None
    torch.manual_seed(0)
    recorder = Recorder(function)
    found = [recorder(values(seed))[0] for seed in range(5)]
    torch.manual_seed(0)
    for value, seed in zip(found, range(5), strict=True):
        assert torch.equal(value, function(values(seed))[0])


def test_what_writes_into_what_it_is_given_is_not_recorded_and_writes_once() -> None:
    recorder, given, same = Recorder(writes), values(0), values(0)
    for _ in range(EAGER_CALLS + 3):
        assert torch.equal(recorder(given)[0], writes(same)[0])
        assert torch.equal(given["x"], same["x"])
    assert list(recorder.recordings.values()) == [None]


def test_what_takes_much_memory_is_not_recorded(monkeypatch) -> None:
    """Its products of 6 by 3 take 72 bytes each."""
    for bound, fits in ((71, False), (150, False), (2000, True)):
        monkeypatch.setattr("manygate.kernels.recording.tape.LARGEST", bound)
        assert (record(with_constant, values(0)) is not None) == fits


def test_what_is_not_a_number_does_not_hinder() -> None:
    given = values(0)
    given["x"][0] = torch.nan
    recording = record(with_constant, given)
    assert recording is not None
    for found, expected in zip(gradients(recording, values(1)), gradients(with_constant, values(1)), strict=True):
        assert torch.equal(found, expected)


def scaled(given: Values, factor: float) -> tuple[Tensor, ...]:
    return (given["x"] @ given["w"] * factor,)


def test_a_recording_is_made_of_the_third_call_tried_on_two_more_and_of_each_kind_of_tensors_anew(monkeypatch) -> None:
    compared: list[int] = []
    agrees = Recording.agrees

    def counted(*arguments: Any) -> bool:
        compared.append(len(arguments[2]["x"]))
        return agrees(*arguments)

    monkeypatch.setattr(Recording, "agrees", counted)
    recorder = Recorder(scaled, steady=["w"])
    found = []
    for call in range(EAGER_CALLS + TRIALS + 4):
        recorder(values(call), 2.0)
        found.append((len(recorder.recordings), len(compared)))
    assert found == [(0, 0), (0, 0), (1, 1), (1, 2), (1, 3), (1, 3), (1, 3), (1, 3)]
    wide = values(1, rows=12)
    double = {name: value.detach().double().requires_grad_(value.requires_grad) for name, value in values(1).items()}
    others = [(values(1), 3.0), (values(1, rows=5), 2.0), (wide | {"x": wide["x"][::2]}, 2.0), (double, 2.0)]
    for given, factor in others:
        assert torch.equal(recorder(given, factor)[0], scaled(given, factor)[0])
    with torch.no_grad():
        (y,) = recorder(values(1), 2.0)
    assert not y.requires_grad
    assert (len(recorder.recordings), len(compared)) == (1, 3), "each of these was called once or has a recording"


def test_a_recording_that_a_later_call_refutes_is_dropped() -> None:
    """Where every x is positive, relu and the identity are the same; the recording is made of such a call."""
    recorder = Recorder(with_constant)
    first = record(lambda given: (given["x"].relu() @ given["w"],), {**values(0), "x": torch.ones(6, 4)})
    assert first is not None
    for seed in range(EAGER_CALLS + 1):
        recorder(values(seed))
    (key,) = recorder.recordings
    recorder.recordings[key] = first
    assert torch.equal(recorder(values(5))[0], with_constant(values(5))[0])
    assert recorder.recordings == {key: None}


def test_a_tensor_may_lie_anywhere_in_its_memory() -> None:
    def tail(given: Values) -> tuple[Tensor, ...]:
        return (given["x"][1:].t().reshape(-1)[2:] * 2,)

    whole = torch.arange(60.0).view(15, 4)
    recording = record(tail, {"x": whole[3:9]})
    assert recording is not None
    for start in (0, 3, 7):
        assert torch.equal(recording({"x": whole[start : start + 6]})[0], tail({"x": whole[start : start + 6]})[0])


def test_inputs_may_overlap_themselves() -> None:
    def given(seed: int) -> Values:
        drawn = values(seed)
        leaf = drawn["x"][:1].clone().requires_grad_()
        return {"x": leaf.expand(6, 4), "w": drawn["w"], "leaf": leaf}

    def function(given: Values) -> tuple[Tensor, ...]:
        return (given["x"][1:].t().mul(given["w"][:, :1]).exp(),)

    recorder = Recorder(function)
    for seed in range(5):
        found, expected = given(seed), given(seed)
        for call, each in ((recorder, found), (function, expected)):
            call(each)[0].sum().backward()
        for name in ("leaf", "w"):
            assert torch.equal(found[name].grad, expected[name].grad)
    assert None not in recorder.recordings.values()


def test_a_gradient_may_come_in_any_layout() -> None:
    def function(given: Values) -> tuple[Tensor, ...]:
        return ((given["x"] @ given["w"]).t().reshape(6, 3).square(),)

    recording = record(function, values(0))
    assert recording is not None
    for upstream in (torch.ones(()).expand(6, 3), torch.randn(3, 6).t()):
        found, expected = values(1), values(1)
        recording(found)[0].backward(upstream)
        function(expected)[0].backward(upstream)
        assert torch.equal(found["w"].grad, expected["w"].grad)


VARIANTS = {
    "plain": {},
    "replicas": {"replicas": 3, "dropout": 0.2, "clip_norm": 0.5},
    "bf16": {"precision": "bf16", "replicas": 2},
    "deep": {"expert_hidden": (5, 4), "bottom_hidden": (6, 6), "tower_hidden": (4, 3), "gate_bias": True, "sparse_gradients": True},
}
SOME = {
    "noisy top-k": {"gate": "topk", "top_k": 1, "importance_weight": 0.1, "load_weight": 0.1},
    "dselect-k": {"gate": "dselect_k", "top_k": 2, "experts": 4},
    "dropped gates": {"gate_dropout": 0.3, "expert_norm": True, "dropout": 0.2},
    "own features": {"gate_features": ("user", "age"), "temperature": 2.0},
    "lower layers": {"lower_hidden": (6,), "replicas": 2, "replica_data": "bootstrap"},
    "cross layers": {"cross_layers": 2, "cross_rank": 3, "replicas": 2},
    "cross layers, bf16": {"cross_layers": 1, "lower_hidden": (6,), "precision": "bf16"},
    "bias": {"bias_dropout": 0.3},
    "uncertainty": {"weighting": "uncertainty"},
    "famo": {"weighting": "famo"},
    "gradients": {"weighting": "gradvac", "replicas": 2},
    "gradients of some": {"weighting": "mgda", "replicas": 3, "patience": 1, "epochs": 6, "learning_rate": 0.1},
    "gradients at times": {"weighting": "mgda", "replicas": 2, "balance_every": 2, "clip_norm": 0.5},
    "some stop": {"replicas": 3, "patience": 1, "epochs": 6, "learning_rate": 0.1},
}
VARIANTS = {
    name: {"epochs": 1, **settings} for name, settings in VARIANTS.items()
}  # the last steps of nine are from the recording alone
CASES = [(name, variant) for variant in VARIANTS for name in ARCHITECTURES]
CASES += [(name, variant) for variant in SOME for name in ("mmoe", "ple")]
UNEVEN = {"precision": "bf16", "replicas": 2, "task_experts": ((1, 1, 1),), "shared_experts": (2,)}
SOME["bf16, two casts"] = {**UNEVEN, "task_expert_hidden": ((7, 5), (5,), (6, 5))}
SOME["bf16, raw gates"] = {"precision": "bf16", "replicas": 2, "levels": 2, "ml_gate_input": "raw"}
CASES += [(name, "bf16, two casts") for name in ("cgc", "ple", "adatt")] + [("ml_mmoe", "bf16, raw gates")]
CASES += [
    (name, variant) for name in ("l2_constrained", "tensor_factorization") for variant in SOME if variant.startswith("gradients")
]


@pytest.fixture(scope="module")
def log(encoded) -> EncodedLog:
    found: EncodedLog = encoded()
    return found


def trained(trainer: Any, log: EncodedLog, config: Any, records: bool) -> Any:
    training = trainer(log, config)
    assert training.forward.records
    training.forward.records = records
    training.fit()
    return training


def same_bits(trainer: Any, log: EncodedLog, config: Any) -> Recorder:
    """Train with recordings and without; the recorder."""
    recorded, plain = (trained(trainer, log, config, records) for records in (True, False))
    assert not plain.forward.recorder.recordings
    assert recorded.state.history == plain.state.history
    for name, value in recorded.model.parameters.items():
        assert torch.equal(value, plain.model.parameters[name]), name
    found: Recorder = recorded.forward.recorder
    return found


@pytest.mark.parametrize(("architecture", "variant"), CASES)
def test_training_is_the_same_to_the_bit(log, trainer, settings, architecture, variant) -> None:
    config = settings(architecture=architecture, **{**VARIANTS, **SOME}[variant])
    recordings = same_bits(trainer, log, config).recordings
    assert recordings
    assert all(recording is not None for recording in recordings.values())


FUNNEL = (Task(name="click"), Task(name="like", after="click"), Task(name="watch", kind="regression", after="click"))
LOSSES = (
    Task(name="click"),
    Task(name="like", where="click == 1"),
    Task(name="watch", kind="regression", where="click == 1", loss="ordinal", levels=4),
)


def with_tasks(schema: Schema, tasks: tuple[Task, ...]) -> Schema:
    return Schema(features=schema.features, tasks=tasks, group=schema.group, weight=schema.weight)


@pytest.mark.parametrize("funnel", ["conditional", "esmm", "aitm", "escm2_ipw", "escm2_dr"])
def test_funnels_are_recorded(encoded, log_schema, trainer, settings, funnel) -> None:
    log = encoded(schema=with_tasks(log_schema(), FUNNEL))
    recordings = same_bits(trainer, log, settings(funnel=funnel, architecture="mmoe")).recordings
    assert recordings
    assert None not in recordings.values()


def test_losses_are_recorded_but_for_pairs_whose_number_the_labels_decide(encoded, log_schema, trainer, settings) -> None:
    log = encoded(schema=with_tasks(log_schema(), LOSSES))
    for architecture in ("ple", "single_task"):
        config = settings(architecture=architecture, replicas=2)
        assert None not in same_bits(trainer, log, config).recordings.values()
    pairs = (Task(name="click", loss="pairwise"), *LOSSES[1:])
    log = encoded(schema=with_tasks(log_schema(), pairs))
    assert set(same_bits(trainer, log, settings(architecture="ple")).recordings.values()) == {None}


def test_a_replica_that_breaks_is_frozen_under_a_recording_too(log, trainer, settings) -> None:
    config = settings(replicas=3, epochs=2, dropout=0.0, optimizer="sgd", learning_rate=1e-2, replica_rates=(1.0, 1e6, 1.0))
    runs = []
    for records in (True, False):
        training = trainer(log, config)
        training.forward.records, training.count_losses = records, True
        runs.append((training, training.fit()))
    (recorded, state), (plain, plain_state) = runs
    assert state.diverged == plain_state.diverged
    assert [step is None for step in state.diverged] == [True, False, True]
    for name, value in recorded.model.parameters.items():
        np.testing.assert_array_equal(value.detach().numpy(), plain.model.parameters[name].detach().numpy())


class Own(mg.Architecture):
    """x itself, for every task."""

    def __init__(self, inputs: int):
        super().__init__()
        self.output_width = inputs

    @classmethod
    def build(cls, inputs: Any, tasks: int, config: Any) -> Any:
        return cls(inputs.width)

    def forward(self, x_BD: Tensor) -> Tensor:
        return x_BD.unsqueeze(1)

    def shared_parameters(self) -> list[torch.nn.Parameter]:
        return []


class Doubled(Own):
    """Twice that, by a function and a loop of Python's."""

    def forward(self, x_BD: Tensor) -> Tensor:
        parts = [part + part for part in x_BD.unbind(0)]
        parts.reverse()
        return torch.stack(parts[::-1]).unsqueeze(1)


class Warming(Own):
    """x itself, and after its tenth call twice that."""

    def __init__(self, inputs: int):
        super().__init__(inputs)
        self.calls = 0

    def forward(self, x_BD: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x_BD) * (1.0 if self.calls <= 10 else 2.0)


@pytest.mark.parametrize(("scheme", "recorded"), [(Own, True), (Doubled, True), (Warming, False)])
def test_a_scheme_of_the_users_own_is_recorded_where_nothing_speaks_against_it(log, trainer, settings, scheme, recorded) -> None:
    recordings = same_bits(trainer, log, settings(architecture=f"{__name__}:{scheme.__name__}")).recordings
    assert recordings
    assert all((recording is not None) == recorded for recording in recordings.values())


@pytest.mark.parametrize("used", [0, 1])
def test_a_result_that_nothing_uses_gives_zeros(used) -> None:
    """No gradient comes back for it, and none is made for results that cannot have one."""

    def function(given: Values) -> tuple[Tensor, ...]:
        h = given["x"] @ given["w"]
        return h.square(), given["v"].exp(), h.detach()

    def given() -> Values:
        return values(0) | {"v": torch.linspace(0, 1, 4).requires_grad_()}

    recording = record(function, given())
    assert recording is not None
    found, expected = given(), given()
    recording(found)[used].sum().backward()
    function(expected)[used].sum().backward()
    for name in ("w", "v"):
        gradient = expected[name].grad
        assert torch.equal(found[name].grad, torch.zeros_like(expected[name]) if gradient is None else gradient)
