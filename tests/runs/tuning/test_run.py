"""A whole search: what it writes, that it is done once, another pick, and what is refused before a trial."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from manygate.config import RunConfig, TuneConfig
from manygate.errors import InputError
from manygate.results.tuning import TuningDocument
from manygate.runs.tuning.folder import study_folder
from manygate.runs.tuning.run import plan
from searched import RANGES, Said, searched, trials_of


@pytest.fixture(scope="module")
def log(encoded: Any) -> Any:
    return encoded()


@pytest.fixture
def folder(log: Any, settings: Any, tmp_path: Path) -> Path:
    config = settings(replicas=2, epochs=1)
    _, tuning, _ = plan(log, config, TuneConfig(trials=4, space=RANGES, final_replicas=3))
    with study_folder(tmp_path / "study", config, tuning, log.record):
        pass
    return tmp_path / "study"


def test_a_search_writes_its_results_once(log: Any, settings: Any, folder: Path) -> None:
    config = settings(replicas=2, epochs=1)
    document, trained = searched(log, config, folder)
    assert TuningDocument.read(folder / "tuning.json") == document
    for name in ("report.html", "tuned.yaml", "schema.yaml", "DONE", "journal.jsonl", "final/default/bundle"):
        assert (folder / name).exists(), name
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    said = Said()
    again, _ = searched(log, config, folder, said)
    assert again == document
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before
    assert not any(line.startswith("trial ") and " of " in line for line in said.lines), "no trial runs again"
    assert trials_of(searched(log, config)[0]) == trials_of(document), "without a folder"
    assert set(trained) <= {"default", "tuned"}


def test_another_trial_can_be_picked_afterwards(log: Any, settings: Any, folder: Path) -> None:
    config = settings(replicas=2, epochs=1)
    document, _ = searched(log, config, folder)
    pick = next(trial.number for trial in document.trials if trial.number not in (0, document.chosen.number))
    other, _ = searched(log, config, folder, pick=pick)
    assert other.chosen.number == pick
    assert TuningDocument.read(folder / "tuning.json").chosen.rule == "picked by hand"
    assert (folder / "final" / f"trial-{pick}" / "DONE").is_file()
    assert trials_of(other) == trials_of(document)


def test_several_objectives_have_a_front(log: Any, settings: Any) -> None:
    document, _ = searched(log, settings(replicas=2, epochs=1), objective="click,watch", trials=5)
    ahead = [trial for trial in document.trials if trial.front]
    for trial in document.trials:
        beaten = any(all(a >= b for a, b in zip(other.values, trial.values, strict=True)) and other.values != trial.values
                     for other in document.trials)  # fmt: skip
        assert trial.front == (not beaten)
    assert document.chosen.number in [trial.number for trial in ahead]


def test_all_problems_are_listed_before_any_trial(log: Any) -> None:
    tuning = TuneConfig(space={"experts": {"int": [0, 4]}, "nope": {"int": [1, 2]}}, objective="clik")
    with pytest.raises(InputError) as error:
        plan(log, RunConfig(replicas=2, replica_rates=(1.0, 2.0), batch_size=32), tuning)
    text = str(error.value)
    for part in ("replica_rates: a search gives", "experts: its range holds 0", "nope: unknown name", "objective: 'clik': no task"):
        assert part in text


def test_a_value_with_which_no_network_can_be_built_is_refused(log: Any) -> None:
    tuning = TuneConfig(space={"gate": {"choice": ["softmax", "topk"]}, "top_k": {"int": [1, 99]}})
    with pytest.raises(InputError, match=r"gate: its range holds .topk., with which the network cannot be trained"):
        plan(log, RunConfig(batch_size=32, experts=1), tuning)
    huge = TuneConfig(space={"expert_hidden": {"ordered": [[8], [65536, 65536]]}})
    with pytest.raises(InputError, match=r"expert_hidden: its range holds \[65536, 65536\], .*memory"):
        plan(log, RunConfig(batch_size=32, replicas=2), huge)
