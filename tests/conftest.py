"""Builders shared by the tests: a small log with every kind of feature and task, encoded, and settings to train on it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch

from command_line import Result, Run
from exported import exported, with_requests  # noqa: F401
from inspected import inspected, odd  # noqa: F401
from manygate.cli import main as cli
from manygate.config import RunConfig
from manygate.data.batches import Batch
from manygate.data.encoded import EncodedLog, encode_log
from manygate.data.file_split import split_of
from manygate.data.rows import Input
from manygate.data.sources import open_sources
from manygate.evaluation.monitor import Monitor
from manygate.model.problem import Problem
from manygate.schema import Feature, Schema, Task
from manygate.training.torchrec_tables import model_and_tables
from manygate.training.trainer import Trainer
from manygate.training.world import ALONE, World

TINY = {
    "dim": 3,
    "experts": 3,
    "expert_hidden": (5,),
    "tower_hidden": (4,),
    "batch_size": 32,
    "epochs": 2,
    "learning_rate": 1e-2,
    "threads": 1,
    "device": "cpu",
    "min_count": 1,
    "bins": 4,
    "fractions": (0.6, 0.2, 0.2),
}


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _log_table(rows: int = 500, seed: int = 0) -> pa.Table:
    """Sparse ids (integers, text), bags, numbers, bias features, weights, groups; a click, and a like and a time where click."""
    random = np.random.default_rng(seed)
    user, age = random.integers(0, 25, rows), random.normal(40, 12, rows)
    price = np.where(random.random(rows) < 0.5, 0.0, random.lognormal(3, 1, rows))
    position = random.integers(1, 6, rows)
    click = (random.random(rows) < 1 / (1 + np.exp(-(age - 40) / 8 + 0.2 * position - 0.8))).astype(np.int8)
    like = (random.random(rows) < np.where(user % 2, 0.7, 0.3)).astype(np.int8)
    watch = 20 + (user % 5) * 3 + random.normal(0, 1, rows)
    country = np.array(["CH", "DE", "\N{SNOWMAN}", None], dtype=object)[random.integers(0, 4, rows)]
    tags = [None if random.random() < 0.1 else [f"t{t}" for t in random.integers(0, 6, random.integers(0, 4))] for _ in range(rows)]
    codes = [random.integers(-3, 3, random.integers(0, 3)).tolist() for _ in range(rows)]
    unclicked = click == 0
    return pa.table(
        {
            "user": pa.array(user),
            "country": pa.array(country.tolist(), pa.string()),
            "tags": pa.array(tags, pa.list_(pa.string())),
            "codes": pa.array(codes, pa.list_(pa.int32())),
            "age": pa.array(age, mask=random.random(rows) < 0.1),
            "price": pa.array(price),
            "position": pa.array(position),
            "depth": pa.array(position + random.random(rows)),
            "weight": pa.array(random.choice([0.5, 1.0, 2.0], rows)),
            "session": pa.array(user % 10),
            "click": pa.array(click),
            "like": pa.array(like, mask=unclicked),
            "watch": pa.array(watch, mask=unclicked),
        }
    )


def _repeating_ages(table: pa.Table) -> pa.Table:
    """The log with ages in steps of four years, so that they are numbers of few values."""
    place, age = table.column_names.index("age"), table["age"].combine_chunks()
    return table.set_column(place, "age", pc.multiply(pc.round(pc.divide(age, 4.0)), 4.0))


def _log_schema(bias: bool = True, weight: bool = True, tasks: tuple[str, ...] = ("click", "like", "watch")) -> Schema:
    features = [
        Feature(name="user", kind="sparse"),
        Feature(name="country", kind="sparse", dim=2),
        Feature(name="tags", kind="bag"),
        Feature(name="codes", kind="bag", pooling="sum", dim=2),
        Feature(name="age", kind="dense"),
        Feature(name="price", kind="dense"),
    ]
    if bias:
        features += [Feature(name="position", kind="sparse", bias=True)]
        features += [Feature(name="depth", kind="dense", bias=True, encoding="minmax")]
    known = {
        "click": Task(name="click"),
        "like": Task(name="like", where="click == 1", weight=0.5),
        "watch": Task(name="watch", kind="regression", where="click == 1"),
    }
    chosen = tuple(known[name] for name in tasks)
    return Schema(features=tuple(features), tasks=chosen, group="session", weight="weight" if weight else None)


def _settings(**changes: Any) -> RunConfig:
    return RunConfig.build({**TINY, **changes})


def _encoded(table: Any = None, schema: Schema | None = None, config: RunConfig | None = None) -> EncodedLog:
    config = config or _settings()
    return encode_log(open_sources(_log_table() if table is None else table, config), schema or _log_schema(), config)


def _trainer(
    log: EncodedLog,
    config: RunConfig,
    folder: Any = None,
    progress: Any = None,
    fingerprint: str = "",
    world: World = ALONE,
) -> Trainer:
    """A trainer of a new model; ``fit`` leaves the best weights in its ``model``."""
    if folder is not None:
        folder.mkdir(exist_ok=True)
    tasks = log.schema.tasks
    in_groups = any(task.loss == "pairwise" for task in tasks)
    splits = {part: split_of(rows, groups=in_groups and part == "train") for part, rows in log.parts.items()}
    problem = Problem.of(log.encoder, config)
    monitor = Monitor(config.monitor, problem, log.parts["valid"], splits["valid"])
    model, tables = model_and_tables(problem, config, "cpu", world)
    return Trainer(model, splits["train"], monitor, folder, progress, fingerprint, world=world, tables=tables)


def _toy_inputs(bias: bool = True) -> tuple[Input, ...]:
    """Two widths of embedding, bags of both poolings, dense numbers of both forms; bias features last."""
    inputs = (
        Input("a", "sparse", False, rows=7, dim=3),
        Input("b", "dense", False, units=3, unfold=True, flag=True),
        Input("c", "bag", False, rows=5, dim=2, pooling="mean"),
        Input("d", "sparse", False, rows=4, dim=2),
        Input("e", "bag", False, rows=6, dim=3, pooling="sum"),
        Input("f", "dense", False, units=1),
        Input("g", "sparse", False, rows=9, dim=3),
    )
    hidden = (Input("p", "sparse", True, rows=5, dim=2), Input("q", "dense", True, units=1, flag=True))
    return inputs + hidden if bias else inputs


def _toy_batch(inputs: tuple[Input, ...], size: int, tasks: int, seed: int = 0, binary: bool = True) -> Batch:
    """Random rows that fit some inputs: every third bag is empty, every fourth number null."""
    random = np.random.default_rng(seed)
    sparse = [random.integers(0, i.rows, size) for i in inputs if i.kind == "sparse"]
    dense = [np.where(random.random(size) < 0.25, np.nan, random.random(size) * i.units) for i in inputs if i.kind == "dense"]
    bags = []
    for feature in (i for i in inputs if i.kind == "bag"):
        length = np.where(np.arange(size) % 3 == 0, 0, random.integers(1, 4, size))
        offset = np.append(0, np.cumsum(length)).astype(np.int64)
        bags.append((torch.tensor(random.integers(0, feature.rows, offset[-1]), dtype=torch.int32), torch.tensor(offset)))
    label = random.integers(0, 2, (size, tasks)) if binary else random.normal(size=(size, tasks))
    weight = np.where(random.random((size, tasks)) < 0.3, 0.0, random.choice([0.5, 1.0, 2.0], (size, tasks)))
    return Batch(
        id_BS=torch.tensor(np.stack(sparse, axis=1), dtype=torch.int32),
        number_BM=torch.tensor(np.stack(dense, axis=1), dtype=torch.float32),
        bags=bags,
        label_BT=torch.tensor(label, dtype=torch.float32),
        weight_BT=torch.tensor(weight, dtype=torch.float32),
    )


@pytest.fixture(scope="session")
def log_table() -> Callable[..., pa.Table]:
    return _log_table


@pytest.fixture(scope="session")
def repeating_ages() -> Callable[[pa.Table], pa.Table]:
    return _repeating_ages


@pytest.fixture(scope="session")
def log_schema() -> Callable[..., Schema]:
    return _log_schema


@pytest.fixture(scope="session")
def settings() -> Callable[..., RunConfig]:
    return _settings


@pytest.fixture(scope="session")
def encoded() -> Callable[..., EncodedLog]:
    return _encoded


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 50 rows and windows of 3 blocks, so that a small log has many."""
    for module in ("rows", "order", "row_files", "target_statistics"):
        monkeypatch.setattr(f"manygate.data.{module}.BLOCK_ROWS", 50)
    monkeypatch.setattr("manygate.data.order.WINDOW_BLOCKS", 3)
    for name in ("order.WHOLE", "file_split.WHOLE", "target_statistics.DRAWN_AT_ONCE"):
        monkeypatch.setattr(f"manygate.data.{name}", 150)


@pytest.fixture(scope="session")
def trainer() -> Callable[..., Trainer]:
    return _trainer


@pytest.fixture(scope="session")
def toy_inputs() -> Callable[..., tuple[Input, ...]]:
    return _toy_inputs


@pytest.fixture(scope="session")
def toy_batch() -> Callable[..., Batch]:
    return _toy_batch


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Run]:
    """Call ``manygate`` in this process, in a fresh working folder; strings are split into words."""
    monkeypatch.chdir(tmp_path)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def call(*arguments: str | Path) -> Result:
        words = [word for a in arguments for word in (str(a).split() if isinstance(a, str) else [str(a)])]
        monkeypatch.setattr(sys, "argv", ["manygate", *words])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        return Result(code, *capfd.readouterr())

    yield call
    for number, handler in handlers.items():
        signal.signal(number, handler)
