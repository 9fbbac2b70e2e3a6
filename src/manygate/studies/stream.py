"""This module draws an unlimited stream of new rows of synthetic tasks, with vectors, inputs, noise and correlation by replica.

A run has a seed, a correlation and a learning rate. All runs with the same seed share their inputs, noise, directions and sines. So
their differences come only from the correlation, the learning rate or the network (common random numbers).

Shape suffixes: R runs, S seeds, P correlations, L learning rates with R = S P L, N rows, B batch, D inputs, K tasks, M sines.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from manygate.data.batches import Batch
from manygate.data.rows import Input
from manygate.datasets.synthetic import Tasks
from manygate.model.problem import Problem
from manygate.randomness import SYNTHETIC, stream_seed
from manygate.schema import Task

VECTORS, TRAINING, HELD_OUT, SINES = 0, 1, 2, 4
"""Purposes of a seed's streams; 3 is that of figure 2 in :mod:`manygate.studies.mmoe_synthetic`."""
STEPS_AT_ONCE = 25


class Stream:
    """New training rows for S x P x L runs: seeds outermost, learning rates innermost.

    It is a :class:`manygate.data.batches.Source`. A row's number is its position in a run's unlimited stream, so that a stopped run
    continues with the same rows as without the stop. With ``sines``, each seed draws as many frequencies and phases from N(0, 1);
    otherwise they are those of ``tasks``.

    >>> stream = Stream(Tasks(inputs=4), seeds=[0, 1], correlations=[0.5, 1.0], rates=3, batch=8, steps=10)
    >>> batch = next(stream.batches(0, 0, size=8))
    >>> batch.number_BM.shape, batch.label_BT.shape
    (torch.Size([12, 8, 4]), torch.Size([12, 8, 2]))
    """

    def __init__(
        self,
        tasks: Tasks,
        seeds: Sequence[int],
        correlations: Sequence[float],
        rates: int = 1,
        batch: int = 64,
        steps: int = 100,
        device: torch.device | str = "cpu",
        sines: int = 0,
    ):
        self.tasks, self.seeds, self.rates, self.batch, self.steps = tasks, tuple(seeds), rates, batch, steps
        self.device = torch.device(device)
        self.correlations = tuple(correlations)
        sources = [replace(tasks, correlation=p) for p in correlations]
        vectors = [
            [source.vectors(np.random.default_rng(stream_seed(SYNTHETIC, seed, VECTORS))) for source in sources] for seed in seeds
        ]
        self.w_SPKD = torch.tensor(np.array(vectors), dtype=torch.float32)
        shapes_S2M = [draw_sines(sines, seed) if sines else np.array([tasks.alpha, tasks.beta]) for seed in seeds]
        self.alpha_SM, self.beta_SM = torch.tensor(np.array(shapes_S2M), dtype=torch.float32).unbind(1)
        self._at, self._block = -1, (torch.empty(0), torch.empty(0))
        self._memory = torch.empty(0)

    def __len__(self) -> int:
        return self.batch * self.steps

    @property
    def problem(self) -> Problem:
        """The inputs that the networks read, and their regression tasks."""
        inputs = [Input(f"x{d + 1}", "dense", bias=False, units=1) for d in range(self.tasks.inputs)]
        return Problem.unscaled(inputs, [Task(name=f"y{k + 1}", kind="regression") for k in range(self.tasks.tasks)])

    def batches(self, seed: int, epoch: int, size: int, first: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch in the order in which their rows are drawn. The seed of the order has no influence."""
        for start in range(first * size, len(self), size):
            yield self.take(torch.arange(epoch * len(self) + start, epoch * len(self) + min(start + size, len(self))))

    def resampled(self, seeds: Sequence[int], bootstrap: bool) -> Stream:
        """Return the stream as it is: every run has rows of its own."""
        return self

    def id_counts(self, sparse: Sequence[Input], bags: Sequence[Input]) -> list[Tensor]:
        """Return no counts: the rows have no ids."""
        return []

    def take(self, row_B: Tensor) -> Batch:
        """Return the batch of the given rows; its memory is overwritten when the next block of rows is drawn."""
        block, start = divmod(int(row_B[0]), self.batch * STEPS_AT_ONCE)
        if block != self._at:
            rows = self.batch * STEPS_AT_ONCE
            if not len(self._memory):
                self._memory = self._room(rows)
            self._at, self._block = block, self.draw(rows, TRAINING, block, self._memory)
        x_SND, y_RNK = self._block
        return self._as_batch(x_SND[:, start : start + len(row_B)], y_RNK[:, start : start + len(row_B)])

    def _room(self, rows: int) -> Tensor:
        """Allocate memory for the inputs of ``rows`` rows, followed by their noise."""
        return torch.empty(len(self.seeds), rows * (self.tasks.inputs + self.tasks.tasks))

    def draw(self, rows: int, purpose: int, part: int = 0, memory: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Draw inputs x_SND and labels y_RNK; the inputs are stored in ``memory`` if it is given."""
        drawn_SX = self._room(rows) if memory is None else memory
        seeds, tasks, threads = self.seeds, self.tasks.tasks, torch.get_num_threads()

        def some(first: int) -> None:
            for s in range(first, len(seeds), threads):
                generator = torch.Generator().manual_seed(stream_seed(SYNTHETIC, seeds[s], purpose, part))
                torch.randn(drawn_SX.shape[1], generator=generator, out=drawn_SX[s])

        with ThreadPoolExecutor(threads) as pool:  # a generator draws on one core
            list(pool.map(some, range(threads)))
        x_SND, noise_SNK = (
            part_SX.unflatten(1, (rows, -1)) for part_SX in drawn_SX.split([rows * self.tasks.inputs, rows * tasks], dim=1)
        )
        z_SNn = x_SND @ self.w_SPKD.flatten(1, 2).mT
        z_SPNK = z_SNn.unflatten(-1, (len(self.correlations), tasks)).transpose(1, 2)
        y_SPNK = z_SPNK + math.sqrt(self.tasks.noise_var) * noise_SNK.unsqueeze(1)
        for alpha_S, beta_S in zip(self.alpha_SM.T, self.beta_SM.T, strict=True):
            y_SPNK = y_SPNK + torch.sin(alpha_S.view(-1, 1, 1, 1) * z_SPNK + beta_S.view(-1, 1, 1, 1))
        return x_SND, y_SPNK.flatten(0, 1).repeat_interleave(self.rates, dim=0)

    def _as_batch(self, x_SBD: Tensor, y_RBK: Tensor) -> Batch:
        times, x_RBD = len(self.correlations) * self.rates, x_SBD.to(self.device)
        x_RBD = x_RBD if times == 1 else x_RBD.repeat_interleave(times, dim=0)
        no_ids = torch.empty(*x_RBD.shape[:2], 0, dtype=torch.int32, device=self.device)
        y_RBK = y_RBK.to(self.device)
        return Batch(no_ids, x_RBD, [], y_RBK, torch.ones_like(y_RBK))


def draw_sines(sines: int, seed: int) -> np.ndarray:
    """Draw the frequencies and the phases of a seed's sines from N(0, 1); (2, M)."""
    return np.random.default_rng(stream_seed(SYNTHETIC, seed, SINES)).standard_normal((2, sines))


class HeldOut:
    """Rows of the same runs that training does not use; ``part`` is 0 for validation and 1 for test."""

    def __init__(self, stream: Stream, rows: int, part: int):
        self.stream, self.rows, self.part = stream, rows, part
        self.x_SND, self.y_RNK = stream.draw(rows, HELD_OUT, part)

    def __len__(self) -> int:
        return self.rows

    def slices(self, size: int) -> Iterator[Batch]:
        """Yield all rows, ``size`` at a time."""
        for start in range(0, self.rows, size):
            stop = start + size
            yield self.stream._as_batch(self.x_SND[:, start:stop], self.y_RNK[:, start:stop])

    def squared_error(self, prediction_RNK: np.ndarray) -> np.ndarray:
        """Compute the mean squared error of every run and task, (R, K)."""
        difference = prediction_RNK.astype(np.float64) - self.y_RNK.numpy()
        return np.asarray((difference**2).mean(axis=1))
