"""MultiTaskModel = embedding -> architecture -> towers, for R replicas as one batched program.

Shape suffixes: R replicas, M members, B batch, T tasks, D input, C bias inputs, O outputs.

A replica is a model with its own seed. A *member* is a network that trains independently of the others. It is a replica or, if the
scheme has one model per task, one replica's model of one task. A model with ``by_task`` has R T members: the weights of T epochs of
each replica, each for one task. All members of a run have the same shapes. Their parameters are
stacked: tables are (V, M, dim), and other parameters are (M, ...). A scheme is written for one model, and ``torch.vmap`` runs it
for all members.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor
from torch.func import functional_call

from manygate.architecture import Inputs, find_architecture
from manygate.config import RunConfig
from manygate.data.batches import Batch
from manygate.errors import InputError, did_you_mean, setting
from manygate.kernels.cut import cut
from manygate.kernels.large_pages import in_large_pages
from manygate.layers.cross import CrossLayers
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

_ONE_AT_A_TIME = threading.RLock()
"""Held by a prediction. ``functional_call`` puts a member's parameters into the trunk for the time of a call, so that predictions
of several threads would read each other's."""


@dataclass(frozen=True)
class Member:
    """One network that trains independently of the others."""

    replica: int
    """The number of its replica."""
    seed: int
    """The seed of its replica."""
    tasks: tuple[int, ...]
    """The indices of its tasks."""
    only: int | None = None
    """The one task for which it is kept, or None if all its tasks are read from it."""

    @property
    def reads(self) -> tuple[int, ...]:
        """The indices of the tasks whose predictions are read from it."""
        return self.tasks if self.only is None else (self.only,)


class DistantTables(Protocol):
    """Embedding tables that the model does not hold, for example because several processes hold a part each."""

    def take(self, member: int, dim: int, first: int, value_nd: Tensor) -> None:
        """Take initial values: rows of a member in the table of a width, from row ``first`` on."""

    def read(self, rows: dict[int, list[Tensor]]) -> tuple[dict[int, Tensor], dict[int, list[Tensor]]]:
        """Return tables of the rows that are read, {dim: (n, M, K dim)}, and where each row of ``rows`` is in them.

        ``rows`` comes from :meth:`manygate.layers.embedding.Embedding.rows_read`.
        """


TrunkFunction = Callable[[dict[str, Tensor], Tensor, Tensor], tuple[Tensor, ...]]
"""Computes the outputs of the trunk from one member's parameters, x_BD and bias_BC."""


class MultiTaskModel:
    """Holds R replicas of one model. R = 1 is the ordinary case.

    ``parameters`` maps names to stacked tensors. ``member_axis(name)`` is the members' axis of a parameter. The model returns
    logits. Only evaluation and serving turn logits into probabilities. With ``initialise=False`` the parameters of the first member
    alone are drawn, for callers that load all values afterwards. With ``by_task`` each replica has a copy of the network for each
    task, as ``keep=best-per-task`` keeps them: task t is read from copy t. Such a model is never trained.

    With ``elsewhere`` the model does not hold its embedding tables (but for those of bias features). It is called with the
    embedding and the number of members, and returns the tables that are read instead.
    """

    def __init__(
        self,
        problem: Problem,
        config: RunConfig,
        device: torch.device | str = "cpu",
        initialise: bool = True,
        by_task: bool = False,
        elsewhere: Callable[[Embedding, int], DistantTables] | None = None,
    ):
        self.problem, self.config, self.device = problem, config, torch.device(device)
        self.scheme = scheme = find_architecture(config.architecture)
        tasks = len(problem.tasks)
        self.targets = problem.targets.alone() if scheme.one_model_per_task else problem.targets
        member_tasks, heads = 1 if scheme.one_model_per_task else tasks, self.targets.heads(config.funnel)
        self.ordinals = Ordinals(self.targets.levels, member_tasks, member_tasks + len(heads))
        task_sets = [(t,) for t in range(tasks)] if scheme.one_model_per_task else [tuple(range(tasks))]
        self.by_task = by_task
        copies = range(tasks) if by_task else (None,)
        self.members = tuple(
            Member(r, config.seed_of(r), t, only) for r in range(config.replicas) for t in task_sets for only in copies
        )
        self.embedding = Embedding(
            problem.inputs, [i for i in problem.inputs if not i.bias], copies=tasks + 1 if scheme.own_embeddings else 1
        ).to(self.device)
        self.bias_embedding = Embedding(problem.inputs, [i for i in problem.inputs if i.bias]).to(self.device)
        rows = sum(self.embedding.rows.values()) + sum(self.bias_embedding.rows.values())
        self.sparse = rows > 100_000 if config.sparse_gradients is None else config.sparse_gradients
        with torch.device("meta"):  # only shapes, because drawing values would change the global random state
            self.trunk = self._new_trunk()
        self.drawn = [(name, module) for name, module in self.trunk.named_modules() if isinstance(module, Drawn)]
        self.scheme_selects = any(isinstance(module, Gates) and module.selects for module in self.trunk.modules())
        rates = self.trunk.architecture.learning_rates()
        self.learning_rates = {f"trunk.architecture.{name}": rate for name, rate in rates.items()}
        self.undecayed = {f"trunk.{name}" for name in undecayed_parameters(self.trunk)}
        self.shared_above = self.trunk.shared_above()
        self.distant = elsewhere(self.embedding, len(self.members)) if elsewhere is not None else None
        self.parameters = self._stacked(initialise)

    def _new_trunk(self) -> Trunk:
        config = self.config
        member_tasks = 1 if self.scheme.one_model_per_task else len(self.problem.tasks)
        width, lower = self.embedding.width, None
        for name in ("cross_layers", "lower_hidden"):
            if getattr(config, name) and (config.gate_features or (name == "lower_hidden" and self.scheme.own_embeddings)):
                other = "gate_features" if config.gate_features else config.architecture
                raise InputError(f"{setting(name)}: not together with {other}, which needs the input itself. Leave one out.")
        cross = None
        if config.cross_layers:
            cross = CrossLayers(width, config.cross_layers, config.cross_rank)
        if config.lower_hidden:
            lower = Experts(width, 1, config.lower_hidden, dropout=config.dropout)
            width = config.lower_hidden[-1]
        architecture = self.scheme.build(Inputs(width, self._gate_columns()), len(self.problem.tasks), config)
        heads, steps = self.targets.heads(config.funnel), self.targets.transfers(config.funnel)
        towers = Towers(member_tasks, architecture.output_width, config.tower_hidden, config.dropout, heads, steps)
        thresholds = Thresholds(self.ordinals.cuts) if self.ordinals.cuts else None
        bias_tower = BiasTower(member_tasks + len(heads), self.bias_embedding.width)
        return Trunk(architecture, towers, bias_tower, lower, thresholds, cross)

    def _gate_columns(self) -> tuple[int, ...]:
        """Return the columns of x that the gates read. The result is empty if the gates read the input of the experts."""
        known = [i.feature for i in self.embedding.chosen]
        unknown = [name for name in self.config.gate_features if name not in known]
        if unknown:
            raise InputError(
                f"{setting('gate_features')}: {name!r} is no feature that gates can read. They cannot read bias "
                f"features.{did_you_mean(name, known)}"
                for name in unknown
            )
        return self.embedding.columns_of(self.config.gate_features)

    def _stacked(self, initialise: bool) -> dict[str, Tensor]:
        """Draw the initial parameters of each member with its own seed. The global random state is restored."""
        stacked: dict[str, Tensor] = {}
        for m, member in enumerate(self.members):
            for name, value in self._initial(m, member).items():
                axis = member_axis(name)
                if name not in stacked:
                    shape = list(value.shape)
                    shape.insert(axis, len(self.members))
                    stacked[name] = in_large_pages(torch.empty(shape))
                stacked[name].select(axis, m).copy_(value)
            if not initialise:
                break
        return {name: value.to(self.device).requires_grad_() for name, value in stacked.items()}

    def _initial(self, m: int, member: Member) -> dict[str, Tensor]:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(stream_seed(INITIAL, member.seed, *member.tasks))
            values: dict[str, Tensor] = {}
            if self.distant is None:
                values |= {f"embedding.{dim}": table for dim, table in self.embedding.initial_tables().items()}
            else:
                for dim, first, value_nd in self.embedding.initial_rows():
                    self.distant.take(m, dim, first, value_nd)
            values |= {
                f"bias_embedding.{dim}": torch.zeros_like(table) for dim, table in self.bias_embedding.initial_tables().items()
            }
            values |= {f"trunk.{name}": value.detach() for name, value in self._new_trunk().named_parameters()}
            if self.ordinals.levels:
                self.ordinals.initialise(values["trunk.thresholds.gap"], values["trunk.towers.bias"], member.tasks)
        return values

    @property
    def replicas(self) -> int:
        return self.config.replicas

    @property
    def trained_members(self) -> tuple[Member, ...]:
        """The members that trained. Copies of one network for several tasks are one of them."""
        return tuple(dict.fromkeys(replace(member, only=None) for member in self.members))

    def parameter_count(self) -> int:
        """Return the number of trainable numbers of one replica. All its models, or all copies of its network, count."""
        return sum(value.numel() for value in self.parameters.values()) // self.replicas

    def draw(self, size: int, step: int) -> dict[str, Tensor]:
        """Draw the random numbers of dropout and noise for one step, (M, B, ...). Each member has its own stream.

        ``size`` is the number of rows. The result maps names of the trunk's buffers to values.
        """
        numbers = {}
        for index, (name, module) in enumerate(self.drawn):
            if module.active:
                keys = [(DRAWN, member.seed, step, index, *member.tasks) for member in self.members]
                values = [module.draw(size, key, self.device) for key in keys]
                numbers[f"{name}.drawn"] = torch.stack(values) if len(values) > 1 else values[0].unsqueeze(0)
        return numbers

    def hide_bias(self, batch: Batch, step: int) -> Batch:
        """Set the bias features of some rows to null, because they are null at serving (Zhao et al. 2019).

        ``bias_dropout`` is the share of the rows. The rows are the same for every replica.
        """
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
        cuts: bool = False,
    ) -> tuple[Tensor, ...]:
        """Return outputs (M, B, O) and penalties (M,).

        The outputs are the logits of a member's tasks, then the outputs of further towers (see
        :class:`manygate.layers.tower.Towers`), then the further logits of ordinal tasks.

        - ``drawn``: the random numbers of :meth:`draw`. They switch to training mode. None means prediction.
        - ``gates``: return the gate weights of each level instead.
        - ``stopped``: true for each member to skip. The results of a skipped member are zeros.
        - ``shared``: return the shared representation third, as a part of the graph. It is (M, B, ...) without the skipped members,
          or (B, ...) if the model has one member.
        - ``cuts``: with ``shared``, cut the graph there, and return the copy that the layers above read fourth
          (:func:`manygate.kernels.cut.cut`).
        """
        x_MBD, bias_MBC = self.embed(batch)
        return self.run(self.trunk_values(drawn), x_MBD, bias_MBC, drawn is not None, gates, stopped, shared, cuts)

    def embed(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the inputs (M, B, D) and the bias inputs (M, B, C) of every member."""
        count = len(self.members)
        batch = batch.for_members(count)
        if self.distant is None:
            x_MBD = self.embedding(self._tables("embedding"), batch, count, self.sparse)
        else:
            tables, rows = self.distant.read(self.embedding.rows_read(batch))
            x_MBD = self.embedding(tables, batch, count, rows=rows)
        return x_MBD, self.bias_embedding(self._tables("bias_embedding"), batch, count, self.sparse)

    def trunk_values(self, drawn: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Return the trunk's parameters of all members, and the random numbers of :meth:`draw` if given."""
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
        cuts: bool = False,
    ) -> tuple[Tensor, ...]:
        """Do the same as :meth:`forward` from embedded inputs. All tensors that the result depends on are arguments."""
        if self.trunk.training != training:
            self.trunk.train(training)
        count = len(self.members)
        from_layer = shared and self.trunk.shared_layer() is not None  # otherwise x is the shared representation
        if shared and not from_layer and not x_MBD.requires_grad:
            x_MBD = x_MBD.requires_grad_()
        read_MBD = cut(x_MBD) if cuts and shared and not from_layer else x_MBD

        def run_member(values: dict[str, Tensor], x_BD: Tensor, bias_BC: Tensor) -> tuple[Tensor, ...]:
            inputs = (x_BD, bias_BC, gates, from_layer, cuts)
            result: tuple[Tensor, ...] = functional_call(self.trunk, values, inputs, tie_weights=False)
            return result

        if self.scheme_selects and not training and count > 1:  # vmap cannot run it: an expert's number of rows varies
            members = [run_member({n: v[m] for n, v in state.items()}, x_MBD[m], bias_MBC[m]) for m in range(count)]
            return tuple(torch.stack(values) for values in zip(*members, strict=True))
        last = (1 + cuts) * from_layer
        values, representation = self._for_members(run_member, (state, read_MBD, bias_MBC), stopped, last)
        return *values, *(representation if from_layer or not shared else (x_MBD, read_MBD)[: 1 + cuts])

    def _for_members(
        self,
        run_member: TrunkFunction,
        inputs: tuple[dict[str, Tensor], Tensor, Tensor],
        stopped: Sequence[bool],
        last: int,
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Run every member that has not stopped. Return the results, with zeros for stopped members, and the representation.

        The representation is the ``last`` results of ``run_member``, which are returned unchanged.
        """
        state, x_MBD, bias_MBC = inputs
        if (count := len(self.members)) == 1:
            single = {name: value.squeeze(0) for name, value in state.items()}
            values, representation = split_last(run_member(single, x_MBD.squeeze(0), bias_MBC.squeeze(0)), last)
            return tuple(value.unsqueeze(0) for value in values), representation
        if not any(stopped) or all(stopped):
            return split_last(torch.vmap(run_member)(*inputs), last)
        active = torch.tensor([m for m in range(count) if not stopped[m]], device=self.device)
        state = {name: value.index_select(0, active) for name, value in state.items()}
        results = torch.vmap(run_member)(state, x_MBD.index_select(0, active), bias_MBC.index_select(0, active))
        values, representation = split_last(results, last)
        return tuple(value.new_zeros(count, *value.shape[1:]).index_copy(0, active, value) for value in values), representation

    def _tables(self, owner: str) -> dict[int, Tensor]:
        return {int(n.rpartition(".")[2]): v for n, v in self.parameters.items() if n.startswith(f"{owner}.")}

    @torch.no_grad()
    def logits(self, batch: Batch, skipped: Sequence[bool] = ()) -> Tensor:
        """Return logits (R, B, T), without dropout. The logit of a task after another is conditional on the task before.

        An ordinal task has its expected label instead. ``skipped`` is true for each member to leave out. Its logits mean nothing.
        """
        with _ONE_AT_A_TIME:
            return self.by_replica(self.read(self.forward(batch, stopped=skipped)[0]))

    def read(self, output_MBO: Tensor, tasks_M: Sequence[Sequence[int]] = ()) -> Tensor:
        """Turn the trunk's outputs into the tasks' logits (M, B, T), conditional on the task before.

        An ordinal task gets its expected label. ``tasks_M`` holds the tasks of the members of ``output_MBO``. By default these are
        all members of the model.
        """
        if self.targets.transfers(self.config.funnel):
            output_MBO = conditional_logits(output_MBO, self.targets)
        return self.ordinals.read(output_MBO, tasks_M or [member.tasks for member in self.members])

    def by_replica(self, value_MBT: Tensor) -> Tensor:
        """Reshape (M, B, tasks of a member) to (R, B, T)."""
        per_replica = len(self.members) // self.replicas
        if self.by_task:
            return read_diagonal(value_MBT, per_replica)
        return value_MBT if per_replica == 1 else value_MBT.squeeze(-1).unflatten(0, (-1, per_replica)).transpose(1, 2)

    @torch.no_grad()
    def gates(self, batch: Batch) -> tuple[Tensor, ...]:
        """Return the gate weights (R, B, T, E) of each level. The result is empty for a scheme without gates."""
        with _ONE_AT_A_TIME:
            levels = self.forward(batch, gates=True)
        if not self.by_task:
            return levels
        return tuple(read_diagonal(gate_MBTE, len(self.members) // self.replicas) for gate_MBTE in levels)


def keeps_copies(config: RunConfig, problem: Problem) -> bool:
    """Return whether the trained model of a run has a copy of the network for each task."""
    alone = find_architecture(config.architecture).one_model_per_task
    return config.keep == "best-per-task" and not alone and len(problem.tasks) > 1


def split_last(values: tuple[Tensor, ...], last: int) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Split off the ``last`` last values."""
    return values[: len(values) - last], values[len(values) - last :]


def read_diagonal(value_MBT: Tensor, tasks: int) -> Tensor:
    """Read task t of each replica from its copy t: (R T, B, T, ...) becomes (R, B, T, ...)."""
    value_RTBT = value_MBT.unflatten(0, (-1, tasks))
    return torch.stack([value_RTBT[:, t, :, t] for t in range(tasks)], dim=2)


def member_axis(name: str) -> int:
    """Return the members' axis of a parameter. Tables are (V, M, dim), and other parameters are (M, ...)."""
    return 1 if name.startswith(("embedding.", "bias_embedding.")) else 0
