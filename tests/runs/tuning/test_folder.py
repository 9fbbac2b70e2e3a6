"""The folder of a study: begun once, joined by others, refused for another search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from manygate.config import RunConfig, TuneConfig
from manygate.errors import InputError
from manygate.files import locked
from manygate.runs.tuning.folder import has_study, load_study, study_folder
from searched import RANGES

TUNING = TuneConfig(trials=3, space=RANGES)


@pytest.fixture(scope="module")
def record(encoded: Any) -> Any:
    return encoded().record


def test_a_study_is_begun_once_and_joined(record: Any, tmp_path: Path) -> None:
    folder, config = tmp_path / "study", RunConfig(experts=3)
    with study_folder(folder, config, TUNING, record, command="manygate tune a --storage mysql://u:pw@h/d"):
        assert has_study(folder)
        with study_folder(folder, config, TUNING, record):
            assert load_study(folder) == (config, TUNING)
        with pytest.raises(InputError, match="another process is working"), locked(folder):
            pass
    head = (folder / "config.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert head == "# manygate tune a --storage mysql://u:***@h/d"


def test_a_password_is_not_written(record: Any, tmp_path: Path) -> None:
    tuning = TUNING.model_copy(update={"storage": "mysql://anna:s3cret@host/db"})
    with study_folder(tmp_path / "study", RunConfig(), tuning, record):
        pass
    assert all("s3cret" not in path.read_text("utf-8") for path in (tmp_path / "study").glob("*.*"))
    assert load_study(tmp_path / "study")[1].storage == "mysql://anna:***@host/db"


@pytest.mark.parametrize(
    ("config", "tuning", "problem"),
    [
        ({"experts": 4}, {}, "experts: the study in .* was begun with 8, and now it is 4"),
        ({}, {"trials": 4}, "trials: .* begun with 3, and now it is 4"),
        ({}, {"space": {"experts": {"int": [2, 9]}}}, r"space: .* begun with .*learning_rate.*, and now it is .*\[2, 9\]"),
        ({"seed": 1}, {"sampler": "tpe"}, "seed: (.|\n)*sampler: "),
    ],
)
def test_another_search_is_refused(record: Any, tmp_path: Path, config: Any, tuning: Any, problem: str) -> None:
    with study_folder(tmp_path / "study", RunConfig(), TUNING, record):
        pass
    other = TuneConfig(**{**TUNING.model_dump(), **tuning})
    with pytest.raises(InputError, match=problem), study_folder(tmp_path / "study", RunConfig(**config), other, record):
        pass


def test_threads_the_picked_trial_and_the_address_may_change(record: Any, tmp_path: Path) -> None:
    with study_folder(tmp_path / "study", RunConfig(), TUNING, record):
        pass
    other = TUNING.model_copy(update={"pick": 2, "storage": "sqlite:///moved.db"})
    with study_folder(tmp_path / "study", RunConfig(threads=2), other, record):
        pass


def test_another_log_is_refused(record: Any, encoded: Any, log_table: Any, tmp_path: Path) -> None:
    with study_folder(tmp_path / "study", RunConfig(), TUNING, record):
        pass
    other = encoded(log_table(400, seed=5)).record
    refused = pytest.raises(InputError, match="not the log that the run began with")
    with refused, study_folder(tmp_path / "study", RunConfig(), TUNING, other):
        pass


def test_a_folder_of_something_else_is_refused(record: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="exists"), study_folder(tmp_path, RunConfig(), TUNING, record):
        pass
    with pytest.raises(InputError, match="not a run's folder"), study_folder(tmp_path, RunConfig(), TUNING, record, overwrite=True):
        pass


def test_a_study_is_overwritten_only_when_the_new_one_has_ended_well(record: Any, tmp_path: Path) -> None:
    folder, other = tmp_path / "study", TUNING.model_copy(update={"trials": 5})
    with study_folder(folder, RunConfig(), TUNING, record):
        pass
    kept = pytest.raises(InputError, match="the run that was to be replaced is kept")
    with kept, study_folder(folder, RunConfig(), other, record, overwrite=True):
        raise InputError("a problem in a trial")
    assert load_study(tmp_path / ".study.replaced")[1] == TUNING
    with study_folder(folder, RunConfig(), TUNING, record, overwrite=True):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["study"]


def test_a_study_that_others_work_on_is_not_overwritten(record: Any, tmp_path: Path) -> None:
    refused = pytest.raises(InputError, match="another process is working")
    again = study_folder(tmp_path / "study", RunConfig(), TUNING, record, overwrite=True)
    with study_folder(tmp_path / "study", RunConfig(), TUNING, record), refused, again:
        pass
