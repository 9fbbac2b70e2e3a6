"""Runs the trials of a study, alone or beside other processes, until every number has a trial that counts."""

from __future__ import annotations

import math
import shutil
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from manygate.config import TuneConfig
from manygate.data.encoded import EncodedLog
from manygate.report.tuning import words
from manygate.results.tuning import TunedObjective
from manygate.runs.tuning.choice import best_of
from manygate.runs.tuning.ledger import Entry, Ledger
from manygate.runs.tuning.owner import Watch
from manygate.runs.tuning.proposal import Known, propose
from manygate.runs.tuning.space import Settings, Space, Value
from manygate.runs.tuning.trial import Reporter, run_trial
from manygate.text import time_left
from manygate.training.progress import Progress

POLL_SECONDS = 0.5
"""How often a process looks whether others have finished, while there is nothing for it to do."""


class TrialProgress(Progress):
    """Shows the rows of a trial. The lines of its epochs are left out: a study has hundreds of them."""

    def __init__(self, shown: Progress, title: str):
        self.shown, self.title = shown, title

    def start(self, title: str, total: int, done: int = 0) -> None:
        self.shown.start(f"{self.title}, {title}", total, done)

    def advance(self, rows: int) -> None:
        self.shown.advance(rows)

    def finish(self) -> None:
        self.shown.finish()


@dataclass
class Study:
    """The trials of one architecture on one log.

    Trial 0 has the default settings. Each other trial is proposed from those that are known when it begins, or with rounds from
    those of the rounds before. All trials have the same seeds, so that two of them differ in their settings alone.
    """

    log: EncodedLog
    space: Space
    tuning: TuneConfig
    objectives: Sequence[TunedObjective]
    ledger: Ledger
    folder: Path | None
    progress: Progress
    watch: Watch = field(default_factory=Watch)

    def run(self) -> dict[int, Entry]:
        """Run trials until all are finished. Return them by number."""
        while (claimed := self._next()) is not None:
            self._run(claimed)
        return self.ledger.entries()

    def _next(self) -> Entry | None:
        """Claim the next trial, after waiting for others where its round needs them. None if every trial has finished."""
        while True:
            for entry in self.ledger.void_dead(self.watch):
                self.progress.say(f"trial {entry.number}: its process died, and another runs it again")
            entries = self.ledger.entries()
            free = next((number for number in range(self.tuning.trials) if number not in entries), None)
            if free is None and all(entry.finished for entry in entries.values()):
                return None
            if free is None or not self._is_ready(free, entries):
                time.sleep(POLL_SECONDS)
                continue
            settings, params = self._settings(free, entries)
            claimed = self.ledger.claim(free, settings, params, self.space.ranges)
            if claimed is not None:
                return claimed

    def _first(self, number: int) -> int:
        """Return the first number of a trial's round; without rounds every trial is one."""
        return number - number % self.tuning.round if self.tuning.round else number

    def _is_ready(self, number: int, entries: Mapping[int, Entry]) -> bool:
        """Return whether all that the proposal of a trial depends on is known."""
        return not self.tuning.round or all(entries[n].finished for n in range(self._first(number)))

    def _settings(self, number: int, entries: Mapping[int, Entry]) -> tuple[Settings, Mapping[str, Value] | None]:
        """Return the settings of a trial, and the values that stand for them: those of an earlier try, if its process died."""
        before = self.ledger.retried(number)
        if before is not None:
            return before.settings, before.params
        if number == 0:
            settings = self.space.default_settings()
            return settings, self.space.params(settings)
        seed, sampler = self.space.base.seed, self.tuning.chosen_sampler
        params = propose(self.space, self._known(number, entries), sampler, len(self.objectives), seed, number)
        return self.space.settings(params), params

    def _known(self, number: int, entries: Mapping[int, Entry]) -> list[Known]:
        """Return the trials that a proposal may use. With rounds, those of its own round count as running."""
        first, known = self._first(number) if self.tuning.round else self.tuning.trials, []
        for entry in entries.values():
            if entry.params is not None and (entry.number < number or not self.tuning.round):
                known.append(Known(entry.params, entry.values if entry.finished and entry.number < first else None))
        return known

    def _run(self, entry: Entry) -> None:
        """Run a trial and record how it ended. If a signal stops it, another process may take it over at once."""
        began, config = time.monotonic(), self.space.config(entry.settings)
        folder = self.folder / "trials" / f"{entry.number:05d}" if self.folder is not None else None
        others = [other.curve for other in self._finished_before(entry).values()] if self.tuning.pruning == "median" else []
        show = TrialProgress(self.progress, f"trial {entry.number} of {self.tuning.trials}")
        try:
            with self.ledger.beating(entry):
                names = [objective.name for objective in self.objectives]
                outcome = run_trial(self.log, config, names, folder, show, Reporter(self.ledger, entry, config, others))
        except KeyboardInterrupt:
            self.ledger.void(entry, "it was stopped")
            raise
        if not self.ledger.finish(entry, outcome, round(time.monotonic() - began, 3)):
            self.progress.say(f"trial {entry.number}: others took this process for dead and run it again; its result is left out")
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        self.progress.say(self._line(entry.number))

    def _finished_before(self, entry: Entry) -> dict[int, Entry]:
        """Return the finished trials with a curve that decide whether a trial ends early."""
        first = self._first(entry.number)
        entries = self.ledger.entries()
        return {n: other for n, other in entries.items() if n < first and other.finished and other.curve}

    def _line(self, number: int) -> str:
        """Return what is said after a trial: its score, the best so far, and the time left."""
        entries = self.ledger.entries()
        entry, finished = entries.get(number), [other for other in entries.values() if other.finished]
        parts = [self._outcome(entry)] if entry is not None and entry.finished else []
        best = best_of(finished)
        if best is not None and len(self.objectives) == 1:
            parts.append(f"best {words.scores(self.objectives, best.values)} (trial {best.number})")
        left = self.tuning.trials - len(finished)
        seconds = [other.seconds for other in finished if other.seconds is not None]
        if left and seconds:
            workers = 1 + sum(not other.finished for other in entries.values())
            parts.append(f"{time_left(statistics.fmean(seconds) * math.ceil(left / workers))} left")
        return f"trial {len(finished)} of {self.tuning.trials}: {', '.join(parts)}"

    def _outcome(self, entry: Entry) -> str:
        if entry.state == "failed":
            return f"failed, {entry.about.get('reason')}"
        ended = "ended early at " if entry.state == "pruned" else ""
        return ended + words.scores(self.objectives, entry.values)
