"""The document of a search, and the configuration of the tuned settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from manygate.config import RunConfig
from manygate.results.tuning import ChosenTrial
from manygate.runs.tuning.document import tuned_yaml
from searched import searched, space


@pytest.fixture(scope="module")
def found(encoded: Any, settings: Any) -> Any:
    return searched(encoded(), settings(replicas=2, epochs=1), trials=4)


def test_every_trial_is_in_the_document(found: Any) -> None:
    document, _ = found
    assert [trial.number for trial in document.trials] == [0, 1, 2, 3]
    best = max(document.trials, key=lambda trial: trial.values[0])
    assert document.chosen.number == best.number
    assert document.chosen.settings == best.settings
    assert [trial.front for trial in document.trials] == [trial is best for trial in document.trials]
    assert all(len(trial.scores[0]) == 2 and trial.noise[0] >= 0 for trial in document.trials)
    assert document.seconds == pytest.approx(sum(trial.seconds for trial in document.trials), abs=0.01)
    assert document.importance is None
    assert document.tuning["sampler"] == "gp"
    assert document.defaults == document.trials[0].settings


def test_the_tuned_settings_are_a_configuration(tmp_path: Path) -> None:
    base = space(log="a.parquet", task=("click",), replicas=2, epochs=7, threads=3, architecture="ple")
    chosen = ChosenTrial(number=3, settings={"learning_rate": 0.002, "experts": 2, "dropout": 0.25}, rule="the best value")
    path = tmp_path / "tuned.yaml"
    path.write_text(tuned_yaml(base, chosen, []), encoding="utf-8")
    config = RunConfig.load(path)
    assert (config.learning_rate, config.experts, config.dropout) == (0.002, 2, 0.25)
    assert (config.architecture, config.epochs, config.task) == ("ple", 7, ("click",))
    assert config.log == str(Path("a.parquet").absolute())
    assert not {"replicas", "threads", "device"} & config.model_fields_set
    assert "learning_rate" in config.model_fields_set, "a tuned value is written also where it is the default"
