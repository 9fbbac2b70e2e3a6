"""A trained model gets rows for new ids: every old id keeps its vectors, and no prediction changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from manygate.data.batches import Split
from manygate.data.encode import Encoder
from manygate.data.growth import grow_encoder
from manygate.data.rows import FIRST_ROW, NULL_ROW, UNKNOWN_ROW
from manygate.model import MultiTaskModel
from manygate.model.growth import GrownTables, grow_model, keep_widths
from manygate.model.logits import predict
from manygate.model.problem import Problem
from manygate.model.replicas import member_axis
from manygate.scoring.bundle import load_bundle, save_bundle
from manygate.scoring.predictor import Predictor


@pytest.fixture(scope="module")
def logs(log_table) -> tuple[pa.Table, pa.Table]:
    """Rows to train on, and later rows with ids that are new in every feature of ids."""
    first, later = log_table(300), log_table(200, seed=5)
    names = {name: later.column_names.index(name) for name in ("user", "country", "tags", "codes", "position")}
    later = later.set_column(names["user"], "user", pa.array(np.arange(200) % 40))
    later = later.set_column(names["country"], "country", pa.array(["AT", "CH", "FR", None] * 50))
    later = later.set_column(names["tags"], "tags", pa.array([["t0", "t9"], ["t8"], [], None] * 50, pa.list_(pa.string())))
    later = later.set_column(names["codes"], "codes", pa.array([[7, -3], [8], [], [9]] * 50, pa.list_(pa.int32())))
    later = later.set_column(names["position"], "position", pa.array(np.arange(200) % 9 + 1))
    return first, later


def _located(table: pa.Table) -> list[tuple[str, pa.RecordBatch]]:
    return [("later", batch) for batch in table.combine_chunks().to_batches()]


def _trained(encoded: Any, settings: Any, table: pa.Table, **changes: Any) -> tuple[MultiTaskModel, Encoder]:
    """A model whose weights are all different, as if it were trained."""
    config = settings(**changes)
    log = encoded(table, config=config)
    model = MultiTaskModel(Problem.of(log.encoder, config), config)
    generator = torch.Generator().manual_seed(7)
    for value in model.parameters.values():
        value.detach().normal_(0.0, 0.3, generator=generator)
    return model, log.encoder


VARIANTS: dict[str, dict[str, Any]] = {
    "mmoe, several replicas": {"replicas": 3},
    "one model per task": {"architecture": "single_task", "replicas": 2},
    "embeddings of its own": {"architecture": "stem", "replicas": 2},
    "widths by the number of ids": {"dim_rule": "fourth_root"},
    "target statistics, numbers as ids": {"target_statistics": True, "number_ids": 5},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_old_ids_keep_their_vectors_and_new_ids_start_as_unseen_ones(encoded, settings, repeating_ages, logs, name) -> None:
    first, later = (repeating_ages(log) for log in logs)
    model, encoder = _trained(encoded, settings, first, **VARIANTS[name])
    encoder_2, new = grow_encoder(encoder, model.config, _located(later))
    assert new == {"user": 15, "country": 2, "tags": 2, "codes": 3, "position": 4}
    encoder_2 = keep_widths(encoder_2, model.problem, model.config)
    grown = grow_model(model, encoder_2)
    for part in ("embedding", "bias_embedding"):
        before, after = getattr(model, part), getattr(grown, part)
        for dim in before.dims:
            at, at_2 = 0, 0
            for old, now in zip(before.chosen, after.chosen, strict=True):
                if old.dim != dim:
                    continue
                table, table_2 = (m.parameters[f"{part}.{dim}"].detach() for m in (model, grown))
                torch.testing.assert_close(table_2[at_2 : at_2 + old.rows], table[at : at + old.rows], rtol=0, atol=0)
                unseen = table[at + UNKNOWN_ROW].expand(now.rows - old.rows, -1, -1)
                torch.testing.assert_close(table_2[at_2 + old.rows : at_2 + now.rows], unseen, rtol=0, atol=0)
                at, at_2 = at + old.rows, at_2 + now.rows
            assert at_2 == len(grown.parameters[f"{part}.{dim}"])
    for key, value in model.parameters.items():
        if member_axis(key) == 0:
            torch.testing.assert_close(grown.parameters[key], value, rtol=0, atol=0)
            assert grown.parameters[key].data_ptr() != value.data_ptr()


@pytest.mark.parametrize("name", VARIANTS)
def test_the_growth_changes_no_prediction(encoded, settings, repeating_ages, logs, name, tmp_path) -> None:
    first, later = (repeating_ages(log) for log in logs)
    model, encoder = _trained(encoded, settings, first, **VARIANTS[name])
    encoder_2 = keep_widths(grow_encoder(encoder, model.config, _located(later))[0], model.problem, model.config)
    grown = grow_model(model, encoder_2)
    for table in (first, later):
        ((_, batch),) = _located(table)
        logits = [predict(m, Split(e.encode(batch))) for m, e in ((model, encoder), (grown, encoder_2))]
        np.testing.assert_array_equal(*logits)
    save_bundle(tmp_path / "bundle", Predictor(grown, encoder_2))
    loaded = load_bundle(tmp_path / "bundle")
    np.testing.assert_array_equal(predict(loaded.model, Split(loaded.encoder.encode(batch))), logits[1])


def test_a_model_with_a_copy_for_each_task_grows(encoded, settings, logs) -> None:
    config = settings(replicas=2, keep="best-per-task")
    log = encoded(logs[0], config=config)
    model = MultiTaskModel(Problem.of(log.encoder, config), config, by_task=True)
    grown = grow_model(model, grow_encoder(log.encoder, config, _located(logs[1]))[0])
    assert grown.by_task
    assert len(grown.members) == len(model.members) == 6


def test_the_state_of_an_optimizer_moves_with_the_rows_and_is_zero_for_new_ones(encoded, settings, logs) -> None:
    model, encoder = _trained(encoded, settings, logs[0], replicas=2)
    grown = grow_model(model, grow_encoder(encoder, model.config, _located(logs[1]))[0])
    tables = GrownTables.between(model, grown)
    for name, value in model.parameters.items():
        state = tables.state(name, value.detach() + 5)
        assert state.shape == grown.parameters[name].shape
        if member_axis(name) == 0:
            torch.testing.assert_close(state, value.detach() + 5)
            continue
        new_V = tables.rows[name].new_V
        assert not state[new_V].any()
        torch.testing.assert_close(state[~new_V], grown.parameters[name].detach()[~new_V] + 5)
        assert int(new_V.sum()) == len(state) - len(value) > 0
    step = torch.tensor(7.0)
    assert tables.state("embedding.3", step) is step


def test_null_and_unseen_ids_keep_their_rows(encoded, settings, logs) -> None:
    model, encoder = _trained(encoded, settings, logs[0])
    encoder_2, _ = grow_encoder(encoder, model.config, _located(logs[1]))
    rows = encoder_2.vocabularies["country"].rows_of(pa.array([None, "nowhere", "FR"]))
    assert rows.tolist() == [NULL_ROW, UNKNOWN_ROW, FIRST_ROW + len(encoder.vocabularies["country"].values) + 1]


def test_widths_that_follow_from_the_numbers_of_ids_are_written_down(encoded, settings, logs) -> None:
    model, encoder = _trained(encoded, settings, logs[0], dim_rule="fourth_root")
    many = replace(encoder, vocabularies={**encoder.vocabularies})
    many.vocabularies["user"] = replace(many.vocabularies["user"], values=pa.array(np.arange(100_000)))
    assert Problem.of(many, model.config).inputs[0].dim != model.problem.inputs[0].dim
    kept = keep_widths(many, model.problem, model.config)
    assert [i.dim for i in Problem.of(kept, model.config).inputs] == [i.dim for i in model.problem.inputs]
    assert [f.dim for f in encoder.schema.features][:2] == [None, 2], "the encoder that was given stays"
    assert keep_widths(many, model.problem, settings()) is many
