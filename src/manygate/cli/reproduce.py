"""``manygate reproduce``: a paper's study, run anew and held against what the paper claims."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from manygate.cli.flags import Json, ShowProgress
from manygate.cli.screen import print_json
from manygate.errors import raise_all
from manygate.training.interrupt import Interrupted
from manygate.training.progress import open_progress

reproduce_app = App(name="reproduce", help="Run a paper's study anew and hold its claims against the numbers.")


@reproduce_app.command(name="mmoe-synthetic")
def mmoe_synthetic(
    *,
    out: Annotated[Path, Parameter(help="Folder to write; a study that was stopped goes on in its folder.")] = Path(
        "runs/mmoe-synthetic"
    ),
    quick: Annotated[
        bool, Parameter(help="20 runs of 1,000 steps instead of 200 of 3,000: minutes instead of most of an hour.")
    ] = False,
    runs: Annotated[int | None, Parameter(help="Runs of each model, correlation and learning rate.")] = None,
    steps: Annotated[int | None, Parameter(help="Steps of each run.")] = None,
    seed: Annotated[int, Parameter(help="Seed of the first run; run r has seed + r.")] = 0,
    threads: Annotated[int | None, Parameter(help="CPU threads. Default: all cores.")] = None,
    overwrite: Annotated[bool, Parameter(help="Start anew where --out holds a study.")] = False,
    json: Json = False,
    progress: ShowProgress = "auto",
) -> None:
    """The synthetic study of MMoE (Ma et al., KDD 2018, sections 3 and 5): figures 2 to 5, claims and verdicts.

    Writes report.html and results.json. Stop it whenever you like: the same command goes on where it was.

    Example: manygate reproduce mmoe-synthetic --quick --out runs/mmoe-synthetic
    """
    from manygate.cli.terminal import show_study
    from manygate.studies.mmoe_synthetic import FULL, QUICK, reproduce

    raise_all(_problems(runs, steps, seed, threads))
    plan = QUICK if quick else FULL
    plan = replace(plan, protocol=replace(plan.protocol, first_seed=seed, steps=steps or plan.protocol.steps))
    if runs is not None:
        plan = replace(plan, runs=runs, runs_beyond=min(plan.runs_beyond, runs))
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    try:
        results = reproduce(out, plan, open_progress(progress), overwrite, _command(quick, runs, steps, seed))
    except Interrupted as stop:
        raise Interrupted(stop.signal, f"{stop.resume} The same command goes on from there.") from None
    if json:
        print_json(results.to_tree())
    else:
        show_study(results, out)


def _command(quick: bool, runs: int | None, steps: int | None, seed: int) -> str:
    """The command that gives the same results; threads, folder and the like do not matter to them."""
    given = {"--runs": runs, "--steps": steps, "--seed": seed or None}
    flags = [f"{name} {value}" for name, value in given.items() if value is not None]
    return " ".join(["manygate reproduce mmoe-synthetic", *(["--quick"] if quick else []), *flags])


def _problems(runs: int | None, steps: int | None, seed: int, threads: int | None) -> list[str]:
    problems = []
    if runs is not None and runs < 5:
        problems.append(f"--runs {runs}: too few to compare. Give at least 5.")
    if steps is not None and steps < 1:
        problems.append(f"--steps {steps}: expected at least 1.")
    if not 0 <= seed < 2**62:
        problems.append(f"--seed {seed}: expected a whole number from 0 to 2^62.")
    if threads is not None and not 1 <= threads <= 1024:
        problems.append(f"--threads {threads}: expected 1 to 1024.")
    return problems
