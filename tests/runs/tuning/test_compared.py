"""A comparison of tuned models: each has the same number of trials, and the seeds of the trials are not used again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from manygate.config import RunConfig
from manygate.config.tune_settings import TRIAL_REPLICAS
from manygate.errors import InputError
from manygate.runs.comparison import compare_run
from manygate.runs.tuning.compared import tune_architecture
from manygate.training.progress import Progress
from searched import Said


@pytest.fixture(scope="module")
def log(encoded: Any) -> Any:
    return encoded()


def test_a_comparison_trains_with_the_tuned_settings(log: Any, settings: Any, tmp_path: Path) -> None:
    config = settings(tune=3, architectures=("single_task", "mmoe"), epochs=1, replicas=3, baselines=())
    said = Said()
    document, trained = compare_run(log, config, tmp_path / "a", said)
    assert document.tuned is not None
    assert list(document.tuned) == ["single_task", "mmoe"]
    for name, run in trained.items():
        tuned = config.replace(tune=0, **document.tuned[name].settings)
        found = document.tuned[name].settings
        assert "learning_rate" not in found, "it was given"
        assert "batch_size" not in found, "it was given, too"
        assert {"dropout", "weight_decay", "id_dropout"} <= set(found)
        assert all(getattr(run.model.config, setting) == getattr(tuned, setting) for setting in found)
        assert [run.model.config.seed_of(r) for r in range(3)] == [0, 1, 2]
        assert (tmp_path / "a" / f"{name}+tuning" / "journal.jsonl").is_file()
    assert set(document.verdicts) == {"mmoe"}
    again, _ = compare_run(log, config, tmp_path / "a", Progress())
    assert again == document, "the searches are not run again"


def test_every_architecture_has_the_same_budget_and_fresh_seeds(log: Any, settings: Any) -> None:
    config = settings(tune=2, epochs=1, replicas=4, seed=5)
    found = tune_architecture(log, config, (), None, Progress())
    assert "batch_size" in found.settings
    assert found.trial in (0, 1)
    assert found.valid_default is not None
    assert found.valid >= found.valid_default
    assert TRIAL_REPLICAS == 2


@pytest.mark.parametrize("other", [{"id_dropouts": (0.0, 1.0)}, {"weight_sweep": 3}, {"replica_rates": (1.0,)}])
def test_tuning_is_alone(other: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"tune, .*Leave one out"):
        RunConfig.build({"tune": 3, "replicas": 2, **other})
