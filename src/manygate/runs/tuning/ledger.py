"""Ledger: which trials of a study exist, who runs them, and how they ended. Processes share it through a storage of Optuna.

A study has the numbers 0 to N - 1, and each number ends with one trial that counts. A process claims a number by making a running
trial for it, with all its values, in one operation. If two processes claim a number at once, the trial that the storage made first
counts, and the other process voids its own before it trains. If a process dies, another voids its trial, and the number is free
again; its values are kept, and the next trial of the number has them. So no lock is needed, and no moment of a kill loses or
repeats a number.

All values are JSON. A trial's record is in its user attributes; parameters, states and values are Optuna's own.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import JsonValue

from manygate.config.ranges import Range
from manygate.errors import raise_all, setting
from manygate.runs.tuning.owner import BEAT_SECONDS, Owner, Watch
from manygate.runs.tuning.proposal import distributions, optuna, silent
from manygate.runs.tuning.space import Settings, Value

State = Literal["running", "complete", "pruned", "failed"]
TAKEN = "another process has this number"
"""Why a trial does not count that was never trained."""
WHAT = "manygate"
"""The user attribute of a study that says what it searches."""


@dataclass(frozen=True)
class Entry:
    """A trial."""

    key: int
    """Its number in the storage."""
    order: int
    """Its place among all trials of the study, with those that do not count."""
    number: int
    """Its number in the study."""
    state: State
    settings: Settings
    params: Mapping[str, Value] | None
    """The values that a sampler sees. None if the settings lie outside the space, as defaults may."""
    owner: Owner
    beat: int
    values: tuple[float, ...]
    """The objectives, higher is better; of a pruned trial as it was when it ended, empty if it failed or runs."""
    curve: Mapping[int, float]
    """The best score so far, by the number of the evaluation."""
    about: Mapping[str, Any]
    """The outcome in detail: what :meth:`Ledger.finish` was given."""
    seconds: float | None = None
    """How long it took. None while it runs."""
    void: str = ""
    """Why the trial does not count: its process died, or another has its number."""

    @property
    def finished(self) -> bool:
        """True if the trial has ended."""
        return self.state != "running"


@dataclass(frozen=True)
class Outcome:
    """How a trial ended. ``about`` holds plain JSON."""

    state: State
    values: tuple[float, ...] = ()
    about: Mapping[str, JsonValue] = field(default_factory=dict)


class Ledger:
    """The trials of one study in a storage."""

    def __init__(self, storage: Any, study: str, objectives: int, what: Mapping[str, JsonValue]):
        """Open a study, or make it. ``what`` describes log, settings and space; a study of another description is refused."""
        self.storage, self.owner = storage, Owner.current()
        self.key = self._open(study, objectives)
        found = storage.get_study_user_attrs(self.key).get(WHAT)
        if found is None:
            storage.set_study_user_attr(self.key, WHAT, dict(what))
            found = storage.get_study_user_attrs(self.key)[WHAT]
        raise_all(_differences(study, found, what))

    def _open(self, study: str, objectives: int) -> int:
        library = optuna()
        directions = [library.study.StudyDirection.MAXIMIZE] * objectives
        with silent():
            try:
                key: int = self.storage.get_study_id_from_name(study)
            except KeyError:
                with suppress(library.exceptions.DuplicatedStudyError):  # another process was first
                    self.storage.create_new_study(directions, study)
                key = self.storage.get_study_id_from_name(study)
        return key

    def entries(self) -> dict[int, Entry]:
        """Return the trials that count, by number."""
        counted: dict[int, Entry] = {}
        for entry in self.all_entries():
            if not entry.void:
                counted.setdefault(entry.number, entry)
        return dict(sorted(counted.items()))

    def all_entries(self) -> list[Entry]:
        """Return all trials in the order in which they were made."""
        trials = self.storage.get_all_trials(self.key, deepcopy=False)
        return [_entry(trial) for trial in sorted(trials, key=lambda trial: trial.number) if "number" in trial.user_attrs]

    def repeated(self) -> int:
        """Return the number of trials that were begun and do not count, so that their numbers were run again."""
        return sum(bool(entry.void) and entry.void != TAKEN for entry in self.all_entries())

    def retried(self, number: int) -> Entry | None:
        """Return the last trial of a number that does not count, whose values and curve the next one takes over."""
        return next((entry for entry in reversed(self.all_entries()) if entry.number == number and entry.void), None)

    def claim(
        self, number: int, settings: Settings, params: Mapping[str, Value] | None, ranges: Mapping[str, Range]
    ) -> Entry | None:
        """Make the running trial of a number. Return None if another process was first."""
        library = optuna()
        before = self.retried(number)
        trial = library.trial.create_trial(
            state=library.trial.TrialState.RUNNING,
            params=dict(params or {}),
            distributions=distributions(ranges) if params else {},
            user_attrs={
                "number": number,
                "settings": settings,
                "owner": self.owner.tree(),
                "beat": 0,
                "best": before.about.get("best") if before else None,
            },
            intermediate_values=dict(before.curve) if before else {},
        )
        key = self.storage.create_new_trial(self.key, template_trial=trial)
        mine = next(entry for entry in self.all_entries() if entry.key == key)
        counted = self.entries().get(number)
        if counted is not None and counted.key == key:
            return mine
        self.void(mine, TAKEN)
        return None

    def void(self, entry: Entry, why: str) -> None:
        """Let a running trial not count. If it ended in the meantime, nothing changes."""
        library = optuna()
        with suppress(library.exceptions.UpdateFinishedTrialError):
            self.storage.set_trial_user_attr(entry.key, "void", why)
            self.storage.set_trial_state_values(entry.key, library.trial.TrialState.FAIL)

    def void_dead(self, watch: Watch) -> list[Entry]:
        """Void the trials of processes that died, and return them."""
        running = [entry for entry in self.entries().values() if not entry.finished]
        dead = [entry for entry in running if watch.is_dead(entry.key, entry.owner, entry.beat)]
        for entry in dead:
            self.void(entry, "its process died")
        return dead

    def report(self, entry: Entry, evaluation: int, score: float, best: Sequence[float | None]) -> None:
        """Record the best score so far of a trial, and of each of its replicas."""
        self.storage.set_trial_user_attr(entry.key, "best", list(best))
        self.storage.set_trial_intermediate_value(entry.key, evaluation, score)

    def finish(self, entry: Entry, outcome: Outcome, seconds: float) -> bool:
        """Record how a trial ended. Return False if it does not count any more, because others took this process for dead."""
        library = optuna()
        states = library.trial.TrialState
        state = {"complete": states.COMPLETE, "pruned": states.PRUNED, "failed": states.FAIL}[outcome.state]
        values = list(outcome.values) if outcome.state == "complete" else None
        try:
            self.storage.set_trial_user_attr(
                entry.key, "about", {**outcome.about, "values": list(outcome.values), "seconds": seconds}
            )
            self.storage.set_trial_state_values(entry.key, state, values)
        except library.exceptions.UpdateFinishedTrialError:
            return False
        return not next(found for found in self.all_entries() if found.key == entry.key).void

    @contextmanager
    def beating(self, entry: Entry, seconds: float = BEAT_SECONDS) -> Iterator[None]:
        """Let the trial show that this process is alive, from a thread of its own: an epoch may take longer than a beat."""
        stop = threading.Event()

        def beat() -> None:
            number = 0
            while not stop.wait(seconds):
                number += 1
                try:
                    self.storage.set_trial_user_attr(entry.key, "beat", number)
                except optuna().exceptions.UpdateFinishedTrialError:
                    return

        thread = threading.Thread(target=beat, name=f"beats of trial {entry.number}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def _entry(trial: Any) -> Entry:
    attributes, states = trial.user_attrs, optuna().trial.TrialState
    about = dict(attributes.get("about") or {})
    values = tuple(float(value) for value in about.pop("values", ()) if math.isfinite(value))
    named: dict[Any, State] = {states.COMPLETE: "complete", states.PRUNED: "pruned", states.FAIL: "failed"}
    state, seconds = named.get(trial.state, "running"), about.pop("seconds", None)
    return Entry(
        key=trial._trial_id,
        order=trial.number,
        number=attributes["number"],
        state=state,
        settings=attributes["settings"],
        params=dict(trial.params) or None,
        owner=Owner.of_tree(attributes["owner"]),
        beat=attributes["beat"],
        values=values if state in ("complete", "pruned") else (),
        curve=dict(sorted(trial.intermediate_values.items())),
        about={"best": attributes.get("best"), **about},
        seconds=seconds,
        void=attributes.get("void", ""),
    )


def _differences(study: str, found: Mapping[str, JsonValue], what: Mapping[str, JsonValue]) -> list[str]:
    """Return how a study differs from what is searched now."""
    differing = [name for name in {**found, **what} if found.get(name) != what.get(name)]
    remedy = f"Give its own, or another {setting('study')} or {setting('out')}."
    return [f"the study {study!r} was begun with another {name.replace('_', ' ')}. {remedy}" for name in differing]
