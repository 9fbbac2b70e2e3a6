"""Comparisons: Trains several architectures alike, and measures their gain over separate models for each task."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from manygate.architecture import find_architecture
from manygate.config import RunConfig
from manygate.config.settings import BY_ROWS
from manygate.data.encoded import EncodedLog
from manygate.evaluation.gains import clusters, gains
from manygate.evaluation.gains import measured as measure_tasks
from manygate.files import to_json, write_text
from manygate.metrics.paired import Measured, measure
from manygate.metrics.table import MAIN_METRIC
from manygate.metrics.uncertainty import FEWEST_REPLICAS, interval
from manygate.model.problem import Problem
from manygate.report import write_report
from manygate.results.base import Record
from manygate.results.comparison import Choice, ComparisonDocument, IdDropoutChoice, TunedArchitecture, WeightSweep
from manygate.results.evaluation import DataWarning
from manygate.results.story import Story
from manygate.results.summary import MetricGain, MetricSummary
from manygate.runs.baselines import against_fields, baseline_warnings, fit_baselines
from manygate.runs.folder import model_folder, record
from manygate.runs.id_dropout_choice import choose_id_dropout
from manygate.runs.run import Trained, diverged, document, finish, train_one, with_batches
from manygate.runs.tuning.compared import tune_architecture
from manygate.runs.weight_sweep import judge, sweep_settings
from manygate.schema import Task
from manygate.scoring.outputs import task_output
from manygate.text import count_of, listed
from manygate.training.callback import OnEpoch
from manygate.training.progress import Progress
from manygate.verdict.few_labels import Labels
from manygate.verdict.recommendation import judged_model, recommend
from manygate.verdict.shipping import gains_as_shipped, prices
from manygate.verdict.transfer import transfer

BASELINE = "single_task"
Measures = dict[str, dict[str, dict[str, Measured]]]
"""Measured metrics by model, task and metric."""
Kept = Mapping[str, Mapping[str, Measured]]
"""Each task's main metric by model, with the weights that the model keeps."""
Fields = dict[str, Record | str | Mapping[str, Mapping[str, Record]]]
"""Fields of the document."""
StoryOf = Callable[[ComparisonDocument], Story]
"""Compares the findings of a comparison with the truth of its log."""


def compare_run(
    log: EncodedLog,
    config: RunConfig,
    folder: Path | None,
    progress: Progress,
    command: str = "",
    on_epoch: OnEpoch | None = None,
    story_of: StoryOf | None = None,
) -> tuple[ComparisonDocument, dict[str, Trained]]:
    """Train each architecture with the same rows, seeds and budget. Write the comparison and return it with the models.

    Every run (see :func:`crossed`) trains in ``folder/NAME``. So a comparison that was stopped can continue. ``story_of`` compares
    what was found with the truth, for a log whose truth is known.
    """
    given = [name for name in BY_ROWS if getattr(config, name) is not None]
    config = with_batches(config.absolute(), log, progress)
    trained: dict[str, Trained] = {}
    id_dropout: dict[str, IdDropoutChoice] = {}
    tuned: dict[str, TunedArchitecture] = {}
    for name, run_config in crossed(config).items():
        if config.id_dropouts:
            id_dropout[name] = _chosen_id_dropout(log, run_config, name, folder, progress)
            run_config = run_config.replace(id_dropout=id_dropout[name].chosen, id_dropouts=())
        if config.tune:
            tuned[name] = _tuned(log, run_config, given, name, folder, progress)
            run_config = run_config.replace(**tuned[name].settings, tune=0)
        progress.say(f"{name}: training {count_of(config.replicas, 'replica')}")
        trained[name] = _train(log, run_config, name, folder, progress, on_epoch)
    sweep = sweeps(log, config, trained, folder, progress)
    outside = fit_baselines(log, config, folder, progress)
    warnings: list[str | DataWarning] = [
        *unfinished(trained, config),
        *diverged(trained),
        *baseline_warnings(config, outside, log.in_files),
    ]
    results = document(log, config, trained, command, warnings)
    best = choose(results.valid, config.monitor)
    results = results.model_copy(update={"best": best, **({"sweep": sweep} if sweep else {})})
    if id_dropout:
        results = results.model_copy(update={"id_dropout": id_dropout})
    if tuned:
        results = results.model_copy(update={"tuned": tuned})
    kept = measures_as_kept(log, trained)
    if BASELINE in trained:
        results = results.model_copy(update=verdict_fields(log, trained, kept, results.valid, best, results.data.tasks))
    results = results.model_copy(update=against_fields(log, problem_of(trained), kept, outside, best.architecture))
    if story_of is not None:
        results = results.model_copy(update={"story": story_of(results)})
    if folder is not None and not _is_written(folder, outside):
        (folder / "DONE").unlink(missing_ok=True)
        write_text(folder / "schema.yaml", log.schema.to_yaml())
        write_text(folder / "comparison.json", to_json(results.to_tree()))
        write_report(results, folder / "report.html")
        record(folder)
        write_text(folder / "DONE", "")
    return results, trained


def _is_written(folder: Path, baselines: Collection[str]) -> bool:
    """Return whether the results of a comparison are in its folder, with these baselines.

    A comparison that is resumed may name other baselines than before.
    """
    if not (folder / "DONE").is_file():
        return False
    written = ComparisonDocument.read(folder / "comparison.json").baselines or {}
    return set(written) == set(baselines)


def verdict_fields(
    log: EncodedLog,
    trained: dict[str, Trained],
    kept: Kept,
    valid: dict[str, MetricSummary],
    best: Choice,
    labels: Labels | None = None,
) -> Fields:
    """Return the fields of a comparison that need the baseline.

    Args:
        log: The encoded log.
        trained: The models.
        kept: The measures of each model with the weights that it keeps.
        valid: The validation scores.
        best: The model that validation chose.
        labels: The labels of each task and part. Without them, few labels of a task are not mentioned.
    """
    measured = measures(log, trained)
    found: Fields = {"baseline": BASELINE, "verdicts": verdicts(measured, log.schema.tasks)}
    if len(trained) == 1:
        return found
    main = {task.name: MAIN_METRIC[task.kind] for task in log.schema.tasks}
    sharing = [name for name in trained if name != BASELINE]
    flags = transfer(measured, BASELINE, main, judged_model(valid, best.architecture, sharing))
    own = {name: {task: measured[name][task][key] for task, key in main.items()} for name in trained}
    price = {name: prices(own[name], kept[name], main, flags.looks[name]) for name in sharing}
    shipped = {name: gains_as_shipped(kept[name], own[BASELINE], main, flags.looks[name]) for name in sharing}
    advice = recommend(flags, shipped, price, valid, best.architecture, BASELINE, main, labels)
    return {**found, "transfer": flags, "price": price, "as_shipped": shipped, "recommendation": advice}


def measures_as_kept(log: EncodedLog, trained: Mapping[str, Trained]) -> Kept:
    """Measure the main metric of each task of each model, with the weights that the model keeps, on the test rows."""
    return {name: measure_tasks(run.test_logit_RNT, log.parts["test"], run.predictor.problem) for name, run in trained.items()}


def problem_of(trained: Mapping[str, Trained]) -> Problem:
    """Return the problem of the models. Its tasks and label scales are the same in all of them."""
    return next(iter(trained.values())).predictor.problem


def crossed(config: RunConfig) -> dict[str, RunConfig]:
    """Return the name and the settings of each run: every architecture with every weighting.

    Models of one task have no tasks to weigh, so they have one run. The name of a run is its architecture or, if several weightings
    are compared, ARCHITECTURE+WEIGHTING.

    >>> list(crossed(RunConfig(architectures="single_task,mmoe", weightings="fixed,dwa")))
    ['single_task', 'mmoe+fixed', 'mmoe+dwa']
    """
    runs = {}
    for architecture in config.architectures:
        alone = find_architecture(architecture).one_model_per_task
        weightings = ("fixed",) if alone else config.weightings or (config.weighting,)
        for weighting in weightings:
            name = architecture if alone or len(config.weightings) < 2 else f"{architecture}+{weighting}"
            runs[name] = config.replace(architecture=architecture, weighting=weighting)
    return runs


def sweeps(
    log: EncodedLog, config: RunConfig, trained: dict[str, Trained], folder: Path | None, progress: Progress
) -> dict[str, WeightSweep]:
    """Train ``weight_sweep`` vectors of fixed weights for each architecture, and compare its other runs with them."""
    by_architecture: dict[str, WeightSweep] = {}
    for architecture in config.architectures if config.weight_sweep else ():
        if find_architecture(architecture).one_model_per_task:
            continue
        sweep_config, name = sweep_settings(config, architecture, len(log.schema.tasks)), f"{architecture}+sweep"
        progress.say(f"{name}: training {count_of(config.replicas, 'replica')} of each of {config.weight_sweep} weight vectors")
        sweep = _train(log, sweep_config, name, folder, progress, own_clocks=False)
        rivals = {rival: run for rival, run in trained.items() if run.result.architecture == architecture}
        by_architecture[architecture] = judge(log, sweep, config.weight_sweep, rivals)
    return by_architecture


def _train(
    log: EncodedLog,
    config: RunConfig,
    name: str,
    folder: Path | None,
    progress: Progress,
    on_epoch: OnEpoch | None = None,
    own_clocks: bool = True,
) -> Trained:
    run_folder = model_folder(folder, name) if folder else None
    trained = train_one(log, config, run_folder, progress, on_epoch, own_clocks)
    finish(run_folder, trained)
    return trained


def _chosen_id_dropout(log: EncodedLog, config: RunConfig, name: str, folder: Path | None, progress: Progress) -> IdDropoutChoice:
    """Choose the value of ``id_dropout`` for a model on validation rows."""
    progress.say(f"{name}: choosing id_dropout from {', '.join(f'{value:g}' for value in config.id_dropouts)}")
    pilots = f"{name}+id-dropout"
    choice = choose_id_dropout(log, config, lambda part: _train(log, part, pilots, folder, progress).valid_score_R)
    progress.say(f"{name}: id_dropout {choice.chosen:g} has the best validation score")
    return choice


def _tuned(
    log: EncodedLog, config: RunConfig, given: Sequence[str], name: str, folder: Path | None, progress: Progress
) -> TunedArchitecture:
    """Search for settings of a model on validation rows."""
    progress.say(f"{name}: tuning with {count_of(config.tune, 'trial')}")
    found = tune_architecture(log, config, given, model_folder(folder, f"{name}+tuning") if folder else None, progress)
    progress.say(f"{name}: trial {found.trial} has the best validation score")
    return found


def unfinished(trained: dict[str, Trained], config: RunConfig) -> list[str]:
    """Return warnings of models that were still improving at the end of the budget. A slower architecture then seems worse.

    One warning names the models of which most tasks had their best epoch last. A warning for each task names the other models of
    which most replicas had an open clock of the task.
    """
    growing = {}
    for name, run in trained.items():
        last, stopped = run.result.history[-1].epoch, run.result.stopped
        best = [epoch for epochs in (stopped.own_best_epoch or stopped.best_epoch).values() for epoch in epochs]
        late = sum(epoch == last for epoch in best)
        if (last >= config.epochs or config.max_steps is not None) and 2 * late > len(best):
            growing[name] = f"{name} (best epoch last in {late} of {len(best)} cases)"
    waiting = _waiting({name: run for name, run in trained.items() if name not in growing})
    if not growing:
        return waiting
    entries = list(growing.values())
    subject, verb = (entries[0], "was") if len(growing) == 1 else (f"{len(growing)} of {len(trained)} architectures", "were")
    named = "" if len(growing) == 1 else f": {', '.join(entries)}"
    return [
        f"{subject} {verb} still improving when the budget of epochs ended, so these verdicts may say no more than that some learn "
        f"more slowly than others. Give more epochs{named}.",
        *waiting,
    ]


def _waiting(trained: dict[str, Trained]) -> list[str]:
    """Return warnings of tasks that early stopping had not ended yet in most replicas of a model.

    Tasks of the same models share a warning.
    """
    by_task: dict[str, list[str]] = {}
    for name, run in trained.items():
        for task, count in (run.result.stopped.open_clocks or {}).items():
            if 2 * count > run.result.replicas:
                by_task.setdefault(task, []).append(f"{name} (in {count} of {count_of(run.result.replicas, 'replica')})")
    by_models: dict[tuple[str, ...], list[str]] = {}
    for task, names in by_task.items():
        by_models.setdefault(tuple(names), []).append(task)
    return [
        f"{listed(tasks)}: the budget of epochs ended before early stopping did for {listed(models)}. With more epochs "
        f"{'the task' if len(tasks) == 1 else 'these tasks'} could improve there."
        for models, tasks in by_models.items()
    ]


def verdicts(measured: Measures, tasks: Sequence[Task]) -> dict[str, dict[str, MetricGain]]:
    """Return each architecture's paired gain over the single-task models, by task, on the test rows: the effect of sharing."""
    main = {name: {task.name: by_task[task.name][MAIN_METRIC[task.kind]] for task in tasks} for name, by_task in measured.items()}
    return {name: gains(by_task, main[BASELINE], tasks) for name, by_task in main.items() if name != BASELINE}


def measures(log: EncodedLog, trained: dict[str, Trained]) -> Measures:
    """Measure every metric of a comparison for each model and task on the test rows, with groups (or rows) as clusters.

    Each task is measured at the best epoch of its own clock, in sharing and in single-task models alike.
    """
    rows = log.parts["test"]
    cluster_N = clusters(rows)
    measured: Measures = {}
    for name, run in trained.items():
        problem = run.predictor.problem
        measured[name] = {}
        for t, task in enumerate(log.schema.tasks):
            label_N, weight_N = problem.labelled(rows, t)
            scores = (run.own_test_logit_RNT[..., t], task_output(run.own_test_logit_RNT, problem, t))
            measured[name][task.name] = measure(task.kind, label_N, *scores, weight_N, cluster_N, rows.group_B is not None)
    return measured


def choose(valid: dict[str, MetricSummary], monitor: str) -> Choice:
    """Choose the architecture with the best validation score. Test rows have no influence."""
    mean = {name: summary.mean for name, summary in valid.items() if summary.mean is not None}
    ranked = sorted(mean, key=lambda name: -mean[name])
    if not ranked:
        return Choice(architecture=None, monitor=monitor, valid=valid, reason="No validation score is defined.")
    first, rest = ranked[0], ranked[1:]
    form, what = (".4f", f"the best validation score for {monitor} ({mean[first]:.4f})")
    if monitor == "mean":
        form, what = ".2f", f"the best validation score: its tasks lie {mean[first]:.2f} standard errors above guessing on average"
    reason = f"{first} has {what}"
    if rest:
        pairs = zip(valid[first].values, valid[rest[0]].values, strict=True)
        ahead = interval([a - b for a, b in pairs if a is not None and b is not None])
        reason += f", {format(ahead.mean, form)} ahead of {rest[0]}"
        if ahead.ci95 is None:
            reason += f"; {FEWEST_REPLICAS} or more replicas are needed to decide between these two"
        elif ahead.ci95[0] <= 0:
            reason += "; between these two the replicas cannot decide"
    return Choice(architecture=first, monitor=monitor, valid=valid, reason=reason + ".")
