"""Start: the weights of a trained model, from which another training begins."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b

import torch

from manygate.model.replicas import MultiTaskModel, member_axis


@dataclass(frozen=True)
class Start:
    """The weights of all replicas of a model."""

    model: MultiTaskModel

    @cached_property
    def digest(self) -> str:
        """Identify the weights."""
        digest = blake2b(digest_size=16)
        for name, value in self.model.parameters.items():
            digest.update(f"{name} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().numpy().data)
        return digest.hexdigest()

    @torch.no_grad()
    def copy_to(self, model: MultiTaskModel, first: int) -> None:
        """Copy the weights of the replicas from ``first`` on into a model of as many replicas as it has."""
        members = len(self.model.members) // self.model.replicas
        for name, value in model.parameters.items():
            axis = member_axis(name)
            value.copy_(self.model.parameters[name].narrow(axis, first * members, value.shape[axis]))
