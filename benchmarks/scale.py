"""What measured building blocks predict for logs and tables that no machine here has seen.

    python benchmarks/scale.py

It measures nothing. It reads the newest results of ``out_of_core.py`` and puts them into the formulas of ``manygate plan``
(:mod:`manygate.runs.estimate`). A machine is one like that of those results. All that differs from its rows, parameters and one
machine is extrapolated.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from out_of_core import IDS, SETTINGS

from manygate.config import RunConfig
from manygate.data.rows import Input
from manygate.files import write_text
from manygate.model.budget import measure
from manygate.model.problem import Problem
from manygate.runs.estimate import Cluster, Estimate, Rates, exchanged
from manygate.text import duration

RESULTS = Path(__file__).parent / "results"
ROWS = (10**9, 10**10, 10**11)
MACHINES = (1, 10, 100)
PARAMETERS = (10**9, 10**10, 10**11)
DIM = 16
COPIES = {"adam": 6 * 4.0, "row-wise Adagrad": 4 * 4.0 + 4.0 / DIM}
"""The bytes for each number of a table in training: the weights, the best weights, the model at the end, a checkpoint that is being
written, and the state of the optimizer. The gradients are sparse."""


def problem() -> Problem:
    """The inputs of the log of ``out_of_core.py``."""
    ids = [Input(f"id{i}", "sparse", False, rows=count, dim=SETTINGS["dim"]) for i, count in enumerate((*IDS, 200))]
    return Problem.binary([*ids, *(Input(f"x{i}", "dense", False, units=1) for i in range(5))], tasks=len(SETTINGS["task"]))


def predicted(longest: dict[str, Any], rows: int, machines: int, batch: int) -> Estimate:
    """Return the estimate of a log on some machines."""
    config = RunConfig.build({**SETTINGS, "batch_size": batch})
    size, cluster = measure(problem(), config), Cluster(machines)
    rates = Rates(
        rows=longest["rows"],
        training_rows=longest["training_rows"],
        encoding=longest["encoded_rows_a_second"],
        reading=longest["read_rows_a_second"],
        training=longest["trained_rows_a_second"],
        row_bytes=longest["file_bytes_a_row"],
    )
    return Estimate(
        rows=rows,
        training_rows=rows,
        batch=batch,
        replicas=1,
        rates=rates,
        cluster=cluster,
        network_parameters=size.network_parameters,
        table_parameters=size.parameters - size.network_parameters,
        tables={},
        memory=1e6 * longest["peak_mb"],
        model_memory=0.0,
        exchange=exchanged(problem(), config, size.network_parameters, machines),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=65_536, help="rows of a global batch")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    source = max(RESULTS.glob("*-out-of-core.json"))
    longest = json.loads(source.read_text(encoding="utf-8"))["in_files"][-1]
    lines = [
        "# What measured building blocks predict",
        "",
        f"* Command: `python benchmarks/scale.py --batch {arguments.batch}`.",
        f"* Measured: `{source.name}`, {longest['rows']:,} rows on a machine of two cores.",
        f"* Batches of {arguments.batch:,} rows, 10 Gbit/s between machines, no delay. Evaluations are not counted.",
        "* One machine: as measured, times the rows. More machines: extrapolated.",
        "",
        "| rows | machines | encoded rows on each | encoding | epoch | a machine receives in a step |",
        "|---|---|---|---|---|---|",
    ]
    document: list[dict[str, Any]] = []
    for rows in ROWS:
        for machines in MACHINES:
            found = predicted(longest, rows, machines, arguments.batch)
            times = {"encoding": found.encoding, "epoch": found.epoch, "exchange": found.exchange}
            document.append({"rows": rows, "machines": machines, **times})
            cells = [f"{rows / 1e9:,.0f} billion", f"{machines}", f"{found.encoded / 1e12:,.2f} TB", duration(found.encoding)]
            lines.append(f"| {' | '.join([*cells, duration(found.epoch), f'{found.exchange / 1e6:,.1f} MB'])} |")
    lines += ["", "| numbers in tables | with Adam | with row-wise Adagrad |", "|---|---|---|"]
    for count in PARAMETERS:
        sizes = " | ".join(f"{count * copies / 1e9:,.0f} GB" for copies in COPIES.values())
        lines.append(f"| {count / 1e9:,.0f} billion | {sizes} |")
    lines += ["", f"Memory of each process, counted, with embeddings of {DIM}; every process has all tables."]
    stem = arguments.out / f"{source.name[:10]}-scale"
    write_text(stem.with_suffix(".json"), json.dumps({"source": source.name, "predicted": document}, indent=1) + "\n")
    write_text(stem.with_suffix(".md"), "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
