"""``manygate reproduce mmoe-census``: section 6.3 of the MMoE paper, tuned, trained and held against its tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from manygate.cli.flags import Json, ShowProgress
from manygate.cli.screen import show_points
from manygate.cli.streams import print_json, say
from manygate.errors import raise_all
from manygate.training.interrupt import Interrupted
from manygate.training.progress import open_progress


def mmoe_census(
    *,
    data_dir: Annotated[
        Path | None,
        Parameter(help="Folder with census-income.data and census-income.test, plain, .gz or .bz2. Default: they are downloaded."),
    ] = None,
    out: Annotated[Path, Parameter(help="Folder to write; a study that was stopped goes on in its folder.")] = Path(
        "runs/mmoe-census"
    ),
    quick: Annotated[
        bool, Parameter(help="A sketch in minutes: 10,000 training rows, 2 trials, 3 runs. Take no number from it.")
    ] = False,
    trials: Annotated[int | None, Parameter(help="Trials of each search. Default: 8.")] = None,
    replicas: Annotated[
        int | None, Parameter(help="Runs of each winner; 400 in the paper. Another number uses the same searches. Default: 30.")
    ] = None,
    group: Annotated[Literal["income", "education", "both"], Parameter(help="The paper's group 1, group 2, or both.")] = "both",
    methods: Annotated[
        str | None, Parameter(help="Methods, separated by commas, such as single_task,mmoe,lightgbm. Default: all.")
    ] = None,
    seed: Annotated[int, Parameter(help="Seed of the split, the searches and the first run.")] = 0,
    threads: Annotated[int | None, Parameter(help="CPU threads. Default: all cores.")] = None,
    json: Json = False,
    progress: ShowProgress = "auto",
) -> None:
    """The census study of MMoE (Ma et al., KDD 2018, section 6.3): Tables 1 and 2, tuned and trained anew.

    Every method is tuned on validation rows and its winner trained again many times. Writes report.html and results.json, and says
    how long the rest will take. Stop it whenever you like: the same command goes on where it was.

    Example: manygate reproduce mmoe-census --quick --data-dir downloads --out runs/mmoe-census
    """
    from manygate.datasets.census import GROUPS
    from manygate.studies.census.conclusions import headline
    from manygate.studies.census.plan import FULL, FULL_REPLICAS, METHODS, QUICK, QUICK_REPLICAS, problems
    from manygate.studies.census.study import reproduce

    names = METHODS if methods is None else tuple(name.strip() for name in methods.split(",") if name.strip())
    given = {"trials": trials, "replicas": replicas, "threads": threads, "seed": seed, "methods": names, "group": group}
    raise_all(problems(given))
    plan = replace(QUICK if quick else FULL, seed=seed)
    plan = plan if trials is None else replace(plan, trials=trials)
    runs = replicas or (QUICK_REPLICAS if quick else FULL_REPLICAS)
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    flags = {"--trials": trials, "--replicas": replicas, "--group": None if group == "both" else group, "--methods": methods}
    command = _command(quick, {**flags, "--seed": seed or None})
    try:
        groups = GROUPS if group == "both" else (group,)
        results = reproduce(
            out, plan, tuple(dict.fromkeys(names)), groups, runs, data_dir, open_progress(progress), threads, quick, command
        )
    except Interrupted as stop:
        raise Interrupted(stop.signal, "The same command goes on from there.") from None
    if json:
        print_json(results.to_tree())
        return
    say(f"{headline(results)}.\n")
    for name, entry in results.groups.items():
        say(f"Table {entry.table}, {name}:")
        show_points(entry.conclusions)
    say(f"\nThe tables and all numbers: {out / 'report.html'}")


def _command(quick: bool, given: dict[str, object]) -> str:
    """Return the command that gives the same results; threads, folders and the like do not matter to them."""
    flags = [f"{name} {value}" for name, value in given.items() if value is not None]
    return " ".join(["manygate reproduce mmoe-census", *(["--quick"] if quick else []), *flags])
