"""The cost of a scheme, and widths that give every scheme the same budget.

Parameters are counted without embedding tables, because their size does not depend on the widths. FLOPs count the matrix products
of one row's forward pass. A multiplication and an addition count as two. The cost of the optimizer and of elementwise operations
is not counted. Experts that a sparse gate may skip at inference count in full.
"""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch.func import functional_call

from manygate.architecture import Inputs, find_architecture
from manygate.architecture.shared_bottom import bottom_widths
from manygate.config import RunConfig
from manygate.config.values import WIDEST as LARGEST_WIDTH
from manygate.data.encoded import encode_log
from manygate.data.rows import Input
from manygate.data.sources import find_schema, open_sources
from manygate.errors import InputError, setting
from manygate.layers.embedding import Embedding
from manygate.model.problem import Problem
from manygate.model.replicas import MultiTaskModel, member_axis
from manygate.results.base import Record
from manygate.text import count_of

TOLERANCE = 0.02
ROWS = 64
WIDEST = 16384
_WIDER_TOWERS = 4


@dataclass(frozen=True)
class Size:
    """The cost of one replica."""

    parameters: int
    """All trainable numbers."""
    network_parameters: int
    """The trainable numbers outside the embedding tables."""
    flops: int
    """The FLOPs of one row's forward pass."""


class ArchitectureCost(Record):
    """An architecture with its source, and its size and hidden widths; where it cannot be had, ``problem`` is the reason."""

    name: str
    source: str
    problem: str | None
    parameters: int | None = None
    network_parameters: int | None = None
    flops: int | None = None
    hidden: str | None = None
    towers: str | None = None


def measure(problem: Problem, config: RunConfig, by_task: bool = False) -> Size:
    """Return the size of a run's model. The tensors have a shape and no memory, so the model is not built.

    With ``by_task`` it is that of the model with a copy of the network for each task.

    >>> problem = Problem.binary([Input("x", "dense", False, units=100)], tasks=2)
    >>> measure(problem, RunConfig(expert_hidden=16, tower_hidden=8))
    Size(parameters=14818, network_parameters=14818, flops=29856)
    """
    with torch.device("meta"), scheme_errors(config.architecture):
        model = MultiTaskModel(problem, config.replace(replicas=1, **_UNMATCHED), "meta", False, by_task)
        network = sum(value.numel() for name, value in model.parameters.items() if member_axis(name) == 0)
        flops = len(model.members) * _flops(model)
    return Size(model.parameter_count(), network, flops)


@contextmanager
def scheme_errors(name: str) -> Iterator[None]:
    """Turn an exception of a user's own scheme into an :class:`InputError` that names the scheme.

    Exceptions of the built-in schemes and :class:`InputError` pass unchanged.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if ":" not in name:
            raise
        raise InputError(
            f"{name}: raises {type(error).__name__}: {' '.join(str(error).split())[:200]}. Check the class with "
            "manygate.testing.check_architecture."
        ) from error


_UNMATCHED = {"match_parameters": None, "match_flops": None}


def _flops(model: MultiTaskModel) -> int:
    """Return the FLOPs of one row's forward pass through the trunk of one member."""
    from torch.utils.flop_counter import FlopCounterMode

    logging.getLogger("torch.utils.flop_counter").setLevel(logging.ERROR)
    trunk = model.trunk.eval()
    x_BD = torch.empty(ROWS, model.embedding.copies * model.embedding.width)
    bias_BC = torch.empty(ROWS, model.bias_embedding.width)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        functional_call(trunk, dict(trunk.named_parameters()), (x_BD, bias_BC))
    return round(counter.get_total_flops() / ROWS)


def matched(problem: Problem, config: RunConfig) -> RunConfig:
    """Return the settings with widths that meet ``match_parameters`` or ``match_flops`` within 2 %.

    The settings are returned unchanged if neither is set. The hidden widths of the experts (or bottoms) are scaled together. Where
    one more unit is too coarse a step, the towers' widths are scaled too. Raises :class:`InputError` if no widths meet the budget.
    """
    name, budget = ("match_parameters", config.match_parameters) if config.match_parameters else ("match_flops", config.match_flops)
    if budget is None:
        return config
    plain = config.replace(**_UNMATCHED)

    def cost(candidate: RunConfig) -> int:
        size = measure(problem, candidate)
        return size.network_parameters if name == "match_parameters" else size.flops

    base = _with_widths(plain)
    smallest = cost(_scaled(base, 1, 1))
    width = _largest(lambda w: cost(_scaled(base, w)) <= budget)
    best, error = base, math.inf
    for candidate in _candidates(base, width, lambda c: cost(c) <= budget):
        distance = abs(cost(candidate) / budget - 1)
        if distance < error:
            best, error = candidate, distance
        if error <= TOLERANCE / 4 or (error <= TOLERANCE and candidate.tower_hidden == base.tower_hidden):
            break
    if error > TOLERANCE:
        nearest = cost(best)
        advice = "Choose a larger budget" if nearest > budget else "Choose a smaller budget"
        if nearest == smallest and cost(_scaled(base, 2, 1)) == smallest:
            advice = "Its size does not depend on the widths in the settings, so leave it out"
        raise InputError(
            f"{name}: {config.architecture} cannot have {budget:,} within {TOLERANCE:.0%}. The nearest is {nearest:,} and the "
            f"least is {smallest:,} (for widths of 1 to {WIDEST:,}). {advice}, or set other numbers of experts, levels or layers."
        )
    return best


def _candidates(base: RunConfig, width: int, fits: Callable[[RunConfig], bool]) -> Iterator[RunConfig]:
    """Yield settings with widths near the budget. Settings with unchanged towers come first."""
    near = [w for w in (width, width + 1) if w >= 1]
    yield from (_scaled(base, w) for w in near)
    if not base.tower_hidden:
        return
    most = _WIDER_TOWERS * base.tower_hidden[0]
    for w in (width, width - 1, width + 1, width // 2, width // 4, 1):
        if w >= 1:
            tower = _largest(lambda t, w=w: fits(_scaled(base, w, t)), most)  # type: ignore[misc]
            yield from (_scaled(base, w, t) for t in (tower, tower + 1) if 1 <= t <= most)


def _largest(fits: Callable[[int], bool], most: int = WIDEST) -> int:
    """Return the largest width that fits, found by bisection. Return 0 if none fits."""
    low, high = 0, 1
    while high <= most and fits(high):
        low, high = high, 2 * high
    high = min(high, most + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _with_widths(config: RunConfig) -> RunConfig:
    """Return the settings with ``bottom_hidden`` set if the scheme uses it, so that it can be scaled."""
    if find_architecture(config.architecture).widths == "expert_hidden" or config.bottom_hidden:
        return config
    return config.replace(bottom_hidden=config.expert_hidden)


def _scaled(config: RunConfig, width: int, tower: int | None = None) -> RunConfig:
    """Set the first hidden width to ``width`` and scale the others in proportion. ``tower`` does the same for the towers."""
    changes: dict[str, object] = {}
    field = find_architecture(config.architecture).widths
    rows = [config.bottom_hidden or ()] if field == "bottom_hidden" else list(config.level_hidden or [config.expert_hidden])
    factor = width / rows[0][0]
    if field == "bottom_hidden":
        step = find_architecture(config.architecture).width_step(config)
        changes["bottom_hidden"] = tuple(step * w for w in _times(rows[0], factor))
    elif config.level_hidden is not None:
        changes["level_hidden"] = tuple(_times(row, factor) for row in rows)
    else:
        changes["expert_hidden"] = _times(config.expert_hidden, factor)
    if field == "expert_hidden" and config.task_expert_hidden is not None:
        changes["task_expert_hidden"] = tuple(_times(row, factor) for row in config.task_expert_hidden)
    if tower is not None and config.tower_hidden:
        changes["tower_hidden"] = _times(config.tower_hidden, tower / config.tower_hidden[0])
    return config.replace(**changes)


def _times(widths: Sequence[int], factor: float) -> tuple[int, ...]:
    return tuple(min(max(round(w * factor), 1), LARGEST_WIDTH) for w in widths)


def listing(config: RunConfig, columns: int, labels: int) -> tuple[list[ArchitectureCost], str]:
    """Return a row for each of ``config.architectures``, and a title that describes the inputs.

    A row holds the name, the source, the size and the widths. If the architecture cannot be built or cannot meet the budget, it
    holds the problem instead. ``columns`` and ``labels`` are the numbers of inputs and tasks if ``config.log`` is None.
    """
    if config.log is None:
        if columns < 1 or labels < 1:
            raise InputError(f"{setting('columns')} and {setting('labels')}: need at least 1 each; found {columns} and {labels}.")
        problem = Problem.binary([Input("x", "dense", False, units=columns)], labels)
        title = f"{count_of(columns, 'number')}, {count_of(labels, 'task')}"
    else:
        sources = open_sources(config.log, config, None, None)
        log = encode_log(sources, find_schema(sources, config, None), config)
        problem = Problem.of(log.encoder, config)
        title = f"{config.log}: {count_of(len(log.schema.features), 'feature')}, {count_of(len(problem.tasks), 'task')}"
    return [_listed(problem, config.replace(architecture=name)) for name in config.architectures], title


def _listed(problem: Problem, config: RunConfig) -> ArchitectureCost:
    scheme = find_architecture(config.architecture)
    source = " ".join((sys.modules[scheme.__module__].__doc__ or "").partition("\n\n")[0].split())
    try:
        fitted = matched(problem, config)
        size = measure(problem, fitted)
    except InputError as error:
        problems = [text if config.architecture in text else f"{config.architecture}: {text}" for text in error.marked]
        return ArchitectureCost(name=config.architecture, source=source, problem=" ".join(problems))
    width = fitted.lower_hidden[-1] if fitted.lower_hidden else _width(problem.inputs)
    bottom = fitted.bottom_hidden or bottom_widths(Inputs(width), len(problem.tasks), fitted)
    rows = [bottom] if scheme.widths == "bottom_hidden" else fitted.level_hidden or [fitted.expert_hidden]
    hidden = "/".join("-".join(map(str, widths)) for widths in rows)
    return ArchitectureCost(
        name=config.architecture,
        source=source,
        problem=None,
        parameters=size.parameters,
        network_parameters=size.network_parameters,
        flops=size.flops,
        hidden=hidden,
        towers="-".join(map(str, fitted.tower_hidden)),
    )


def _width(inputs: Sequence[Input]) -> int:
    return Embedding(inputs, [i for i in inputs if not i.bias]).width
