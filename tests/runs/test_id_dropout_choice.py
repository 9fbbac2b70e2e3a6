"""A comparison chooses id_dropout on validation rows, for each model."""

from __future__ import annotations

from typing import Any

import pytest

from manygate.config import RunConfig
from manygate.errors import InputError
from manygate.runs.comparison import compare_run
from manygate.runs.id_dropout_choice import PILOTS, choose_id_dropout, pilot_settings
from manygate.training.progress import Progress


@pytest.fixture(scope="module")
def log(encoded) -> Any:
    return encoded()


def test_pilots_pair_each_value_with_the_same_seeds():
    pilots = pilot_settings(RunConfig(id_dropouts=(0.0, 5.0, 20.0), seed=7))
    rows = [(pilots.replica_id_dropouts[r % 3], pilots.seed_of(r)) for r in range(pilots.replicas)]
    assert sorted(rows) == [(value, 7 + k) for value in (0.0, 5.0, 20.0) for k in range(PILOTS)]
    assert pilots.id_dropouts == ()


@pytest.mark.parametrize(
    ("scores", "chosen"),
    [([1, 9, 3, 2, 9, 4, 3, 0, 8], 5.0), ([9, 1, 1] * 3, 0.0), ([2] * 9, 0.0), ([float("nan"), 2, 3] * 3, 20.0)],
)
def test_the_best_mean_score_is_chosen(log, settings, scores, chosen):
    choice = choose_id_dropout(log, settings(id_dropouts=(0.0, 5.0, 20.0)), lambda config: scores)
    assert choice.chosen == chosen
    assert list(choice.valid) == ["0", "5", "20"]
    assert choice.valid["5"].values == scores[1::3]


def test_a_comparison_trains_with_what_it_chose(log, settings, tmp_path):
    config = settings(id_dropouts=(0.0, 40.0), architectures=("single_task", "mmoe"), epochs=1, replicas=2)
    document, trained = compare_run(log, config, tmp_path / "a", Progress())
    assert list(document.id_dropout) == ["single_task", "mmoe"]
    for name, run in trained.items():
        assert run.model.config.id_dropout == document.id_dropout[name].chosen
        assert run.model.config.replica_id_dropouts == ()
        assert [len(summary.values) for summary in document.id_dropout[name].valid.values()] == [PILOTS, PILOTS]
    again, _ = compare_run(log, config, None, Progress())
    assert again.id_dropout == document.id_dropout


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"id_dropouts": (5.0,)}, "one value is no choice"),
        ({"id_dropouts": (5.0, 5.0)}, "stands there twice"),
        ({"id_dropouts": "0,-1"}, "id_dropouts"),
        ({"id_dropouts": (0.0, 5.0), "replica_rates": (1.0,)}, "replica_rates.*Leave one out"),
        ({"id_dropouts": (0.0, 5.0), "weight_sweep": 3}, "weight_sweep.*Leave one out"),
    ],
)
def test_a_choice_that_is_none_is_refused(given, problem):
    with pytest.raises(InputError, match=problem):
        RunConfig.build(given)


def test_a_log_without_ids_that_can_be_unseen_has_nothing_to_choose(log_table, log_schema, encoded, settings):
    schema = log_schema()
    own = tuple(f if f.kind == "dense" else f.model_copy(update={"id_dropout": 1.0}) for f in schema.features)
    log = encoded(log_table(200), schema.model_copy(update={"features": own}))
    with pytest.raises(InputError, match="no feature reads this setting"):
        choose_id_dropout(log, settings(id_dropouts=(0.0, 5.0)), lambda config: [])
