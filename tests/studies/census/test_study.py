"""The whole study at a small size: its files, what is done once, and what may change from call to call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from made_up_census import PLAN, write_census
from manygate.errors import InputError
from manygate.results.census import CensusResults
from manygate.studies.census import plan as plan_module
from manygate.studies.census import study as study_module
from manygate.studies.census.plan import Plan
from manygate.studies.census.study import reproduce
from manygate.training.progress import Progress
from searched import Said

METHODS = ("single_task", "mmoe", "lightgbm", "logistic")


def test_it_writes_results_and_a_page(done: Any) -> None:
    found = CensusResults.read(done.folder / "results.json")
    assert found == done.results
    assert set(found.models) == {
        *(f"{method}-income" for method in METHODS),
        *(f"{method}-never_married" for method in METHODS if method != "mmoe"),
    }
    assert found.rows == {"train": 400, "valid": 200, "test": 200}
    assert "<h1>mmoe" in (done.folder / "report.html").read_text(encoding="utf-8")
    assert found.estimated_seconds is not None
    assert found.seconds > 0
    assert found.groups["income"].conclusions
    assert not list(done.folder.glob("jobs/*/final-*")), "no weights are kept"


def test_the_labels_can_be_learnt_so_that_the_study_measures_something(done: Any) -> None:
    for name, model in done.results.models.items():
        task = next(iter(model.tasks.values()))
        assert (task.test.mean or 0) > 0.7, name


def test_what_is_done_is_not_done_again(done: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_census(tmp_path, monkeypatch)

    def never(*_: object) -> None:
        pytest.fail("trained again")

    for name in ("run_network", "run_outside", "job_seconds"):
        monkeypatch.setattr(study_module, name, never)
    again = reproduce(done.folder, PLAN, METHODS, ("income",), 3, None, Progress())
    assert again == done.results
    fewer = reproduce(done.folder, PLAN, ("mmoe", "single_task"), ("income",), 3, None, Progress())
    assert fewer.models == {name: model for name, model in done.results.models.items() if name in fewer.models}
    assert fewer.looks < again.looks


def test_more_runs_use_the_same_searches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_dir, said = write_census(tmp_path / "source", monkeypatch), Said()

    def run(replicas: int) -> CensusResults:
        return reproduce(tmp_path / "study", PLAN, ("mmoe",), ("income",), replicas, data_dir, said, threads=1)

    few, more = run(3), run(4)
    trials = [line for line in said.lines if line.startswith("trial 2 of 2")]
    assert len(trials) == 1
    assert few.models["mmoe-income"].settings == more.models["mmoe-income"].settings
    values = more.models["mmoe-income"].tasks["income"].test.values
    assert values[:3] == pytest.approx(few.models["mmoe-income"].tasks["income"].test.values, abs=1e-3)
    assert len(values) == 4
    assert any("left, by a few steps of each" in line for line in said.lines)


def test_another_plan_and_a_foreign_folder_are_refused(done: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_census(tmp_path / "source", monkeypatch)
    with pytest.raises(InputError, match=r"holds a study with another trials \(plan.json\)"):
        reproduce(done.folder, Plan(trials=3, trial_replicas=1, epochs=2), METHODS, ("income",), 3, None, Progress())
    with pytest.raises(InputError, match="exists and holds no study"):
        reproduce(tmp_path, PLAN, METHODS, ("income",), 3, None, Progress())


def test_an_outcome_of_other_default_settings_is_refused(done: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later version may have other defaults. Its results must not mix with those that are there."""
    write_census(tmp_path, monkeypatch)
    monkeypatch.setitem(plan_module.NETWORKS, "mmoe", {**plan_module.NETWORKS["mmoe"], "experts": 3})
    monkeypatch.setattr(study_module, "job_seconds", lambda *_: 1.0)
    with pytest.raises(InputError, match="mmoe-income-3: made with other default settings: experts 8"):
        reproduce(done.folder, PLAN, ("mmoe",), ("income",), 3, done.data_dir, Progress())
