"""The contract of a scheme, and what schemes take from a run's settings."""

from __future__ import annotations

from typing import Self

import pytest
import torch
from torch import Tensor, nn

from manygate.architecture import Architecture, Inputs
from manygate.architecture.base import Pick, gate_settings, mixture_settings, of_several
from manygate.config import ModelConfig
from manygate.layers.gate import Gates, GateSettings
from manygate.layers.mixture import MixtureSettings
from manygate.layers.tower import Towers


class Plain(Architecture):
    """A scheme that defines no more than it must."""

    def __init__(self, gates: int = 0):
        super().__init__()
        self.output_width = 3
        self.selections = nn.ModuleList(Gates([range(2)], 2, GateSettings()) for _ in range(gates))

    @classmethod
    def build(cls, inputs: Inputs, tasks: int, config: ModelConfig) -> Self:
        return cls()

    def forward(self, x_BD: Tensor) -> Tensor:
        return x_BD[:, None, :3]

    def shared_parameters(self) -> list[nn.Parameter]:
        return []


def test_what_a_scheme_need_not_define():
    scheme = Plain()
    assert scheme.gates(torch.zeros(2, 4)) == ()
    assert scheme.shared_layer() is None
    assert scheme.shared_units() is None
    assert scheme.learning_rates() == {}
    assert (Plain.one_model_per_task, Plain.own_embeddings, Plain.widths) == (False, False, "expert_hidden")
    assert Plain.width_step(ModelConfig()) == 1


def test_a_scheme_without_build_forward_or_shared_parameters_is_none():
    with pytest.raises(TypeError, match="abstract"):
        Architecture()


def test_the_penalty_adds_up_what_gates_ask_for_and_asks_once():
    scheme, towers = Plain(gates=3), Towers(1, 3, ())
    assert scheme.penalty(towers).item() == 0.0
    for gates, value in zip(scheme.selections, (0.5, None, 2.0), strict=True):
        gates.penalty = None if value is None else torch.tensor(value)
    assert scheme.penalty(towers).item() == 2.5
    assert scheme.penalty(towers).item() == 0.0, "of the last forward pass alone"
    assert scheme.penalty(towers).dtype == next(towers.parameters()).dtype


def test_what_more_than_one_task_reads():
    assert of_several([(0, 2, 3), (1, 2, 3), (3,)]) == (2, 3)
    assert of_several([(0, 0), (1,)]) == (), "twice by one task is not by two"
    assert of_several([]) == ()


def test_gates_read_chosen_columns_in_their_order():
    x_BD = torch.arange(12.0).view(3, 4)
    pick = Pick((3, 0))
    assert pick.width == 2
    assert pick(x_BD).tolist() == [[3.0, 0.0], [7.0, 4.0], [11.0, 8.0]]
    assert Pick(()).width is None
    assert Pick(())(x_BD) is None
    x_BD.requires_grad_()
    pick(x_BD).sum().backward()
    assert x_BD.grad.tolist() == [[1.0, 0.0, 0.0, 1.0]] * 3


def test_columns_kept_in_inference_serve_in_training_too():
    pick = Pick((1,))
    with torch.inference_mode():
        pick(torch.zeros(2, 3))
    x_BD = torch.zeros(2, 3, requires_grad=True)
    pick(x_BD).sum().backward()
    assert x_BD.grad.tolist() == [[0.0, 1.0, 0.0]] * 2


def test_settings_of_a_run_become_arguments_of_a_scheme():
    config = ModelConfig(gate="topk", top_k=3, temperature=2.0, gate_bias=True, gate_dropout=0.25, dropout=0.5, expert_norm=True)
    settings = GateSettings(
        kind="topk", k=3, temperature=2.0, bias=True, dropout=0.25, importance_weight=0.1, load_weight=0.1, entropy_weight=0.0
    )
    expected = MixtureSettings(gate=settings, gate_columns=(2, 5), dropout=0.5, norm=True)
    assert mixture_settings(Inputs(9, (2, 5)), config) == expected


@pytest.mark.parametrize(
    ("changes", "weights"),
    [
        ({"gate": "softmax"}, (0.0, 0.0, 0.0)),
        ({"gate": "topk"}, (0.1, 0.1, 0.0)),
        ({"gate": "topk", "importance_weight": 0.0, "load_weight": 0.3}, (0.0, 0.3, 0.0)),
        ({"gate": "dselect_k", "entropy_weight": 0.2}, (0.0, 0.0, 0.2)),
        ({"gate": "softmax", "entropy_weight": 0.2, "importance_weight": 0.4}, (0.4, 0.0, 0.0)),
    ],
)
def test_only_gates_that_select_are_balanced_by_default(changes, weights):
    settings = gate_settings(ModelConfig(**changes))
    assert (settings.importance_weight, settings.load_weight, settings.entropy_weight) == weights
