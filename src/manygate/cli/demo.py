"""``manygate demo``: a comparison on a log that the command writes first."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from manygate.cli.compare import compare_and_show
from manygate.cli.flags import Json, ShowProgress
from manygate.config import RunConfig
from manygate.errors import InputError
from manygate.training.progress import open_progress


def demo(
    *,
    out: Annotated[Path, Parameter(help="Folder to write.")] = Path("runs/demo"),
    rows: Annotated[int, Parameter(help="Impressions in the log.")] = 60_000,
    replicas: Annotated[int, Parameter(help="Replicas of each architecture.")] = 5,
    json: Json = False,
    progress: ShowProgress = "auto",
) -> None:
    """Compare four ways of sharing on a made-up log whose truth is known: writes the log, trains, shows the verdict.

    Example: manygate demo
    """
    from manygate import datasets
    from manygate.runs.folder import open_folder
    from manygate.runs.preflight import prepare

    show = open_progress(progress)
    schemes = "single_task,shared_bottom,mmoe,ple"
    config = RunConfig.build(
        {"architectures": schemes, "replicas": replicas, "learning_rate": 3e-3, "patience": 2, "log": str((out / "log").absolute())}
    )
    earlier = (out / "config.yaml").is_file() and RunConfig.load(out / "config.yaml").log == config.log
    if rows < 1000:
        raise InputError(f"--rows {rows:,}: too few to compare anything on. Write at least 1,000.")
    if out.exists() and not earlier and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--out {out} exists and is not an earlier demo. Choose another --out.")
    command = f"manygate demo --out {shlex.quote(str(out))} --rows {rows} --replicas {replicas}"
    with open_folder(out, config, resume=False, overwrite=earlier):
        show.say(f"writing an impression log of {rows:,} rows to {out / 'log'}")
        datasets.impressions(out / "log", rows=rows)
        compare_and_show(prepare(out / "log", config), config, out, json, show, command)
