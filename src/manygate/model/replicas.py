"""MultiTaskModel = embedding -> architecture -> towers, for R replicas as one batched program.

Shape suffixes: R replicas, M members, B batch, T tasks, D input, C bias inputs.

A replica is a model with a seed of its own. A *member* is what trains on its own: a replica, or, for a scheme that is a model per
task, one replica's model of one task. All members of a run have the same shapes; their parameters are stacked, tables as
(V, M, dim) and everything else as (M, ...), and ``torch.vmap`` runs the scheme, written for one model, for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import functional_call

from manygate.architecture import Inputs, find_architecture
from manygate.config import RunConfig
from manygate.data.batches import Batch
from manygate.errors import InputError, did_you_mean, setting
from manygate.layers.decay import undecayed_parameters
from manygate.layers.embedding import Embedding
from manygate.layers.experts import Experts
from manygate.layers.gate import Gates
from manygate.layers.tower import BiasTower, Towers
from manygate.layers.units import Drawn
from manygate.model.conditional import conditional_logits
from manygate.model.ordinal import Ordinals, Thresholds
from manygate.model.problem import Problem
from manygate.model.trunk import Trunk
from manygate.randomness import DRAWN, HIDDEN_BIAS, INITIAL, keep_mask, stream_seed


@dataclass(frozen=True)
class Member:
    """One model that trains on its own: its replica, its seed and the indices of its tasks."""

    replica: int
    seed: int
    tasks: tuple[int, ...]


Trunks = Callable[[dict[str, Tensor], Tensor, Tensor], tuple[Tensor, ...]]
"""One member's parameters, x_BD and bias_BC -> what its trunk gives."""


class MultiTaskModel:
    """R replicas of one model; R = 1 is the ordinary case.

    ``parameters`` maps names to stacked tensors; ``member_axis(name)`` tells which axis is the members'. Returns logits: only
    evaluation and serving turn them into probabilities.
    """

    def __init__(
        self,
        problem: Problem,
        config: RunConfig,
        device: torch.device | str = "cpu",
        initialise: bool = True,
    ):
        self.problem, self.config, self.device = problem, config, torch.device(device)
        self.scheme = scheme = find_architecture(config.architecture)
        tasks = len(problem.tasks)
        self.targets = problem.targets.alone() if scheme.one_model_per_task else problem.targets
        own_tasks, heads = 1 if scheme.one_model_per_task else tasks, self.targets.heads(config.funnel)
        self.ordinals = Ordinals(self.targets.levels, own_tasks, own_tasks + len(heads))
        own = [(t,) for t in range(tasks)] if scheme.one_model_per_task else [tuple(range(tasks))]
        self.members = tuple(Member(r, config.seed_of(r), t) for r in range(config.replicas) for t in own)
        self.embedding = Embedding(
            problem.inputs, [i for i in problem.inputs if not i.bias], copies=tasks + 1 if scheme.own_embeddings else 1
        ).to(self.device)
        self.bias_embedding = Embedding(problem.inputs, [i for i in problem.inputs if i.bias]).to(self.device)
        rows = sum(self.embedding.rows.values()) + sum(self.bias_embedding.rows.values())
        self.sparse = rows > 100_000 if config.sparse_gradients is None else config.sparse_gradients
        with torch.device("meta"):  # shapes alone: drawing values here would move the global random state
            self.trunk = self._new_trunk()
        self.drawn = [(name, module) for name, module in self.trunk.named_modules() if isinstance(module, Drawn)]
        self.scheme_selects = any(isinstance(module, Gates) and module.selects for module in self.trunk.modules())
        rates = self.trunk.architecture.learning_rates()
        self.learning_rates = {f"trunk.architecture.{name}": rate for name, rate in rates.items()}
        self.undecayed = {f"trunk.{name}" for name in undecayed_parameters(self.trunk)}
        self.parameters = self._stacked(initialise)

    def _new_trunk(self) -> Trunk:
        config = self.config
        own_tasks = 1 if self.scheme.one_model_per_task else len(self.problem.tasks)
        width, lower = self.embedding.width, None
        if config.lower_hidden:
            if self.scheme.own_embeddings or config.gate_features:
                what = "gate_features" if config.gate_features else config.architecture
                raise InputError(
                    f"{setting('lower_hidden')}: not together with {what}, which needs the input itself. Leave one out."
                )
            lower = Experts(width, 1, config.lower_hidden, dropout=config.dropout)
            width = config.lower_hidden[-1]
        architecture = self.scheme.build(Inputs(width, self._gate_columns()), len(self.problem.tasks), config)
        heads, steps = self.targets.heads(config.funnel), self.targets.transfers(config.funnel)
        towers = Towers(own_tasks, architecture.output_width, config.tower_hidden, config.dropout, heads, steps)
        thresholds = Thresholds(self.ordinals.cuts) if self.ordinals.cuts else None
        return Trunk(architecture, towers, BiasTower(own_tasks + len(heads), self.bias_embedding.width), lower, thresholds)

    def _gate_columns(self) -> tuple[int, ...]:
        """Where the features lie that the gates read; empty where they read what the experts read."""
        known = [i.name for i in self.embedding.chosen]
        unknown = [name for name in self.config.gate_features if name not in known]
        if unknown:
            raise InputError(
                f"{setting('gate_features')}: {name!r} is no feature of the model (bias "
                f"features are not).{did_you_mean(name, known)}"
                for name in unknown
            )
        return self.embedding.columns_of(self.config.gate_features)

    def _stacked(self, initialise: bool) -> dict[str, Tensor]:
        """Every member's initial parameters, drawn under its own seed; the global random state is put back."""
        stacked: dict[str, Tensor] = {}
        for m, member in enumerate(self.members):
            for name, value in self._initial(member).items():
                axis = member_axis(name)
                if name not in stacked:
                    shape = list(value.shape)
                    shape.insert(axis, len(self.members))
                    stacked[name] = torch.empty(shape)
                stacked[name].select(axis, m).copy_(value)
            if not initialise:
                break
        return {name: value.to(self.device).requires_grad_() for name, value in stacked.items()}

    def _initial(self, member: Member) -> dict[str, Tensor]:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(stream_seed(INITIAL, member.seed, *member.tasks))
            values = {f"embedding.{dim}": table for dim, table in self.embedding.initial_tables().items()}
            values |= {
                f"bias_embedding.{dim}": torch.zeros_like(table) for dim, table in self.bias_embedding.initial_tables().items()
            }
            values |= {f"trunk.{name}": value.detach() for name, value in self._new_trunk().named_parameters()}
            if self.ordinals.levels:
                self.ordinals.begin(values["trunk.thresholds.gap"], values["trunk.towers.bias"], member.tasks)
        return values

    @property
    def replicas(self) -> int:
        return self.config.replicas

    def parameter_count(self) -> int:
        """Trainable numbers of one replica (for a model per task, of all its tasks' models)."""
        return sum(value.numel() for value in self.parameters.values()) // self.replicas

    def draw(self, size: int, step: int) -> dict[str, Tensor]:
        """What dropout and noise draw in one step for every member, (M, B, ...); each member's from a stream of its own."""
        numbers = {}
        for index, (name, module) in enumerate(self.drawn):
            if module.active:
                keys = [(DRAWN, member.seed, step, index, *member.tasks) for member in self.members]
                values = [module.draw(size, key, self.device) for key in keys]
                numbers[f"{name}.drawn"] = torch.stack(values) if len(values) > 1 else values[0].unsqueeze(0)
        return numbers

    def hide_bias(self, batch: Batch, step: int) -> Batch:
        """Hide the bias features of some rows, the same for every replica: null is what serving will give (Zhao et al. 2019)."""
        rate = self.config.bias_dropout
        if not rate or not self.bias_embedding.chosen:
            return batch
        hidden_B = keep_mask(rate, (len(batch),), (HIDDEN_BIAS, self.config.shuffle_seed, step), self.device) == 0
        return self.bias_embedding.hide(batch, hidden_B)

    def forward(
        self,
        batch: Batch,
        drawn: dict[str, Tensor] | None = None,
        gates: bool = False,
        stopped: Sequence[bool] = (),
        shared: bool = False,
    ) -> tuple[Tensor, ...]:
        """Outputs (M, B, O) and penalties (M,); ``drawn`` given (see :meth:`draw`) means training.

        Outputs are logits of a member's tasks, then those of further towers (see :class:`manygate.layers.tower.Towers`). Members
        that have
        ``stopped`` are left out; their results are zeros. With ``shared`` the shared representation comes third, as a part of the
        graph: that of the members which are not left out, (M, B, ...), or (B, ...) of one member.
        """
        x_MBD, bias_MBC = self.embed(batch)
        return self.run(self.trunk_values(drawn), x_MBD, bias_MBC, drawn is not None, gates, stopped, shared)

    def embed(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Inputs (M, B, D) and bias inputs (M, B, C) of every member."""
        count = len(self.members)
        batch = batch.for_members(count)
        x_MBD = self.embedding(self._tables("embedding"), batch, count, self.sparse)
        return x_MBD, self.bias_embedding(self._tables("bias_embedding"), batch, count, self.sparse)

    def trunk_values(self, drawn: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
        """All members' parameters of the trunk, and what was drawn for them."""
        values = {name.removeprefix("trunk."): v for name, v in self.parameters.items() if name.startswith("trunk.")}
        return values | (drawn or {})

    def run(
        self,
        state: dict[str, Tensor],
        x_MBD: Tensor,
        bias_MBC: Tensor,
        training: bool,
        gates: bool = False,
        stopped: Sequence[bool] = (),
        shared: bool = False,
    ) -> tuple[Tensor, ...]:
        """What :meth:`forward` gives, of inputs: all tensors that it depends on are arguments."""
        if self.trunk.training != training:
            self.trunk.train(training)
        count = len(self.members)
        listen = shared and self.trunk.shared_layer() is not None
        if shared and not listen and not x_MBD.requires_grad:
            x_MBD = x_MBD.requires_grad_()

        def one(values: dict[str, Tensor], x_BD: Tensor, bias_BC: Tensor) -> tuple[Tensor, ...]:
            result: tuple[Tensor, ...] = functional_call(self.trunk, values, (x_BD, bias_BC, gates, listen), tie_weights=False)
            return result

        if self.scheme_selects and not training and count > 1:  # how many rows an expert gets depends on the data
            members = [one({n: v[m] for n, v in state.items()}, x_MBD[m], bias_MBC[m]) for m in range(count)]
            return tuple(torch.stack(values) for values in zip(*members, strict=True))
        values, heard = self._for_members(one, (state, x_MBD, bias_MBC), stopped, listen)
        return *values, *(heard if listen or not shared else (x_MBD,))

    def _for_members(
        self, one: Trunks, inputs: tuple[dict[str, Tensor], Tensor, Tensor], stopped: Sequence[bool], listen: bool
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """What ``one`` gives for every member, zeros for those left out; apart, as it is, the representation it ends with."""
        state, x_MBD, bias_MBC = inputs
        if (count := len(self.members)) == 1:
            single = {name: value.squeeze(0) for name, value in state.items()}
            values, heard = split_off(one(single, x_MBD.squeeze(0), bias_MBC.squeeze(0)), listen)
            return tuple(value.unsqueeze(0) for value in values), heard
        if not any(stopped) or all(stopped):
            return split_off(torch.vmap(one)(*inputs), listen)
        going = torch.tensor([m for m in range(count) if not stopped[m]], device=self.device)
        state = {name: value.index_select(0, going) for name, value in state.items()}
        found = torch.vmap(one)(state, x_MBD.index_select(0, going), bias_MBC.index_select(0, going))
        values, heard = split_off(found, listen)
        return tuple(value.new_zeros(count, *value.shape[1:]).index_copy(0, going, value) for value in values), heard

    def _tables(self, owner: str) -> dict[int, Tensor]:
        return {int(n.rpartition(".")[2]): v for n, v in self.parameters.items() if n.startswith(f"{owner}.")}

    @torch.no_grad()
    def logits(self, batch: Batch) -> Tensor:
        """Logits as (R, B, T), without dropout; of a task after another, given that this has happened."""
        return self.by_replica(self.read(self.forward(batch)[0]))

    def read(self, output_MBO: Tensor, tasks_M: Sequence[Sequence[int]] = ()) -> Tensor:
        """The tasks' logits, given that the task before has happened, from a trunk's outputs; of ordinal tasks the expected label.

        ``tasks_M`` are the tasks of the members whose outputs these are; all members' unless given.
        """
        if self.targets.transfers(self.config.funnel):
            output_MBO = conditional_logits(output_MBO, self.targets)
        return self.ordinals.read(output_MBO, tasks_M or [member.tasks for member in self.members])

    def by_replica(self, value_MBT: Tensor) -> Tensor:
        """(M, B, tasks of a member) -> (R, B, T)."""
        per_replica = len(self.members) // self.replicas
        return value_MBT if per_replica == 1 else value_MBT.squeeze(-1).unflatten(0, (-1, per_replica)).transpose(1, 2)

    @torch.no_grad()
    def gates(self, batch: Batch) -> tuple[Tensor, ...]:
        """Gate weights (R, B, T, E) of each level; empty for a scheme without gates."""
        return self.forward(batch, gates=True)


def split_off(values: tuple[Tensor, ...], last: bool) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """All values and none, or all but the last and that one."""
    return (values[:-1], values[-1:]) if last else (values, ())


def member_axis(name: str) -> int:
    """The members' axis of a parameter: tables are (V, M, dim), everything else (M, ...)."""
    return 1 if name.startswith(("embedding.", "bias_embedding.")) else 0
