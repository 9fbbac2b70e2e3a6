"""Runs the census study in a folder: estimates, tunes, trains, and writes the results and the page. A stopped study goes on."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from manygate.errors import InputError, setting
from manygate.files import locked, read_json, to_json, write_text, writing
from manygate.results.census import CensusResults
from manygate.studies.census.data import CensusData
from manygate.studies.census.document import build
from manygate.studies.census.estimate import job_seconds
from manygate.studies.census.networks import final_folder, run_network
from manygate.studies.census.outcome import Outcome, kept
from manygate.studies.census.outside import run_outside
from manygate.studies.census.page import write_page
from manygate.studies.census.plan import NETWORKS, Job, Plan, jobs
from manygate.studies.census.storage import read_step, write_step
from manygate.text import time_left
from manygate.training.progress import Progress

PLAN = "plan.json"


@dataclass(frozen=True)
class Study:
    """A study in a folder. The numbers of replicas, the methods and the groups may differ from call to call."""

    out: Path
    plan: Plan
    methods: Sequence[str]
    groups: Sequence[str]
    replicas: int
    data: CensusData
    progress: Progress
    threads: int | None = None

    def outcome_folder(self, job: Job) -> Path:
        """Return the folder of a job's numbers."""
        return self.out / "outcomes" / f"{job.name}-{self.replicas}"

    def run(self, quick: bool = False, command: str = "") -> CensusResults:
        """Do what is not done yet, and write ``results.json`` and ``report.html``."""
        todo = jobs(self.methods, self.groups)
        estimated = {job.name: self._estimate(job) for job in todo if job.method in NETWORKS}
        self._say_left(todo, estimated, 1.0)
        outcomes: dict[str, Outcome] = {}
        began, passed = time.monotonic(), 0.0
        for place, job in enumerate(todo):
            passed += 0.0 if self._is_done(job) else estimated.get(job.name, 0.0)
            outcomes[job.name] = self._outcome(job)
            if passed:
                self._say_left(todo[place + 1 :], estimated, (time.monotonic() - began) / passed)
        total = round(sum(estimated.values()), 1) if estimated else None
        results = build(outcomes, self.plan, self.methods, self.groups, self.replicas, quick, command, total)
        write_text(self.out / "results.json", to_json(results.to_tree()))
        write_page(results, self.out / "report.html")
        return results

    def _is_done(self, job: Job) -> bool:
        return self.outcome_folder(job).is_dir()

    def _outcome(self, job: Job) -> Outcome:
        run, folder = run_network if job.method in NETWORKS else run_outside, self.out / "jobs" / job.name

        def work() -> Outcome:
            return run(job, self.data.log(job), self.plan, self.replicas, folder, self.progress, self.threads)

        key = f"{job.name} with {self.replicas} replicas"
        outcome = kept(self.outcome_folder(job), key, self.plan.defaults(job), work)
        shutil.rmtree(final_folder(folder, self.replicas), ignore_errors=True)  # the outcome is written, so no weights are needed
        return outcome

    def _estimate(self, job: Job) -> float:
        """Return the estimated seconds of a network. That of an earlier call is read again."""
        folder = self.out / "estimates" / f"{job.name}-{self.replicas}"
        key = f"the time of {job.name} with {self.replicas} replicas"
        step = read_step(folder, key)
        if step is None:
            seconds = round(job_seconds(job, self.data.log(job), self.plan, self.replicas, self.threads), 1)
            write_step(folder, key, seconds, {})
            return seconds
        return float(step[0])

    def _say_left(self, todo: Sequence[Job], estimated: Mapping[str, float], factor: float) -> None:
        """Say how long the networks that are not done still take. ``factor`` is the time so far over its estimate."""
        left = sum(estimated.get(job.name, 0.0) for job in todo if not self._is_done(job))
        if left:
            self.progress.say(f"networks: {time_left(left * factor)} left, by a few steps of each; trees come on top")


def reproduce(
    out: Path,
    plan: Plan,
    methods: Sequence[str],
    groups: Sequence[str],
    replicas: int,
    data_dir: Path | None,
    progress: Progress,
    threads: int | None = None,
    quick: bool = False,
    command: str = "",
) -> CensusResults:
    """Run the study in a folder, or continue the one that it holds; return the content of ``results.json``.

    Args:
        out: The folder.
        plan: The sizes of the searches. A folder holds a study of one plan.
        methods: Names of :data:`manygate.studies.census.plan.METHODS`.
        groups: ``income``, ``education`` or both.
        replicas: The number of runs of each method at the end. Another number uses the same searches.
        data_dir: Folder with the published files. Without it they are downloaded into the cache.
        progress: Where progress is shown.
        threads: CPU threads; all cores by default.
        quick: True if the plan is a sketch, which the page says.
        command: The command that gives the same results.

    Raises:
        InputError: The folder holds something else, or files are missing.
    """
    _open(out, plan)
    with locked(out):
        data = CensusData(data_dir, plan, threads)
        return Study(out, plan, methods, groups, replicas, data, progress, threads).run(quick, command)


def _open(out: Path, plan: Plan) -> None:
    """Make the folder, or check that it holds a study of the same plan."""
    note, tree = out / PLAN, plan.to_tree()
    if note.is_file():
        found = read_json(note)
        if found != tree:
            differing = [name for name in tree if not isinstance(found, dict) or found.get(name) != tree[name]]
            other = f"Choose another {setting('out')}."
            raise InputError(f"{setting('out', out)}: holds a study with another {', '.join(differing)} (plan.json). {other}")
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{setting('out', out)} exists and holds no study. Choose another {setting('out')}.")
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    write_text(note, to_json(tree))
