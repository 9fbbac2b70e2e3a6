"""The table of ``manygate plan``: each number with the way it is known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from manygate.cli.screen import Text, grid, open_console
from manygate.cli.streams import say
from manygate.config.data_settings import LARGE_LOG
from manygate.data.memory import gigabytes
from manygate.text import count_of, duration

if TYPE_CHECKING:
    from manygate.runs.estimate import Estimate

TABLES = 8
"""The number of tables to list, the largest first."""


def show_estimate(found: Estimate, epochs: int) -> None:
    """Print the estimate. ``epochs`` is the largest number of epochs of the run."""
    rates = found.rates
    table = grid(f"{found.rows:,} rows, {count_of(found.replicas, 'replica')}", "", "estimate", "known by")
    table.columns[-1].justify = "left"
    for name, value, known in _lines(found, epochs):
        table.add_row(Text(name), Text(value), Text(known))
    open_console().print(table)
    say(
        f"\nThe sample had {rates.rows:,} rows. This machine encoded {rates.encoding:,.0f} rows/s, gathered {rates.reading:,.0f} "
        f"rows/s and trained {rates.training:,.0f} rows/s. Other programs on the machine make it slower."
    )
    for warning in _warnings(found):
        say(warning)


def _lines(found: Estimate, epochs: int) -> Iterator[tuple[str, str, str]]:
    measured, cluster = f"measured on {found.rates.rows:,} rows", found.cluster
    scaled = "measured" if cluster.size == 1 else f"measured on one process, extrapolated to {cluster.size}"
    yield "encoded rows", _size(found.encoded), measured
    yield "encoding", duration(found.encoding), measured
    yield f"step of {found.batch:,} rows", _milliseconds(found.step), scaled
    yield f"epoch of {found.steps:,} steps", duration(found.epoch), scaled
    yield (
        f"at most {count_of(epochs, 'epoch')}",
        duration(found.whole(epochs)),
        "without evaluations; early stopping may end it before",
    )
    if cluster.size > 1:
        yield "a process receives in a step", _size(found.exchange), "counted: at most every id changes a row"
        if cluster.machines > 1:
            yield (
                "the exchange of a step",
                _milliseconds(found.exchanging),
                f"extrapolated: {cluster.gigabits:g} Gbit/s a machine, no delay",
            )
    yield "parameters of the network", f"{found.network_parameters:,}", "counted"
    yield "parameters of the tables", f"{found.table_parameters:,}", "extrapolated: ids grow as a power of the rows"
    largest = sorted(found.tables.items(), key=lambda item: -item[1][1])[:TABLES]
    for name, (sampled, whole) in largest:
        yield f"  rows of {name}", f"{whole:,}", f"{sampled:,} in the sample"
    yield "memory of a process for the model", _size(found.model_memory), "counted: parameters and the copies of training"
    yield (
        "memory of a process for model and rows",
        _size(found.memory),
        "counted: the rows are those in memory at once",
    )


def _warnings(found: Estimate) -> Iterator[str]:
    yield "Reading the files is not in the time of encoding, and Python with its libraries is not in the memory (some hundred MB)."
    known = found.rates.training_rows
    if found.batch > known:
        yield (
            f"The sample trains {known:,} rows, fewer than a batch of {found.batch:,}, so the time of a step is extrapolated. A "
            "larger --sample measures it."
        )
    if found.training_rows >= LARGE_LOG > known:
        yield (
            f"Target statistics and ids of numbers are defaults from {LARGE_LOG:,} training rows on, and the sample has fewer. So "
            "they are not in this plan. Take a larger --sample, or set target_statistics and number_ids."
        )
    if found.tables and found.rates.rows < found.rows:
        yield (
            "Ids are the least certain part. The sample has the first rows of row groups that are spread over the log, and says "
            "little about how many ids a log of another length has."
        )
    if found.cluster.processes > 1:
        yield "Each process encodes the whole log, so more processes on a machine encode no faster."
    if found.cluster.machines == 1 and found.cluster.processes > 1:
        yield "Processes of one machine share its cores, so a step is taken to be as fast as that of one process with all threads."


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:,.1f} ms"


def _size(amount: float) -> str:
    return gigabytes(amount) if amount >= 1e9 else f"{amount / 1e6:,.1f} MB"
