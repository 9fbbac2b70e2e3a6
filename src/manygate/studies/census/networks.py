"""Tunes a network on validation rows, and trains the winner again with seeds that no trial used."""

from __future__ import annotations

from pathlib import Path

from manygate.config import RunConfig
from manygate.data.encoded import EncodedLog
from manygate.data.file_split import split_of
from manygate.model.logits import predict
from manygate.results.census import CensusModel, CensusSearch
from manygate.runs.run import Trained, finish, train_one, with_batches
from manygate.runs.tuning.choice import choose
from manygate.runs.tuning.final import final_config
from manygate.runs.tuning.folder import study_folder
from manygate.runs.tuning.run import open_study
from manygate.runs.tuning.run import plan as plan_search
from manygate.studies.census.outcome import Outcome, judge
from manygate.studies.census.plan import NOT_SEARCHED, Job, Plan
from manygate.text import count_of
from manygate.training.progress import Progress


def run_network(
    job: Job, log: EncodedLog, plan: Plan, replicas: int, folder: Path, progress: Progress, threads: int | None
) -> Outcome:
    """Search, train and judge. A stopped search goes on from its trials, and a stopped training from its checkpoint.

    The trained weights stay in :func:`final_folder`. The caller removes it when the outcome is written.
    """
    search, config = search_settings(job, log, plan, folder, progress, threads)
    config = final_config(config, plan.tuning().model_copy(update={"final_replicas": replicas}))
    progress.say(f"{job.name}: training {count_of(replicas, 'replica')} of trial {search.chosen} with fresh seeds")
    run_folder = final_folder(folder, replicas)
    trained = train_one(log, config, run_folder, progress)
    finish(run_folder, trained)
    return _outcome(job, log, config, trained, search)


def final_folder(folder: Path, replicas: int) -> Path:
    """Return the folder of the final training. It is needed until the outcome is written."""
    return folder / f"final-{replicas}"


def search_settings(
    job: Job, log: EncodedLog, plan: Plan, folder: Path, progress: Progress, threads: int | None
) -> tuple[CensusSearch, RunConfig]:
    """Run the trials of a job, and return what they found with the settings of the best one. Test rows choose nothing."""
    config = with_batches(plan.config(job, threads).absolute(), log, Progress())
    space, tuning, objectives = plan_search(log, config, plan.tuning(), NOT_SEARCHED)
    with study_folder(folder, config, tuning, log.record):
        entries = open_study(log, space, tuning, objectives, folder, progress).run()
        chosen = choose(entries, None)
    search = CensusSearch(
        sampler=tuning.chosen_sampler,
        objective=job.tasks[0],
        values=[entry.values[0] if entry.state == "complete" else None for entry in entries.values()],
        chosen=chosen.number,
        settings=chosen.settings,
        seconds=round(sum(entry.seconds or 0.0 for entry in entries.values()), 3),
    )
    return search, space.config(chosen.settings)


def _outcome(job: Job, log: EncodedLog, config: RunConfig, trained: Trained, search: CensusSearch) -> Outcome:
    """Judge the weights of the epoch that was best for the main task on validation rows."""
    problem, result = trained.predictor.problem, trained.result
    logit_RNT = {
        "valid": predict(trained.model, split_of(log.parts["valid"], trained.model.device)),
        "test": trained.test_logit_RNT,
    }
    tasks, influence_G = judge(log, problem, logit_RNT)
    model = CensusModel(
        method=job.method,
        rows={part: len(rows) for part, rows in log.parts.items()},
        tasks=tasks,
        search=search,
        settings={name: value for name, value in config.model_dump(mode="json").items() if name in search.settings},
        seeded=True,
        parameters=result.parameters,
        epochs=result.stopped.best_epoch[job.tasks[0]],
        diverged=len(result.diverged),
        seconds=result.seconds,
    )
    return Outcome(model, influence_G)
