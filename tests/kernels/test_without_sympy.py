"""What is done without sympy equals the call that it replaces, and models are built and trained without it."""

from __future__ import annotations

import subprocess
import sys

import torch

from manygate.kernels.without_sympy import beside, gradients, stacked


def test_beside_is_cat() -> None:
    matrices = [torch.randn(3, width) for width in (2, 0, 5)]
    assert torch.equal(beside(matrices), torch.cat(matrices, dim=1))


def test_stacked_is_stack() -> None:
    matrices = [torch.randn(3, 2) for _ in range(4)]
    assert torch.equal(stacked(matrices), torch.stack(matrices))


def test_gradients_are_autograds() -> None:
    x, w, unused = (torch.randn(4, 3, requires_grad=True) for _ in range(3))
    outputs = [x * w, (x @ w.t()).relu()]
    upstream = [torch.randn_like(output) for output in outputs]
    expected = torch.autograd.grad(outputs, [x, w, unused], upstream, allow_unused=True, retain_graph=True)
    found = gradients(outputs, [x, w, unused], upstream)
    assert found[2] is expected[2] is None
    assert all(torch.equal(a, b) for a, b in zip(found[:2], expected[:2], strict=True))


def test_building_every_scheme_on_meta_and_recording_load_no_sympy() -> None:
    """In a process of its own, since other tests may have loaded it."""
    code = """
import sys, torch
from manygate.architecture import Inputs, find_architecture
from manygate.config import ModelConfig
from manygate.config.names import ARCHITECTURES
from manygate.kernels.recording import record
with torch.device("meta"):
    for name in set(ARCHITECTURES) - {"tensor_factorization"}:  # which draws normal numbers
        find_architecture(name).build(Inputs(5), 2, ModelConfig(experts=4, expert_hidden=(4,), levels=2, bottom_hidden=(4, 4)))
        assert "sympy" not in sys.modules, name
w = torch.ones(2, 3, requires_grad=True)
assert record(lambda given: ((given["x"] @ given["w"]).relu(),), {"x": torch.ones(4, 2), "w": w}) is not None
assert "sympy" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
