"""``manygate plan``: what the training of a log would take."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from manygate.cli.flags import (
    CSV,
    DATA,
    MODEL,
    TRAINING,
    ConfigFile,
    CsvFlags,
    DataFlags,
    Imports,
    Json,
    ModelFlags,
    TrainFlags,
    resolve,
    settings_of,
)
from manygate.cli.loading import import_own
from manygate.cli.streams import print_json
from manygate.errors import InputError


def plan(
    log: Annotated[str | None, Parameter(help="A file, folder or glob: Parquet, CSV, Arrow.")] = None,
    /,
    *,
    rows: Annotated[float | None, Parameter(help="Rows to plan for, such as 1e9. Default: those of the log.")] = None,
    sample: Annotated[int, Parameter(help="Rows to encode and train for the estimate.")] = 200_000,
    machines: Annotated[int, Parameter(help="Machines, each like this one.")] = 1,
    processes: Annotated[int, Parameter(help="Processes on each machine (--nproc-per-node of torchrun).")] = 1,
    network: Annotated[float, Parameter(help="The network between machines, in Gbit/s.")] = 10.0,
    config: ConfigFile = None,
    import_: Imports = (),
    json: Json = False,
    data: Annotated[DataFlags | None, DATA] = None,  # type: ignore[valid-type]
    csv: Annotated[CsvFlags | None, CSV] = None,  # type: ignore[valid-type]
    model: Annotated[ModelFlags | None, MODEL] = None,  # type: ignore[valid-type]
    training: Annotated[TrainFlags | None, TRAINING] = None,  # type: ignore[valid-type]
) -> None:
    """Estimate the time, the memory and the disk that training a log would take, from a sample that is trained for some steps.

    Example: manygate plan log/ --task click --rows 1e9 --machines 4
    """
    from manygate.cli.plan_table import show_estimate
    from manygate.runs.estimate import Cluster, estimate

    settings = resolve(config, settings_of(data, csv, model, training) | ({} if log is None else {"log": log}))
    if settings.log is None:
        raise InputError("no log is given. Give a file, a folder or a glob, or 'log:' in --config.")
    numbers = {"--rows": rows, "--sample": sample, "--machines": machines, "--processes": processes, "--network": network}
    problems = [
        f"{flag} {number:g}: expected a number of at least 1."
        for flag, number in numbers.items()
        if number is not None and not 1 <= number < math.inf
    ]
    if problems:
        raise InputError(problems)
    import_own(import_, {})
    found = estimate(settings.log, settings, Cluster(machines, processes, network), None if rows is None else int(rows), sample)
    if json:
        times = {name: getattr(found, name) for name in ("encoded", "encoding", "steps", "step", "exchanging", "epoch")}
        print_json(asdict(found) | times)
    else:
        show_estimate(found, settings.epochs)
