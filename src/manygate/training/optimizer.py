"""Optimizers over stacked replicas, learning-rate schedules, and gradient clipping for each replica.

All operations are elementwise or on the gradient of one replica. So replicas do not influence each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from manygate.config import TrainConfig
from manygate.model.replicas import member_axis
from manygate.training.table_optimizers import LazyAdam, RowwiseAdagrad
from manygate.training.table_rows import TableRows

KINDS: dict[str, Callable[[list[dict[str, Any]], float], torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adagrad": torch.optim.Adagrad,
    "adam": partial(torch.optim.Adam, fused=True),
    "adamw": partial(torch.optim.AdamW, fused=True, weight_decay=0.0),
    "lazy_adam": LazyAdam,
    "rowwise_adagrad": RowwiseAdagrad,
}
"""The optimizers by name. Each takes groups of parameters and a learning rate."""


class Optimizer:
    """The optimizer of a run. Tables with sparse gradients get the lazy variant, which updates only the rows of a batch.

    With ``table_optimizer`` the tables have an optimizer of their own, whether their gradients are sparse or dense.

    Weight decay does not apply to the parameters in ``undecayed`` (see :mod:`manygate.layers.decay`) and to embedding tables. In
    tables it would pull the rows of rare ids to zero. With sparse gradients it would also take a pass over the whole table.
    """

    def __init__(
        self,
        parameters: dict[str, Tensor],
        config: TrainConfig,
        sparse: bool,
        rates: dict[str, float] | None = None,
        members: Sequence[float] = (),
        undecayed: Collection[str] = (),
        vectors: Mapping[str, int] | None = None,
    ):
        """``rates`` holds factors of the learning rate by parameter, and ``members`` a factor for each member.

        ``vectors`` is the number of vectors in a row of a table. Without an entry it is 1.
        """
        self.config, self.parameters, self.vectors = config, parameters, vectors or {}
        self.largest = max(members, default=1.0)
        device = next(iter(parameters.values())).device
        alike = all(factor == self.largest for factor in members)
        self.share_M = None if alike else torch.tensor([factor / self.largest for factor in members], device=device)
        decay = config.decay
        tables = [name for name in parameters if member_axis(name) == 1]
        table_rate = (config.table_learning_rate or config.learning_rate) / config.learning_rate
        self.rates = dict.fromkeys(tables, table_rate) | (rates or {})
        plain = [name for name in parameters if name not in tables and name in undecayed]
        decayed = [name for name in parameters if name not in tables and name not in plain]
        self.names: list[list[str]] = []
        self.parts: list[torch.optim.Optimizer] = []
        own = config.table_optimizer != "same"
        if tables and (sparse or own):
            lazy = "lazy_adam" if config.optimizer in ("adam", "adamw") else config.optimizer
            self._add([(tables, 0.0)], config.table_optimizer if own else lazy)
        else:
            plain = tables + plain
        self._add([(plain, 0.0), (decayed, decay)] if decay else [(plain + decayed, 0.0)], config.optimizer)

    def _add(self, groups: list[tuple[list[str], float]], kind: str) -> None:
        values: list[dict[str, Any]] = []
        chosen: list[str] = []
        for names, decay in groups:
            for own in dict.fromkeys(self._own_settings(name, decay, kind) for name in names):
                alike = [name for name in names if self._own_settings(name, decay, kind) == own]
                chosen += alike
                values.append({"params": [self.parameters[name] for name in alike], **dict(own)})
        self.names.append(chosen)
        self.parts.append(KINDS[kind](values, self.config.learning_rate))

    def _own_settings(self, name: str, decay: float, kind: str) -> tuple[tuple[str, Any], ...]:
        """Return the settings of a parameter's group."""
        own: dict[str, Any] = {"rate_scale": self.rates.get(name, 1.0)}
        own |= {"weight_decay": decay} if decay else {}
        own |= {"vectors": self.vectors.get(name, 1)} if kind == "rowwise_adagrad" else {}
        return tuple(own.items())

    def step(self, rate: float) -> None:
        """Update the parameters with their gradients, and then drop the gradients."""
        before = {} if self.share_M is None else {name: self._kept(value) for name, value in self.parameters.items()}
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = rate * self.largest * group["rate_scale"]
            with torch.sparse.check_sparse_tensor_invariants(False):  # torch's sparse optimizers warn otherwise
                part.step()
        for name, value in self.parameters.items():
            if name in before:
                self._shorten(name, value, before[name])
            value.grad = None

    def _kept(self, value: Tensor) -> Tensor:
        """Copy what the update will change: the rows of a sparse gradient, or everything."""
        return TableRows(value.grad).read(value) if value.grad is not None and value.grad.is_sparse else value.detach().clone()

    @torch.no_grad()
    def _shorten(self, name: str, after: Tensor, before: Tensor) -> None:
        """Shorten each member's update by its factor. Updates are proportional to the learning rate, and no state depends on it."""
        assert self.share_M is not None
        if after.grad is not None and after.grad.is_sparse:
            rows = TableRows(after.grad)
            rows.write(after, torch.lerp(before, rows.read(after), rows.by_member(self.share_M)))
            return
        shape = [1] * after.ndim
        shape[member_axis(name)] = -1
        torch.lerp(before, after, self.share_M.view(shape), out=after)

    @torch.no_grad()
    def reset_members(self, members: Sequence[int]) -> None:
        """Set the state of some members to zero."""
        for part, names in zip(self.parts, self.names, strict=True):
            for name in names:
                for slot in part.state[self.parameters[name]].values():
                    axis = member_axis(name)
                    if isinstance(slot, Tensor) and slot.shape[: axis + 1] == self.parameters[name].shape[: axis + 1]:
                        slot.index_fill_(axis, torch.tensor(members, device=slot.device), 0.0)

    def tensors(self) -> dict[str, Tensor]:
        """Return the optimizer's state as named tensors, for a checkpoint."""
        return {
            f"{name}|{slot}": value
            for part, names in zip(self.parts, self.names, strict=True)
            for index, slots in part.state_dict()["state"].items()
            for name, (slot, value) in ((names[index], item) for item in slots.items())
            if isinstance(value, Tensor)
        } | {
            f"{name}|{slot}": torch.tensor(float(value))
            for part, names in zip(self.parts, self.names, strict=True)
            for index, slots in part.state_dict()["state"].items()
            for name, (slot, value) in ((names[index], item) for item in slots.items())
            if isinstance(value, int | float)
        }

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Restore the state from tensors that :meth:`tensors` returned."""
        for part, names in zip(self.parts, self.names, strict=True):
            state: dict[int, dict[str, Any]] = {}
            for key, value in tensors.items():
                name, _, slot = key.rpartition("|")
                if name in names:
                    whole = slot == "step" and isinstance(part, LazyAdam)
                    state.setdefault(names.index(name), {})[slot] = int(value) if whole else value.clone()
            part.load_state_dict({"state": state, "param_groups": part.state_dict()["param_groups"]})


def learning_rate(config: TrainConfig, step: int, total: int) -> float:
    """Return the learning rate of step ``step`` (from 0) of ``total``.

    It rises linearly in the warm-up. After that it is constant, or falls to zero linearly or by a cosine.

    >>> config = TrainConfig(learning_rate=1.0, schedule="linear", warmup=0.5)
    >>> [learning_rate(config, step, 4) for step in range(4)]
    [0.5, 1.0, 1.0, 0.5]
    """
    warm = int(config.warmup * total)
    if step < warm:
        return config.learning_rate * (step + 1) / warm
    done = (step - warm) / max(total - warm, 1)
    factor = {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}[config.schedule]
    return config.learning_rate * factor


@torch.no_grad()
def clip_gradients(parameters: dict[str, Tensor], norm: float) -> None:
    """Scale each member's gradient down to the length ``norm`` if it is longer (Pascanu et al., ICML 2013).

    Sparse gradients come from :func:`manygate.training.table_rows.add_up_rows`.
    """
    squares, gradients, pairs = [], [], []
    for name, parameter in parameters.items():
        if parameter.grad is None:
            continue
        if parameter.grad.is_sparse and parameter.grad.sparse_dim() == 2:  # each replica's own rows
            pairs.append(parameter.grad)
            square_n = parameter.grad.values().square().sum(dim=-1)
            member_n = parameter.grad.indices()[1]
            squares.append(square_n.new_zeros(parameter.shape[1]).index_add(0, member_n, square_n))
            continue
        gradient = parameter.grad.values() if parameter.grad.is_sparse else parameter.grad
        axis = member_axis(name)
        by_member = gradient.reshape(-1, *parameter.shape[1:]) if axis == 1 else gradient
        gradients.append((by_member, axis))
        squares.append(by_member.square().sum(dim=[d for d in range(by_member.ndim) if d != axis]))
    norm_M = torch.stack(squares).sum(dim=0).sqrt()
    factor_M = (norm / norm_M).clamp(max=1.0)
    for gradient, axis in gradients:
        shape = [1] * gradient.ndim
        shape[axis] = -1
        gradient.mul_(factor_M.view(shape))
    for pair in pairs:
        pair.values().mul_(factor_M.index_select(0, pair.indices()[1]).unsqueeze(-1))
