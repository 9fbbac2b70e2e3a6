"""Small models to export, graphs to run, and one exported model that several tests read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import pyarrow as pa
import pytest
import torch

from manygate.config import RunConfig
from manygate.data.fit import fit_encoder
from manygate.data.rows import Rows
from manygate.data.statistics import Bag
from manygate.data.target_statistics import fit_target_statistics
from manygate.export.folder import export_model
from manygate.export.graph import Graph
from manygate.model import MultiTaskModel
from manygate.model.problem import Problem
from manygate.model.replicas import keeps_copies
from manygate.schema import Feature, Schema, Task
from manygate.scoring.calibration import Calibration, Calibrator
from manygate.scoring.exported_model import ExportedModel
from manygate.scoring.fusion import Fusion, Term
from manygate.scoring.predictor import Predictor

SETTINGS: dict[str, Any] = {
    "dim": 3,
    "experts": 3,
    "expert_hidden": (5,),
    "bottom_hidden": (4, 4),
    "tower_hidden": (4,),
    "levels": 2,
    "cross_layers": 0,
    "weight_average": 0.0,
    "replicas": 2,
    "threads": 1,
    "device": "cpu",
    "min_count": 1,
    "bins": 4,
}
ROWS = 120


def draw(values: list[Any], kind: pa.DataType, seed: int, rows: int = ROWS) -> pa.Array:
    """Draw values, a tenth of them null."""
    random = np.random.default_rng(seed)
    return pa.array([None if random.random() < 0.1 else values[random.integers(len(values))] for _ in range(rows)], kind)


def draw_lists(values: list[Any], kind: pa.DataType, seed: int, rows: int = ROWS) -> pa.Array:
    """Draw lists of up to three values, some of them null."""
    random = np.random.default_rng(seed)
    lists = [
        None if random.random() < 0.1 else [values[i] for i in random.integers(0, len(values), random.integers(0, 4))]
        for _ in range(rows)
    ]
    return pa.array(lists, pa.list_(kind))


def draw_numbers(seed: int, rows: int = ROWS) -> pa.Array:
    """Draw numbers, a tenth of them null."""
    random = np.random.default_rng(seed)
    return pa.array(random.normal(size=rows) * 10, mask=random.random(rows) < 0.1)


def draw_flags(seed: int, rows: int = ROWS) -> pa.Array:
    return pa.array(np.random.default_rng(seed).integers(0, 2, rows))


def plain_log() -> dict[str, pa.Array]:
    """One feature of each kind, and two labels."""
    return {
        "item": draw([1, 2, 3], pa.int64(), 1),
        "tags": draw_lists(["a", "b"], pa.string(), 2),
        "codes": draw_lists([1, -1], pa.int32(), 3),
        "age": draw_numbers(4),
        "click": draw_flags(5),
        "like": draw_flags(6),
    }


PLAIN = Schema(
    features=(
        Feature(name="item", kind="sparse"),
        Feature(name="tags", kind="bag"),
        Feature(name="codes", kind="bag", pooling="sum", dim=2),
        Feature(name="age", kind="dense"),
    ),
    tasks=(Task(name="click"), Task(name="like")),
)


def untrained(
    columns: Mapping[str, pa.Array] | None = None,
    schema: Schema = PLAIN,
    calibration: Calibration | None = None,
    fusion: Fusion | None = None,
    **settings: Any,
) -> Predictor:
    """A predictor whose encoder is fitted on some columns, and whose weights are drawn, also those that start at zero."""
    config = RunConfig.build({**SETTINGS, **settings})
    log = pa.record_batch(dict(columns or plain_log()))
    encoder = fit_encoder(schema, config, [("log", log)])
    if config.target_statistics:
        rows = encoder.encode(log)

        def bags_of(part: Rows) -> dict[str, Bag]:
            return encoder.bags_of(part.id_BS, part.bags)

        sizes = {name: encoder.table_rows[name] for name in bags_of(rows)}
        fitted = fit_target_statistics(rows, bags_of, sizes, schema.tasks, 0)
        encoder.statistics = fitted.statistics
    problem = Problem.of(encoder, config)
    model = MultiTaskModel(problem, config, by_task=keeps_copies(config, problem))
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for value in model.parameters.values():
            value += 0.3 * torch.randn(value.shape, generator=generator)
    return Predictor(model, encoder, calibration, fusion)


def session_of(graph: Graph) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(graph.model().SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(graph: Graph, **feed: np.ndarray) -> dict[str, np.ndarray]:
    """Run a graph once. The result has its outputs by name."""
    session = session_of(graph)
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feed), strict=True))


class Exported(NamedTuple):
    """An exported model, and what it was made from."""

    folder: Path
    model: ExportedModel
    predictor: Predictor


FUNNEL = Schema(
    features=(
        Feature(name="item", kind="sparse"),
        Feature(name="word", kind="sparse"),
        Feature(name="digits", kind="sparse"),
        Feature(name="share", kind="sparse"),
        Feature(name="flag", kind="sparse"),
        Feature(name="large", kind="sparse"),
        Feature(name="bucket", kind="sparse", vocabulary="hash", buckets=20),
        Feature(name="tags", kind="bag"),
        Feature(name="tags.mask", kind="bag", pooling="sum"),
        Feature(name="age", kind="dense"),
        Feature(name="price", kind="dense", encoding="log1p"),
        Feature(name="position", kind="sparse", bias=True),
    ),
    tasks=(
        Task(name="click"),
        Task(name="like", after="click"),
        Task(name="age", label="watch", kind="regression", loss="log"),
    ),
)
"""Each kind of feature and of id, and a task with the name of a feature."""


def funnel_log() -> dict[str, pa.Array]:
    return {
        "item": draw([7, 8, -1], pa.int32(), 1),
        "word": draw(["red", "", "a\0", "🙂"], pa.string(), 2),
        "digits": draw(["7", "8", "x"], pa.string(), 3),
        "share": draw([0.5, 7.0], pa.float32(), 4),
        "flag": draw([True, False], pa.bool_(), 5),
        "large": draw([7, 2**63 + 5], pa.uint64(), 6),
        "bucket": draw([7, 8], pa.int64(), 7),
        "tags": draw_lists(["7", "t"], pa.string(), 8),
        "tags.mask": draw_lists([7, 8], pa.int8(), 9),
        "age": draw_numbers(10),
        "price": draw([0.5, 2.0, 30.0, 31.0, 100.0], pa.float64(), 11),
        "position": draw([1, 2], pa.int8(), 12),
        "click": draw_flags(13),
        "like": draw_flags(14),
        "watch": pa.array(np.random.default_rng(15).gamma(2.0, 10.0, ROWS)),
    }


CONTEXT = ("word", "share", "flag", "bucket", "tags", "price")
"""Text, a number that is an id, true and false, hashed ids, a list and a number."""


def funnel() -> Predictor:
    """A funnel with a calibration and a fusion, target statistics and numbers that are ids."""
    calibration = Calibration(
        {"click": Calibrator("platt", {"a": 1.3, "b": -0.2}), "like": Calibrator("temperature", {"temperature": 1.7})}
    )
    fusion = Fusion({"click": 1.0, "click_like": 0.5}, (Term("price", "log", 0.5), Term("other", "power", -1.0)))
    return untrained(funnel_log(), FUNNEL, calibration, fusion, architecture="shared_bottom", target_statistics=True, number_ids=2)


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """All features belong to the candidates."""
    return _exported(tmp_path_factory.mktemp("exported") / "model")


@pytest.fixture(scope="session")
def with_requests(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The features of :data:`CONTEXT` belong to the request."""
    return _exported(tmp_path_factory.mktemp("requests") / "model", CONTEXT)


def _exported(folder: Path, context: tuple[str, ...] = ()) -> Exported:
    predictor = funnel()
    export_model(predictor, folder, context=context)
    return Exported(folder, ExportedModel.load(folder, threads=1), predictor)
