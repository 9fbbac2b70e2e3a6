"""The ledger: one trial counts for each number, whatever processes do."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from manygate.errors import InputError
from manygate.runs.tuning.ledger import TAKEN, Ledger, Outcome
from manygate.runs.tuning.owner import Owner, Watch
from searched import claim, ledger, ranges, states


@pytest.fixture(params=["journal", "sqlite"])
def books(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Ledger, Ledger]:
    """Two processes' ledgers of one study, here in one process."""
    url = f"sqlite:///{tmp_path / 'study.db'}" if request.param == "sqlite" else None
    return ledger(tmp_path, url), ledger(tmp_path, url)


def test_the_first_claim_of_a_number_counts(books: tuple[Ledger, Ledger]) -> None:
    first, second = books
    entry = claim(first, 0, experts=2)
    assert entry is not None
    assert claim(second, 0, experts=4) is None
    assert [found.settings["experts"] for found in second.entries().values()] == [2]
    assert [found.void for found in second.all_entries()] == ["", TAKEN]
    assert first.finish(entry, Outcome("complete", (0.5,), {"scores": [[0.5]]}), 1.5)
    (found,) = second.entries().values()
    assert (found.state, found.values, found.seconds, found.about["scores"]) == ("complete", (0.5,), 1.5, [[0.5]])
    assert second.repeated() == 0


def test_the_trial_of_a_dead_process_is_run_again_with_its_values(books: tuple[Ledger, Ledger]) -> None:
    first, second = books
    first.owner = Owner(Owner.current().host, 2**22 + 1, "1")  # no process has this number
    entry = claim(first, 3, experts=4)
    first.report(entry, 1, 0.25, [0.2, 0.3])
    assert [found.number for found in second.void_dead(Watch())] == [3]
    assert second.entries() == {}
    before = second.retried(3)
    assert before is not None
    again = second.claim(3, before.settings, before.params, ranges())
    assert again is not None
    assert again.settings == entry.settings
    assert again.curve == {1: 0.25}
    assert again.about["best"] == [0.2, 0.3]
    assert second.void_dead(Watch()) == [], "this process is alive"
    assert second.repeated() == 1


def test_a_process_that_was_taken_for_dead_leaves_its_result_out(books: tuple[Ledger, Ledger]) -> None:
    first, second = books
    entry = claim(first, 0)
    second.void(second.entries()[0], "its process died")
    again = claim(second, 0)
    assert not first.finish(entry, Outcome("complete", (0.9,)), 1.0)
    assert second.finish(again, Outcome("complete", (0.5,)), 1.0)
    assert [found.values for found in first.entries().values()] == [(0.5,)]


def test_a_process_whose_trial_is_voided_while_it_ends_leaves_its_result_out(books: tuple[Ledger, Ledger]) -> None:
    """The other process has marked the trial and not yet ended it."""
    first, second = books
    entry = claim(first, 0)
    second.storage.set_trial_user_attr(entry.key, "void", "its process died")
    assert not first.finish(entry, Outcome("complete", (0.9,)), 1.0)
    assert second.entries() == {}


def test_a_trial_that_ended_cannot_be_voided(books: tuple[Ledger, Ledger]) -> None:
    first, second = books
    entry = claim(first, 0)
    before = second.entries()[0]
    first.finish(entry, Outcome("pruned", (0.5,)), 1.0)
    second.void(before, "its process died")
    (found,) = second.entries().values()
    assert (found.state, found.values, found.void) == ("pruned", (0.5,), "")


def test_a_failed_trial_has_a_reason_and_no_values(books: tuple[Ledger, Ledger]) -> None:
    first, second = books
    first.finish(claim(first, 0), Outcome("failed", about={"reason": "the loss became nan"}), 1.0)
    (found,) = second.entries().values()
    assert (found.state, found.values, found.about["reason"]) == ("failed", (), "the loss became nan")
    (trial,) = second.storage.get_all_trials(second.key)
    assert trial.state == states().FAIL


def test_beats_are_counted_while_a_trial_runs(books: tuple[Ledger, Ledger]) -> None:
    first, second = books
    entry = claim(first, 0)
    with first.beating(entry, seconds=0.01):
        while second.entries()[0].beat < 2:
            time.sleep(0.01)
    beats = second.entries()[0].beat
    first.finish(entry, Outcome("complete", (1.0,)), 1.0)
    assert second.entries()[0].beat == beats, "no beat after the block"


def test_another_log_or_space_is_refused(tmp_path: Path) -> None:
    ledger(tmp_path, log="a", search_space={"x": 1})
    with pytest.raises(InputError, match="begun with another search space"):
        ledger(tmp_path, log="a", search_space={"x": 2})
    with pytest.raises(InputError) as error:
        ledger(tmp_path, log="b", search_space={"x": 2})
    assert len(error.value.problems) == 2
    ledger(tmp_path, log="a", search_space={"x": 1})


WORKER = """
import random, sys, time
from pathlib import Path
from manygate.runs.tuning.ledger import Ledger, Outcome
from manygate.runs.tuning.owner import Watch
from manygate.runs.tuning.storage import open_storage

book, draw = Ledger(open_storage(None, Path(sys.argv[1])), "tuning", 1, {"log": "a"}), random.Random(int(sys.argv[2]))
while True:
    book.void_dead(Watch())
    entries = book.entries()
    free = [number for number in range(25) if number not in entries]
    if not free and all(entry.finished for entry in entries.values()):
        break
    entry = book.claim(free[0], {}, None, {}) if free else None
    if entry is not None:
        time.sleep(draw.uniform(0, 0.03))
        book.finish(entry, Outcome("complete", (float(entry.number),)), 0.0)
    elif not free:
        time.sleep(0.01)
"""


def _start(folder: Path, seed: int) -> Any:
    words = [sys.executable, "-c", WORKER, str(folder), str(seed)]
    return subprocess.Popen(words)


def test_killed_processes_lose_and_repeat_no_number(tmp_path: Path) -> None:
    """Two processes are killed in turn, at whatever moment; the last one finishes."""
    begun = tmp_path / "journal.jsonl"
    first, second = _start(tmp_path, 0), _start(tmp_path, 1)
    while not begun.exists() or len(ledger(tmp_path).entries()) < 4:
        time.sleep(0.02)
    first.kill()
    first.wait()
    third = _start(tmp_path, 2)
    while len(ledger(tmp_path).entries()) < 12:
        time.sleep(0.02)
    second.kill()
    second.wait()
    assert third.wait(timeout=120) == 0
    entries = ledger(tmp_path).entries()
    assert list(entries) == list(range(25))
    assert all(entry.state == "complete" and entry.values == (float(number),) for number, entry in entries.items())
    counted = [entry for entry in ledger(tmp_path).all_entries() if not entry.void]
    assert len(counted) == 25
