"""Every scheme as a graph: the network's logits on any number of rows, and on lists of any length."""

from __future__ import annotations

import logging
import warnings
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pyarrow as pa
import pytest
import torch

import own_schemes
from exported import PLAIN, draw, draw_flags, draw_numbers, plain_log, session_of, untrained
from manygate.config.names import ARCHITECTURES
from manygate.data.batches import Split
from manygate.data.rows import Rows
from manygate.errors import InputError
from manygate.export.folder import export_model
from manygate.export.graph import Graph
from manygate.export.hostile_rows import hostile_rows
from manygate.export.network import TRANSLATED, ServedNetwork, chosen, pooled, trace
from manygate.model.logits import predict
from manygate.schema import Feature, Schema, Task
from manygate.scoring.exported_model import ExportedModel
from manygate.scoring.predictor import Predictor

PATHS: dict[str, dict[str, Any]] = {
    "topk": {"architecture": "omoe", "gate": "topk", "top_k": 2, "cross_layers": 1},
    "dselect_k": {
        "architecture": "mmoe",
        "gate": "dselect_k",
        "gate_bias": True,
        "temperature": 3.0,
        "expert_norm": True,
        "expert_hidden": (6, 5),
        "lower_hidden": (6,),
    },
    "a copy for each task": {"architecture": "cgc", "gate_features": ("age", "item"), "keep": "best-per-task"},
}
FUNNELS: dict[str, dict[str, Any]] = {
    "escm2_dr": {"architecture": "shared_bottom", "funnel": "escm2_dr", "replicas": 1},
    "esmm of single tasks": {"architecture": "single_task", "funnel": "esmm"},
}


def assert_same_logits(
    predictor: Predictor, sizes: tuple[int, ...] = (0, 1, 7, 512), numbers_of_contexts: tuple[int, ...] = (0,)
) -> None:
    """The traced network and the model, on hostile rows in batches of some sizes, each with some numbers of contexts of lists."""
    graph, network = Graph(["logits"]), ServedNetwork(predictor)
    given = {"id_BS": graph.input("id_BS", np.int64, ["rows", len(network.ids)])}
    given["number_BM"] = graph.input("number_BM", np.float32, ["rows", len(network.numbers)])
    for n, _ in enumerate(network.lists):
        given[f"rows_{n}"] = graph.input(f"rows_{n}", np.int64, [f"rows {n}", f"places {n}"])
        given[f"holds_{n}"] = graph.input(f"holds_{n}", bool, [f"rows {n}", f"places {n}"])
    if network.shares_lists:
        given["context_row_B"] = graph.input("context_row_B", np.int64, ["rows"])
    graph.output("logits", graph.inline(trace(network), given, np.float32), ["replicas", "rows", "tasks"])
    session = session_of(graph)
    for size, contexts in product(sizes, numbers_of_contexts):
        context_row_B = np.arange(size) % max(contexts, 1)
        batch = hostile_rows(predictor.encoder, size)
        shared = [f.name for f in predictor.schema.features if f.context]
        taken = hostile_rows(predictor.encoder, max(contexts, 1), seed=2).take(pa.array(context_row_B))
        batch = pa.record_batch({name: (taken if name in shared else batch).column(name) for name in batch.schema.names})
        rows = predictor.encoder.encode(batch, labels=False, bias=False)
        (found_RBT,) = session.run(
            None, inputs_of(predictor, rows, contexts) | ({"context_row_B": context_row_B} if shared else {})
        )
        assert found_RBT.shape == (predictor.model.replicas, size, len(predictor.problem.tasks))
        if size:
            expected_RBT = predict(predictor.model, Split(rows))
            np.testing.assert_allclose(found_RBT, expected_RBT, rtol=1e-4, atol=2e-6)
            assert expected_RBT.std(axis=1).max() > 1e-3 or size == 1, "rows do matter"


def inputs_of(predictor: Predictor, rows: Rows, contexts: int = 0) -> dict[str, np.ndarray]:
    """The columns of features that are there at serving; lists are filled up, and those of a context are its first rows."""
    features, ids = predictor.schema.features, predictor.encoder.number_ids
    served = [not f.bias for f in features if f.kind == "sparse"] + [True] * len(ids)
    number = [m for m, f in enumerate(f for f in features if f.kind == "dense") if not f.bias]
    given = {"id_BS": rows.id_BS[:, served].astype(np.int64), "number_BM": rows.number_BM[:, number]}
    for n, (feature, (row_n, offset)) in enumerate(zip([f for f in features if f.kind == "bag"], rows.bags, strict=True)):
        length_B = np.diff(offset)
        holds_BL = np.arange(int(length_B.max(initial=0))) < length_B[:, None]
        row_BL = np.ones(holds_BL.shape, np.int64)
        row_BL[holds_BL] = row_n
        last = contexts if feature.context else len(row_BL)
        given[f"rows_{n}"], given[f"holds_{n}"] = row_BL[:last], holds_BL[:last]
    return given


ELSEWHERE = ["omoe", "mmoe", "cgc", "shared_bottom", "single_task", "stem"]
"""Schemes of the other tests here, which have these paths, funnels, and lists of a context."""


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name not in ELSEWHERE])
def test_every_other_scheme(name: str) -> None:
    """With an id and a number."""
    schema = Schema(features=(PLAIN.features[0], PLAIN.features[3]), tasks=PLAIN.tasks)
    assert_same_logits(untrained(schema=schema, architecture=name, experts=2, expert_hidden=(4,)))


@pytest.mark.parametrize("name", PATHS)
def test_every_path_through_a_network(name: str) -> None:
    assert_same_logits(untrained(**PATHS[name]))


class Logarithms(torch.nn.Module):
    """Logarithms of probabilities, large and small."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.nn.functional.logsigmoid(x), torch.log1p(y)


def test_logarithms_of_small_probabilities_are_exact() -> None:
    x, y = torch.tensor([-90.0, -20.0, -1.0, 0.0, 1.0, 20.0, 90.0]), torch.tensor([0.0, 1e-9, -1e-9, -1e-30, 1e-3, -0.999999, 5.0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of PyTorch's exporter about itself
        program = torch.onnx.export(Logarithms().eval(), (x, y), dynamo=True, custom_translation_table=TRANSLATED, verbose=False)
    assert program is not None
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(None, dict(zip([i.name for i in session.get_inputs()], [x.numpy(), y.numpy()], strict=True)))
    for found_N, expected_N, close in zip(found, Logarithms()(x, y), (2e-7, 0.0), strict=True):
        np.testing.assert_allclose(found_N, expected_N, rtol=1e-6, atol=close)


def test_small_probabilities_of_aitm(tmp_path: Path) -> None:
    """The export refuses a graph that differs."""
    tasks = (Task(name="click"), Task(name="like", after="click"))
    predictor = untrained(schema=Schema(features=PLAIN.features, tasks=tasks), architecture="shared_bottom", funnel="aitm")
    with torch.no_grad():
        predictor.model.parameters["trunk.towers.weight"].mul_(80)
    export_model(predictor, tmp_path / "model")
    rows = hostile_rows(predictor.encoder, 512)
    assert ExportedModel.load(tmp_path / "model").columns(rows)["click_like"].min() < 1e-9


@pytest.mark.parametrize("name", FUNNELS)
def test_funnels_and_losses(name: str) -> None:
    """Tasks after others, ordinal levels and a quantile; bias features beside others, no list."""
    columns = {"item": draw([1, 2, 3], pa.int64(), 1), "position": draw([1, 2], pa.int8(), 2)}
    columns |= {"depth": draw_numbers(3), "age": draw_numbers(4), "click": draw_flags(5), "like": draw_flags(6)}
    columns |= {"stars": draw([0.0, 1.0, 2.0, 5.0], pa.float64(), 7), "watch": draw_numbers(8)}
    tasks = (
        Task(name="like", after="click"),
        Task(name="click"),
        Task(name="stars", kind="regression", loss="ordinal", levels=4),
        Task(name="watch", kind="regression", loss="quantile", quantile=0.9),
    )
    features = [Feature(name=name, kind="sparse", bias=name == "position") for name in ("position", "item")]
    features += [Feature(name=name, kind="dense", bias=name == "depth") for name in ("depth", "age")]
    assert_same_logits(untrained(columns, Schema(features=tuple(features), tasks=tasks), **FUNNELS[name]))


@pytest.mark.parametrize("kind", ["sparse", "dense", "bag"])
def test_features_of_one_kind_alone(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    """With an input that has no columns. Lists are read for target statistics, too. The exporter is quiet."""
    level = logging.getLogger("torch.onnx").level
    features = tuple(f for f in PLAIN.features if f.kind == kind)
    predictor = untrained(schema=Schema(features=features, tasks=PLAIN.tasks), architecture="shared_bottom", replicas=1)
    assert_same_logits(predictor, (0, 1, 60))
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert logging.getLogger("torch.onnx").level == level


@pytest.mark.parametrize("architecture", ["shared_bottom", "stem"])
def test_lists_of_a_context_are_pooled_once(architecture: str) -> None:
    """Beside a list of the rows, for one context and for several, with target statistics of the lists, too."""
    schema = PLAIN.with_context(["tags"])
    predictor = untrained(schema=schema, architecture=architecture, experts=2, expert_hidden=(4,), target_statistics=True)
    assert predictor.encoder.statistics
    assert_same_logits(predictor, (1, 7, 60), (1, 3))


def test_target_statistics_and_numbers_that_are_ids() -> None:
    columns = plain_log() | {"age": draw([20.0, 30.0, 40.0], pa.float64(), 9)}
    predictor = untrained(columns, architecture="shared_bottom", number_ids=2, target_statistics=True)
    assert predictor.encoder.number_ids
    assert predictor.encoder.statistics
    assert list(predictor.encoder.statistics.table_VT) == ["item", "age", "tags", "codes"]
    assert_same_logits(predictor, (60,))


def test_a_model_that_was_traced_predicts_as_before() -> None:
    """Layers keep tensors between passes, and those of a trace are none."""
    predictor = untrained(architecture="ple", experts=3, replicas=1)
    fresh = untrained(architecture="ple", experts=3, replicas=1)
    trace(ServedNetwork(predictor))
    batch = pa.table(plain_log())
    assert predictor.predict(batch).equals(fresh.predict(batch))
    assert not predictor.model.parameters["trunk.towers.bias"].grad_fn


class ByValue(own_schemes.Own):
    """Chooses its way by the values of a batch."""

    def forward(self, x_BD):
        return super().forward(x_BD if x_BD.sum() > 0 else -x_BD)


def own(name: str) -> Predictor:
    module = __name__ if name == "ByValue" else "own_schemes"
    return untrained(architecture=f"{module}:{name}", replicas=1)


def test_a_scheme_of_ones_own() -> None:
    assert_same_logits(own("Own"), (1, 60))


@pytest.mark.parametrize(("name", "reason"), [("Broken", "KeyError: 'inside'"), ("ByValue", "Could not guard|data-dependent")])
def test_a_scheme_without_a_graph_is_one_clear_error(name: str, reason: str) -> None:
    with pytest.raises(
        InputError, match=rf"architecture '[\w.]+:{name}' has no graph \(.*({reason}).*Write its forward with PyTorch"
    ):
        trace(ServedNetwork(own(name)))


def test_all_columns_in_their_order_cost_nothing() -> None:
    value_BC = torch.arange(6).view(2, 3)
    assert chosen(value_BC, torch.arange(3)) is value_BC
    assert chosen(value_BC, torch.tensor([2, 0])).tolist() == [[2, 0], [5, 3]]
    assert chosen(value_BC, torch.tensor([0, 1])).tolist() == [[0, 1], [3, 4]]


@pytest.mark.parametrize("pooling", ["sum", "mean"])
def test_pooling_leaves_out_places_without_an_id(pooling: str) -> None:
    value_BLd = torch.arange(24.0).view(2, 3, 4) + 1
    holds_BL = torch.tensor([[True, False, True], [False, False, False]])
    total_d = value_BLd[0, 0] + value_BLd[0, 2]
    expected_Bd = torch.stack([total_d / (2 if pooling == "mean" else 1), torch.zeros(4)])
    assert torch.equal(pooled(value_BLd, holds_BL, pooling), expected_Bd)
    assert pooled(value_BLd[:, :0], holds_BL[:, :0], pooling).tolist() == [[0.0] * 4] * 2
