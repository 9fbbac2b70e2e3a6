"""The training loop. It trains all replicas of a model at once.

Shape suffixes: M members (see :mod:`manygate.model.replicas`), B batch, R replicas, N rows, T tasks of a member.

The result depends on the configuration and the data alone. The order of batches, dropout and initial weights come from streams with
keys of seed, epoch and step. So a run that was stopped and resumed ends with the same bytes as an uninterrupted run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from manygate.data.batches import Batch, Source
from manygate.evaluation.monitor import Watch
from manygate.files import draft_of
from manygate.model import MultiTaskModel
from manygate.model.member import mean_gates
from manygate.objective.funnel import FunnelLosses
from manygate.objective.loss import Losses
from manygate.objective.weighting import StepContext, WeightingSetup, build_weighting
from manygate.text import count_of
from manygate.training.average import weight_average
from manygate.training.callback import EpochEnd, OnEpoch
from manygate.training.checkpoint import newest_checkpoint, path_of, read_checkpoint, reading_checkpoint, save_checkpoint
from manygate.training.divergence import DivergedError, DivergenceErrors
from manygate.training.forward import Forward, Wanted
from manygate.training.id_dropout import IdDropout
from manygate.training.interrupt import Interrupt, Interrupted
from manygate.training.kept import OwnStore
from manygate.training.memory import keep_freed_memory
from manygate.training.optimizer import Optimizer, clip_gradients, learning_rate
from manygate.training.progress import Progress
from manygate.training.schedule import Schedule
from manygate.training.selection import Fitted, Selection
from manygate.training.state import EpochEntry, State, check_fingerprint, plain, write_history
from manygate.training.table_rows import add_up_rows
from manygate.training.tables import IN_MODEL, Tables
from manygate.training.world import ALONE, World

GATE_ROWS = 512
"""The number of validation rows for the mean gate weights in each line of the history. They take under 1 % of an epoch."""


class Trainer:
    """Trains a model's replicas on a split, with early stopping on a validation split.

    ``fit`` leaves each member's best weights in the model. With a ``folder`` it writes ``metrics.jsonl`` (one line for each
    evaluation) and ``checkpoints/``, and continues from them. With ``weight_average`` the best weights are averages, which
    validation judges (:mod:`manygate.training.average`); gradients and training losses are those of the weights themselves.

    If a replica diverges and others do not, it is frozen. It keeps its best weights, and ``state.diverged`` holds its step. The
    others train to the same bits as without it. If it has no best weights yet, the run ends with
    :class:`manygate.training.divergence.DivergedError`. With ``count_losses`` it keeps its initial weights instead.

    With ``own``, a member trains until the clock of its kept weights and those of all its tasks have closed. The weights that it
    keeps are those that it would keep without ``own``.
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
        own: OwnStore | None = None,
        world: World = ALONE,
        begun: State | None = None,
        earlier: Sequence[Tensor] = (),
        tables: Tables = IN_MODEL,
    ):
        """``first_replica`` is the number of the model's first replica in the run.

        ``world`` holds the processes that train together. All have the same arguments, but the first one alone has a ``folder``.
        ``tables`` are the embedding tables if the model does not hold them.

        ``begun`` is the state after a training on earlier rows: epochs and steps are counted on from it, and so are the streams of
        random numbers. The settings' numbers of epochs and steps are those of these rows. :meth:`carry` takes over the rest.
        ``earlier`` counts the ids of the earlier rows, as :meth:`manygate.data.batches.Source.id_counts` does.

        ``whole`` is true if the model has all replicas of the run. ``fingerprint`` identifies the data and settings: a checkpoint
        with another fingerprint is an error.
        """
        config = model.config
        self.model, self.tasks, self.monitor, self.config = model, model.problem.tasks, monitor, config
        self.world, self.tables, self.train = world, tables, self._rows(train)
        self.id_dropout = IdDropout.of(train, model.problem.inputs, config, earlier)
        self.folder, self.progress, self.fingerprint = folder, progress or Progress(), fingerprint
        self.title, self.count_losses, self.whole, self.on_epoch = title or config.title, count_losses, whole, on_epoch
        rates = config.replica_rates or (1.0,)
        members = [rates[member.replica % len(rates)] for member in model.members]
        self.state = begun or State(len(model.members), len(self.tasks) if own else 0)
        self.before = self.state.epoch
        self.shared: Path | None = None
        """The folder of the checkpoints, in every process, if each of them writes its part of the tables."""
        self.selection = Selection(model, own, tables)
        self.average = weight_average(model)
        self.batches = math.ceil(len(train) / config.batch_rows)
        self.schedule = Schedule.of(config, self.batches)
        self.total = self.state.step + min(config.epochs * self.batches, config.max_steps or config.epochs * self.batches)
        self._prepare_targets()
        trained = {**model.parameters, **self.weighting.parameters}
        undecayed = model.undecayed | self.weighting.parameters.keys()
        vectors = {f"embedding.{dim}": model.embedding.copies for dim in model.embedding.dims}
        self.optimizer = Optimizer(trained, config, model.sparse, model.learning_rates, members, undecayed, vectors)
        names = [task.name for task in self.tasks]
        self.errors = DivergenceErrors(self.title, config, model.members, names, self.batches, folder, first_replica)

    def _rows(self, train: Source) -> Source:
        """Return the training rows: the same for all replicas in the same order, or each replica's own sample or order."""
        mode = self.config.replica_data
        if mode == "shared":
            return train
        seeds = {member.replica: member.seed for member in self.model.members}
        return train.resampled(list(seeds.values()), bootstrap=mode == "bootstrap")

    def _prepare_targets(self) -> None:
        device = self.model.device
        weight = torch.tensor([task.weight for task in self.tasks], dtype=torch.float32)
        chosen = torch.tensor([member.tasks for member in self.model.members])
        if chosen.shape[1] == 1:  # with one model per task, a weight would only change the learning rate
            weight = torch.ones_like(weight)
        rows = self.config.replica_weights or ((1.0,) * len(self.tasks),)
        factor_MT = torch.tensor([[rows[m.replica % len(rows)][t] for t in m.tasks] for m in self.model.members])
        losses = FunnelLosses(Losses(self.tasks, chosen.to(device), self.model.ordinals), self.model.targets, self.config)
        self.forward = Forward(self.model, losses, self.world)
        decay = torch.tensor([task.decay for task in self.tasks], dtype=torch.float32)
        binary = torch.tensor([task.kind == "binary" or task.trained_by == "ordinal" for task in self.tasks])
        weight_MT, decay_MT, binary_MT = (value.to(device) for value in (weight[chosen] * factor_MT, decay[chosen], binary[chosen]))
        keys = [(member.seed, *member.tasks) for member in self.model.members]
        self.weighting = build_weighting(WeightingSetup(weight_MT, decay_MT, binary_MT, keys, self.config))
        self.loss_sum_MT = torch.zeros(chosen.shape, dtype=torch.float64, device=device)
        self.loss_count_MT, self.weight_sum_MT = torch.zeros_like(self.loss_sum_MT), torch.zeros_like(self.loss_sum_MT)

    def fit(self) -> State:
        """Train to the end and return the final state.

        Raises :class:`Interrupted` after a signal, and :class:`manygate.training.divergence.DivergedError`.
        """
        keep_freed_memory()
        self._resume()
        with Interrupt() as interrupt:
            while not self.state.reason:
                self._train_part(interrupt)
                with self.average.in_model(self.state.step):
                    self._evaluate()
                self._checkpoint()
                if stop := self.world.largest(interrupt.number or 0):
                    raise Interrupted(stop, self._how_to_resume())
        self.selection.load_best(list(range(len(self.model.members))))
        epochs = self.state.best_epochs(self.selection.by_task)
        self.progress.say(f"{self.title}: {self.state.reason}; {self.config.keep} weights kept ({epochs})")
        return self.state

    def fitted(self) -> Fitted:
        """Return the result after :meth:`fit`."""
        fitted = self.selection.fitted(self.state)
        return replace(fitted, model=self.tables.whole(fitted.model))

    def carried(self) -> dict[str, Tensor]:
        """Return the state of the optimizer and of the weighting: ``optimizer|PARAMETER|SLOT`` and ``weighting|NAME``."""
        tensors = {f"optimizer|{name}": value for name, value in self.optimizer.tensors().items()}
        return tensors | {f"weighting|{name}": value for name, value in self.weighting.tensors().items()}

    @torch.no_grad()
    def carry(self, tensors: dict[str, Tensor]) -> None:
        """Take over the state of an earlier training of these weights: the tensors of :meth:`carried`."""
        for prefix, part in (("optimizer|", self.optimizer), ("weighting|", self.weighting)):
            part.restore({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})

    def _train_part(self, interrupt: Interrupt) -> None:
        """Train to the next evaluation."""
        state, size = self.state, self.config.batch_rows
        batches = self.train.batches(self.config.shuffle_seed, state.epoch, size, state.batch)
        title = f"{self.title} epoch {state.epoch + 1 - self.before}/{self.config.epochs}"
        self.progress.start(title, len(self.train) * self.model.replicas, state.batch * size * self.model.replicas)
        began = saved = time.monotonic()
        while state.batch < self.schedule.end(state.part) and state.step < self.total:
            batch = next(batches)
            self._step(self.id_dropout(batch, state.step))
            state.batch, state.step = state.batch + 1, state.step + 1
            self.progress.advance(len(batch) * self.model.replicas)
            now = time.monotonic()
            due = self.world.leads and self.config.checkpoint_seconds and now - saved > self.config.checkpoint_seconds
            stop, write = divmod(self.world.largest(2 * (interrupt.number or 0) + bool(due)), 2)
            if stop or write:
                state.seconds, began, saved = state.seconds + now - began, now, now
                self._checkpoint()
                if stop:
                    self.progress.finish()
                    raise Interrupted(stop, self._how_to_resume())
        state.seconds += time.monotonic() - began
        self.progress.finish()

    def _step(self, batch: Batch) -> None:
        model, config = self.model, self.config
        drawn = model.draw(len(batch), self.state.step)
        rate = learning_rate(config, self.state.step, self.total)
        self.tables.set_rate(rate)
        batch = model.hide_bias(batch, self.state.step)
        losses = self.forward(batch, drawn, tuple(self._left_out()), self._wanted(), self.weighting.weight_MT)
        loss_MT, present_MT = losses.loss_MT, losses.present_MT
        counts_MT = present_MT & (self.weighting.setup.weight_MT > 0)
        context = StepContext(self.state.step, self.state.epoch, counts_MT, self._active(), losses.gramian_MTT)
        objective_M = self.weighting.objective(loss_MT, context) + losses.penalty_M
        objective = self._objective(objective_M)
        diverged: list[int] = []
        if not torch.isfinite(objective):
            diverged = self._stop_diverged(objective_M, loss_MT)
            objective = self._objective(objective_M)
        with self.tables.updated():
            losses.backward(objective, self.weighting.weight_MT, self._active())
        add_up_rows(model.parameters)
        self.world.add_up_gradients(model.parameters)
        if config.clip_norm is not None:
            clip_gradients(model.parameters, config.clip_norm)
        self.average.before(self.state.step)
        self.optimizer.step(rate)
        self.average.after(self.state.step)
        self._freeze(diverged)
        if self.weighting.needs_losses_after_update:
            with torch.no_grad():
                self.weighting.after_update(self.forward(batch, drawn, tuple(self._left_out())).loss_MT, context)
        self.loss_sum_MT += loss_MT.detach() * present_MT
        self.weight_sum_MT += self.weighting.weight_MT * present_MT
        self.loss_count_MT += present_MT

    def _wanted(self) -> Wanted:
        """Return what the weighting needs in this step."""
        reads = self.weighting.needs_gradients_at(self.state.step)
        if self.weighting.scales_shared_alone:
            return "gradients" if reads else "combined"
        return "gramian" if reads else "losses"

    def _active(self) -> Tensor:
        """Return true for each member that still trains. The loss of a member that has stopped does not matter."""
        return ~torch.tensor(self.state.stopped, device=self.model.device)

    def _objective(self, objective_M: Tensor) -> Tensor:
        """Sum the objectives of the members that train. Members share no parameters, so each gets its own gradients."""
        return (objective_M[self._active()] if any(self.state.stopped) else objective_M).sum()

    def _left_out(self) -> list[bool]:
        """Return true for each member to skip. A diverged member is not skipped, to keep the arithmetic of the others the same."""
        state = self.state
        return [stopped and step is None for stopped, step in zip(state.stopped, state.diverged, strict=True)]

    def _stop_diverged(self, objective_M: Tensor, loss_MT: Tensor) -> list[int]:
        """Stop the members whose objective is not finite, and return them. Raises where :meth:`_stop` does."""
        not_finite_M = self._active() & ~torch.isfinite(objective_M.detach())
        diverged: list[int] = torch.nonzero(not_finite_M).flatten().tolist()
        self._stop(diverged, self.state.step + 1, lambda: self.errors.of_loss(loss_MT, self._active(), self.state))
        return diverged

    def _stop(self, diverged: list[int], step: int, error: Callable[[], DivergedError]) -> None:
        """Record that members diverged at a step.

        Raises ``error`` if such a member has no best weights, or if all members diverged and none of them had closed the clock of
        its kept weights before. With ``count_losses`` neither raises.
        """
        state = self.state
        without_weights = any(state.best[m] is None for m in diverged)
        lost = [earlier is not None or m in diverged for m, earlier in enumerate(state.diverged)]
        all_diverged = self.whole and all(lost) and not any(clock.closed for clock in state.kept)
        if (without_weights or all_diverged) and not self.count_losses:
            raise error()
        for m in diverged:
            state.stopped[m], state.diverged[m] = True, step
            replica = self.errors.replica(m)
            self.progress.say(f"{self.title}: replica {replica} diverged at step {step:,} and is frozen; the others continue")

    def _freeze(self, diverged: list[int]) -> None:
        """Restore the best weights of members that diverged, and reset their weighting and optimizer."""
        if not diverged:
            return
        self.selection.load_best(diverged)
        self.average.load(self.selection.best, diverged)
        self.weighting.reset_members(diverged)
        self.optimizer.reset_members(diverged)
        self.tables.reset_members(diverged)

    def _evaluate(self) -> None:
        """Judge the model on the validation rows, update the clocks, and close the epoch if this is its last evaluation."""
        state = self.state
        loss_MT = self.loss_sum_MT / self.loss_count_MT
        closes = state.part + 1 == self.schedule.parts
        if closes:
            self.weighting.close_epoch(loss_MT)
        logit_RNT = self.world.predict(self.model, self.monitor.split)
        self._check_finite(logit_RNT)
        judged = self.monitor(logit_RNT, self.model.members)
        state.epoch, state.part = (state.epoch + 1, 0) if closes else (state.epoch, state.part + 1)
        left_out = self._left_out()
        improved = self.selection.update(state, self._number(), judged, self.config)
        entry = self._entry(loss_MT, judged.metric_RT, left_out)
        state.history.append(entry)
        if closes:
            state.batch = 0
            for sums_MT in (self.loss_sum_MT, self.loss_count_MT, self.weight_sum_MT):
                sums_MT.zero_()
        state.reason = self._reason()
        self._report(judged.metric_RT, improved)
        if self.on_epoch is not None:
            score_R = np.where(np.reshape(left_out, (self.model.replicas, -1)).all(axis=1), np.nan, judged.score_R)
            end = EpochEnd(self.title, entry["epoch"], state.step, entry["train_loss"], entry["valid"], plain(score_R))
            if self.on_epoch(end) and not state.reason:
                state.reason = f"stopped by on_epoch after {self._trained()}"

    def _number(self) -> float:
        """Return the number of epochs so far, with a fraction within an epoch."""
        return self.schedule.number(self.state.epoch, self.state.part)

    def _trained(self) -> str:
        number = self._number()
        return f"{number:g} epochs" if number % 1 else count_of(int(number), "epoch")

    def _reason(self) -> str:
        """Return the reason why training ends now. Empty if it goes on."""
        state, config = self.state, self.config
        if all(step is not None for step in state.diverged):
            return "every replica diverged"
        if all(state.stopped):
            others = ", and no better metric of any task," if state.tasks else ""
            return f"stopped early, no better validation {config.monitor}{others} for {count_of(config.patience, 'epoch')}"
        if state.epoch >= self.before + config.epochs or state.step >= self.total:
            return self._length()
        return ""

    def _length(self) -> str:
        """Return the reason of a run that has trained for its whole length."""
        return f"trained for {self._trained()} and {count_of(self.state.step, 'step')}"

    def _entry(self, loss_MT: Tensor, metric_RT: np.ndarray, left_out: list[bool]) -> EpochEntry:
        """Return the line of the history. ``left_out`` is true for each member that no longer trained: it has no values."""
        left_out_TR = np.broadcast_to(np.reshape(left_out, (self.model.replicas, -1)), metric_RT.shape).T

        def of_tasks(value_TR: Sequence[np.ndarray]) -> dict[str, list[float | None]]:
            known_TR = np.where(left_out_TR, np.nan, value_TR)
            return {task.name: plain(known_R) for task, known_R in zip(self.tasks, known_TR, strict=True)}

        return {
            "epoch": self._number(),
            "step": self.state.step,
            "train_loss": of_tasks(self._by_task(loss_MT)),
            "valid": of_tasks(list(metric_RT.T)),
            "weights": of_tasks(self._by_task(self.weight_sum_MT / self.loss_count_MT)),
            "gates": mean_gates(self.model, next(iter(self.monitor.split.slices(GATE_ROWS)))),
        }

    def _by_task(self, value_MT: Tensor) -> list[np.ndarray]:
        """Turn values (M, tasks of a member) into one array (R,) for each task of the run."""
        return list(value_MT.cpu().numpy().reshape(self.model.replicas, len(self.tasks)).T)

    def _report(self, metric_RT: np.ndarray, improved: bool) -> None:
        known_RT = metric_RT[np.isfinite(metric_RT).any(axis=1)]  # without the replicas that diverged
        if not len(known_RT):
            return
        parts = [f"{task.name} {self.monitor.name(task)} {known_RT[:, t].mean():.4f}" for t, task in enumerate(self.tasks)]
        spread = f" (mean of {count_of(len(known_RT), 'replica')})" if self.model.replicas > 1 else ""
        mark = " *" if improved else ""
        self.progress.say(f"{self.title} epoch {self._number():g}: validation {', '.join(parts)}{spread}{mark}")

    def _check_finite(self, logit_RNT: np.ndarray) -> None:
        """Stop members with logits that are not finite. No loss shows this after the last update of an epoch."""
        for m, member in enumerate(self.model.members):
            for t in member.tasks:
                if not self.state.stopped[m] and not np.isfinite(logit_RNT[member.replica, :, t]).all():
                    error = partial(self.errors.of_logits, self.tasks[t].name, m, self.state)
                    self._stop([m], self.state.step, error)
                    self._freeze([m])

    def _how_to_resume(self) -> str:
        if self.folder is None and self.world.leads:
            return f"Stopped after step {self.state.step:,}; nothing was saved, because the run has no output folder."
        return f"Saved after step {self.state.step:,}."

    def _checkpoint(self) -> None:
        if self.folder is None:
            if self.shared is not None:
                self.tables.save(draft_of(path_of(self.shared, self.state.step)))
            return
        write_history(self.folder, self.state.history)
        tensors = {f"model|{name}": value for name, value in self.model.parameters.items()}
        tensors |= self.selection.tensors()
        tensors |= {f"average|{name}": value for name, value in self.average.tensors().items()}
        tensors |= self.carried()
        tensors |= {"loss_sum": self.loss_sum_MT, "loss_count": self.loss_count_MT, "weight_sum": self.weight_sum_MT}
        state = {**asdict(self.state), "fingerprint": self.fingerprint}
        save_checkpoint(self.folder / "checkpoints", self.state.step, tensors, state, self.tables.save)

    @torch.no_grad()
    def _resume(self) -> None:
        folder = None if self.folder is None else self.folder / "checkpoints"
        if self.tables.spread:
            shared = self.world.text("" if folder is None else str(folder.absolute()))
            self.shared = Path(shared) if shared else None
        path = None if folder is None else newest_checkpoint(folder, lambda text: self.progress.say(f"{self.title}: {text}"))
        checkpoint = self.world.checkpoint(None if path is None else read_checkpoint(path, self.tables.stores))
        if checkpoint is not None:
            with reading_checkpoint(folder or Path("checkpoints")):
                self._restore(*checkpoint)
            if self.shared is not None:
                self.tables.restore(path_of(self.shared, self.state.step))
            self.progress.say(f"{self.title}: continuing after step {self.state.step:,}")

    def _restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        fingerprint = state.pop("fingerprint")
        restored = State.from_tree(state, self.folder)
        if self.world.leads:  # the others have the same log and settings
            check_fingerprint(self.folder, fingerprint, self.fingerprint)
        self.state = restored
        if restored.reason == self._length() and restored.step < self.total:
            restored.reason = ""  # the run was given more steps; a study's pilots are
        for name, value in self.model.parameters.items():
            value.copy_(tensors[f"model|{name}"])
        self.selection.restore(tensors)
        self.loss_sum_MT.copy_(tensors["loss_sum"])
        self.loss_count_MT.copy_(tensors["loss_count"])
        self.weight_sum_MT.copy_(tensors["weight_sum"])
        self.average.restore({k.removeprefix("average|"): v for k, v in tensors.items() if k.startswith("average|")})
        self.carry(tensors)
