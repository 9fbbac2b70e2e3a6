"""Estimates what the training of a log takes, from a sample of its rows: time, memory, disk, and what processes exchange.

Three kinds of numbers are kept apart. Some are counted. Some are measured on this machine with the sample. The others are
extrapolated, and each names the rule.

Shape suffixes: B rows of a batch, R replicas, T tasks.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from statistics import median
from typing import Any

import pyarrow as pa
import torch

from manygate.config import RunConfig
from manygate.data.encoded import EncodedLog, encode_log, log_batches
from manygate.data.file_split import split_of
from manygate.data.fit import fit_encoder
from manygate.data.memory import all_memory, memory_size
from manygate.data.rows import FIRST_ROW, Input
from manygate.data.sources import Sources, find_schema, open_sources
from manygate.data.split import PARTS
from manygate.errors import InputError, setting
from manygate.evaluation.monitor import Monitor
from manygate.model import MultiTaskModel
from manygate.model.budget import measure
from manygate.model.problem import Problem, ruled
from manygate.runs.run import fit
from manygate.schema import Schema
from manygate.training.packs import replica_bytes
from manygate.training.progress import Progress

SAMPLE_ROWS = 200_000
"""The number of rows that are encoded and trained for an estimate."""
WARM_UP, STEPS = 5, 25
"""The number of steps that are trained, and of the first of them, whose times do not count."""
TIMED_BATCHES = 20
"""The number of batches that are gathered for the time of reading."""
WINDOW_ROWS = 2 * 1_048_576
"""The rows in memory at once if rows are in files: two windows."""


@dataclass(frozen=True)
class Cluster:
    """The machines of a run. Each is taken to be like this one."""

    machines: int = 1
    processes: int = 1
    """The number of processes on each machine."""
    gigabits: float = 10.0
    """The speed of the network between machines, in Gbit/s, in each direction."""

    @property
    def size(self) -> int:
        """The number of all processes."""
        return self.machines * self.processes


@dataclass(frozen=True)
class Rates:
    """What was measured on this machine with the sample, with all its threads."""

    rows: int
    """The number of rows of the sample."""
    training_rows: int
    """The number of them that train. A larger batch is not measured: its time is that of a batch of so many, times the rows."""
    encoding: float
    """Rows a second of encoding, both passes. Reading the files is not in it."""
    reading: float
    """Rows a second of gathering batches."""
    training: float
    """Rows a second of training, gathering included. A row that R replicas read counts R times."""
    row_bytes: float
    """The bytes of an encoded row."""


@dataclass(frozen=True)
class Growth:
    """How a feature's table grows with the rows of a log: as a power of them, which is Heaps' law.

    The power comes from the rows of the table for the sample and for every second row of it.
    """

    rows: int
    """The rows of the table for the sample."""
    power: float

    @classmethod
    def of(cls, half: int, whole: int) -> Growth:
        """Take the rows of a table for half of the sample and for all of it.

        >>> Growth.of(100, 150)
        Growth(rows=150, power=0.5849625007211562)
        >>> Growth.of(100, 100)
        Growth(rows=100, power=0.0)
        """
        return cls(whole, min(max(math.log2(max(whole, 1) / max(half, 1)), 0.0), 1.0))

    def at(self, times: float) -> int:
        """Return the rows of the table for a log that is ``times`` as long as the sample.

        >>> Growth(150, 0.5).at(4)
        300
        """
        return round(self.rows * max(times, 1.0) ** self.power)


@dataclass(frozen=True)
class Estimate:
    """What the training of a log takes."""

    rows: int
    training_rows: int
    batch: int
    replicas: int
    rates: Rates
    cluster: Cluster
    network_parameters: int
    table_parameters: int
    tables: dict[str, tuple[int, int]]
    """The rows of each feature's table: in the sample, and for the whole log."""
    memory: float
    """The bytes of memory of a process for its rows, and for the parameters with all copies that training makes.

    Python and its libraries take some hundred megabytes more.
    """
    model_memory: float
    """The part of it for the parameters."""
    exchange: float
    """The bytes that a process receives in a step."""
    steps_at_most: int | None = None
    """The setting ``max_steps``."""

    def whole(self, epochs: int) -> float:
        """Return the seconds of a run of so many epochs without its evaluations."""
        steps = epochs * self.steps
        return self.step * (steps if self.steps_at_most is None else min(steps, self.steps_at_most))

    @property
    def encoded(self) -> float:
        """The bytes of all encoded rows."""
        return self.rows * self.rates.row_bytes

    @property
    def encoding(self) -> float:
        """The seconds of encoding. Each process encodes the whole log, and those of a machine share its cores."""
        return self.rows / self.rates.encoding * self.cluster.processes

    @property
    def steps(self) -> int:
        """The number of steps of an epoch."""
        return math.ceil(self.training_rows / self.batch)

    @property
    def step(self) -> float:
        """The seconds of a step. Each process gathers the whole batch and computes its part of it."""
        reading, whole = self.batch / self.rates.reading, self.batch * self.replicas / self.rates.training
        shared = max(whole - reading, 0.0) / self.cluster.machines
        return shared + reading * self.cluster.processes + self.exchanging

    @property
    def exchanging(self) -> float:
        """The seconds of the exchange in a step, through the network of a machine. Within one machine it is not counted."""
        if self.cluster.machines == 1:
            return 0.0
        return self.exchange * self.cluster.processes * 8 / (self.cluster.gigabits * 1e9)

    @property
    def epoch(self) -> float:
        """The seconds of an epoch without its evaluation."""
        return self.steps * self.step


def estimate(log: Any, config: RunConfig, cluster: Cluster, rows: int | None = None, sample: int = SAMPLE_ROWS) -> Estimate:
    """Estimate what the training of a log takes, from a sample that is encoded and trained for some steps.

    Args:
        log: A file, folder, glob or table.
        config: The settings of the run.
        cluster: The machines.
        rows: The number of rows to plan for, of all parts. By default those of the log.
        sample: The number of training rows to encode and train.

    Raises:
        InputError: The log does not tell how many rows it holds, and ``rows`` is None, or the log or the settings are wrong.
    """
    if config.split == "progressive":
        raise InputError(f"{setting('split', 'progressive')}: a plan is for a log that is trained as a whole. Plan for one day.")
    sources = open_sources(log, config)
    schema = find_schema(sources, config, None)
    total, share = rows or _count(sources), _training_share(sources, config)
    table = sources.train.sample(sample)
    alone = config.replace(log=None, valid=None, test=None, memory=None)
    encoded, encoding = _encoded(sources, table, schema, alone)
    training_rows = round(total * share)
    sized = config.for_rows(training_rows)
    rates = _rates(encoded, sized, encoding, table.num_rows)
    growth, times = _growth(encoded, table, schema, alone), training_rows / (table.num_rows * config.fractions[0])
    found = Problem.of(encoded.encoder, config)
    inputs = tuple(_grown(i, growth, times, _limit(schema, config, i.name)) for i in found.inputs)
    larger = replace(found, inputs=ruled(inputs, schema, config))
    size, model_memory = measure(larger, sized), replica_bytes(larger, sized) * config.replicas
    limit = all_memory() / cluster.processes if config.memory is None else memory_size(config.memory)
    held = min(total, WINDOW_ROWS) if total * rates.row_bytes * 2 > limit else total
    return Estimate(
        rows=total,
        training_rows=training_rows,
        batch=sized.batch_rows,
        replicas=config.replicas,
        rates=rates,
        cluster=cluster,
        network_parameters=size.network_parameters,
        table_parameters=size.parameters - size.network_parameters,
        tables={i.name: (growth[i.name].rows, i.rows) for i in larger.inputs if i.rows},
        memory=model_memory + held * rates.row_bytes,
        model_memory=model_memory,
        exchange=exchanged(larger, sized, size.network_parameters, cluster.size, _bag_lengths(encoded)),
        steps_at_most=config.max_steps,
    )


def exchanged(problem: Problem, config: RunConfig, network: int, size: int, lengths: Mapping[str, float] | None = None) -> float:
    """Return the bytes that a process receives in a step: gradients of the network, changed rows of tables, outputs of the batch.

    A ring adds up the network's gradients: 2 (W - 1) / W of them come in. Of the tables and the outputs come those of all other
    processes. Every id of a batch is taken to change a row of its own.

    Args:
        problem: The inputs and tasks.
        config: The settings of the run.
        network: The parameters of a replica outside its tables.
        size: W, the number of processes.
        lengths: The mean number of ids of each list; 1 by default.

    >>> problem = Problem.binary([Input("x", "sparse", False, rows=100, dim=8)], tasks=2)
    >>> exchanged(problem, RunConfig(batch_size=1000), 10_000, 2)
    64000.0
    """
    others = (size - 1) / size
    with torch.device("meta"):
        model = MultiTaskModel(problem, config.replace(replicas=1), "meta", False)
    vectors = len(model.members) * model.embedding.copies * config.replicas
    rows = sum((4 * i.dim * vectors + 8) * (lengths or {}).get(i.name, 1.0) for i in problem.inputs if i.dim)
    outputs = 4 * config.replicas * len(problem.tasks)
    return others * (2 * 4 * network * config.replicas + config.batch_rows * (rows + outputs))


def _training_share(sources: Sources, config: RunConfig) -> float:
    """Return the share of all rows that train: those that are not given as validation or test rows, and are not split off."""
    counts = {part: table.count() or 0 for part, table in sources.named()}
    train, *others = zip(config.fractions, PARTS, strict=True)
    split_off = sum(share for share, part in others if part not in counts)
    kept = train[0] / (train[0] + split_off) if split_off else 1.0
    return kept * (counts["train"] / sum(counts.values()) if sum(counts.values()) else 1.0)


def _encoded(sources: Sources, table: pa.Table, schema: Schema, config: RunConfig) -> tuple[EncodedLog, float]:
    """Encode a sample of the training rows. Return it, and the rows a second."""
    began = time.perf_counter()
    try:
        encoded = encode_log(open_sources(table, config), schema, config, config.threads)
    except InputError as error:
        where, count = f"{sources.name}, a sample of {table.num_rows:,} rows", sources.train.count()
        hint = [f"A larger {setting('sample')} may help."] if count is None or table.num_rows < count else []
        raise InputError([*(f"{where}: {problem}" for problem in error.marked), *hint]) from None
    return encoded, table.num_rows / (time.perf_counter() - began)


def _limit(schema: Schema, config: RunConfig, name: str) -> int | None:
    """Return the most rows of a feature's table."""
    most = next((f.max_ids for f in schema.features if f.name == name), None) or config.max_ids
    return None if most is None else most + FIRST_ROW


def _bag_lengths(log: EncodedLog) -> dict[str, float]:
    """Return the mean number of ids of each list."""
    rows = log.parts["train"].loaded()
    names = [i.name for i in log.encoder.inputs(1) if i.kind == "bag"]
    return {name: len(value_n) / len(rows) for name, (value_n, _) in zip(names, rows.bags, strict=True)}


def _count(sources: Sources) -> int:
    counts = [table.count() for _, table in sources.named()]
    known = [count for count in counts if count is not None]
    if len(known) < len(counts):
        raise InputError(f"{sources.name}: it does not tell how many rows it holds. Give {setting('rows', 1000000)}.")
    return sum(known)


def _rates(log: EncodedLog, config: RunConfig, encoding: float, rows: int) -> Rates:
    """Measure how fast batches are gathered and trained."""
    train = split_of(log.parts["train"])
    batches = train.batches(0, 0, min(config.batch_rows, max(len(train) // 2, 1)))
    next(batches)  # it includes the order of the epoch
    began = time.perf_counter()
    gathered = sum(len(batch) for batch in islice(batches, TIMED_BATCHES))
    reading = gathered / (time.perf_counter() - began)
    row_bytes = sum(part.nbytes for part in log.parts.values()) / rows
    return Rates(rows, len(train), encoding, reading, _training(log, config), row_bytes)


def _training(log: EncodedLog, config: RunConfig) -> float:
    """Return the rows a second of training, from the median time of a step."""
    problem, train = Problem.of(log.encoder, config), split_of(log.parts["train"])
    monitor = Monitor(config.monitor, problem, log.parts["valid"], split_of(log.parts["valid"]))
    epochs = math.ceil(STEPS / math.ceil(len(train) / config.batch_rows))
    short = config.replace(max_steps=STEPS, epochs=epochs, evaluate_every=1.0, patience=epochs)
    steps = StepTimes()
    fit(problem, train, None, monitor, short, None, steps, "", None)
    return steps.rows_a_second()


class StepTimes(Progress):
    """A progress that notes when each step ends."""

    def __init__(self) -> None:
        self.ends = [time.perf_counter()]
        self.rows: list[int] = []

    def advance(self, rows: int) -> None:
        self.ends.append(time.perf_counter())
        self.rows.append(rows)

    def rows_a_second(self) -> float:
        """Return the rows of a step over the median time between two ends. The first steps count only if there are no more.

        >>> times = StepTimes()
        >>> times.ends, times.rows = [0.0, 9.0, 10.0, 11.0, 12.0, 13.0, 15.0, 17.0], [600] * 7
        >>> times.rows_a_second()
        300.0
        """
        seconds = [end - before for before, end in pairwise(self.ends)]
        return float(median(self.rows)) / median(seconds[WARM_UP:] or seconds[-1:])


def _growth(log: EncodedLog, table: pa.Table, schema: Schema, config: RunConfig) -> dict[str, Growth]:
    """Return how the table of each feature grows, from every second row of the sample and from all of them."""
    half = table.take(pa.array(range(0, table.num_rows, 2)))
    batches = ((where, batch) for part, where, batch in log_batches(open_sources(half, config), schema, config) if part == "train")
    fewer = {i.name: i.rows for i in fit_encoder(schema, config, batches, config.shuffle_seed).inputs(config.dim) if i.rows}
    return {i.name: Growth.of(fewer.get(i.name, i.rows), i.rows) for i in log.encoder.inputs(config.dim) if i.rows}


def _grown(feature: Input, growth: dict[str, Growth], times: float, most: int | None) -> Input:
    if not feature.rows:
        return feature
    rows = growth[feature.name].at(times)
    return replace(feature, rows=rows if most is None else min(rows, max(most, feature.rows)))
