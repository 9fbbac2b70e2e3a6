"""This module reproduces sections 3 and 5 of Ma et al., "Modeling Task Relationships in Multi-task Learning with MMoE", KDD 2018.

We choose what the paper leaves open: c = 1, five sines with alpha = 1..5 and beta = i pi / 4, noise of variance 0.01, an unlimited
stream of new rows in batches of 64, 3,000 steps, Adam's default moments, Glorot-uniform weights. A run's final loss is its mean
squared error after the last step, over its tasks, which are symmetric. It is measured on 4,000 rows of the run that training does
not use. The learning rate is chosen from the paper's grid for each model and correlation, by mean loss on 1,000 other rows.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from manygate.datasets.synthetic import Tasks
from manygate.errors import InputError, setting
from manygate.files import locked, read_json, to_json, write_text
from manygate.metrics.uncertainty import interval, t_quantile
from manygate.randomness import SYNTHETIC, stream_seed
from manygate.results.study import (
    Cell,
    Claim,
    Evidence,
    Finding,
    LabelCorrelation,
    StudyPlan,
    StudyResults,
    SweepResult,
)
from manygate.studies.claims import claim_record
from manygate.studies.mmoe_claims import claims
from manygate.studies.sweep import Outcome, Protocol, Sweep, run_sweep
from manygate.training.progress import Progress

CORRELATIONS = (0.5, 0.9, 1.0)
RATES = (1e-4, 1e-3, 1e-2)
COMPARED = ("shared_bottom", "omoe", "mmoe")
PAPER_WIDTHS = {"shared_bottom": {"bottom_hidden": 113}, "omoe": {}, "mmoe": {}}
BUDGET = 14_818
"""The number of parameters of the paper's MMoE; schemes beyond the paper have as many, within 2 %."""
FIGURE_2 = tuple(round(0.1 * i, 1) for i in range(11))
FIGURE_3 = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
MANY_TASKS = 4
PEARSON = 3  # purpose of a stream, beside those of manygate.studies.stream


@dataclass(frozen=True)
class Plan:
    """The numbers of runs and trials of the study."""

    protocol: Protocol
    runs: int
    runs_beyond: int
    schemes_beyond: tuple[str, ...]
    trials: int = 100
    trial_rows: int = 10_000

    def sweeps(self) -> dict[str, list[Sweep]]:
        """List all sweeps: figure 3, figures 4 and 5, the schemes beyond the paper, four tasks."""
        sixteen = {"architecture": "shared_bottom", "bottom_hidden": 16}
        return {
            "figure 3": [Sweep("figure-3", "shared_bottom", sixteen, FIGURE_3, (1e-3,), self.runs)],
            "compared": [_sweep(name, self.runs, **PAPER_WIDTHS[name]) for name in COMPARED],
            "beyond": [_sweep(name, self.runs_beyond, match_parameters=BUDGET) for name in self.schemes_beyond],
            "many tasks": [
                replace(
                    _sweep(name, self.runs_beyond, **PAPER_WIDTHS[name]),
                    name=f"{name}-{MANY_TASKS}-tasks",
                    correlations=(0.5, 1.0),
                    rates=(1e-3, 1e-2),
                    tasks=MANY_TASKS,
                )
                for name in COMPARED
            ],
        }


def _sweep(architecture: str, runs: int, **settings: Any) -> Sweep:
    return Sweep(architecture, architecture, {"architecture": architecture, **settings}, CORRELATIONS, RATES, runs)


FULL = Plan(Protocol(Tasks()), 200, 22, ("single_task", "l2_constrained", "cross_stitch", "cgc", "ple"))
QUICK = Plan(Protocol(Tasks(), steps=1_000), 20, 5, ("cross_stitch", "ple"))


def reproduce(out: Path, plan: Plan, progress: Progress, overwrite: bool = False, command: str = "") -> StudyResults:
    """Run the study in a folder, or continue the study that the folder holds; return the content of ``results.json``.

    Raises :class:`InputError` if the folder holds something else.
    """
    _open(out, plan, overwrite)
    with locked(out):
        return _study(out, plan, progress, command)


def _study(out: Path, plan: Plan, progress: Progress, command: str) -> StudyResults:
    """Train what is not trained yet, and write the results and the page."""
    from manygate.studies.page import write_page

    sweeps = plan.sweeps()
    progress.start("mmoe-synthetic", sum(sweep.rows(plan.protocol) for group in sweeps.values() for sweep in group))
    outcomes: dict[str, list[Outcome]] = {}
    for kind, group in sweeps.items():
        outcomes[kind] = [run_sweep(sweep, plan.protocol, out / "packs", progress) for sweep in group]
    progress.finish()
    pearson = figure_2(plan)
    compared = {outcome.sweep.name: outcome for outcome in outcomes["compared"]}
    tested = claims(compared, outcomes["figure 3"][0])
    results = StudyResults(
        results_version=StudyResults.VERSION,
        manygate_version=version("manygate"),
        command=command,
        plan=_plan(plan),
        seconds=round(sum(outcome.seconds for group in outcomes.values() for outcome in group), 1),
        runs=sum(outcome.diverged_PLR.size for group in outcomes.values() for outcome in group),
        figure_2=pearson,
        claims=[_pearson_claim(pearson, plan.trials), *map(claim_record, tested)],
        sweeps={kind: [summary(outcome) for outcome in group] for kind, group in outcomes.items()},
    )
    write_text(out / "results.json", to_json(results.to_tree()))
    write_page(results, out / "report.html")
    return results


def _plan(plan: Plan) -> StudyPlan:
    """Return all settings that determine the results, for ``plan.json`` and ``results.json``."""
    sweeps = {kind: [asdict(sweep) for sweep in group] for kind, group in plan.sweeps().items()}
    return StudyPlan.model_validate({**asdict(plan), "sweeps": sweeps})


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
    return isinstance(tree, dict) and {"protocol", "sweeps", "trials"} <= set(tree)


def figure_2(plan: Plan) -> list[LabelCorrelation]:
    """Compute the label correlation for each cosine: simulated in trials, as in the paper, and in closed form."""
    tasks, points = plan.protocol.tasks, []
    value_PT = np.empty((len(FIGURE_2), plan.trials))
    for trial in range(plan.trials):
        random = np.random.default_rng(stream_seed(SYNTHETIC, plan.protocol.first_seed + trial, PEARSON))
        x_ND = random.standard_normal((plan.trial_rows, tasks.inputs))
        noise_NK = tasks.noise_var**0.5 * random.standard_normal((plan.trial_rows, 2))
        state = random.bit_generator.state
        for p, cosine in enumerate(FIGURE_2):
            random.bit_generator.state = state  # the same directions at every cosine
            at_cosine = replace(tasks, correlation=cosine)
            y_NK = at_cosine.mean(x_ND, at_cosine.vectors(random)) + noise_NK
            value_PT[p, trial] = np.corrcoef(y_NK.T)[0, 1]
    for cosine, value_T in zip(FIGURE_2, value_PT, strict=True):
        exact, error = tasks.pearson(cosine), value_T.std(ddof=1) / plan.trials**0.5
        off = (value_T.mean() - exact) / error
        points.append(
            LabelCorrelation(
                cosine=cosine,
                exact=exact,
                mean=float(value_T.mean()),
                sd=float(value_T.std(ddof=1)),
                standard_errors_off=float(off),
            )
        )
    return points


def _pearson_claim(points: Sequence[LabelCorrelation], trials: int) -> Claim:
    """Test the claim of figure 2; the page shows the distance of the trials from the closed form, and a unit test checks it."""
    findings = []
    for point in (other for other in points if other.cosine > 0):
        half = t_quantile(trials - 1) * point.sd / trials**0.5
        low, high = point.mean - half, point.mean + half
        text, holds = f"at cosine {point.cosine:g}", True if low > 0 else False if high < 0 else None
        findings.append(Finding(text=text, value=point.mean, ci95=(low, high), bounds=(0.0, None), holds=holds))
    against = any(finding.holds is False for finding in findings)
    holds = False if against else True if all(finding.holds for finding in findings) else None
    return Claim(
        key="label-correlation",
        title="Labels of correlated vectors correlate",
        section="3.2, figure 2",
        claim="Tasks whose vectors have a positive cosine have positively correlated labels, though the labels are not linear.",
        test="The mean of the trials' correlations at each cosine above 0: above 0.",
        verdict={True: "reproduced", False: "not reproduced", None: "cannot tell"}[holds],
        where="",
        evidence=[Evidence(setting="the study's data", learned=True, holds=holds, findings=findings)],
    )


def summary(outcome: Outcome) -> SweepResult:
    """Summarise a sweep for ``results.json``: every run's final loss, and the mean curves."""
    sweep = outcome.sweep
    cells = [_cell(outcome, p, rate) for p in range(len(sweep.correlations)) for rate in range(len(sweep.rates))]
    return SweepResult(
        name=sweep.name,
        architecture=sweep.settings["architecture"],
        settings=sweep.settings,
        widths=outcome.widths,
        tasks=sweep.tasks,
        runs=sweep.runs,
        parameters=outcome.parameters,
        flops=outcome.flops,
        seconds=round(outcome.seconds, 1),
        steps=outcome.steps,
        chosen_rate={f"{correlation:g}": sweep.rates[outcome.chosen_rate(p)] for p, correlation in enumerate(sweep.correlations)},
        cells=cells,
    )


def _cell(outcome: Outcome, p: int, rate: int) -> Cell:
    kept_R, there_R = outcome.losses(p, rate), ~outcome.diverged_PLR[p, rate]
    whole, curve_ER = kept_R[np.isfinite(kept_R)], outcome.curve_EPLR[:, p, rate, there_R]
    quartiles = np.quantile(whole, [0, 0.25, 0.5, 0.75, 1]) if whole.size else np.full(5, np.nan)
    statistics = interval(whole.tolist())
    return Cell(
        correlation=outcome.sweep.correlations[p],
        rate=outcome.sweep.rates[rate],
        mean=statistics.mean,
        sd=statistics.sd,
        ci95=statistics.ci95,
        quartiles=_short(quartiles),
        diverged=int(outcome.diverged_PLR[p, rate].sum()),
        dead_towers=int(outcome.dead_PLR[p, rate].sum()),
        curve=_short(curve_ER.mean(axis=1) if there_R.any() else np.full(len(curve_ER), np.nan)),
        validation_mean=_short(outcome.validation_PLR[p, rate, there_R].mean(keepdims=True))[0] if there_R.any() else None,
        loss=_short(kept_R),
        loss_by_task=[_short(outcome.losses(p, rate, task)) for task in range(outcome.sweep.tasks)],
    )


def _short(values: np.ndarray) -> list[float | None]:
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in values]
