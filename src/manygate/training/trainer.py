"""The only training loop, over replicas.

Shape suffixes: M members (see :mod:`manygate.model.replicas`), B batch, T tasks of a member.

A run is a function of its configuration and data alone: the order of batches, dropout and initialisation come from streams named by
seed, epoch and step, so a run that was killed and resumed ends with the same bytes as one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from manygate.data.batches import Batch, Resampled, Source, Split
from manygate.errors import InputError, setting
from manygate.evaluation.monitor import Watch
from manygate.kernels.recording import Recorder
from manygate.model import MultiTaskModel
from manygate.model.logits import predict
from manygate.model.member import mean_gates
from manygate.model.replicas import member_axis
from manygate.objective.funnel import FunnelLosses
from manygate.objective.loss import Losses
from manygate.objective.weighting import StepContext, WeightingSetup, build_weighting, shared_gramian
from manygate.text import count_of
from manygate.training.callback import EpochEnd, OnEpoch
from manygate.training.checkpoint import load_checkpoint, save_checkpoint
from manygate.training.interrupt import Interrupt, Interrupted
from manygate.training.memory import keep_freed_memory
from manygate.training.optimizer import Optimizer, clip_gradients, learning_rate
from manygate.training.progress import Progress
from manygate.training.state import State, check_fingerprint, plain, write_history

GATE_ROWS = 512
"""Validation rows over which each epoch's mean gate weights are noted, of the first replica alone: under 1 % of an epoch."""


class DivergedError(InputError):
    """The loss became NaN or infinite; the message names task, replica, step and batch."""


class Trainer:
    """Trains a model's replicas on a split, watching another.

    ``fit`` leaves each member's best weights in the model. With a ``folder`` it writes ``metrics.jsonl`` (a line an epoch) and
    ``checkpoints/``, and continues from them.

    A replica that diverges when others do not is frozen: it keeps its best weights, is counted in ``state.diverged``, and the
    others train on, to the bit as if it had not. Where it has no best weights yet, the run ends with :class:`DivergedError`,
    unless ``count_losses`` is true; it then keeps its initial weights.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        train: Source,
        monitor: Watch,
        folder: Path | None = None,
        progress: Progress | None = None,
        fingerprint: str = "",
        title: str = "",
        count_losses: bool = False,
        first_replica: int = 0,
        whole: bool = True,
        on_epoch: OnEpoch | None = None,
    ):
        """``first_replica`` is the number of its first replica in the run, ``whole`` whether there are no others."""
        config = model.config
        self.model, self.tasks, self.monitor, self.config = model, model.problem.tasks, monitor, config
        self.train = self._rows(train)
        self.folder, self.progress, self.fingerprint = folder, progress or Progress(), fingerprint
        self.title, self.count_losses = title or config.title, count_losses
        self.first_replica, self.whole, self.on_epoch = first_replica, whole, on_epoch
        rates = config.replica_rates or (1.0,)
        members = [rates[member.replica % len(rates)] for member in model.members]
        self.state = State(len(model.members))
        self.best = {name: value.detach().clone() for name, value in model.parameters.items()}
        self.batches = math.ceil(len(train) / config.batch_size)
        self.total = min(config.epochs * self.batches, config.max_steps or config.epochs * self.batches)
        self._prepare_targets()
        trained = {**model.parameters, **self.weighting.parameters}
        undecayed = model.undecayed | self.weighting.parameters.keys()
        self.optimizer = Optimizer(trained, config, model.sparse, model.learning_rates, members, undecayed)
        self.recorder = Recorder(self._pass, list(model.trunk_values()))
        self.records = model.device.type == "cpu"

    def _rows(self, train: Source) -> Source:
        """What the replicas see: all the same rows in the same order, or each its own."""
        mode = self.config.replica_data
        if mode == "shared" or not isinstance(train, Split):
            return train
        seeds = {member.replica: member.seed for member in self.model.members}
        return Resampled(train, list(seeds.values()), bootstrap=mode == "bootstrap")

    def _prepare_targets(self) -> None:
        device = self.model.device
        weight = torch.tensor([task.weight for task in self.tasks], dtype=torch.float32)
        chosen = torch.tensor([member.tasks for member in self.model.members])
        self.task_MT = chosen.to(device)
        self.replica_M = torch.tensor([member.replica for member in self.model.members], device=device)
        if chosen.shape[1] == 1:  # a model of one task has no other to be weighed against
            weight = torch.ones_like(weight)
        rows = self.config.replica_weights or ((1.0,) * len(self.tasks),)
        factor_MT = torch.tensor([[rows[m.replica % len(rows)][t] for t in m.tasks] for m in self.model.members])
        self.losses = FunnelLosses(Losses(self.tasks, self.task_MT, self.model.ordinals), self.model.targets, self.config)
        decay = torch.tensor([task.decay for task in self.tasks], dtype=torch.float32)
        binary = torch.tensor([task.kind == "binary" or task.trained_by == "ordinal" for task in self.tasks])
        weight_MT, decay_MT, binary_MT = (value.to(device) for value in (weight[chosen] * factor_MT, decay[chosen], binary[chosen]))
        keys = [(member.seed, *member.tasks) for member in self.model.members]
        self.weighting = build_weighting(WeightingSetup(weight_MT, decay_MT, binary_MT, keys, self.config))
        self.loss_sum_MT = torch.zeros(chosen.shape, dtype=torch.float64, device=device)
        self.loss_count_MT, self.weight_sum_MT = torch.zeros_like(self.loss_sum_MT), torch.zeros_like(self.loss_sum_MT)

    def fit(self) -> State:
        """Train to the end; returns the final state. Raises :class:`Interrupted` and :class:`DivergedError`."""
        keep_freed_memory()
        self._resume()
        with Interrupt() as interrupt:
            while not self.state.reason:
                self._epoch(interrupt)
                self._close_epoch()
                if interrupt.number is not None:
                    raise Interrupted(interrupt.number, self._how_to_resume())
        with torch.no_grad():
            for name, value in self.model.parameters.items():
                value.copy_(self.best[name])
        self.progress.say(f"{self.title}: {self.state.reason}; {self.config.keep} weights kept ({self._best_epochs()})")
        return self.state

    def _epoch(self, interrupt: Interrupt) -> None:
        state, size = self.state, self.config.batch_size
        order = self.train.order(self.config.shuffle_seed, state.epoch)
        title = f"{self.title} epoch {state.epoch + 1}/{self.config.epochs}"
        self.progress.start(title, len(self.train) * self.model.replicas, state.batch * size * self.model.replicas)
        began = saved = time.monotonic()
        while state.batch < self.batches and state.step < self.total:
            batch = self.train.take(order[state.batch * size : (state.batch + 1) * size])
            self._step(batch)
            state.batch, state.step = state.batch + 1, state.step + 1
            self.progress.advance(len(batch) * self.model.replicas)
            now = time.monotonic()
            due = self.config.checkpoint_seconds and now - saved > self.config.checkpoint_seconds
            if interrupt.number is not None or due:
                state.seconds, began, saved = state.seconds + now - began, now, now
                self._checkpoint()
                if interrupt.number is not None:
                    self.progress.finish()
                    raise Interrupted(interrupt.number, self._how_to_resume())
        state.seconds += time.monotonic() - began
        self.progress.finish()

    def _step(self, batch: Batch) -> None:
        model, config = self.model, self.config
        drawn = model.draw(len(batch), self.state.step)
        batch = model.hide_bias(batch, self.state.step)
        reads = self.weighting.needs_gradients_at(self.state.step)
        loss_MT, present_MT, penalty_M, gramian_MTT = self._losses(batch, drawn, reads)
        counts_MT = present_MT & (self.weighting.setup.weight_MT > 0)
        seen = StepContext(self.state.step, self.state.epoch, counts_MT, self._active(), gramian_MTT)
        objective_M = self.weighting.objective(loss_MT, seen) + penalty_M
        objective = self._objective(objective_M)
        lost: list[int] = []
        if not torch.isfinite(objective):
            lost = self._lose(objective_M, loss_MT)
            objective = self._objective(objective_M)
        objective.backward()
        if config.clip_norm is not None:
            clip_gradients(model.parameters, config.clip_norm)
        self.optimizer.step(learning_rate(config, self.state.step, self.total))
        self._freeze(lost)
        if self.weighting.needs_losses_after_update:
            with torch.no_grad():
                self.weighting.after_update(self._losses(batch, drawn)[0], seen)
        self.loss_sum_MT += loss_MT.detach() * present_MT
        self.weight_sum_MT += self.weighting.weight_MT * present_MT
        self.loss_count_MT += present_MT

    def _losses(self, batch: Batch, drawn: dict[str, Tensor], reads: bool = False) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """loss_MT, which of the tasks have rows in the batch, penalty_M, and gramian_MTT where a weighting reads it."""
        x_MBD, bias_MBC = self.model.embed(batch)
        label_MBT, weight_MBT, group_MB = self._targets(batch)
        values = self.model.trunk_values(drawn) | {"x": x_MBD, "bias": bias_MBC, "label": label_MBT, "weight": weight_MBT}
        if group_MB is not None:
            values["group"] = group_MB
        call = self.recorder if self.records else self._pass
        loss_MT, present_MT, penalty_M, *found = call(values, tuple(self._left_out()), reads)
        return loss_MT, present_MT, penalty_M, found[0] if found else None

    def _pass(self, values: dict[str, Tensor], left_out: tuple[bool, ...], reads: bool) -> tuple[Tensor, ...]:
        """The trunk, the losses and what a weighting reads of their gradients: a function of its arguments alone."""
        state = dict(values)
        x_MBD, bias_MBC, label_MBT, weight_MBT = (state.pop(name) for name in ("x", "bias", "label", "weight"))
        group_MB = state.pop("group", None)
        with torch.autocast(self.model.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            output_MBO, penalty_M, *found = self.model.run(state, x_MBD, bias_MBC, True, stopped=left_out, shared=reads)
        loss_MT, present_MT = self.losses(output_MBO, label_MBT, weight_MBT, group_MB)
        gramians = (self._gramian(loss_MT, shared, left_out) for shared in found)
        return loss_MT, present_MT, penalty_M, *gramians

    def _gramian(self, loss_MT: Tensor, shared: Tensor, left_out: tuple[bool, ...]) -> Tensor:
        """gramian_MTT; zeros of members that are left out."""
        units = self.model.trunk.shared_units()
        if len(shared) == len(loss_MT) or not any(left_out) or all(left_out):
            return shared_gramian(loss_MT, shared, units)
        going = torch.tensor([m for m, out in enumerate(left_out) if not out], device=loss_MT.device)
        found_mTT = shared_gramian(loss_MT.index_select(0, going), shared, units)
        return found_mTT.new_zeros(len(loss_MT), *found_mTT.shape[1:]).index_copy(0, going, found_mTT)

    def _active(self) -> Tensor:
        """Members that still train; what becomes of one that has stopped must not end the run."""
        return ~torch.tensor(self.state.stopped, device=self.model.device)

    def _objective(self, objective_M: Tensor) -> Tensor:
        """The sum over the members that train. Each has gradients of its own, so that none is moved by another."""
        return (objective_M[self._active()] if any(self.state.stopped) else objective_M).sum()

    def _left_out(self) -> list[bool]:
        """Members that need not be computed; one that diverged stays in its place, so that the others' arithmetic is the same."""
        state = self.state
        return [stopped and step is None for stopped, step in zip(state.stopped, state.diverged, strict=True)]

    def _lose(self, objective_M: Tensor, loss_MT: Tensor) -> list[int]:
        """Count the members whose loss is not finite as diverged; raises where that leaves nothing to show."""
        bad_M = self._active() & ~torch.isfinite(objective_M.detach())
        lost: list[int] = torch.nonzero(bad_M).flatten().tolist()
        self._count(lost, self.state.step + 1, lambda: self._diverged(loss_MT))
        return lost

    def _count(self, lost: list[int], step: int, error: Callable[[], DivergedError]) -> None:
        state = self.state
        nothing = any(state.best[m] is None for m in lost) and not self.count_losses
        alone = self.whole and all(step is not None or m in lost for m, step in enumerate(state.diverged))
        if nothing or (alone and not self.count_losses):
            raise error()
        for m in lost:
            state.stopped[m], state.diverged[m] = True, step
            replica = self._replica(m)
            self.progress.say(f"{self.title}: replica {replica} diverged at step {step:,} and is frozen; the others go on")

    def _replica(self, m: int) -> int:
        """A member's replica, as the run counts them."""
        return self.first_replica + self.model.members[m].replica

    @torch.no_grad()
    def _freeze(self, lost: list[int]) -> None:
        """Give members that diverged their best weights back, and an optimizer without a memory."""
        if not lost:
            return
        for name, value in self.model.parameters.items():
            for m in lost:
                value.select(member_axis(name), m).copy_(self.best[name].select(member_axis(name), m))
        self.weighting.reset_members(lost)
        self.optimizer.forget(lost)

    def _targets(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor | None]:
        """Labels and weights as (M or 1, B, T), groups as (M or 1, B): a model per task reads only its own labels."""
        both = (batch.label_BT, batch.weight_BT)
        label_RBT, weight_RBT = both if batch.replicas else (value.unsqueeze(0) for value in both)
        group_RB = batch.group_B if batch.group_B is None or batch.replicas else batch.group_B.unsqueeze(0)
        if self.task_MT.shape[1] == len(self.tasks):
            return label_RBT, weight_RBT, group_RB
        replica_M = self.replica_M if batch.replicas else torch.zeros_like(self.replica_M)
        label_MB, weight_MB = (value[replica_M, :, self.task_MT.squeeze(1)] for value in (label_RBT, weight_RBT))
        group_MB = group_RB[self.replica_M] if group_RB is not None and batch.replicas else group_RB
        return label_MB.unsqueeze(-1), weight_MB.unsqueeze(-1), group_MB

    def _close_epoch(self) -> None:
        state, config = self.state, self.config
        loss_MT = self.loss_sum_MT / self.loss_count_MT
        self.weighting.close_epoch(loss_MT)
        loss_TR, weight_TR = self._by_task(loss_MT), self._by_task(self.weight_sum_MT / self.loss_count_MT)
        logit_RNT = predict(self.model, self.monitor.split)
        self._check_finite(logit_RNT)
        metric_RT, score_M = self.monitor(logit_RNT, self.model.members)
        state.epoch, state.batch = state.epoch + 1, 0
        improved = [self._judge(m, float(score)) for m, score in enumerate(score_M)]
        self._keep_best(improved)
        train_loss = {task.name: plain(loss_TR[t]) for t, task in enumerate(self.tasks)}
        valid = {task.name: plain(metric_RT[:, t]) for t, task in enumerate(self.tasks)}
        entry = {
            "epoch": state.epoch,
            "step": state.step,
            "train_loss": train_loss,
            "valid": valid,
            "weights": {task.name: plain(weight_TR[t]) for t, task in enumerate(self.tasks)},
            "gates": mean_gates(self.model, next(iter(self.monitor.split.slices(GATE_ROWS)))),
        }
        state.history.append(entry)
        for sums_MT in (self.loss_sum_MT, self.loss_count_MT, self.weight_sum_MT):
            sums_MT.zero_()
        if all(step is not None for step in state.diverged):
            state.reason = "every replica diverged"
        elif all(state.stopped):
            state.reason = f"stopped early, no better validation {config.monitor} for {count_of(config.patience, 'epoch')}"
        elif state.epoch >= config.epochs or state.step >= self.total:
            state.reason = f"trained for {count_of(state.epoch, 'epoch')} and {count_of(state.step, 'step')}"
        self._report(metric_RT, any(improved))
        if self.on_epoch is not None:
            end = EpochEnd(self.title, state.epoch, state.step, train_loss, valid)
            if self.on_epoch(end) and not state.reason:
                state.reason = f"stopped by on_epoch after {state.epoch} epochs"
        self._checkpoint()

    def _by_task(self, value_MT: Tensor) -> list[np.ndarray]:
        """(M, tasks of a member) -> T arrays over replicas."""
        return list(value_MT.cpu().numpy().reshape(self.model.replicas, len(self.tasks)).T)

    def _judge(self, m: int, score: float) -> bool:
        """Whether to keep member m's weights: better than ever, or the last if asked; one that has stopped is judged no more."""
        state = self.state
        if state.stopped[m]:
            return False
        best = state.best[m]
        if self.config.keep == "last":
            state.best[m], state.best_epoch[m] = None if math.isnan(score) else score, state.epoch
            return True
        if not math.isnan(score) and (best is None or score > best):
            state.best[m], state.best_epoch[m], state.waited[m] = score, state.epoch, 0
            return True
        state.waited[m] += 1
        state.stopped[m] = state.waited[m] >= self.config.patience
        return False

    @torch.no_grad()
    def _keep_best(self, improved: list[bool]) -> None:
        for name, value in self.model.parameters.items():
            axis = member_axis(name)
            for m in np.flatnonzero(improved).tolist():
                self.best[name].select(axis, m).copy_(value.select(axis, m))

    def _report(self, metric_RT: np.ndarray, improved: bool) -> None:
        known_RT = metric_RT[np.isfinite(metric_RT).any(axis=1)]  # but for the replicas that diverged
        if not len(known_RT):
            return
        parts = [f"{task.name} {self.monitor.name(task)} {known_RT[:, t].mean():.4f}" for t, task in enumerate(self.tasks)]
        spread = f" (mean of {count_of(len(known_RT), 'replica')})" if self.model.replicas > 1 else ""
        mark = " *" if improved else ""
        self.progress.say(f"{self.title} epoch {self.state.epoch}: validation {', '.join(parts)}{spread}{mark}")

    def _best_epochs(self) -> str:
        low, high = min(self.state.best_epoch), max(self.state.best_epoch)
        return f"epoch {low}" if low == high else f"epochs {low} to {high}"

    def _check_finite(self, logit_RNT: np.ndarray) -> None:
        """The last update of an epoch may break weights without a loss to show it."""
        for m, member in enumerate(self.model.members):
            for t in member.tasks:
                if not self.state.stopped[m] and not np.isfinite(logit_RNT[member.replica, :, t]).all():
                    what = f"the validation logits of task {self.tasks[t].name!r} became NaN or infinite"
                    self._count([m], self.state.step, partial(self._error, what, m, 0))
                    self._freeze([m])

    def _diverged(self, loss_MT: Tensor) -> DivergedError:
        bad = torch.nonzero(~torch.isfinite(loss_MT.detach()) & self._active().unsqueeze(1))
        if not len(bad):
            return self._error("the penalty became NaN or infinite", 0, 1)
        m, t = int(bad[0][0]), int(bad[0][1])
        task = self.tasks[int(self.task_MT[m, t])].name
        return self._error(f"the loss of task {task!r} became {loss_MT[m, t].item():g}", m, 1)

    def _error(self, what: str, m: int, ahead: int) -> DivergedError:
        """``ahead`` is 1 within a step, which is not counted yet, and 0 after it."""
        state = self.state
        safe = f"The best weights, of {self._best_epochs()}, are safe" if state.epoch else "No epoch was finished yet"
        place = f" in {self.folder / 'checkpoints'}" if self.folder and state.epoch else ""
        return DivergedError(
            f"{self.title}: {what} in epoch {state.epoch + 1}, batch {state.batch + ahead} of {self.batches} "
            f"(step {state.step + ahead}), replica {self._replica(m)}. {safe}{place}. "
            f"Try a smaller {setting('learning_rate')} (now {self.config.learning_rate:g}{self._factor(m)}), "
            f"or {setting('clip_norm', 1)}."
        )

    def _factor(self, m: int) -> str:
        """What ``replica_rates`` makes of a member's learning rate, in words."""
        rates = self.config.replica_rates
        if not rates:
            return ""
        factor = rates[self.model.members[m].replica % len(rates)]
        return f", times {factor:g} by {setting('replica_rates')} for this replica"

    def _how_to_resume(self) -> str:
        if self.folder is None:
            return f"Stopped after step {self.state.step:,}; nothing was saved, since the run has no output folder."
        return f"Saved after step {self.state.step:,}."

    def _checkpoint(self) -> None:
        if self.folder is None:
            return
        write_history(self.folder, self.state.history)
        tensors = {f"model|{name}": value for name, value in self.model.parameters.items()}
        tensors |= {f"best|{name}": value for name, value in self.best.items()}
        tensors |= {f"optimizer|{name}": value for name, value in self.optimizer.tensors().items()}
        tensors |= {f"weighting|{name}": value for name, value in self.weighting.tensors().items()}
        tensors |= {"loss_sum": self.loss_sum_MT, "loss_count": self.loss_count_MT, "weight_sum": self.weight_sum_MT}
        state = {**asdict(self.state), "fingerprint": self.fingerprint}
        save_checkpoint(self.folder / "checkpoints", self.state.step, tensors, state)

    @torch.no_grad()
    def _resume(self) -> None:
        found = load_checkpoint(self.folder / "checkpoints") if self.folder else None
        if found is None:
            return
        tensors, state = found
        check_fingerprint(self.folder, state.pop("fingerprint"), self.fingerprint)
        self.state = State(**state)
        for name, value in self.model.parameters.items():
            value.copy_(tensors[f"model|{name}"])
            self.best[name].copy_(tensors[f"best|{name}"])
        self.loss_sum_MT.copy_(tensors["loss_sum"])
        self.loss_count_MT.copy_(tensors["loss_count"])
        self.weight_sum_MT.copy_(tensors["weight_sum"])
        for prefix, part in (("optimizer|", self.optimizer), ("weighting|", self.weighting)):
            part.restore({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
        self.progress.say(f"{self.title}: continuing after step {self.state.step:,}")
