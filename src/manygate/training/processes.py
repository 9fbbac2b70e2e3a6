"""Processes: a world of several processes that torchrun started, over ``torch.distributed``.

Nothing is pickled: processes exchange tensors, and JSON as bytes. ``torch.distributed``'s collectives of objects are not used.

Shape suffixes: M members, B rows of the global batch, b rows of a part, O outputs, N rows of a split, R replicas, T tasks,
n changed rows of a table, W processes.
"""

from __future__ import annotations

import hashlib
import json
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from manygate.errors import InputError
from manygate.model import MultiTaskModel
from manygate.model.device import choose_device
from manygate.model.logits import Sliced, rows_at_once
from manygate.training.table_rows import add_up_rows
from manygate.training.torchrun import attempt, local_rank, rank, under_torchrun
from manygate.training.world import ALONE, Checkpoint, World, length_of, part_of

BEGUN = "manygate has begun the run"
BACKENDS = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}
"""The backend of ``torch.distributed`` for each type of device. Only gloo is tested."""


class LostProcessError(InputError):
    """Another process of the run has ended, or cannot be reached."""


@contextmanager
def open_world(device: str) -> Iterator[World]:
    """Join the processes that torchrun started, and leave them at the end. Without torchrun the world has one process.

    Each process on a machine has a GPU of its own, if ``device`` names GPUs without a number.

    Args:
        device: The device of this process, by its name.

    Raises:
        LostProcessError: The other processes cannot be reached.
    """
    if not under_torchrun():
        yield ALONE
        return
    chosen = choose_device(device)
    if chosen.type == "cuda" and chosen.index is None:
        torch.cuda.set_device(local_rank())
    with exchange(), _ended_at_once():
        store, number, size = next(dist.rendezvous("env://"))  # type: ignore[attr-defined]
        # torchrun keeps its store through restarts, and the addresses of the processes before are still in it.
        fresh = dist.PrefixStore(f"attempt {attempt()} of {size}", store)  # type: ignore[attr-defined]
        dist.init_process_group(BACKENDS[chosen.type], store=fresh, rank=number, world_size=size)
    try:
        yield Processes(chosen, store)
    finally:
        dist.destroy_process_group()


@contextmanager
def _ended_at_once() -> Iterator[None]:
    """Let SIGTERM end the process inside a call that waits for others. A handler in Python would run only after it."""
    former = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


class Processes(World):
    """The processes of the default group of ``torch.distributed``. All of them call the same methods in the same order."""

    def __init__(self, device: torch.device, store: Any = None):
        """``store`` is that of torchrun, which stays when processes are started anew."""
        self.device, self.rank, self.size = device, dist.get_rank(), dist.get_world_size()
        self.device_type = device.type
        self.store = store

    @property
    def begun(self) -> bool:
        return self.store is not None and bool(self.store.check([BEGUN]))

    def begin(self) -> None:
        if self.store is not None:
            self.store.set(BEGUN, "")

    def gather(self, output_MbO: Tensor, rows: int) -> Tensor:
        gathered: Tensor = _Gathered.apply(output_MbO, self, rows)
        return gathered

    def add_up(self, value: Tensor) -> Tensor:
        total = value.contiguous()
        with exchange():
            dist.all_reduce(total)
        return total

    @torch.no_grad()
    def add_up_gradients(self, parameters: dict[str, Tensor]) -> None:
        trained = [parameter for parameter in parameters.values() if parameter.grad is not None]
        for parameter in trained:
            if parameter.grad is not None and parameter.grad.is_sparse:
                parameter.grad = self._all_rows(parameter.grad)
        add_up_rows(parameters)
        dense = [value.grad for value in trained if value.grad is not None and not value.grad.is_sparse]
        if dense:
            total = self.add_up(torch.cat([gradient.flatten() for gradient in dense]))
            for gradient, value in zip(dense, total.split([gradient.numel() for gradient in dense]), strict=True):
                gradient.copy_(value.view_as(gradient))

    def _all_rows(self, gradient: Tensor) -> Tensor:
        """Put the changed rows of all processes one after another. A row may occur once for each process."""
        index, value = gradient._indices(), gradient._values()
        count_W = self._counts(len(value))
        indices, values = self._joined(index.t(), count_W), self._joined(value, count_W)
        return torch.sparse_coo_tensor(indices.t(), values, gradient.shape, is_coalesced=False, check_invariants=False)

    def _counts(self, count: int) -> list[int]:
        """Return the number that each process has."""
        count_W = torch.zeros(self.size, dtype=torch.long, device=self.device)
        count_W[self.rank] = count
        counts: list[int] = self.add_up(count_W).tolist()
        return counts

    def _joined(self, value: Tensor, count_W: Sequence[int]) -> Tensor:
        """Put the tensors of all processes one after another. They differ in the length of the first axis alone."""
        longest = max(count_W)
        padded = F.pad(value, [0] * (2 * value.ndim - 1) + [longest - len(value)]).contiguous()
        found = [torch.empty_like(padded) for _ in range(self.size)]
        with exchange():
            dist.all_gather(found, padded)
        return torch.cat([part[:count] for part, count in zip(found, count_W, strict=True)])

    def share_of(self, penalty_M: Tensor, rows: int) -> Tensor:
        return penalty_M * (length_of(rows, self.rank, self.size) / rows)

    def largest(self, number: int) -> int:
        value = torch.tensor([number], device=self.device)
        with exchange():
            dist.all_reduce(value, op=dist.ReduceOp.MAX)
        return int(value)

    def same(self, text: str) -> bool:
        mine = np.frombuffer(hashlib.sha256(text.encode()).digest()[:8], dtype=np.int64)
        low, high = -self.largest(-int(mine[0])), self.largest(int(mine[0]))
        return low == high

    def checkpoint(self, found: Checkpoint | None) -> Checkpoint | None:
        tensors, state = found or ({}, {})
        shapes = [[name, str(value.dtype).removeprefix("torch."), list(value.shape)] for name, value in tensors.items()]
        known = self.text(json.dumps([found is not None, shapes, state]))
        has_checkpoint, shapes, state = json.loads(known)
        if not has_checkpoint:
            return None
        shared = {name: self._first(tensors.get(name), getattr(torch, dtype), shape) for name, dtype, shape in shapes}
        return shared, state

    def text(self, text: str) -> str:
        size = self.largest(len(text.encode()) if self.leads else 0)
        mine = torch.tensor(list(text.encode()), dtype=torch.uint8) if self.leads else None
        return bytes(self._first(mine, torch.uint8, [size]).tolist()).decode()

    def _first(self, value: Tensor | None, dtype: torch.dtype, shape: Sequence[int]) -> Tensor:
        """Return the tensor of the first process, on the CPU."""
        mine = torch.empty(list(shape), dtype=dtype) if value is None else value.cpu().contiguous()
        as_bytes = mine.view(-1).view(torch.uint8).to(self.device)
        if as_bytes.numel():
            with exchange():
                dist.broadcast(as_bytes, src=0)
        return as_bytes.cpu().view(dtype).view(list(shape))

    def to_first(self, value: Tensor, source: int) -> None:
        with exchange():
            if self.leads:
                dist.recv(value, src=source)
            else:
                dist.send(value.contiguous(), dst=0)

    def predict(self, model: MultiTaskModel, split: Sliced) -> np.ndarray:
        counts: list[int] = []
        mine: list[Tensor] = []
        for number, batch in enumerate(split.slices(rows_at_once(model))):
            counts.append(len(batch))
            if number % self.size == self.rank:
                mine.append(model.logits(batch).float().transpose(0, 1))
        if model.distant is not None and 0 < len(counts) % self.size <= self.rank:
            model.logits(batch.part(slice(0, 1)))  # all processes read tables together, also those without a last slice
        count_W = [sum(counts[rank :: self.size]) for rank in range(self.size)]
        tasks = len(model.problem.tasks)
        own_nRT = torch.cat(mine) if mine else torch.empty(0, model.replicas, tasks, device=self.device)
        by_process = self._joined(own_nRT, count_W).split(count_W)
        pieces = [part.split(counts[rank :: self.size]) for rank, part in enumerate(by_process)]
        in_order = [pieces[number % self.size][number // self.size] for number in range(len(counts))]
        return torch.cat(in_order).transpose(0, 1).contiguous().cpu().numpy()


class _Gathered(torch.autograd.Function):
    """Gathers the outputs of all parts of a batch. The gradient of a part is that of its rows."""

    @staticmethod
    def forward(ctx: Any, output_MbO: Tensor, world: Processes, rows: int) -> Tensor:
        ctx.shape, ctx.part = output_MbO.shape, part_of(rows, world.rank, world.size)
        count_W = [length_of(rows, rank, world.size) for rank in range(world.size)]
        mine = output_MbO[:, : count_W[world.rank]].transpose(0, 1)
        return world._joined(mine, count_W).transpose(0, 1).contiguous()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None, None]:
        mine = gradients[0][:, ctx.part]
        return F.pad(mine, (0, 0, 0, ctx.shape[1] - mine.shape[1])).contiguous(), None, None


@contextmanager
def exchange() -> Iterator[None]:
    """Turn an error of an exchange into one that says what happened and how the run goes on."""
    try:
        yield
    except (RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise LostProcessError(
            f"process {rank()} on {socket.gethostname()}: another process of this run ended, or cannot be reached. Its own "
            "message says why. torchrun starts all of them again with --max-restarts, and training goes on from the last "
            f"checkpoint. (torch.distributed says: {reason})"
        ) from None
