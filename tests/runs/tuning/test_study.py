"""The trials of a study: defaults first, determinism, rounds, kills in the middle of a trial, and what is said."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from manygate.config import TuneConfig
from manygate.runs.tuning import study as study_module
from manygate.runs.tuning.ledger import Ledger
from manygate.runs.tuning.owner import Owner
from manygate.runs.tuning.run import plan
from manygate.runs.tuning.storage import open_storage
from manygate.runs.tuning.study import Study
from manygate.runs.tuning.trial import Outcome
from manygate.training.interrupt import Interrupted
from manygate.training.progress import Progress
from searched import RANGES, Said
from stopper import Stopper


@pytest.fixture(scope="module")
def log(encoded: Any) -> Any:
    return encoded()


def study(log: Any, config: Any, folder: Path | None = None, progress: Progress | None = None, **tuning: Any) -> Study:
    space, tune, objectives = plan(log, config, TuneConfig(**{"trials": 4, "space": RANGES, **tuning}))
    book = Ledger(open_storage(tune.storage, folder), "tuning", len(objectives), {"log": "a"})
    return Study(log, space, tune, objectives, book, folder, progress or Progress())


def same(found: Any) -> list[Any]:
    return [(n, entry.settings, entry.values, entry.about["scores"], dict(entry.curve)) for n, entry in found.items()]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Trials that train nothing: the score is a function of the settings, and every seventh fails."""
    seen: list[Any] = []

    def run_trial(log: Any, config: Any, objectives: Any, folder: Any, progress: Any, report: Any) -> Outcome:
        seen.append(report.entry.number)
        if report.entry.number % 7 == 6:
            return Outcome("failed", about={"reason": "bad luck"})
        return Outcome("complete", (config.experts - 3 * config.dropout,) * len(objectives), {"scores": [[1.0]]})

    monkeypatch.setattr(study_module, "run_trial", run_trial)
    return seen


def test_the_first_trial_has_the_default_settings(log: Any, settings: Any) -> None:
    found = study(log, settings(replicas=2, epochs=1)).run()
    assert list(found) == [0, 1, 2, 3]
    config = settings()
    assert found[0].settings == {"learning_rate": config.learning_rate, "experts": 3, "dropout": config.dropout}
    assert len({str(entry.settings) for entry in found.values()}) == 4


def test_the_same_seed_gives_the_same_trials(log: Any, settings: Any, fake: Any) -> None:
    runs = [study(log, settings(seed=seed), trials=16).run() for seed in (0, 0, 1)]
    settings_of = [[entry.settings for entry in found.values()] for found in runs]
    assert settings_of[0] == settings_of[1]
    assert settings_of[0][0] == settings_of[2][0], "the defaults"
    assert settings_of[0][1:] != settings_of[2][1:]


def test_a_study_that_is_stopped_in_a_trial_continues_to_the_same_bits(log: Any, settings: Any, tmp_path: Path) -> None:
    config = settings(replicas=2, epochs=3, checkpoint_seconds=0)
    whole = study(log, config, tmp_path / "whole", pruning="median").run()
    parts = tmp_path / "parts"
    for after in (7, 40):
        with pytest.raises(Interrupted):
            study(log, config, parts, Stopper(after), pruning="median").run()
    assert any((parts / "trials").glob("*/checkpoints")), "a trial was stopped in the middle"
    found = study(log, config, parts, pruning="median").run()
    assert same(found) == same(whole)
    assert not list((parts / "trials").iterdir()), "nothing is left of the trials"


def test_a_trial_of_a_dead_process_is_run_again_with_its_settings(log: Any, settings: Any, fake: Any, tmp_path: Path) -> None:
    said = Said()
    whole = study(log, settings(), trials=9).run()
    dead = study(log, settings(), tmp_path, trials=9)
    dead.ledger.owner = Owner(Owner.current().host, 2**22 + 1, "1")
    assert dead._next() is not None
    found = study(log, settings(), tmp_path, said, trials=9).run()
    assert [entry.settings for entry in found.values()] == [entry.settings for entry in whole.values()]
    assert said.lines[0] == "trial 0: its process died, and another runs it again"


def test_a_trial_that_is_run_again_is_not_proposed_anew(
    log: Any, settings: Any, fake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = study(log, settings(), trials=3)
    first, stopped, last = (process._next() for _ in range(3))
    for entry in (first, last):
        assert entry is not None
        process._run(entry)
    assert stopped is not None
    process.ledger.void(stopped, "its process died")
    monkeypatch.setattr(study_module, "propose", lambda *given: pytest.fail("it is proposed anew"))
    found = process.run()
    assert found[1].settings == stopped.settings
    assert found[1].params == stopped.params


def test_rounds_do_not_depend_on_who_runs_them(log: Any, settings: Any, fake: Any, tmp_path: Path) -> None:
    """Two processes take turns in another order than one would: the trials are the same."""
    alone = study(log, settings(), trials=15, round=4).run()
    pair = [study(log, settings(), tmp_path, trials=15, round=4) for _ in range(2)]
    while True:
        claimed = []
        for process in pair:
            entries = process.ledger.entries()
            free = next((n for n in range(15) if n not in entries), None)
            if free is not None and process._is_ready(free, entries):
                claimed.append((process, process._next()))
        if not claimed:
            break
        for process, entry in reversed(claimed):
            process._run(entry)
    assert [entry.settings for entry in pair[0].ledger.entries().values()] == [entry.settings for entry in alone.values()]
    without = study(log, settings(), trials=15).run()
    assert [entry.settings for entry in without.values()] != [entry.settings for entry in alone.values()]


def test_a_round_waits_for_the_one_before(log: Any, settings: Any, fake: Any) -> None:
    process = study(log, settings(), trials=6, round=3)
    for _ in range(3):
        process._next()
    assert not process._is_ready(3, process.ledger.entries())
    for entry in process.ledger.entries().values():
        process._run(entry)
    assert process._is_ready(3, process.ledger.entries())


def test_what_is_said_after_each_trial(log: Any, settings: Any, fake: Any) -> None:
    said = Said()
    study(log, settings(), None, said, trials=8, space={"experts": {"int": [2, 9]}}).run()
    assert re.match(r"trial 1 of 8: 2\.\d\d, best 2\.\d\d \(trial 0\), less than a minute left$", said.lines[0])
    assert said.lines[6].startswith("trial 7 of 8: failed, bad luck, best ")
    assert "left" not in said.lines[7]
    assert len(said.lines) == 8


def test_several_objectives_have_no_best(log: Any, settings: Any, fake: Any) -> None:
    said = Said()
    study(log, settings(), None, said, trials=2, objective="click,like").run()
    assert re.match(r"trial 1 of 2: \d\.\d{4}, \d\.\d{4}, less than a minute left$", said.lines[0])
