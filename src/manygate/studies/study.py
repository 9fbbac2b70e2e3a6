"""This module runs the study of a plan in a folder: pilots, long runs, claims, ``results.json`` and ``report.html``.

A study that was stopped goes on in its folder. Everything that is decided on the way (the rates, the length) follows from the
results of packs, and is decided again in the same way.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from manygate.errors import InputError, setting
from manygate.files import locked, read_json, to_json, write_text
from manygate.metrics.uncertainty import interval
from manygate.results.study import Cell, StudyPlan, StudyResults, SweepResult
from manygate.studies.claims import claim_record
from manygate.studies.packs import Total, run_sweep
from manygate.studies.pilots import on_edge, run_pilots
from manygate.studies.plan import Plan
from manygate.studies.sweep import Outcome, Protocol, Runs, Trained
from manygate.training.progress import Progress


def reproduce(out: Path, plan: Plan, progress: Progress, overwrite: bool = False, command: str = "") -> StudyResults:
    """Run the study in a folder, or continue the study that the folder holds; return the content of ``results.json``.

    Raises :class:`InputError` if the folder holds something else.
    """
    from manygate.studies.page import write_page

    _open(out, plan, overwrite)
    with locked(out):
        total = Total(progress, plan.STUDY, plan.rows(plan.protocol))
        protocol, trained = _train(plan, out / "packs", total)
        total.close()
        results = _results(plan, protocol, trained, command)
        write_text(out / "results.json", to_json(results.to_tree()))
        write_page(results, out / "report.html")
    return results


def _train(plan: Plan, folder: Path, progress: Total) -> tuple[Protocol, dict[str, dict[str, Trained]]]:
    """Train what is not trained yet. Return the protocol of the chosen length, and the models by group and name."""
    protocol, pilots = run_pilots(plan, folder / "pilots", progress)
    trained: dict[str, dict[str, Trained]] = {}
    for group, outcomes in pilots.items():
        trained[group] = {}
        for outcome in outcomes:
            sweep = outcome.sweep
            chosen = tuple((outcome.best_rate(p),) for p in sweep.correlations)
            long = replace(sweep, rates=chosen, runs=plan.runs_of(group), offset=0)
            trained[group][sweep.name] = Trained(outcome, run_sweep(long, protocol, folder / "runs", progress))
    return protocol, trained


def _results(plan: Plan, protocol: Protocol, trained: Mapping[str, Mapping[str, Trained]], command: str) -> StudyResults:
    labels = plan.label_correlations()
    outcomes = [outcome for group in trained.values() for model in group.values() for outcome in model]
    return StudyResults(
        results_version=StudyResults.VERSION,
        manygate_version=version("manygate"),
        command=command,
        plan=_plan(plan),
        length=protocol.steps,
        seconds=round(sum(outcome.seconds for outcome in outcomes), 1),
        runs=sum(len(runs.diverged_R) for outcome in outcomes for runs in outcome.cells.values()),
        figure_2=labels,
        claims=[claim_record(claim) for claim in plan.claims(trained, labels)],
        sweeps={group: [summary(model) for model in models.values()] for group, models in trained.items()},
    )


def _plan(plan: Plan) -> StudyPlan:
    """Return all settings that determine the results, for ``plan.json`` and ``results.json``."""
    pilots = plan.pilots()
    return StudyPlan.model_validate(
        {
            "study": plan.STUDY,
            "protocol": asdict(plan.protocol),
            "lengths": plan.lengths,
            "runs": {group: plan.runs_of(group) for group in pilots},
            "pilots": {group: [asdict(sweep) for sweep in sweeps] for group, sweeps in pilots.items()},
            "trials": plan.trials,
            "trial_rows": plan.trial_rows,
        }
    )


def _open(out: Path, plan: Plan, overwrite: bool) -> None:
    """Create the folder, or check that it holds the same study."""
    note, wanted = out / "plan.json", to_json(_plan(plan).to_tree())
    overwritten = overwrite and _is_plan(note)
    if overwritten:
        with locked(out):  # another process may be training there
            pass
        for name in ("plan.json", "results.json", "report.html"):
            (out / name).unlink(missing_ok=True)
        shutil.rmtree(out / "packs", ignore_errors=True)
    if _is_plan(note) and note.read_text(encoding="utf-8") != wanted:
        raise InputError(
            f"{setting('out', out)}: holds a study with other settings (plan.json). Choose another {setting('out')}, "
            f"or add {setting('overwrite', True)} to start anew."
        )
    if not _is_plan(note):
        if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not overwritten)):
            raise InputError(f"{setting('out', out)} exists and holds no study. Choose another {setting('out')}.")
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{setting('out', out)}: cannot be written ({error.strerror}). Choose another {setting('out')}."
            ) from None
        write_text(note, wanted)
    (out / "packs").mkdir(exist_ok=True)


def _is_plan(note: Path) -> bool:
    """Return whether a file is the plan of a study."""
    try:
        tree = read_json(note) if note.is_file() else None
    except ValueError:
        return False
    return isinstance(tree, dict) and {"protocol", "trials"} <= set(tree)


def summary(model: Trained) -> SweepResult:
    """Summarise a model for ``results.json``: every run's final loss, and the mean curves."""
    long, sweep = model.long, model.long.sweep
    return SweepResult(
        name=sweep.name,
        architecture=sweep.architecture,
        settings=sweep.settings,
        widths=long.widths,
        tasks=sweep.tasks,
        runs=sweep.runs,
        parameters=long.parameters,
        flops=long.flops,
        seconds=round(long.seconds + model.pilots.seconds, 1),
        steps=long.steps,
        chosen_rate={f"{p:g}": model.rate(p) for p in sweep.correlations},
        on_edge=on_edge(model.pilots),
        cells=_cells(long),
        pilots=_cells(model.pilots),
    )


def _cells(outcome: Outcome) -> list[Cell]:
    """Return the cells of an outcome, by correlation and then by rate."""
    return [_cell(p, rate, outcome.at(p, rate)) for p in outcome.sweep.correlations for rate in outcome.rates(p)]


def _cell(p: float, rate: float, runs: Runs) -> Cell:
    kept_R = runs.losses()
    whole = kept_R[np.isfinite(kept_R)]
    quartiles = np.quantile(whole, [0, 0.25, 0.5, 0.75, 1]) if whole.size else np.full(5, np.nan)
    statistics = interval(whole.tolist())
    return Cell(
        correlation=p,
        rate=rate,
        mean=statistics.mean,
        sd=statistics.sd,
        ci95=statistics.ci95,
        quartiles=_short(quartiles),
        diverged=int(runs.diverged_R.sum()),
        dead_towers=int(runs.dead_R.sum()),
        at_rest=runs.at_rest,
        curve=_short(runs.mean_curve),
        validation_mean=_short(np.array([runs.validation]))[0],
        loss=_short(kept_R),
        loss_by_task=[_short(runs.losses(task)) for task in range(runs.test_RT.shape[1])],
    )


def _short(values: np.ndarray) -> list[float | None]:
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in values]
