"""``manygate demo``: a comparison on a log that the command writes first, and whether it finds what is true of that log."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from manygate.cli.compare import compare_and_show
from manygate.cli.flags import Json, ShowProgress
from manygate.config import RunConfig
from manygate.errors import InputError
from manygate.files import write_text
from manygate.schema import Schema
from manygate.training.progress import open_progress

ROWS, REPLICAS = 120_000, 10
QUICK_ROWS, QUICK_REPLICAS = 80_000, 6
FEWEST_ROWS = 1000
LOG: dict[str, Any] = {"relatedness": (0.0, 0.0, 1.0), "turnover": 0.1, "buy_spread": 3.0}
"""What is true of the log: buy wants what click wants, like and watch_time have nothing to do with it, and items come and go."""
LEFT_OUT = {"watch_time": "The demo compares three tasks."}
SETTINGS: dict[str, Any] = {
    "architectures": "single_task,shared_bottom,mmoe",
    "min_count": 8,
    "id_dropout": 3.0,
    "dim": 16,
    "bottom_hidden": 6,
    "expert_hidden": 12,
    "experts": 16,
    "learning_rate": 7e-3,
    "batch_size": 256,
    "split": "time",
    "fractions": (0.1, 0.3, 0.6),
}
"""Few rows to learn from and many to judge on, since evaluating is cheap; and a bottom that is too narrow for two tastes."""


def demo(
    *,
    out: Annotated[Path, Parameter(help="Folder to write.")] = Path("runs/demo"),
    rows: Annotated[
        int | None, Parameter(help=f"Impressions in the log. Default: {ROWS:,}, or {QUICK_ROWS:,} with --quick.")
    ] = None,
    replicas: Annotated[
        int | None, Parameter(help=f"Replicas of each architecture. Default: {REPLICAS}, or {QUICK_REPLICAS} with --quick.")
    ] = None,
    seed: Annotated[int, Parameter(help="Seed of the log and of the models.")] = 0,
    quick: Annotated[bool, Parameter(help="Take fewer rows and replicas, which leaves more in doubt.", negative=())] = False,
    json: Json = False,
    progress: ShowProgress = "auto",
) -> None:
    """Compare ways of sharing on a made-up log whose truth is known: write the log, train, and show what was found.

    Example: manygate demo --quick
    """
    from manygate import datasets
    from manygate.cli.demo_story import demo_story
    from manygate.runs.folder import open_folder
    from manygate.runs.preflight import prepare

    show = open_progress(progress)
    rows = (QUICK_ROWS if quick else ROWS) if rows is None else rows
    replicas = (QUICK_REPLICAS if quick else REPLICAS) if replicas is None else replicas
    log = (out / "log").absolute()
    chosen = {"log": str(log / "*.parquet"), "schema_file": str(log / "demo.yaml"), "replicas": replicas, "seed": seed}
    config = RunConfig.build({**SETTINGS, **chosen})
    earlier = (out / "config.yaml").is_file() and RunConfig.load(out / "config.yaml").log == config.log
    if rows < FEWEST_ROWS:
        raise InputError(f"--rows {rows:,}: too few to compare anything on. Write at least {FEWEST_ROWS:,}.")
    if out.exists() and not earlier and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--out {out} exists and is not an earlier demo. Choose another --out.")
    command = f"manygate demo --out {shlex.quote(str(out))} --rows {rows} --replicas {replicas} --seed {seed}"
    with open_folder(out, config, resume=False, overwrite=earlier):
        show.say(f"writing an impression log of {rows:,} rows to {out / 'log'}")
        write_schema(datasets.impressions(log, rows=rows, seed=seed, **LOG).schema, log / "demo.yaml")
        encoded = prepare(config.log, config, architectures=config.architectures, progress=show)
        compare_and_show(encoded, config, out, json, show, command, story_of=demo_story)


def write_schema(path: Path, out: Path) -> None:
    """Write the schema of a log without the tasks that the demo leaves out."""
    schema = Schema.load(path)
    kept = tuple(task for task in schema.tasks if task.name not in LEFT_OUT)
    chosen = schema.model_copy(update={"tasks": kept, "ignored": {**schema.ignored, **LEFT_OUT}})
    write_text(out, chosen.to_yaml())
