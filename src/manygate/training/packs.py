"""Trains many replicas in packs. A pack has as many replicas as fit in memory. The packs train one after the other.

A replica trains the same in any pack, because its random numbers come from its own streams. Each pack has its own folder. A resumed
run loads the finished packs and continues inside the unfinished pack.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from manygate.config import REPLICA_SETTINGS, RunConfig
from manygate.data.memory import free_memory
from manygate.errors import InputError, setting
from manygate.files import RECORD, check_recorded, read_json, to_json, write_manifest, write_text
from manygate.model import MultiTaskModel
from manygate.model.problem import Problem
from manygate.model.replicas import keeps_copies, member_axis
from manygate.objective.weighting import find_weighting
from manygate.training.divergence import DivergedError
from manygate.training.kept import has_own_clocks
from manygate.training.selection import Fitted
from manygate.training.state import EpochEntry, State, write_history
from manygate.training.trainer import Trainer
from manygate.training.world import ALONE, World

SHARE = 0.6
"""The share of the free memory that a pack may use."""
Part = Literal["train_loss", "valid", "weights"]
PARTS: tuple[Part, ...] = ("train_loss", "valid", "weights")
"""The parts of a history entry that have a value for each replica."""
COPIES = 7
"""The number of copies of the parameters during training: the parameters, their gradients, two moments, the best weights, the
merged model, and a checkpoint that is being written. An average of the weights is one more. Tables with sparse gradients need none
for these, and tables with row-wise Adagrad none for the moments."""


def train_packs(
    train: Callable[[RunConfig, Path | None, str, int], Trainer],
    config: RunConfig,
    size: int,
    folder: Path | None,
    world: World = ALONE,
) -> Fitted:
    """Train all replicas, at most ``size`` at once.

    ``train`` makes the trainer of a pack from its settings, its folder, its title and the number of its first replica. Raises
    :class:`DivergedError` if every replica of every pack diverged. The packs of a ``world`` are those of its first process.
    """
    size = world.largest(_saved_size(folder, size, config.replicas) if world.leads else 0)
    starts = range(0, config.replicas, size)
    if len(starts) == 1:
        trainer = train(config, folder, config.title, 0)
        trainer.fit()
        return trainer.fitted()
    packs: list[Fitted] = []
    for first in starts:
        count = min(size, config.replicas - first)
        pack_folder = folder / "packs" / f"{first:06d}-{count:06d}" if folder else None
        if pack_folder is not None:
            pack_folder.mkdir(parents=True, exist_ok=True)
        numbers = f"replica {first}" if count == 1 else f"replicas {first} to {first + count - 1}"
        trainer = train(config.of_replicas(first, count), pack_folder, f"{config.title} {numbers} of {config.replicas}", first)
        trainer.fit()
        packs.append(trainer.fitted())
    state = merge_states([pack.state for pack in packs])
    if all(step is not None for step in state.diverged) and not any(clock.closed for clock in state.kept):
        remedy = f"Try a smaller {setting('learning_rate')}, or {setting('clip_norm', 1)}."
        raise DivergedError(f"{config.architecture}: every replica diverged. {remedy}")
    if folder is not None:
        write_history(folder, state.history)
    own = [pack.own_logit_RNT for pack in packs if pack.own_logit_RNT is not None]
    return Fitted(merge_models([pack.model for pack in packs], config), state, np.concatenate(own) if own else None)


def _saved_size(folder: Path | None, size: int, replicas: int) -> int:
    """Return the size of the packs of a stopped run, and save the size for a new run.

    The packs of a resumed run keep their size, even if the free memory has changed.
    """
    if folder is None:
        return size
    if (folder / "checkpoints").is_dir():
        return replicas
    note = folder / "packs" / "size.json"
    if not note.is_file():
        if size < replicas:
            note.parent.mkdir(parents=True, exist_ok=True)
            write_text(note, to_json({"size": size}))
            write_manifest(note.parent, {}, RECORD, [note.name])
        return size
    check_recorded(note)
    saved = read_json(note)
    before = saved.get("size") if isinstance(saved, dict) else None
    if not isinstance(before, int) or isinstance(before, bool) or not 1 <= before <= replicas:
        raise InputError(
            f"{note}: it does not hold a pack size from 1 to {replicas}. Restore it, or train again with another {setting('out')}."
        )
    return before


def merge_models(models: Sequence[MultiTaskModel], config: RunConfig) -> MultiTaskModel:
    """Merge the models of all packs into one model, in the order of the packs."""
    first = models[0]
    whole = MultiTaskModel(first.problem, config, first.device, False, first.by_task)
    with torch.no_grad():
        for name, value in whole.parameters.items():
            value.copy_(torch.cat([model.parameters[name] for model in models], dim=member_axis(name)))
    return whole


def merge_states(states: Sequence[State]) -> State:
    """Merge the states of all packs. If a pack ended before others, its members have None in the later epochs."""
    whole = State(sum(state.members for state in states), states[0].tasks)
    for name in ("kept", "own", "stopped", "diverged"):
        setattr(whole, name, [value for state in states for value in getattr(state, name)])
    longest = max(states, key=lambda state: (state.epoch, state.part))
    for name in ("epoch", "part", "batch", "step", "reason"):
        setattr(whole, name, getattr(longest, name))
    whole.seconds = sum(state.seconds for state in states)
    whole.history = [_merged(states, index, entry) for index, entry in enumerate(longest.history)]
    return whole


def _merged(states: Sequence[State], index: int, longest: EpochEntry) -> EpochEntry:
    """An epoch of all packs: the values of every replica, and the gates of the first pack."""
    whole = longest.copy()
    for part in PARTS:
        if part in longest:
            whole[part] = {
                task: [value for state in states for value in _values(state, index, part, task)] for task in longest[part]
            }
    first = states[0].history
    whole["gates"] = first[index].get("gates", []) if index < len(first) else []
    return whole


def _values(state: State, index: int, part: Part, task: str) -> list[float | None]:
    """The values of a pack's replicas in an epoch, or a null for each, where the pack was no longer trained."""
    if index < len(state.history):
        return state.history[index][part][task]
    return [None] * len(state.history[-1][part][task])


def pack_size(problem: Problem, config: RunConfig, device: torch.device, own_rows: int = 0) -> int:
    """Return the number of replicas to train at once.

    At most ``pack`` replicas train at once or, without that setting, as many as fit in memory. The packs have about the same size.
    ``own_rows`` is the number of test rows in a run with own clocks.
    """
    free = float(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else free_memory()
    most = config.pack or int(max(min(SHARE * free / replica_bytes(problem, config, own_rows), config.replicas), 1))
    packs = -(-config.replicas // most)
    return -(-config.replicas // packs)


def replica_bytes(problem: Problem, config: RunConfig, own_rows: int = 0) -> int:
    """Estimate the bytes of a replica during training: the copies of its parameters, and twice the tensors saved for the gradients.

    With own clocks, the predictions or weights of :mod:`manygate.training.kept` are added twice: a checkpoint or a prediction makes
    another copy.

    The estimate uses tensors that have a shape and no memory.
    """
    unset = dict.fromkeys(REPLICA_SETTINGS, ())
    single = config.replace(replicas=1, match_parameters=None, match_flops=None, **unset)
    with torch.device("meta"):
        model = MultiTaskModel(problem, single, "meta", False)
        trunk = model.trunk.eval()
        x_BD = torch.empty(config.batch_rows, model.embedding.copies * model.embedding.width, requires_grad=True)
        bias_BC = torch.empty(config.batch_rows, model.bias_embedding.width)
        kept: list[int] = []

        def count(value: Tensor) -> Tensor:
            kept.append(value.numel())
            return value

        from_layer = trunk.shared_layer() is not None
        with torch.autograd.graph.saved_tensors_hooks(count, lambda value: value):
            values: tuple[Tensor, ...] = functional_call(trunk, dict(trunk.named_parameters()), (x_BD, bias_BC, False, from_layer))
    passes = len(problem.tasks) if find_weighting(config.weighting).needs_gradients else 0
    shared = (values[2] if from_layer else x_BD).numel() * passes
    rows = sum(kept) + sum(value.numel() for value in values[:2]) + x_BD.numel() + shared
    copies = model.parameter_count() if keeps_copies(config, problem) else min(own_rows, model.parameter_count())
    own = 2 * len(problem.tasks) * copies if has_own_clocks(config, model) else 0
    parameters = (COPIES + bool(config.weight_average)) * model.parameter_count()
    tables = sum(value.numel() for name, value in model.parameters.items() if member_axis(name) == 1)
    spared = (model.sparse + 2 * (config.table_optimizer == "rowwise_adagrad")) * tables
    return 4 * (parameters - spared + 2 * len(model.members) * rows + own)
