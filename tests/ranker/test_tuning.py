"""mg.tune and its result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import manygate as mg
from conftest import TINY
from manygate.errors import InputError

SPACE = {"learning_rate": {"log": [0.003, 0.1]}, "expert_hidden": {"ordered": [[4], [8, 4]]}}
QUICK = {**TINY, "epochs": 1, "trials": 3, "final_replicas": 3, "progress": False}


@pytest.fixture(scope="module")
def tuned(log_table: Any, log_schema: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("tuned") / "study"
    return mg.tune(log_table(), schema=log_schema(), space=SPACE, out=folder, **QUICK), folder


def test_the_tuned_settings_are_those_of_a_ranker(tuned: Any) -> None:
    found, _ = tuned
    best = found.best_settings
    assert set(best) == {"architecture", *SPACE}
    ranker = mg.Ranker(**best)
    assert ranker.config.learning_rate == best["learning_rate"]
    trained = found.ranker()
    assert trained.config.learning_rate == best["learning_rate"]
    assert found.default_ranker().config.learning_rate == TINY["learning_rate"]
    assert repr(found) == found.document.headline
    assert found.document.headline.split()[0] in found._repr_html_()


def test_the_models_predict(tuned: Any, log_table: Any) -> None:
    found, folder = tuned
    rows = log_table(20, seed=9)
    again = mg.Tuning.load(folder)
    assert again.document == found.document
    assert again.ranker().predict(rows).equals(found.ranker().predict(rows))
    assert set(found.gains) in ({"click", "like", "watch"}, set())


def test_every_trial_is_a_row(tuned: Any, tmp_path: Path) -> None:
    found, _ = tuned
    table = found.to_table()
    assert table.column_names == ["number", "state", "mean", "seconds", *SPACE]
    assert table["number"].to_pylist() == [0, 1, 2]
    found.report(tmp_path / "page.html")
    assert found.document.headline in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_the_same_call_continues_and_another_is_refused(tuned: Any, log_table: Any, log_schema: Any) -> None:
    found, folder = tuned
    again = mg.tune(log_table(), schema=log_schema(), space=SPACE, out=folder, **QUICK)
    assert again.document == found.document
    with pytest.raises(InputError, match=r"trials: the study in .* was begun with 3, and now it is 4"):
        mg.tune(log_table(), schema=log_schema(), space=SPACE, out=folder, **{**QUICK, "trials": 4})
    with pytest.raises(InputError, match="not the log that the run began with"):
        mg.tune(log_table(400, seed=3), schema=log_schema(), space=SPACE, out=folder, **QUICK)


def test_what_is_refused(log_table: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="overwrite=True: there is no out"):
        mg.tune(log_table(), task="click", overwrite=True)
    with pytest.raises(InputError, match="no search here"):
        mg.Tuning.load(tmp_path)
    with pytest.raises(InputError, match=r"trails: unknown name\. Did you mean"):
        mg.tune(log_table(), task="click", trails=4)
