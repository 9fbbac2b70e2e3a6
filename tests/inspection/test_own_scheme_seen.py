"""A scheme made of plain PyTorch layers is seen as far as it can be."""

from __future__ import annotations

import torch
from torch import nn

import manygate as mg


class PlainMixture(mg.Architecture):
    """Experts of nn.Linear and nn.ReLU, with a softmax gate for each task: none of Manygate's own layers."""

    def __init__(self, inputs: int, tasks: int, experts: int, width: int):
        super().__init__()
        self.tasks, self.experts, self.output_width = tasks, experts, width
        self.body, self.active = nn.Linear(inputs, experts * width), nn.ReLU()
        self.choice = nn.Linear(inputs, tasks * experts)

    @classmethod
    def build(cls, inputs, tasks, config):
        return cls(inputs.width, tasks, config.experts, config.expert_hidden[-1])

    def _weights(self, x_BD):
        return self.choice(x_BD).unflatten(-1, (self.tasks, self.experts)).softmax(dim=-1)

    def forward(self, x_BD):
        expert_BEH = self.active(self.body(x_BD)).unflatten(-1, (self.experts, self.output_width))
        return self._weights(x_BD) @ expert_BEH

    def gates(self, x_BD):
        return (self._weights(x_BD),)

    def shared_parameters(self):
        return list(self.parameters())


def test_a_scheme_of_plain_layers_is_inspected(log_table, log_schema):
    settings = {"architecture": PlainMixture, "experts": 4, "expert_hidden": 6, "epochs": 2, "threads": 1, "device": "cpu"}
    ranker = mg.Ranker(**settings).fit(log_table(), schema=log_schema(), progress="none")
    document = mg.inspect(ranker, log_table()).document
    (level,) = document.gates
    assert [use.sees for use in level.tasks] == [[0, 1, 2, 3]] * 3
    assert [entry.gates for entry in document.history] == [entry.gates for entry in ranker.history_]
    parts = {layer.part: layer.networks for layer in document.dead.layers}
    assert set(parts) == {"active", "towers"}
    assert parts["active"][0].units == 4 * 6
    assert {one.layer for one in document.conflict} == {"input", "embeddings", "body"}
    assert document.affinity, "no gate is shared: two tasks have nothing in common there"
    assert document.importance[0].task == "click"
    assert document.experts == [], "what its experts are cannot be known"


def test_a_broken_unit_of_a_plain_scheme_is_found(log_table, log_schema):
    settings = {"architecture": PlainMixture, "experts": 4, "expert_hidden": 6, "epochs": 1, "threads": 1, "device": "cpu"}
    ranker = mg.Ranker(**settings).fit(log_table(), schema=log_schema(), progress="none")
    with torch.no_grad():
        ranker.model.parameters["trunk.architecture.body.bias"][0, :22] = -1e4
    kinds = {alarm.kind for alarm in mg.inspect(ranker, log_table(), only=["dead"]).alarms}
    assert "dead_units" in kinds
