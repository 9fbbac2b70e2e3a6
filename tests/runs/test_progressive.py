"""Training day by day: no row touches the model that predicts it, ids grow, and a stopped run ends as an undisturbed one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from day_logs import DAYS, ROWS, day_log, day_schema
from manygate.errors import InputError
from manygate.files import sha256
from manygate.results.comparison import ComparisonDocument
from manygate.runs.day_log import prepare_days
from manygate.runs.progressive import train_progressive
from manygate.scoring.bundle import load_bundle
from manygate.training.interrupt import Interrupted
from manygate.training.progress import Progress
from manygate.training.trainer import Trainer
from stopper import Stopper


@pytest.fixture(scope="module")
def table(log_table) -> pa.Table:
    return day_log(log_table)


@pytest.fixture(scope="module")
def run(log_schema, settings) -> Any:
    """Train on a log day by day."""

    def train(table: pa.Table, folder: Path | None = None, progress: Progress | None = None, **changes: Any) -> Any:
        config = settings(**{"split": "progressive", "epochs": 1, "keep": "last", "fractions": (0.8, 0.1, 0.1), **changes})
        log = prepare_days(table, config, day_schema(log_schema))
        if folder is not None:
            folder.mkdir(exist_ok=True)
        return train_progressive(log, folder, progress or Progress())

    return train


def _days(document: ComparisonDocument) -> list[dict[str, Any]]:
    found = document.results["mmoe"].days
    assert found is not None
    return [day.to_tree() for day in found]


def _of_day(table: pa.Table) -> np.ndarray:
    day = table["time"].combine_chunks().cast(pa.int64()).to_numpy() // 86_400
    return np.asarray(day - day.min())


def test_every_day_but_the_first_is_judged_and_the_last_trains_nothing(table, run) -> None:
    predictor, document = run(table, replicas=2)
    days = _days(document)
    assert [day["day"] for day in days] == ["2026-01-02", "2026-01-03", "2026-01-04", "2026-01-05"]
    assert [(day["rows"], day["trained_rows"]) for day in days] == [(ROWS, ROWS * n) for n in range(1, DAYS)]
    assert all(0 < day["cold_share"] < 1 for day in days)
    assert all(day["new_ids"]["user"] > 0 for day in days)
    users = set(table["user"].to_numpy()[_of_day(table) < DAYS - 1])
    assert set(predictor.encoder.vocabularies["user"].values.to_pylist()) == users
    assert sum(day["new_ids"]["user"] for day in days) == len(users)
    assert document.data.rows == {"train": ROWS * (DAYS - 1), "test": ROWS}
    last = document.results["mmoe"]
    for name, report in last.tasks.items():
        assert days[-1]["tasks"][name]["metrics"] == report.to_tree()["metrics"]
        assert len(days[0]["tasks"][name]["metrics"]["log_loss" if report.kind == "binary" else "r2"]["values"]) == 2
    assert [entry.epoch for entry in last.history] == [1, 2, 3, 4]
    assert last.stopped.best_epoch == {"click": [4, 4], "like": [4, 4], "watch": [4, 4]}


def test_labels_of_later_days_do_not_touch_the_predictions_of_earlier_ones(table, run) -> None:
    """The predictions of a day depend on the rows of the days before it, and its metrics on its own labels besides."""
    _, document = run(table)
    day = _of_day(table)
    for changed in (1, 3):
        place = table.column_names.index("click")
        click = table["click"].to_numpy()
        other = table.set_column(place, "click", pa.array(np.where(day >= changed, 1 - click, click)))
        _, again = run(other)
        same = [a == b for a, b in zip(_days(document), _days(again), strict=True)]
        assert same == [number + 1 < changed for number in range(DAYS - 1)]


def test_features_of_later_days_do_not_touch_earlier_ones_and_a_day_s_labels_not_its_own_predictions(
    table, run, monkeypatch
) -> None:
    seen: list[list[np.ndarray]] = []
    watch = "manygate.runs.progressive.DayWatch.__call__"
    from manygate.runs.progressive import DayWatch

    judge = DayWatch.__call__

    def noted(self: DayWatch, logit_RNT: np.ndarray, members: Any) -> Any:
        seen[-1].append(logit_RNT.copy())
        return judge(self, logit_RNT, members)

    monkeypatch.setattr(watch, noted)
    day, click = _of_day(table), table["click"].to_numpy()
    place = table.column_names.index("click")
    of_day_2 = table.set_column(place, "click", pa.array(np.where(day == 2, 1 - click, click)))
    user = table["user"].to_numpy()
    later_users = table.set_column(0, "user", pa.array(np.where(day == 3, user + 1000, user)))
    for rows in (table, of_day_2, later_users):
        seen.append([])
        run(rows)
    whole, labels, users = seen
    assert [np.array_equal(a, b) for a, b in zip(whole, labels, strict=True)] == [True, True, False, False]
    assert [np.array_equal(a, b) for a, b in zip(whole, users, strict=True)] == [True, True, False, False]


VARIANTS: dict[str, dict[str, Any]] = {
    "sparse tables, several epochs": {"sparse_gradients": True, "epochs": 2, "optimizer": "adam"},
    "row-wise adagrad, one model per task": {
        "table_optimizer": "rowwise_adagrad",
        "sparse_gradients": True,
        "architecture": "single_task",
        "replicas": 2,
    },
    "embeddings of its own, a weighting with a state": {"architecture": "stem", "weighting": "gradnorm"},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_run_that_is_stopped_anywhere_ends_as_an_undisturbed_one(table, run, tmp_path, name) -> None:
    changes = {"checkpoint_seconds": 0, **VARIANTS[name]}
    table = table.filter(pa.array(_of_day(table) < 4))
    whole, _ = run(table, tmp_path / "whole", **changes)
    for after in (2, 6):
        with pytest.raises(Interrupted):
            run(table, tmp_path / "parts", Stopper(after), **changes)
    again, _ = run(table, tmp_path / "parts", **changes)
    for name, value in whole.model.parameters.items():
        np.testing.assert_array_equal(value.detach().numpy(), again.model.parameters[name].detach().numpy(), err_msg=name)
    trees = [json.loads((tmp_path / folder / "evaluation.json").read_text()) for folder in ("whole", "parts")]
    for tree in trees:
        for result in tree["results"].values():
            result.pop("seconds")
    assert trees[0] == trees[1]
    histories = [(tmp_path / folder / "metrics.jsonl").read_text() for folder in ("whole", "parts")]
    assert histories[0] == histories[1]


def test_a_finished_run_is_whole_and_is_loaded_again(table, run, tmp_path, monkeypatch) -> None:
    predictor, document = run(table, tmp_path / "run")
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"bundle", "evaluation.json", "report.html", "metrics.jsonl", "schema.yaml", "log.json", "state.json", "DONE"} <= names
    assert not names & {"days", "checkpoints"}
    loaded = load_bundle(tmp_path / "run")
    assert loaded.encoder.vocabularies["user"].values.equals(predictor.encoder.vocabularies["user"].values)
    monkeypatch.setattr(Trainer, "fit", lambda self: pytest.fail("trained again"))
    before = sha256(tmp_path / "run" / "evaluation.json")
    _, same = run(table, tmp_path / "run")
    assert same.to_tree() == document.to_tree()
    assert sha256(tmp_path / "run" / "evaluation.json") == before
    with pytest.raises(InputError, match="the settings have changed"):
        run(table, tmp_path / "run", dim=4)
    with pytest.raises(InputError, match="not the log that the run began with"):
        run(table.slice(1), tmp_path / "run")


def test_the_optimizer_goes_on_from_day_to_day(table, run, monkeypatch) -> None:
    """Without what is carried over, the weights of the second day would differ."""
    predictor, _ = run(table)
    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "carry", lambda self, tensors: None)
        other, _ = run(table)
    assert any(
        not np.array_equal(value.detach().numpy(), other.model.parameters[name].detach().numpy())
        for name, value in predictor.model.parameters.items()
    )


def test_the_counts_of_id_dropout_are_those_of_all_days_so_far(table, run, monkeypatch) -> None:
    from manygate.training.id_dropout import IdDropout

    seen: list[int] = []
    of = IdDropout.of.__func__  # type: ignore[attr-defined]

    def noted(cls: Any, train: Any, inputs: Any, config: Any, earlier: Any = ()) -> Any:
        found = of(cls, train, inputs, config, earlier)
        count_V = found.count_V.numpy()
        seen.append(int(count_V[np.isfinite(count_V)].sum()))
        return found

    monkeypatch.setattr(IdDropout, "of", classmethod(noted))
    run(table.drop_columns(["country"]).append_column("country", table["country"].fill_null("X")))
    sparse = 3  # user, country, position
    assert seen == [sparse * ROWS * n for n in range(1, DAYS)]


def test_a_run_without_the_checkpoint_of_its_newest_day_is_refused(table, run, tmp_path) -> None:
    with pytest.raises(Interrupted):
        run(table, tmp_path / "run", Stopper(8))
    for path in (tmp_path / "run" / "days").glob("*/checkpoints"):
        shutil.rmtree(path)
    with pytest.raises(InputError, match=r"0001: the checkpoint of this day is missing"):
        run(table, tmp_path / "run")
