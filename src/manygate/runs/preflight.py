"""Checks data and settings before training."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from operator import mul
from typing import Any

import torch
from torch.func import functional_call

from manygate.architecture import find_architecture
from manygate.baselines.installed import chosen_baselines
from manygate.config import REPLICA_SETTINGS, RunConfig
from manygate.config.data_settings import LARGE_LOG
from manygate.data.encode import Encoder
from manygate.data.encoded import EncodedLog, encode_log
from manygate.data.labelled import types_to_read
from manygate.data.log_rows import LogRows
from manygate.data.memory import all_memory, free_memory, gigabytes
from manygate.data.order import WHOLE
from manygate.data.sources import Sources, find_schema, open_sources, unused_settings
from manygate.data.split import PARTS
from manygate.errors import InputError, either, raise_all, setting
from manygate.evaluation.monitor import check_monitor, monitor_warnings, parse_monitor
from manygate.model import MultiTaskModel
from manygate.model.budget import matched, measure, scheme_errors
from manygate.model.device import choose_device
from manygate.model.problem import Problem
from manygate.objective.weighting import check_weighting
from manygate.results.evaluation import DataWarning
from manygate.runs.world_check import check_joined
from manygate.schema import Schema
from manygate.text import count_of
from manygate.training.progress import Progress
from manygate.training.schedule import Schedule

BASELINE_COPIES = 4
"""The memory of baselines, in sizes of the encoded rows: the rows, their columns as float64, and what a library makes of them."""


def prepare(
    log: Any,
    config: RunConfig,
    schema: Schema | None = None,
    valid: Any = None,
    test: Any = None,
    architectures: Sequence[str] = (),
    progress: Progress | None = None,
    known: Encoder | None = None,
) -> EncodedLog:
    """Open, split and encode a log, and check the data and the settings. Problems raise :class:`InputError`.

    ``architectures`` are the architectures of a comparison. Without them, the architecture of the configuration is trained alone.
    ``known`` is the encoder of the run that is trained on; its schema holds.
    """
    if config.continued and known is None:
        at = either(f"continued={config.continued!r}", f"--continue {config.continued}")
        raise InputError(f"{at}: training on is for manygate train and Ranker.fit alone. Leave it out.")
    if config.split == "progressive":
        raise InputError(
            f"{setting('split', 'progressive')}: training day by day is for manygate train and Ranker.fit alone. Choose random, "
            "time or group."
        )
    sources, schema = open_log(log, config, schema, valid, test, architectures, known)
    chosen = architectures or [config.architecture]
    encoded = encode_log(sources, schema, config, config.threads, progress, known)
    encoded.warnings += _note_of_files(encoded)
    if architectures:
        _check_baselines(config, encoded)
    rows = len(encoded.parts["train"])
    sized = config.for_rows(rows)
    Schedule.of(config, math.ceil(rows / sized.batch_rows))
    raise_all(unread_rank(config, rows))
    check_monitor(config.monitor, schema.tasks, encoded.parts["valid"])
    encoded.warnings += monitor_warnings(config.monitor, schema.tasks, encoded.parts["valid"])
    raise_all(problem for name in chosen for problem in problems_of(encoded, sized.replace(architecture=name)))
    return encoded


def open_log(
    log: Any,
    config: RunConfig,
    schema: Schema | None = None,
    valid: Any = None,
    test: Any = None,
    architectures: Sequence[str] = (),
    known: Encoder | None = None,
) -> tuple[Sources, Schema]:
    """Open the tables of a log, find its schema, and check the settings that need no rows. :func:`prepare` has the arguments."""
    check_joined()
    if config.threads:
        torch.set_num_threads(config.threads)
    choose_device(config.device)
    if architectures:
        chosen_baselines(config.baselines)
    raise_all(_unknown(architectures or [config.architecture]))
    sources = open_sources(log, config, valid, test, types_to_read(known) if known else None)
    tables = dict(sources.named())
    unused = [] if known else unused_settings(config, [*tables.values()])  # a trained model keeps its settings of CSV files
    raise_all([*unused, *_unread(config, set(tables), comparison=bool(architectures))])
    schema = known.schema if known else find_schema(sources, config, schema)
    parse_monitor(config.monitor, schema.tasks, schema.group is not None)
    _check_weights(config, schema)
    return sources, schema


def _note_of_files(log: EncodedLog) -> Iterator[DataWarning]:
    """Say that rows are in files, and how many bytes they take."""
    files = [rows.files for rows in log.parts.values() if rows.files is not None]
    if files:
        size = gigabytes(sum(part.file_bytes for part in files))
        text = f"the encoded rows ({size}) are in files and not in memory; training reads them block by block (--memory)."
        yield DataWarning(level="note", text=text)


def _check_baselines(config: RunConfig, log: EncodedLog) -> None:
    """Raise an :class:`InputError` if baselines are asked for that need rows in memory which do not fit."""
    names = [name for name in chosen_baselines(config.baselines, log.in_files)[0] if name != "constant"]
    needed, free = sum(rows.files.file_bytes for rows in log.parts.values() if rows.files is not None), free_memory()
    if names and BASELINE_COPIES * needed > free:
        raise InputError(
            f"{setting('baselines', ','.join(names))}: they need all rows in memory, about "
            f"{gigabytes(BASELINE_COPIES * needed)}, and {gigabytes(free)} are free. Leave them out, or compare on a sample of the "
            "log."
        )


def _unread(config: RunConfig, parts: Collection[str], comparison: bool) -> Iterator[str]:
    """Find settings that were changed and that nothing would read. A setting with the value of its default says nothing."""
    why: dict[str, str] = {}
    if set(PARTS) <= set(parts):
        why |= dict.fromkeys(("split", "fractions"), "validation and test rows are given, so nothing is split")
    if not comparison:
        alone = ("weightings", "weight_sweep", "id_dropouts", "tune")
        why |= dict.fromkeys(alone, "a setting of a comparison, and this trains one model")
    for name in ("id_dropouts", "replica_id_dropouts"):
        if getattr(config, name):
            why["id_dropout"] = f"{setting(name)} gives the values"
    for name, reason in why.items():
        if getattr(config, name) != RunConfig.model_fields[name].default:
            yield f"{setting(name)}: {reason}. Leave it out."


def unread_rank(config: RunConfig, rows: int) -> Iterator[str]:
    """Find a rank that was changed, while there are no cross layers. Whether there are some may depend on the training rows."""
    if config.cross_rank == RunConfig.model_fields["cross_rank"].default or config.for_rows(rows).cross_layers:
        return
    cross_layers, gates = setting("cross_layers"), setting("gate_features")
    reason = f"{cross_layers} is 0"
    if config.cross_layers is None:
        reason = f"the default of {cross_layers} is 0 with {gates} and below {LARGE_LOG:,} training rows"
    yield f"{setting('cross_rank')}: there is no cross layer, since {reason}. Leave it out, or give {setting('cross_layers', 2)}."


def _check_weights(config: RunConfig, schema: Schema) -> None:
    if config.funnel.startswith("escm2") and not config.escm2_weight and not config.escm2_joint_weight:
        raise InputError(
            f"{setting('escm2_weight')}, {setting('escm2_joint_weight')}: both are 0, so "
            "tasks after another learn nothing. Raise one."
        )
    if config.funnel != "conditional":
        raise_all(
            f"task {task.name!r}: the loss pairwise is not for a task after another with {setting('funnel', config.funnel)}. "
            f"Leave the loss out, or add {setting('funnel', 'conditional')}."
            for task in schema.tasks
            if task.after and task.loss == "pairwise"
        )
    for name in REPLICA_SETTINGS:
        count = len(getattr(config, name))
        if count > config.replicas:
            counts = f"{setting(name)}: {count} given, and {setting('replicas')} is {config.replicas}."
            raise InputError(f"{counts} Give no more than there are replicas.")
    for row in config.replica_weights:
        if len(row) != len(schema.tasks):
            raise InputError(
                f"{setting('replica_weights')}: {count_of(len(row), 'number')} in {list(row)}, and "
                f"{count_of(len(schema.tasks), 'task')} ({', '.join(schema.task_names)}). Give one a task, replicas separated by /."
            )
    weights = [task.weight for task in schema.tasks]
    if len(weights) > 1 and not any(weights):
        raise InputError("tasks: every weight is 0, so there is nothing to learn. Give one task more than 0.")
    if not all(any(map(mul, row, weights)) for row in config.replica_weights):
        raise InputError(
            f"{setting('replica_weights')}: a replica whose weights are all zero learns nothing. Give one task more than 0."
        )
    chosen = config.weightings or (config.weighting,)
    for weighting in chosen:
        check_weighting(weighting, len(weights), config)
    decaying = [task.name for task in schema.tasks if task.decay != 1]
    if decaying and "schedule" not in chosen:
        raise InputError(
            f"task {decaying[0]!r} has a decay; only {setting('weighting', 'schedule')} reads it, and it is {', '.join(chosen)}."
        )
    if config.weight_sweep and len(weights) < 2:
        raise InputError(
            f"{setting('weight_sweep')}: one task alone has no trade-off to sweep over. Leave it out, or name more tasks."
        )


def _unknown(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        try:
            find_architecture(name)
        except InputError as error:
            yield from error.marked


def problems_of(log: EncodedLog, config: RunConfig) -> list[str]:
    """Return the reasons why an architecture cannot be trained with these settings."""
    problem = Problem.of(log.encoder, config)
    try:
        with scheme_errors(config.architecture):
            sized = matched(problem, config)
            check_memory(problem, sized, log)
            measure(problem, sized)
            check_representations(problem, sized)
            check_shared_layer(problem, sized)
    except InputError as error:
        return [text if config.architecture in text else f"{config.architecture}: {text}" for text in error.marked]
    return []


def check_representations(problem: Problem, config: RunConfig) -> None:
    """Raise an :class:`InputError` unless a scheme returns one representation for all tasks, or one for each task.

    Another number would be broadcast to the towers without an error.
    """
    with torch.device("meta"):
        model = MultiTaskModel(problem, config.replace(replicas=1), "meta", False)
        x_BD = torch.empty(2, model.embedding.copies * model.embedding.width)
        trunk = model.trunk.eval()
        h_BTH = trunk.architecture(trunk.below(x_BD))
    tasks = 1 if model.scheme.one_model_per_task else len(problem.tasks)
    if h_BTH.dim() != 3 or h_BTH.shape[1] not in (1, tasks):
        raise InputError(
            f"{config.architecture}: forward returns the shape {tuple(h_BTH.shape)}; expected (rows, {tasks}, width), or "
            "(rows, 1, width) for one representation that all tasks share."
        )


def check_shared_layer(problem: Problem, config: RunConfig) -> None:
    """Raise an :class:`InputError` if the output of the scheme's ``shared_layer`` has no gradient."""
    with torch.device("meta"):
        model = MultiTaskModel(problem, config.replace(replicas=1), "meta", False)
        x_BD = torch.empty(2, model.embedding.copies * model.embedding.width)
        bias_BC = torch.empty(2, model.bias_embedding.width)
    trunk = model.trunk.eval()
    if trunk.shared_layer() is None:
        return
    *_, shared = functional_call(trunk, dict(trunk.named_parameters()), (x_BD, bias_BC, False, True))
    if not shared.requires_grad:
        name = type(trunk.architecture).__name__
        raise InputError(
            f"{name}.shared_layer returns a module whose output has no gradient. Return a module with an output that tasks read."
        )


def check_memory(problem: Problem, config: RunConfig, log: EncodedLog) -> None:
    """Raise an :class:`InputError` if data and model cannot fit in memory.

    A model needs at least the weights of all replicas, and the gradient and the best weights of one replica, in float32. The rows
    of all parts stay in memory, on the device of the training, with the scores of the validation or the test rows. Of training rows
    in files two windows do, and of other rows in files the labels.
    """
    with torch.device("meta"):
        single = MultiTaskModel(problem, config.replace(replicas=1), "meta", False)
    model = 4 * single.parameter_count() * (config.replicas + 2)
    judged = max(len(log.parts["valid"]), len(log.parts["test"]))
    data = sum(_held(rows, part == "train") for part, rows in log.parts.items()) + 4 * config.replicas * len(problem.tasks) * judged
    memory = _memory(choose_device(config.device))
    if model + data > memory:
        rows = sum(len(rows) for rows in log.parts.values())
        raise InputError(
            f"{config.architecture} with {config.replicas:,} replicas of {single.parameter_count():,} numbers needs at least "
            f"{gigabytes(model)} of memory and the {rows:,} rows need {gigabytes(data)}, and there are {gigabytes(memory)}. "
            f"Lower {setting('replicas')}, {setting('dim')}, {setting('experts')} or {setting('expert_hidden')}, raise "
            f"{setting('min_count')}, or give fewer rows."
        )


def _held(rows: LogRows, training: bool) -> float:
    """Return the bytes of a part's rows that are in memory at once."""
    if rows.files is None or not training:
        return rows.nbytes
    return 2 * rows.files.file_bytes * min(WHOLE / len(rows), 1.0)


def _memory(device: torch.device) -> float:
    """Return the bytes of the device's memory. Return infinity if the system does not report them."""
    if device.type == "cuda":
        return float(torch.cuda.get_device_properties(device).total_memory)
    return all_memory()
