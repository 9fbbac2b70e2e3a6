"""Trains the tuned and the default settings again, and judges both on test rows. Test rows are read here, and nowhere else."""

from __future__ import annotations

from pathlib import Path

from manygate.config import RunConfig, TuneConfig
from manygate.data.encoded import EncodedLog
from manygate.evaluation.gains import measured
from manygate.metrics.paired import gain
from manygate.metrics.table import MAIN_METRIC
from manygate.metrics.uncertainty import interval, interval_note
from manygate.results.comparison import TaskGain
from manygate.results.tuning import ChosenTrial, FinalRuns
from manygate.runs.run import Trained, finish, train_one
from manygate.runs.tuning.space import Space
from manygate.text import count_of
from manygate.training.progress import Progress

DEFAULT, TUNED = "default", "tuned"


def train_final(
    log: EncodedLog, space: Space, tuning: TuneConfig, chosen: ChosenTrial, folder: Path | None, progress: Progress
) -> tuple[FinalRuns, dict[str, Trained]]:
    """Train both with the same fresh seeds, and return what the tuned settings gain. If the defaults were chosen, they train alone.

    With a folder the runs are in ``final/default`` and ``final/trial-N``, so that they can continue, and another trial can be
    picked.
    """
    configs = {DEFAULT: final_config(space.base, tuning)}
    places = {DEFAULT: DEFAULT, TUNED: f"trial-{chosen.number}"}
    if chosen.number > 0:
        configs[TUNED] = final_config(space.config(chosen.settings), tuning)
    trained: dict[str, Trained] = {}
    for name, config in configs.items():
        progress.say(f"{name} settings: training {count_of(config.replicas, 'replica')} with fresh seeds")
        run_folder = folder / "final" / places[name] if folder is not None else None
        trained[name] = train_one(log, config, run_folder, progress, own_clocks=True)
        finish(run_folder, trained[name])
    config = configs[DEFAULT]
    runs = FinalRuns(
        replicas=config.replicas,
        seed=config.seed,
        results={name: run.result for name, run in trained.items()},
        valid={name: interval(run.valid_score_R) for name, run in trained.items()},
        gains=gains(log, trained[TUNED], trained[DEFAULT]) if TUNED in trained else None,
        interval_note=interval_note(config.replicas),
    )
    return runs, trained


def final_config(config: RunConfig, tuning: TuneConfig) -> RunConfig:
    """Return settings with the number of replicas of the end, and with seeds that no trial used.

    >>> config = final_config(RunConfig(seed=5, replicas=2), TuneConfig(final_replicas=8))
    >>> [config.seed_of(r) for r in range(config.replicas)]
    [7, 8, 9, 10, 11, 12, 13, 14]
    """
    return config.replace(replicas=tuning.final_replicas, seed=config.seed + config.replicas)


def gains(log: EncodedLog, tuned: Trained, default: Trained) -> dict[str, TaskGain]:
    """Return each task's paired gain on the test rows. Both are measured at the best epochs of the tasks' own clocks."""
    rows = log.parts["test"]
    ahead, behind = (measured(run.own_test_logit_RNT, rows, run.predictor.problem) for run in (tuned, default))
    tasks = log.schema.tasks
    return {
        task.name: TaskGain(metric=MAIN_METRIC[task.kind], **dict(gain(ahead[task.name], behind[task.name], len(tasks))))
        for task in tasks
    }
