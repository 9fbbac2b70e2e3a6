"""A run is trained on: its network and its fitted encoder stay, new ids get rows, and all that cannot change is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import manygate as mg
from manygate.config import RunConfig
from manygate.errors import InputError
from manygate.runs.continued import OF_THE_NETWORK, OF_THE_ROWS, prepare_to_continue
from manygate.runs.plan import plan_run
from manygate.scoring.bundle import load_bundle, save_bundle
from manygate.training.interrupt import Interrupted
from manygate.training.progress import Progress
from manygate.training.world import World
from stopper import Stopper


@pytest.fixture(scope="module")
def later(log_table) -> pa.Table:
    """Rows of a later time, in which half of the users are new."""
    table = log_table(300, seed=8)
    return table.set_column(0, "user", pa.array(np.arange(300) % 50))


@pytest.fixture(scope="module")
def before(log_table, log_schema, settings, tmp_path_factory) -> Path:
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("runs") / "before"
    folder.mkdir()
    plan_run(log_table(), settings(epochs=1, replicas=2), log_schema()).train(folder, Progress())
    return folder


def _config(before: Path, **given: Any) -> RunConfig:
    return RunConfig.build({"continued": str(before), **given})


def test_the_weights_go_on_and_new_ids_get_rows(before, later, tmp_path) -> None:
    old = load_bundle(before)
    plan = plan_run(later, _config(before, epochs=1, learning_rate=1e-12, weight_decay=0.0))
    predictor, document = plan.train(tmp_path, Progress())
    assert (plan.config.dim, plan.config.experts, plan.config.replicas) == (3, 3, 2)
    users = predictor.encoder.vocabularies["user"].values.to_pylist()
    assert users[:25] == old.encoder.vocabularies["user"].values.to_pylist()
    assert set(users[25:]) <= set(range(25, 50))
    assert len(users) > 40
    frame = later.slice(0, 50)
    known = frame.filter(pa.array(np.arange(50) % 50 < 25))
    for name, values in old.predict(known).to_pydict().items():
        np.testing.assert_allclose(predictor.predict(known)[name], values, atol=1e-5)
    (note,) = (warning.text for warning in document.data.warnings if "row of their own" in warning.text)
    assert f"{len(users) - 25} ids of user" in note
    assert predictor.encoder.scales == old.encoder.scales
    loaded = load_bundle(tmp_path)
    np.testing.assert_array_equal(loaded.predict(frame)["click"], predictor.predict(frame)["click"])


def test_training_on_moves_the_weights_and_starts_from_those_of_the_run(before, later) -> None:
    encoded, config, start = prepare_to_continue(later, _config(before, epochs=1, pack=1))
    weights = {name: value.detach().clone() for name, value in start.model.parameters.items()}
    predictor, _ = plan_run(later, _config(before, epochs=1, pack=1)).train(None, Progress())
    moved = [not torch.equal(value, predictor.model.parameters[name]) for name, value in weights.items()]
    assert sum(moved) > len(moved) / 2
    assert config.pack == 1
    assert encoded.new_ids["user"] > 0
    new = mg.Ranker(continued=str(before), epochs=1).fit(later, progress=False)
    torch.testing.assert_close(dict(new.model.parameters), dict(predictor.model.parameters), rtol=1e-4, atol=1e-5)


def test_everything_that_cannot_change_is_listed(before, later) -> None:
    with pytest.raises(InputError) as found:
        plan_run(later, _config(before, dim=4, experts=9, task=("click",), replicas=3, learning_rate=0.5))
    text = str(found.value)
    for name in ("dim", "experts", "task", "replicas"):
        assert f"{name}=" in text
    assert "learning_rate" not in text
    assert len(found.value.marked) == 4
    plan_run(later, _config(before, dim=3))  # the same as before


def test_every_setting_of_the_network_is_fixed_or_one_of_the_training() -> None:
    from manygate.config import ModelConfig

    losses = {"gate_dropout", "importance_weight", "load_weight", "entropy_weight", "l2_alpha", "stitch_rate", "orthogonality"}
    dropouts = {"dropout", "bias_dropout", "id_dropout"}
    assert set(ModelConfig.model_fields) - set(OF_THE_NETWORK) == losses | dropouts, "name a new setting of the network"
    assert set(OF_THE_NETWORK) | set(OF_THE_ROWS) <= set(RunConfig.model_fields)


def test_a_stopped_training_goes_on_and_other_weights_are_refused(before, later, tmp_path) -> None:
    config = _config(before, epochs=2, checkpoint_seconds=0)
    whole, _ = plan_run(later, config).train(None, Progress())
    with pytest.raises(Interrupted):
        plan_run(later, config).train(tmp_path, Stopper(3))
    saved = plan_run(later, config).config.absolute()
    again, _ = plan_run(later, RunConfig.build(saved.model_dump())).train(tmp_path, Progress())
    for name, value in whole.model.parameters.items():
        torch.testing.assert_close(again.model.parameters[name], value, rtol=0, atol=0)
    other = load_bundle(before)
    other.model.parameters["embedding.3"].detach()[5] += 1
    save_bundle(tmp_path / "other", other)
    with pytest.raises(InputError, match="have changed"):
        plan_run(later, RunConfig.build({**saved.model_dump(), "continued": str(tmp_path / "other")})).train(tmp_path, Progress())


def test_what_cannot_be_trained_on_is_refused(before, later, log_table, log_schema, settings, tmp_path) -> None:
    with pytest.raises(InputError, match="was trained on these very rows"):
        plan_run(log_table(), _config(before))
    with pytest.raises(InputError, match="not trained on day by day"):
        plan_run(later, _config(before, split="progressive"))
    with pytest.raises(InputError, match="keeps the schema"):
        plan_run(later, _config(before), log_schema())
    with pytest.raises(InputError, match="for manygate train and Ranker"):
        mg.compare(later, schema=log_schema(), continued=str(before), threads=1)
    with pytest.raises(InputError, match="column 'age'"):
        plan_run(later.drop_columns(["age"]), _config(before))
    (tmp_path / "run").mkdir()
    with pytest.raises(Interrupted):
        plan_run(log_table(), settings(), log_schema()).train(tmp_path / "run", Stopper(2))
    with pytest.raises(InputError, match="has not ended"):
        plan_run(later, _config(tmp_path / "run"))
    by_task = mg.Ranker(schema=log_schema(), keep="best-per-task", epochs=1, threads=1, dim=3, experts=2)
    by_task.fit(log_table(), progress=False).save(tmp_path / "copies")
    with pytest.raises(InputError, match="a copy of the network for each task"):
        plan_run(later, _config(tmp_path / "copies"))


def test_target_statistics_and_scales_stay(log_table, log_schema, settings, later, tmp_path) -> None:
    config = settings(epochs=1, target_statistics=True)
    plan_run(log_table(), config, log_schema()).train(tmp_path, Progress())
    old = load_bundle(tmp_path).encoder
    encoded, _, _ = prepare_to_continue(later, _config(tmp_path))
    new = encoded.encoder
    assert old.statistics is not None
    assert new.statistics is not None
    assert (new.scales, new.labels, new.number_ids) == (old.scales, old.labels, old.number_ids)
    for name, table_VT in old.statistics.table_VT.items():
        np.testing.assert_array_equal(new.statistics.table_VT[name][: len(table_VT)], table_VT)
    (batch,) = later.combine_chunks().to_batches()
    np.testing.assert_array_equal(encoded.parts["train"].part(0, 9).number_BM.shape[1], new.encode(batch).number_BM.shape[1])


def test_tables_that_are_spread_over_processes_are_refused(before, later) -> None:
    class Several(World):
        size = 2

    with pytest.raises(InputError, match="not spread over processes"):
        plan_run(later, _config(before, table_sharding="row_wise"), world=Several())


def test_new_partitions_of_a_log_are_found(log_table, log_schema, settings, tmp_path) -> None:
    log = tmp_path / "log"

    def add(day: int) -> None:
        (log / f"day={day}").mkdir(parents=True)
        table = log_table(300, seed=day)
        pq.write_table(table.set_column(0, "user", pa.array(100 * day + np.arange(300) % 20)), log / f"day={day}" / "rows.parquet")

    add(1)
    plan_run(str(log), settings(epochs=1, log=str(log)), log_schema()).train(tmp_path / "first", Progress())
    with pytest.raises(InputError, match="have read every file of this log"):
        plan_run(str(log), _config(tmp_path / "first"))
    for day, run, before in ((2, "second", "first"), (3, "third", "second")):
        add(day)
        plan = plan_run(str(log), _config(tmp_path / before, epochs=1, log=str(log)))
        predictor, document = plan.train(tmp_path / run, Progress())
        assert sum(document.data.rows.values()) == 300
        users = predictor.encoder.vocabularies["user"].values.to_pylist()
        assert {user // 100 for user in users} == set(range(1, day + 1))
        (note,) = (warning.text for warning in document.data.warnings if "trained nothing here" in warning.text)
        assert note.startswith("1 file of" if day == 2 else "2 files of")
    whole = load_bundle(tmp_path / "third").log
    assert whole is not None
    assert len(whole.files_read) == 3
