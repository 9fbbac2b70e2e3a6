"""Tests of the device of a run: the choice of auto, and the errors of unknown names."""

from __future__ import annotations

import pytest
import torch

from manygate.errors import InputError
from manygate.model.device import choose_device


@pytest.mark.parametrize(("available", "kind"), [(True, "cuda"), (False, "cpu")])
def test_auto_is_the_gpu_where_there_is_one(monkeypatch, available: bool, kind: str):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert choose_device("auto") == torch.device(kind)


def test_names_of_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("cuda") == torch.device("cuda")
    assert choose_device("cuda:1") == torch.device("cuda", 1)


@pytest.mark.parametrize(
    ("name", "gpus", "problem"),
    [
        ("gpu", 0, r"device 'gpu' is unknown\. Choose auto, cpu, cuda or cuda:N\."),
        ("meta", 0, r"device 'meta' is not supported\. Choose auto, cpu, cuda or cuda:N\."),
        ("cuda", 0, r"device 'cuda': this machine has no usable GPU\. Choose cpu or auto\."),
        ("cuda:1", 1, r"device 'cuda:1': this machine has 1 usable GPU\. Choose cpu or auto\."),
        ("cuda:2", 2, r"device 'cuda:2': this machine has 2 usable GPUs\. Choose cpu or auto\."),
    ],
)
def test_a_device_that_cannot_be_used_is_named(monkeypatch, name: str, gpus: int, problem: str):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(InputError, match=problem):
        choose_device(name)
