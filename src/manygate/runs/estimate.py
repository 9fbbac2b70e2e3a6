"""Estimates what the training of a log takes, from a sample of its rows: time, memory, disk, and what processes exchange.

Three kinds of numbers are kept apart. Some are counted. Some are measured on this machine with the sample. The others are
extrapolated, and each names the rule.

Shape suffixes: B rows of a batch, R replicas, T tasks.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from statistics import median
from typing import Any

import pyarrow as pa

from manygate.config import RunConfig
from manygate.data.encoded import EncodedLog, encode_log, log_batches
from manygate.data.file_split import split_of
from manygate.data.fit import fit_encoder
from manygate.data.memory import all_memory
from manygate.data.rows import Input
from manygate.data.sources import Sources, find_schema, open_sources
from manygate.errors import InputError, setting
from manygate.evaluation.monitor import Monitor
from manygate.model.budget import measure
from manygate.model.problem import Problem
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
    encoding: float
    """Rows a second of encoding, both passes."""
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
    """The bytes of memory of a process: its rows, and the parameters with all copies that training makes."""
    model_memory: float
    """The part of it for the parameters."""
    exchange: float
    """The bytes that a process receives in a step."""

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
        rows: The number of rows to plan for. By default those of the log.
        sample: The number of rows to encode and train.

    Raises:
        InputError: The log does not tell how many rows it holds, and ``rows`` is None, or the log or the settings are wrong.
    """
    sources = open_sources(log, config)
    schema = find_schema(sources, config, None)
    total = rows or _count(sources)
    table = sources.train.sample(sample)
    alone = config.replace(log=None, valid=None, test=None, memory=None)
    began = time.perf_counter()
    try:
        encoded = encode_log(open_sources(table, alone), schema, alone, config.threads)
    except InputError as error:
        where = f"{sources.name}, a sample of {table.num_rows:,} rows"
        raise InputError(
            [*(f"{where}: {problem}" for problem in error.marked), f"A larger {setting('sample')} may help."]
        ) from None
    encoding = table.num_rows / (time.perf_counter() - began)
    rates, problem = _rates(encoded, alone, encoding, table.num_rows), Problem.of(encoded.encoder, config)
    growth = _growth(encoded, table, schema, alone)
    times = total / table.num_rows
    larger = replace(problem, inputs=tuple(_grown(i, growth, times) for i in problem.inputs))
    training_rows = round(total * len(encoded.parts["train"]) / table.num_rows)
    sized = config.for_rows(training_rows)
    size, model_memory = measure(larger, sized), replica_bytes(larger, sized) * config.replicas
    held = min(total, WINDOW_ROWS) if total * rates.row_bytes * 2 > all_memory() / cluster.processes else total
    return Estimate(
        rows=total,
        training_rows=training_rows,
        batch=sized.batch_rows,
        replicas=config.replicas,
        rates=rates,
        cluster=cluster,
        network_parameters=size.network_parameters,
        table_parameters=size.parameters - size.network_parameters,
        tables={name: (found.rows, found.at(times)) for name, found in growth.items()},
        memory=model_memory + held * rates.row_bytes,
        model_memory=model_memory,
        exchange=exchanged(larger, sized, size.network_parameters, cluster.size),
    )


def exchanged(problem: Problem, config: RunConfig, network: int, size: int) -> float:
    """Return the bytes that a process receives in a step: gradients of the network, changed rows of tables, outputs of the batch.

    A ring adds up the network's gradients: 2 (W - 1) / W of them come in. Of the tables and the outputs come those of all other
    processes. At most every id of a batch changes a row of its own.

    Args:
        problem: The inputs and tasks.
        config: The settings of the run.
        network: The parameters of a replica outside its tables.
        size: W, the number of processes.

    >>> problem = Problem.binary([Input("x", "sparse", False, rows=100, dim=8)], tasks=2)
    >>> exchanged(problem, RunConfig(batch_size=1000), 10_000, 2)
    64000.0
    """
    others = (size - 1) / size
    rows = sum(4 * i.dim * config.replicas + 8 for i in problem.inputs if i.dim)
    outputs = 4 * config.replicas * len(problem.tasks)
    return others * (2 * 4 * network * config.replicas + config.batch_rows * (rows + outputs))


def _count(sources: Sources) -> int:
    counts = [table.count() for _, table in sources.named()]
    known = [count for count in counts if count is not None]
    if len(known) < len(counts):
        raise InputError(f"{sources.name}: it does not tell how many rows it holds. Give {setting('rows', 1000000)}.")
    return sum(known)


def _rates(log: EncodedLog, config: RunConfig, encoding: float, rows: int) -> Rates:
    """Measure how fast batches are gathered and trained."""
    train = split_of(log.parts["train"])
    sized = config.for_rows(len(train))
    batches = train.batches(0, 0, min(sized.batch_rows, max(len(train) // 2, 1)))
    next(batches)  # it includes the order of the epoch
    began = time.perf_counter()
    gathered = sum(len(batch) for batch in islice(batches, TIMED_BATCHES))
    reading = gathered / (time.perf_counter() - began)
    row_bytes = sum(part.nbytes for part in log.parts.values()) / rows
    return Rates(rows, encoding, reading, _training(log, sized), row_bytes)


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


def _grown(feature: Input, growth: dict[str, Growth], times: float) -> Input:
    return replace(feature, rows=growth[feature.name].at(times)) if feature.rows else feature
