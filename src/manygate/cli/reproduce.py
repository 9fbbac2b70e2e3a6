"""``manygate reproduce``: a paper's study, run anew and held against what the paper claims."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple, TypeVar

from cyclopts import App, Parameter

from manygate.cli.flags import Json, ShowProgress
from manygate.cli.streams import print_json
from manygate.errors import raise_all
from manygate.training.interrupt import Interrupted
from manygate.training.progress import open_progress

if TYPE_CHECKING:
    from manygate.studies.plan import Plan

Kind = TypeVar("Kind", bound="Plan")
reproduce_app = App(name="reproduce", help="Run a paper's study anew and hold its claims against the numbers.")

Out = Annotated[Path, Parameter(help="Folder to write; a study that was stopped goes on in its folder.")]
Runs = Annotated[int | None, Parameter(help="Long runs of each model and correlation, at the chosen learning rate.")]
PilotRuns = Annotated[int | None, Parameter(help="Pilot runs of each model, correlation and learning rate, on other seeds.")]
Seed = Annotated[int, Parameter(help="Seed of the first long run; run r has seed + r.")]
Threads = Annotated[int | None, Parameter(help="CPU threads. Default: all cores.")]
Overwrite = Annotated[bool, Parameter(help="Start anew where --out holds a study.")]


class Sizes(NamedTuple):
    """The flags that change a plan."""

    quick: bool
    runs: int | None
    pilot_runs: int | None
    steps: int | None
    seed: int


@reproduce_app.command(name="mmoe-synthetic")
def mmoe_synthetic(
    *,
    out: Out = Path("runs/mmoe-synthetic"),
    quick: Annotated[bool, Parameter(help="20 runs of 1,000 steps, 3 pilots: minutes instead of many hours.")] = False,
    runs: Runs = None,
    pilot_runs: PilotRuns = None,
    steps: Annotated[
        int | None,
        Parameter(
            help="Steps of each run. Default: 30,000, doubled up to 120,000 while losses of pilots fall; 1,000 with --quick."
        ),
    ] = None,
    seed: Seed = 0,
    threads: Threads = None,
    overwrite: Overwrite = False,
    json: Json = False,
    progress: ShowProgress = "auto",
) -> None:
    """The synthetic study of MMoE (Ma et al., KDD 2018, sections 3 and 5): figures 2 to 5, claims and verdicts.

    Pilots choose the learning rate of each model and correlation, and the steps. Only these rates get the long runs, 200 of each.
    Writes report.html and results.json. Stop it whenever you like: the same command goes on where it was.

    Example: manygate reproduce mmoe-synthetic --quick --out runs/mmoe-synthetic
    """
    from manygate.studies.mmoe_synthetic import FULL, QUICK

    sizes = Sizes(quick, runs, pilot_runs, steps, seed)
    raise_all(_problems(sizes, threads))
    plan = _plan(QUICK if quick else FULL, sizes)
    if runs is not None:
        plan = replace(plan, runs_beyond=min(plan.runs_beyond, runs))
    _reproduce(plan, sizes, out, threads, overwrite, json, progress)


@reproduce_app.command(name="ple-synthetic")
def ple_synthetic(
    *,
    out: Out = Path("runs/ple-synthetic"),
    quick: Annotated[
        bool, Parameter(help="5 runs of 400 steps at three correlations, 2 pilots: minutes instead of many hours.")
    ] = False,
    runs: Runs = None,
    pilot_runs: PilotRuns = None,
    steps: Annotated[
        int | None,
        Parameter(help="Steps of each run. Default: 21,875, which are 1.4 million rows, as in the paper; 400 with --quick."),
    ] = None,
    seed: Seed = 0,
    threads: Threads = None,
    overwrite: Overwrite = False,
    json: Json = False,
    progress: ShowProgress = "auto",
) -> None:
    """The synthetic data of PLE (Tang et al., RecSys 2020): gains over single-task models at ten correlations, and claims.

    Pilots choose the learning rate of each model and correlation. Only these rates get the long runs, 40 of each.
    Writes report.html and results.json. Stop it whenever you like: the same command goes on where it was.

    Example: manygate reproduce ple-synthetic --quick --out runs/ple-synthetic
    """
    from manygate.studies.ple_synthetic import FULL, QUICK

    sizes = Sizes(quick, runs, pilot_runs, steps, seed)
    raise_all(_problems(sizes, threads))
    _reproduce(_plan(QUICK if quick else FULL, sizes), sizes, out, threads, overwrite, json, progress)


def _plan(plan: Kind, sizes: Sizes) -> Kind:
    """Return the plan with the sizes that flags give; steps that are given are the length of all runs."""
    protocol = replace(plan.protocol, first_seed=sizes.seed, steps=sizes.steps or plan.protocol.steps)
    plan = replace(plan, protocol=protocol, longest=sizes.steps or plan.longest)
    return replace(plan, runs=sizes.runs or plan.runs, pilot_runs=sizes.pilot_runs or plan.pilot_runs)


def _reproduce(
    plan: Plan, sizes: Sizes, out: Path, threads: int | None, overwrite: bool, json: bool, progress: ShowProgress
) -> None:
    from manygate.cli.terminal import show_study
    from manygate.studies.study import reproduce

    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    try:
        results = reproduce(out, plan, open_progress(progress), overwrite, _command(plan.STUDY, sizes))
    except Interrupted as stop:
        raise Interrupted(stop.signal, f"{stop.resume} The same command goes on from there.") from None
    if json:
        print_json(results.to_tree())
    else:
        show_study(results, out)


def _command(study: str, sizes: Sizes) -> str:
    """Return the command that gives the same results; threads, folder and the like do not matter to them."""
    given = {"--runs": sizes.runs, "--pilot-runs": sizes.pilot_runs, "--steps": sizes.steps, "--seed": sizes.seed or None}
    flags = [f"{name} {value}" for name, value in given.items() if value is not None]
    return " ".join([f"manygate reproduce {study}", *(["--quick"] if sizes.quick else []), *flags])


def _problems(sizes: Sizes, threads: int | None) -> list[str]:
    problems = []
    if sizes.runs is not None and not 5 <= sizes.runs <= 100_000:
        problems.append(f"--runs {sizes.runs}: expected 5 to 100,000. Fewer are too few to compare.")
    if sizes.pilot_runs is not None and not 1 <= sizes.pilot_runs <= 100_000:
        problems.append(f"--pilot-runs {sizes.pilot_runs}: expected 1 to 100,000.")
    if sizes.steps is not None and sizes.steps < 1:
        problems.append(f"--steps {sizes.steps}: expected at least 1.")
    if not 0 <= sizes.seed < 2**62:
        problems.append(f"--seed {sizes.seed}: expected a whole number from 0 to 2^62.")
    if threads is not None and not 1 <= threads <= 1024:
        problems.append(f"--threads {threads}: expected 1 to 1024.")
    return problems
