"""Bad input: one clear error that names file, column and remedy, exit code 2, nothing left behind; odd input simply works."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest

import manygate as mg
from manygate.cli import main as cli
from manygate.data.formats import csv_files as csv_files_module
from manygate.files import sealed_text

ROWS = 300
FAST = ("--threads", "1", "--epochs", "1", "--progress", "none", "--device", "cpu", "--experts", "2", "--expert-hidden", "4")
SETTINGS: dict[str, Any] = {"threads": 1, "epochs": 1, "device": "cpu", "experts": 2, "expert_hidden": 4}
SCHEMA = """
tasks: [{name: click}, {name: buy, where: click == 1}]
group: user_id
features:
- {name: user_id, kind: sparse}
- {name: country, kind: sparse}
- {name: age, kind: dense}
- {name: tags, kind: bag}
"""


def columns(rows: int = ROWS, seed: int = 0, **changes: Any) -> dict[str, Any]:
    """A small good log; ``changes`` replace, add or (None) drop columns."""
    random = np.random.default_rng(seed)
    age = random.normal(40, 10, rows)
    good = {
        "user_id": random.integers(0, 20, rows),
        "country": np.array(["CH", "DE", "FR"])[random.integers(0, 3, rows)],
        "age": age,
        "tags": pa.array([["a", "b", "c"][:n] for n in random.integers(0, 4, rows)], pa.list_(pa.string())),
        "click": (random.random(rows) < 1 / (1 + np.exp(-(age - 40) / 5))).astype(np.int8),
        "buy": (random.random(rows) < 0.5).astype(np.int8),
    }
    return {name: values for name, values in (good | changes).items() if values is not None}


def write(path: Path, values: dict[str, Any] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns() if values is None else values), path)
    return path


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    former = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, former)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process: (exit code, stdout, stderr)."""

    def run(*arguments: Any) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["manygate", *map(str, arguments)])
        code = 0
        capsys.readouterr()
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def refuses(call: Callable[..., tuple[int, str, str]], tmp_path: Path) -> Callable[..., str]:
    """Assert that a command is refused as it should be, with all of ``words`` in its message, and changes no file."""

    def check(*arguments: Any, words: tuple[str, ...]) -> str:
        before = _files(tmp_path)
        code, out, message = call(*arguments)
        assert code == 2, message
        assert out == ""
        assert message.startswith("manygate: ")
        assert "Traceback" not in message
        assert "fault of manygate" not in message
        missing = [word for word in words if word not in message]
        assert not missing, message
        assert _files(tmp_path) == before
        return message

    return check


def _files(folder: Path) -> dict[str, int]:
    return {str(path): path.lstat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture
def train(tmp_path: Path) -> Callable[..., tuple[Any, ...]]:
    """The arguments of a quick training run."""

    def arguments(log: Any, *more: Any, tasks: tuple[str, ...] = ("click", "buy")) -> tuple[Any, ...]:
        named = [argument for task in tasks for argument in ("--task", task)]
        return ("train", log, *named, *FAST, "--out", tmp_path / "run", *more)

    return arguments


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the good log; its log is beside it."""
    folder = tmp_path_factory.mktemp("trained")
    log = write(folder / "log.parquet")
    (folder / "schema.yaml").write_text(SCHEMA)
    mg.Ranker(schema_file=str(folder / "schema.yaml"), min_count=1, **SETTINGS).fit(log, out=folder / "run", progress="none")
    return folder / "run"


# Files


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _truncated(path: Path) -> None:
    path.write_bytes(write(path).read_bytes()[:2000])


def _damaged(path: Path) -> None:
    content = bytearray(write(path).read_bytes())
    content[200] ^= 0xFF
    path.write_bytes(content)


def _text(path: Path) -> None:
    path.write_text("user_id,click\n1,0\n")


def _no_rows(path: Path) -> None:
    pq.write_table(pa.table(columns()).slice(0, 0), path)


def _twice(path: Path) -> None:
    pq.write_table(pa.table([pa.array([1.0, 2.0]), pa.array([0, 1]), pa.array([1, 0])], names=["age", "click", "click"]), path)


def _dangling(path: Path) -> None:
    path.symlink_to(path.parent / "gone.parquet")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, ("log.parquet: does not exist", "Look in")),
        (_empty, ("log.parquet: the file is empty", "Write it again")),
        (_truncated, ("log.parquet: the Parquet file is truncated", "copy it again")),
        (_damaged, ("log.parquet, row group 0: cannot be read", "copy it again")),
        (_text, ("log.parquet: not a Parquet file", "Rename it")),
        (_no_rows, ("log.parquet: the table has columns but no rows", "Check what wrote it")),
        (_twice, ("log.parquet: column 'click' is there twice", "Rename or drop one")),
        (_dangling, ("log.parquet: a symbolic link that leads nowhere", "Mend it")),
    ],
)
def test_files(make: Any, words: tuple[str, ...], train: Any, refuses: Any, tmp_path: Path) -> None:
    make(tmp_path / "log.parquet")
    refuses(*train(tmp_path / "log.parquet"), words=words)


def test_paths(train: Any, refuses: Any, tmp_path: Path, trained: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "none").mkdir()
    write(tmp_path / "clicks.parquet")
    refuses(*train(tmp_path / "click.parquet"), words=("click.parquet: does not exist", "Did you mean 'clicks.parquet'?"))
    refuses(*train(tmp_path / "notes.txt"), words=("notes.txt: the name does not say what the file is", "rename it"))
    refuses(*train(tmp_path / "none"), words=("none: the folder holds no data file", "end in .parquet"))
    refuses(*train(""), words=("the path of the log is empty", "Give a file"))
    for inside in (trained, trained / "bundle"):
        refuses(*train(inside), words=(f"{inside}: a run's folder or a bundle, not a log",))
    absent = ("--valid", tmp_path / "a.parquet", "--test", tmp_path / "b.parquet")
    refuses(*train(tmp_path / "clicks.parquet", *absent), words=("2 problems", "a.parquet", "b.parquet"))


def test_files_of_one_folder_with_different_columns(train: Any, refuses: Any, tmp_path: Path) -> None:
    write(tmp_path / "log/a.parquet")
    write(tmp_path / "log/b.parquet", columns(age=None, agee=columns()["age"], country=np.arange(ROWS)))
    words = (
        "b.parquet: column 'age' of ",
        "a.parquet is missing. Did you mean 'agee'?",
        "column 'country' is int64",
        "Write one type",
    )
    refuses(*train(tmp_path / "log"), words=words)


def test_damaged_arrow_and_csv(train: Any, refuses: Any, tmp_path: Path) -> None:
    table, log = pa.table(columns(tags=None)), tmp_path / "log.arrow"
    with ipc.new_stream(log, table.schema) as writer:
        writer.write_table(table)
    log.write_bytes(log.read_bytes()[:2000])
    refuses(*train(log), words=("log.arrow", "cannot be read", "copy it again"))
    (tmp_path / "a.csv").write_text("age,click,buy\n1,0,1\n2,1\n")
    refuses(*train(tmp_path / "a.csv"), words=("a.csv, line 3: cannot be read", "Row #3", "--separator"))
    (tmp_path / "b.csv").write_text("age,click,click\n1,0,1\n")
    refuses(*train(tmp_path / "b.csv"), words=("b.csv: column 'click' is there twice",))
    (tmp_path / "c.csv").write_bytes("city,click,buy\nZürich,0,1\n".encode("latin-1"))
    refuses(*train(tmp_path / "c.csv"), words=("c.csv, line 2: not UTF-8 text", "--file-encoding cp1252", "iconv"))
    (tmp_path / "d.csv").write_text("age,click,buy\n")
    refuses(*train(tmp_path / "d.csv"), words=("d.csv: the table has columns but no rows",))


def test_a_late_word_among_numbers_of_a_csv_file_is_said(call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_files_module, "BLOCK", 4096)
    log = tmp_path / "log.csv"
    pc_csv.write_csv(pa.table(columns(tags=None)), log)
    log.write_text(log.read_text() + '3,"CH",old,1,1\n')
    code, _, message = call("schema", log, "--task", "click")
    assert code == 0
    assert f"warning: {log}: column 'age' is read as text, since 'old' (row 301 of {log}) is no number" in message
    assert "--null-values old" in message
    assert "--types age=text" in message


# Columns


def test_missing_and_misspelt_columns(train: Any, refuses: Any, tmp_path: Path) -> None:
    log = write(tmp_path / "log.parquet")
    words = ("2 problems", "log.parquet: column 'clik' (label of task 'clik')", "Did you mean 'click'?", "Did you mean 'buy'?")
    refuses(*train(log, tasks=("clik", "by")), words=words)
    refuses(*train(log, tasks=()), words=("no label to predict", "--task NAME", "Columns: user_id"))
    (tmp_path / "s.yaml").write_text(SCHEMA.replace("age", "agee").replace("click == 1", "clik == 1") + "weight: wait\n")
    words = ("3 problems", "log.parquet: column 'agee'", "Did you mean 'age'?", "'clik'", "Did you mean 'click'?", "'wait'")
    refuses(*train(log, "--schema-file", tmp_path / "s.yaml", tasks=()), words=words)
    flags = ("--weight", "wt", "--group", "usr", "--bias", "agee", "--context", "itm")
    words = ("4 problems", "'itm' (context)", "'wt' (weight)", "'usr' (group)", "'agee' (bias feature)")
    refuses("schema", log, "--task", "click", *flags, "--out", tmp_path / "new.yaml", words=words)


def test_columns_of_validation_and_test_rows(train: Any, refuses: Any, tmp_path: Path) -> None:
    for part in ("train", "valid"):
        write(tmp_path / f"log/{part}.parquet")
    write(tmp_path / "log/test.parquet", columns(age=None, buy=None))
    words = ("test.parquet: column 'age'", "is missing", "column 'buy' (a label) is missing")
    refuses(*train(tmp_path / "log"), words=words)
    write(tmp_path / "log/test.parquet", columns(age=["old"] * ROWS, user_id=[True] * ROWS))
    words = ("2 problems", "test.parquet: column 'age' is string, but was double in training", "'user_id'", "with its old type")
    refuses(*train(tmp_path / "log"), words=words)


@pytest.mark.parametrize("verb", ["predict", "evaluate"])
def test_columns_at_prediction(verb: str, refuses: Any, tmp_path: Path, trained: Path) -> None:
    out = ("--out", tmp_path / "scores.parquet") if verb == "predict" else ()
    lacking = write(tmp_path / "lacking.parquet", columns(age=None, tags=None, contry=columns()["country"], country=None))
    words = ("3 problems", "lacking.parquet: column 'age'", "'tags'", "Did you mean 'contry'?", f"needed to {verb}")
    refuses(verb, trained, lacking, *out, words=words)
    swapped = {"age": ["old"] * ROWS, "tags": columns()["country"], "country": columns()["tags"]}
    retyped = write(tmp_path / "retyped.parquet", columns(**swapped))
    words = ("3 problems", "retyped.parquet: column 'age' is string, but was double", "'tags'", "'country'", "with its old type")
    refuses(verb, trained, retyped, *out, words=words)
    fractions = write(tmp_path / "fractions.parquet", columns(user_id=np.full(ROWS, 1.5)))
    refuses(verb, trained, fractions, *out, words=("fractions.parquet, rows 0 to 299: column 'user_id'", "Write whole numbers"))


def test_keeping_columns(refuses: Any, call: Any, tmp_path: Path, trained: Path) -> None:
    log = trained.parent / "log.parquet"
    out = tmp_path / "scores.csv"
    words = ("2 problems", "column 'agee' (to keep) is missing. Did you mean 'age'?", "'nope'")
    refuses("predict", trained, log, "--out", out, "--keep", "agee", "--keep", "nope", words=words)
    refuses("predict", trained, log, "--out", out, "--keep", "click", words=("--keep click", "has this name"))
    refuses("predict", trained, log, "--out", out, "--keep", "tags", words=("--keep tags", "no form in CSV", ".parquet"))
    refuses("predict", trained, log, "--out", tmp_path / "scores.xlsx", words=("scores.xlsx", "ends in .parquet"))
    assert call("predict", trained, log, "--out", out, "--keep", "age")[0] == 0


# Labels and tasks


@pytest.mark.parametrize(
    ("label", "task", "words"),
    [
        (np.where(np.arange(ROWS) == 250, 2, columns()["click"]), "click:kind=binary", ("holds 2", "0 and 1", "kind=regression")),
        (np.where(np.arange(ROWS) == 5, np.inf, 1.5), "click", ("(inf)", "finite number or null")),
        (np.where(np.arange(ROWS) % 2, 1e200, -1e200), "click:kind=regression", ("too large to average", "rescale")),
        (np.where(np.arange(ROWS) == 250, 2, columns()["click"]), "click", ("has 3 values", "Write 0 and 1", "kind=regression")),
        (pa.nulls(ROWS, pa.int8()), "click", ("null in every row", "Name another label")),
        (pa.nulls(ROWS), "click", ("null in every row", "Name another label")),
        (np.zeros(ROWS, np.int8), "click", ("3 problems", "always 0 in train", "always 0 in test", "drop the task")),
        (np.full(ROWS, 3.5), "click", ("constant in valid", "drop the task")),
        (["yes", "no"] * 150, "click", ("holds string: 'yes', 'no'", "which word means 1", "--task click:positive=yes")),
        (columns()["tags"], "click", ("holds list<", "Write 0 and 1")),
    ],
)
def test_labels(label: Any, task: str, words: tuple[str, ...], train: Any, refuses: Any, tmp_path: Path) -> None:
    log = write(tmp_path / "log.parquet", columns(click=label))
    refuses(*train(log, tasks=(task, "buy")), words=("log.parquet", "'click'", *words))


def test_labels_that_the_schema_says_are_binary(train: Any, refuses: Any, tmp_path: Path, trained: Path) -> None:
    (tmp_path / "s.yaml").write_text(SCHEMA)
    log = write(tmp_path / "log.parquet", columns(click=np.arange(ROWS) % 3, buy=np.full(ROWS, np.inf)))
    words = ("log.parquet, rows 0 to 299", "label 'click' of task 'click'", "(2)", "label 'buy'", "(inf)", "kind=regression")
    refuses(*train(log, "--schema-file", tmp_path / "s.yaml", tasks=()), words=words)
    refuses("evaluate", trained, log, words=words)


@pytest.mark.parametrize("part", ["train", "valid", "test"])
def test_one_class_in_one_part(part: str, train: Any, refuses: Any, tmp_path: Path) -> None:
    for name in ("train", "valid", "test"):
        write(tmp_path / f"log/{name}.parquet", columns(click=np.ones(ROWS, np.int8)) if name == part else columns(seed=3))
    words = (f"{part}.parquet: label 'click' of task 'click' is always 1 in {part} (300 labelled rows)", f"Give {part} more rows")
    refuses(*train(tmp_path / "log"), words=words)


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        (("click", "buy:where=click==7"), ("log.parquet: task 'buy'", "no row looked at of its sample space (click==7)")),
        (("click", "buy:where=click=='x'"), ("log.parquet", "task 'buy'", "column 'click' (int8) with 'x'", "without quotes")),
        (("click", "buy:where=country==3"), ("log.parquet", "column 'country' (string) with 3", "in quotes: '3'")),
        (("click", "buy:where=clik==1"), ("log.parquet: column 'clik' (sample space of task 'buy')", "Did you mean 'click'?")),
        (
            ("click", "buy:where=click"),
            ("task 'buy:where=click'", "is not a comparison", "at character 6", "example click == 1"),
        ),
        (("click:knd=binary", "buy:wher=1,weight=-1"), ("2 problems", "Did you mean 'kind'?", "Did you mean 'where'?")),
        (("click:kind=ordinal", "buy:weight=inf"), ("2 problems", "click:kind=ordinal", "'binary' or 'regression'", "weight")),
        (("click", "click"), ("log.parquet: task 'click' is named twice",)),
        ((":label=click",), ("task ':label=click': a task needs a name",)),
    ],
)
def test_tasks(tasks: tuple[str, ...], words: tuple[str, ...], train: Any, refuses: Any, tmp_path: Path) -> None:
    refuses(*train(write(tmp_path / "log.parquet"), tasks=tasks), words=words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SCHEMA + "- {name: click, kind: dense}", ("feature 'click' is also a label", "Take it out")),
        (SCHEMA + "- {name: age, kind: dense}", ("feature 'age' is named twice",)),
        (SCHEMA + "- {name: x, kind: spare, dimm: 3, dim: 0}", ("3 problems", "features.4.kind", "'dim'", "features.4.dim:")),
        (
            SCHEMA.replace("kind: bag", "kind: dense").replace("age, kind: dense", "age, kind: bag"),
            ("2 problems", "'tags'", "'bag'"),
        ),
        (SCHEMA.replace("group", "grop"), ("grop: unknown name. Did you mean 'group'?",)),
        (SCHEMA + "weight: click", ("column 'click' is both a label and the row weight",)),
        (SCHEMA.replace("group: user_id", "group: tags"), ("group column 'tags' is list<", "one plain value")),
        ("tasks: [{name: click}]\nfeatures: [{name: age, kind: dense, bias: true}]", ("all are bias features", "add one")),
        ("tasks: []\nfeatures: []", ("2 problems", "names no task", "names no feature")),
        (SCHEMA + "\n  - [", ("s.yaml:10:3: not valid YAML",)),
        (SCHEMA + "group: country\n", ("s.yaml:9:1: not valid YAML: 'group' is given twice",)),
        ("", ("expected 'name: value' lines",)),
        ("tasks: !!python/object/apply:os.getcwd []", ("s.yaml:1:8: not valid YAML",)),
    ],
)
def test_schema_files(text: str, words: tuple[str, ...], train: Any, refuses: Any, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(text)
    refuses(*train(write(tmp_path / "log.parquet"), "--schema-file", tmp_path / "s.yaml", tasks=()), words=words)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--task", "click"), ("'click' is named twice",)),
        (("--bias", "tags"), ("column 'tags'", "a bag cannot be a bias feature")),
        (("--weight", "click"), ("column 'click' is a label", "choose one")),
        (("--weight", "age", "--bias", "age"), ("column 'age' is weight and bias feature", "choose one")),
        (("--weight", "country"), ("log.parquet: weight column 'country' is string", "must hold numbers")),
        (("--group", "tags"), ("log.parquet: group column 'tags' is list<",)),
        (
            [f for name in columns() if name != "click" for f in ("--ignore", name)],
            ("no column is left to learn from", "asked for"),
        ),
    ],
)
def test_roles(flags: Any, words: tuple[str, ...], refuses: Any, tmp_path: Path) -> None:
    log = write(tmp_path / "log.parquet")
    refuses("schema", log, "--task", "click", *flags, "--out", tmp_path / "s.yaml", words=words)


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (np.where(np.arange(ROWS) % 2, 1.0, -1.0), ("log.parquet, rows 0 to 299: weight column 'w'", "numbers of 0 or more")),
        (pa.array([None, 1.0] * 150), ("log.parquet, rows 0 to 299: weight column 'w'", "null")),
        (np.full(ROWS, 1e300), ("log.parquet, rows 0 to 299: weight column 'w'", "above 1e+30")),
        (np.zeros(ROWS), ("log.parquet: task 'click' has no labelled row", "of weight 0", "'weight'")),
    ],
)
def test_weights(weight: Any, words: tuple[str, ...], train: Any, refuses: Any, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(SCHEMA + "weight: w\n")
    log = write(tmp_path / "log.parquet", columns(w=weight))
    refuses(*train(log, "--schema-file", tmp_path / "s.yaml", tasks=()), words=words)


def test_splits(train: Any, refuses: Any, tmp_path: Path) -> None:
    holes = pa.array([None if i % 7 == 0 else 10**9 + i for i in range(ROWS)])
    log = write(tmp_path / "log.parquet")
    refuses(*train(log, "--split", "time"), words=("split by time: the schema names no time column", "--time COLUMN"))
    log = write(tmp_path / "log.parquet", columns(ts=holes))
    refuses(*train(log, "--split", "time"), words=("log.parquet, rows 0 to 299: time column 'ts' is null in 43", "Fill the nulls"))
    log = write(tmp_path / "log.parquet", columns(user_id=pa.array([None if i % 7 == 0 else i % 11 for i in range(ROWS)])))
    refuses(*train(log, "--split", "group"), words=("log.parquet, rows 0 to 299: group column 'user_id' is null in 43", "Fill"))
    log = write(tmp_path / "log.parquet", columns(user_id=np.zeros(ROWS, int), ts=np.full(ROWS, 10**9)))
    refuses(*train(log, "--split", "group"), words=("log.parquet: split by group leaves valid without rows", "'user_id'"))
    refuses(*train(log, "--split", "time"), words=("log.parquet: split by time: column 'ts' has 1 distinct values", "at random"))
    refuses(*train(log, "--fractions", "1,0,0"), words=("there are no valid rows", "there are no test rows", "--valid"))
    for wrong in ("0.5,0.5", "0.5,0.6,0.2", "a,b,c", "nan,nan,nan", "0,0.5,0.5"):
        refuses(*train(log, "--fractions", wrong), words=("fractions",))


# Odd values that are right


def _works(call: Any, train: Any, log: Path, tmp_path: Path, *more: Any, tasks: tuple[str, ...] = ("click", "buy")) -> None:
    code, _, message = call(*train(log, *more, tasks=tasks))
    assert code == 0, message
    scores = tmp_path / "scores.parquet"
    assert call("predict", tmp_path / "run", log, "--out", scores)[0] == 0
    assert np.isfinite(pl.read_parquet(scores).to_numpy()).all()
    assert call("evaluate", tmp_path / "run", log, "--json")[0] == 0


HALF = np.arange(ROWS) // 3 % 2


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("x_id", np.where(HALF, 2**63 - 1, -(2**63))),
        ("x_id", np.array([0, 2**64 - 1], np.uint64)[HALF]),
        ("x_id", np.array(["\N{GRINNING FACE}", "e\N{COMBINING ACUTE ACCENT}"])[HALF]),
        ("x_id", pa.array(["y" * 1_000_000 if i < 4 else "" if i % 3 else None for i in range(ROWS)])),
        ("x_id", np.where(HALF, 7.0, np.nan)),
        ("x_id", pa.nulls(ROWS)),
        ("price", np.where(HALF, np.nan, np.arange(ROWS))),
        ("price", np.where(HALF, np.inf, -np.inf)),
        ("price", np.linspace(-1, 1, ROWS) * 1.7e308),
        ("price", np.where(HALF, 5e-324, 0.0)),
        ("price", np.full(ROWS, 3.5)),
        ("bag", pa.array([[]] * ROWS, pa.list_(pa.string()))),
        ("bag", pa.array([None] * ROWS, pa.list_(pa.int64()))),
        ("bag", pa.array([["a", None], [None], None, [], ["b"]] * (ROWS // 5))),
        ("bag", pa.array([[2**63 - 1, -(2**63)], []] * (ROWS // 2))),
    ],
)
def test_odd_values_work(name: str, values: Any, train: Any, call: Any, tmp_path: Path) -> None:
    _works(call, train, write(tmp_path / "log.parquet", columns(**{name: values})), tmp_path)


@pytest.mark.parametrize("encoding", ["minmax", "standard", "log1p"])
def test_odd_numbers_in_every_encoding(encoding: str, train: Any, call: Any, tmp_path: Path) -> None:
    odd = {
        "infinite": np.where(HALF, np.inf, np.arange(ROWS)),
        "huge": np.linspace(-1, 1, ROWS) * 1.7e308,
        "tiny": np.where(HALF, 5e-324, 0.0),
        "near": np.where(HALF, np.nextafter(1.0, 2.0), 1.0),
        "missing": np.full(ROWS, np.nan),
    }
    (tmp_path / "s.yaml").write_text(SCHEMA + "".join(f"- {{name: {name}, kind: dense}}\n" for name in odd))
    more = ("--schema-file", tmp_path / "s.yaml", "--encoding", encoding)
    _works(call, train, write(tmp_path / "log.parquet", columns(**odd)), tmp_path, *more, tasks=())


def test_odd_names_work(train: Any, call: Any, tmp_path: Path) -> None:
    names = ["a b", 'it\'s "x"', "$x", "<script>alert(1)</script>", "[/b]", "naïve 列", "{{7*7}}", "a\nb", "x" * 500, "a:b=c,d"]
    odd = {name: np.random.default_rng(i).normal(size=ROWS) for i, name in enumerate(names)}
    log = columns(**odd)
    log["<b>/[red]"] = log.pop("click")
    log[names[0] + "?"] = log.pop("buy")
    tasks = ("<b>/[red]", "age:label=a b?")  # one named like a feature
    _works(call, train, write(tmp_path / "log.parquet", log), tmp_path, "--monitor", "<b>/[red]/log_loss", tasks=tasks)
    page = (tmp_path / "run/report.html").read_text()
    assert "<script>alert" not in page
    assert "<b>/[red]" not in page


def test_small_batches_and_shared_labels_work(train: Any, call: Any, tmp_path: Path) -> None:
    log = write(tmp_path / "log.parquet")
    _works(call, train, log, tmp_path, "--batch-size", "232", tasks=("click", "again:label=click"))  # 233 training rows


def test_unseen_ids_at_prediction(call: Any, tmp_path: Path, trained: Path) -> None:
    unseen = [columns(rows=8, user_id=np.full(8, 2**64 - 1, np.uint64), country=["\N{GRINNING FACE}"] * 8, age=np.full(8, np.inf))]
    unseen += [columns(rows=8, user_id=np.full(8, -(2**63)), country=["x" * 1_000_000] * 8, age=np.full(8, -1e308))]
    unseen += [columns(rows=8, user_id=np.full(8, 1e300), tags=pa.array([["new", None]] * 8))]
    scores = []
    for number, values in enumerate(unseen):
        out = tmp_path / f"{number}.parquet"
        assert call("predict", trained, write(tmp_path / "log.parquet", values), "--out", out)[0] == 0
        scores.append(pl.read_parquet(out).to_numpy())
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame, pa.Table.from_pylist])
def test_one_row_of_nulls_predicts(kind: Any, trained: Path) -> None:
    ranker = mg.Ranker.load(trained)
    row = {"user_id": None, "country": None, "age": None, "tags": None}
    empty_bag = {"user_id": 1, "country": "CH", "age": 1, "tags": []}
    for values in (row, empty_bag):
        scores = ranker.predict(kind([values]))
        assert scores.shape == (1, 2)
    frame = pd.DataFrame(columns(rows=3)).set_index(pd.Index([7, 5, 7]))
    assert ranker.predict(frame).index.tolist() == [7, 5, 7]
    assert len(ranker.predict(frame.iloc[:0])) == 0


# Few rows


def test_few_rows(train: Any, refuses: Any, call: Any, tmp_path: Path, trained: Path) -> None:
    one = write(tmp_path / "one.parquet", columns(rows=1))
    refuses(*train(one), words=("one.parquet: split by random leaves valid without rows", "--fractions"))
    three = write(tmp_path / "three.parquet", columns(rows=3))
    refuses(*train(three, tasks=("click",)), words=("three.parquet: split by random leaves valid without rows", "--fractions"))
    none = tmp_path / "none.parquet"
    _no_rows(none)
    for part in ("valid", "test"):
        refuses(*train(write(tmp_path / "log.parquet"), f"--{part}", none), words=(f"none.parquet: there are no {part} rows",))
    refuses("predict", trained, none, "--out", tmp_path / "scores.csv", words=("none.parquet", "no rows"))
    refuses("evaluate", trained, none, words=("none.parquet", "no rows"))
    assert call("predict", trained, one, "--out", tmp_path / "scores.csv")[0] == 0
    assert len((tmp_path / "scores.csv").read_text().splitlines()) == 2
    code, out, _ = call("evaluate", trained, one, "--json")
    assert code == 0
    assert "only one class among 1 row" in json.loads(out)["tasks"]["click"]["undefined"]["auc"]


def test_undefined_metrics_have_a_reason(call: Any, tmp_path: Path, trained: Path) -> None:
    log = write(tmp_path / "log.parquet", columns(click=np.ones(ROWS, np.int8), buy=pa.nulls(ROWS)))
    code, out, _ = call("evaluate", trained, log, "--json")
    tasks = json.loads(out)["tasks"]
    assert code == 0
    assert tasks["click"]["metrics"]["auc"]["mean"] is None
    assert tasks["click"]["undefined"]["auc"] == "only one class among 300 rows: all labels are 1"
    assert tasks["buy"]["undefined"]["log_loss"] == "no labelled row (null, outside the sample space, or of weight 0)"


# Settings


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "expert: 4\nlerning_rate: 1",
            ("c.yaml:1: expert: unknown name. Did you mean 'experts'?", "Did you mean 'learning_rate'?"),
        ),
        ("experts: 0\nbatch_size: 0\nlearning_rate: -1\nreplicas: -1", ("4 problems", "experts", "batch_size", "greater than")),
        (
            "learning_rate: .inf\nclip_norm: .nan\nseed: -1",
            ("3 problems", "c.yaml:1: learning", "c.yaml:2: clip", "c.yaml:3: seed"),
        ),
        ("dim: 3\nseed: 99999999999999999999", ("c.yaml:2:7: not valid YAML", "more than 64 bits")),
        ("expert_hidden: []\ntower_hidden: [8, 0]", ("2 problems", "expert_hidden", "tower_hidden.1")),
        ("experts: [", ("c.yaml:1:11: not valid YAML",)),
        ("experts: 2\nexperts: 3", ("c.yaml:2:1: not valid YAML: 'experts' is given twice",)),
        ("dim: 1000000", ("c.yaml:1: dim", "4096")),
        ("architecture: mmo", ("c.yaml:1: architecture 'mmo' is unknown. Did you mean 'mmoe'?",)),
        ("- a", ("c.yaml: expected 'name: value' lines",)),
        ("task: 5", ("c.yaml:1: task: expected a list",)),
    ],
)
def test_config_files(text: str, words: tuple[str, ...], refuses: Any, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(text)
    log = write(tmp_path / "log.parquet")
    refuses("train", log, "--task", "click", "--config", tmp_path / "c.yaml", "--out", tmp_path / "run", words=words)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--expert", "3"), ("--expert", "Did you mean --experts?")),
        (("--experts", "x", "--dim", "y"), ("2 problems", "--experts", "--dim", "found 'x'")),
        (("--experts", "-3"), ("--experts: Input", "greater than or equal to 1")),
        (("--monitor", "clik"), ("monitor 'clik': no task 'clik'. Did you mean 'click'?",)),
        (("--monitor", "click/acu"), ("no metric 'acu'. Did you mean 'auc'?",)),
        (("--device", "gpu"), ("device 'gpu' is unknown", "Choose auto, cpu")),
        (("--device", "meta"), ("device 'meta' is not supported", "Choose auto, cpu")),
        (("--device", "cuda:99"), ("device 'cuda:99'", "Choose cpu or auto")),
        (("--replicas", "100000000"), ("mmoe with 100,000,000 replicas", "GB of memory", "Lower --replicas")),
        (("--config", "nope.yaml"), ("'nope.yaml' does not exist",)),
    ],
)
def test_flags(flags: tuple[str, ...], words: tuple[str, ...], refuses: Any, tmp_path: Path) -> None:
    log = write(tmp_path / "log.parquet")
    refuses("train", log, "--task", "click", "--out", tmp_path / "run", "--threads", "1", *flags, words=words)


def test_a_metric_that_is_undefined_on_validation_rows(train: Any, refuses: Any, tmp_path: Path) -> None:
    log = write(tmp_path / "log.parquet", columns(user_id=columns()["click"].astype(int)))
    words = ("monitor 'click/gauc' is undefined on the validation rows", "no group has both classes", "--monitor click")
    (tmp_path / "s.yaml").write_text(SCHEMA)
    refuses(*train(log, "--schema-file", tmp_path / "s.yaml", "--monitor", "click/gauc", tasks=()), words=words)


@pytest.mark.parametrize("epochs", ["1", "3"])
def test_divergence(epochs: str, call: Any, tmp_path: Path) -> None:
    """Also where the last step of all breaks the weights, with no loss after it."""
    odd = ("--learning-rate", "1e6", "--optimizer", "sgd", "--weight-decay", "1e6", "--batch-size", "16")
    settings = ("--task", "click", "--threads", "1", "--epochs", epochs, "--progress", "none", *odd)
    code, _, message = call("train", write(tmp_path / "log.parquet"), *settings, "--out", tmp_path / "run")
    assert code == 2
    assert "task 'click' became" in message
    assert "Try a smaller --learning-rate" in message
    assert not (tmp_path / "run/bundle").exists()


# Output folders, resuming


def test_existing_output(train: Any, refuses: Any, call: Any, tmp_path: Path) -> None:
    log, run = write(tmp_path / "log.parquet"), tmp_path / "run"
    run.write_text("a file")
    refuses(*train(log), words=(f"--out {run}: a file of this name exists", "Choose another"))
    refuses(*train(log, "--overwrite"), words=("a file of this name exists",))
    run.unlink()
    run.mkdir()
    (run / "notes.txt").write_text("mine")
    refuses(*train(log), words=(f"--out {run} exists", "--overwrite"))
    refuses(*train(log, "--overwrite"), words=("not a run's folder", "not overwritten"))
    (run / "notes.txt").unlink()
    assert call(*train(log))[0] == 0  # an empty folder is free
    refuses(*train(log), words=(f"--out {run} exists", "--resume"))
    refuses(*train(tmp_path / "gone.parquet", "--overwrite"), words=("gone.parquet: does not exist",))
    (tmp_path / "scores.parquet").write_text("mine")
    refuses("predict", run, log, "--out", tmp_path / "scores.parquet", words=("scores.parquet exists", "--overwrite"))
    refuses("predict", run, log, "--out", tmp_path, words=("unknown kind of file",))
    (tmp_path / "folder.csv").mkdir()
    refuses("predict", run, log, "--out", tmp_path / "folder.csv", "--overwrite", words=("a folder of this name exists",))
    refuses("schema", log, "--task", "click", "--out", tmp_path, "--overwrite", words=(f"--out {tmp_path} exists",))
    with pytest.raises(mg.InputError, match="exists and is not a bundle"):
        mg.Ranker.load(run).save(tmp_path)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that nobody can write to")
def test_output_that_cannot_be_written(refuses: Any, tmp_path: Path, trained: Path) -> None:
    log = trained.parent / "log.parquet"
    quick = ("--task", "click", *FAST)
    refuses("train", log, *quick, "--out", "/proc/run", words=("--out /proc/run: cannot be written", "hoose another --out"))
    refuses("train", log, *quick, "--out", tmp_path / ("x" * 300), words=("cannot be written (File name too long)",))
    refuses("predict", trained, log, "--out", "/proc/s.csv", words=("/proc/s.csv: cannot be written", "another path"))
    refuses("schema", log, "--task", "click", "--out", "/proc/s.yaml", words=("/proc/s.yaml: cannot be written",))
    refuses("report", trained, "--out", "/proc/r.html", words=("/proc/r.html: cannot be written",))


@pytest.fixture
def small_disk() -> Iterator[Callable[[int], None]]:
    """Files can grow to so many bytes; what a full disk does, without a disk to fill."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_full_disk(train: Any, call: Any, small_disk: Any, tmp_path: Path, trained: Path) -> None:
    log, run = write(tmp_path / "log.parquet"), tmp_path / "run"
    soft, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    small_disk(0)
    code, _, message = call(*train(log))
    assert code == 2
    assert not run.exists(), message
    small_disk(3000)  # more than config.yaml, less than a checkpoint
    code, _, message = call(*train(log))
    assert code == 2
    assert "checkpoints" in message
    assert "cannot be written" in message
    assert {path.name for path in run.rglob("*")} <= {"config.yaml", "run.json", "log.json", "metrics.jsonl", "checkpoints"}
    code, _, message = call("predict", trained, log, "--out", tmp_path / "s.parquet")
    assert code == 2
    assert "s.parquet: cannot be written" in message
    assert not list(tmp_path.glob("*s.parquet*"))
    small_disk(soft)
    assert call("train", "--resume", run, "--progress", "none")[0] == 0
    assert (run / "DONE").is_file()


def test_resume(train: Any, refuses: Any, call: Any, tmp_path: Path) -> None:
    log, run = write(tmp_path / "log.parquet"), tmp_path / "run"
    (tmp_path / "empty").mkdir()
    refuses("train", "--resume", tmp_path / "empty", words=(f"--resume {tmp_path / 'empty'}: no run here", "--out of the run"))
    refuses("train", "--resume", tmp_path / "gone", words=("no run here",))
    assert call(*train(log))[0] == 0
    for more in (("--out", tmp_path / "b"), ("--overwrite",), ("--epochs", "3"), ("--config", log)):
        refuses("train", "--resume", run, *more, words=("--resume continues a run", "leave out all others"))
    refuses("compare", "--resume", run, words=("a run of manygate train", f"manygate train --resume {run}"))
    assert call("train", "--resume", run, "--progress", "none")[0] == 0  # finished: evaluated again
    write(log, columns(seed=1))
    refuses(
        "train",
        "--resume",
        run,
        "--progress",
        "none",
        words=(f"{log}: columns user_id", "other values", f"{run}: the run cannot continue", "another --out"),
    )
    write(log, columns(tags=pa.array([["z"]] * ROWS)))  # only a bag
    refuses("train", "--resume", run, "--progress", "none", words=("column 'tags' has other values", "not the log"))
    write(log)
    (run / "state.json").write_text("{}")
    refuses("train", "--resume", run, "--progress", "none", words=("state.json: 2 bytes, expected", "Restore it"))
    log.unlink()
    refuses("train", "--resume", run, words=("log.parquet: does not exist",))
    (run / "evaluation.json").write_text("{}")
    refuses("report", run, words=("evaluation.json: 2 bytes, expected", "Restore it"))
    refuses("report", tmp_path, words=("no results here", "finished run"))


def test_compare_killed_and_resumed(call: Any, tmp_path: Path) -> None:
    log, run = write(tmp_path / "log.parquet"), tmp_path / "run"
    settings = ("--task", "click", "--architectures", "shared_bottom,mmoe", "--threads", "1", "--epochs", "3", "--batch-size", "16")
    command = [sys.executable, "-m", "manygate.cli.main", "compare", str(log), *settings, "--replicas", "1", "--out", str(run)]
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (run / "shared_bottom/metrics.jsonl").is_file() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (run / "DONE").exists()
    code, _, message = call("compare", "--resume", run, "--progress", "none")
    assert code == 0, message
    assert call("compare", log, *settings, "--replicas", "1", "--progress", "none", "--out", tmp_path / "whole")[0] == 0
    found, whole = (json.loads((folder / "comparison.json").read_text())["results"] for folder in (run, tmp_path / "whole"))
    assert [found[name]["tasks"] for name in found] == [whole[name]["tasks"] for name in whole]
    assert not [path for path in run.rglob("*") if path.name.startswith(".")]


# Bundles


BUNDLE = (
    "config.yaml",
    "encoder.json",
    "manifest.json",
    "model.safetensors",
    "schema.json",
    *(f"vocabulary-{n}.arrow" for n in range(3)),
)


def _halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _seal(bundle: Path) -> None:
    """Make the manifest agree with the files, as someone who tampers with them could."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"] = {
        path.name: {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in bundle.iterdir()
        if path.name != "manifest.json"
    }
    (bundle / "manifest.json").write_text(sealed_text(manifest))


@pytest.mark.parametrize("file", BUNDLE)
@pytest.mark.parametrize("harm", [_halve, _flip, _empty, Path.unlink])
def test_damaged_bundles(file: str, harm: Any, refuses: Any, tmp_path: Path, trained: Path) -> None:
    shutil.copytree(trained / "bundle", tmp_path / "bundle")
    harm(tmp_path / "bundle" / file)
    named = "manifest" if harm is _flip and file == "manifest.json" else file  # the byte may be of another file's sha256
    log = trained.parent / "log.parquet"
    refuses("predict", tmp_path / "bundle", log, "--out", tmp_path / "scores.csv", words=(str(tmp_path / "bundle"), named))
    if file not in ("manifest.json", "config.yaml") and harm is not _flip:  # half of a config.yaml is a config.yaml
        _seal(tmp_path / "bundle")
        refuses("predict", tmp_path / "bundle", log, "--out", tmp_path / "scores.csv", words=(str(tmp_path / "bundle"), file))


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("encoder.json", '"encoder_version": 3', '"encoder_version": 9', ("encoder.json", "encoder version 9")),
        ("encoder.json", '"vocabulary-0.arrow"', '"../../log.parquet"', ("log.parquet", "good copy")),
        ("encoder.json", '"age": {', '"ages": {', ("encoder.json", "'age'")),
        ("encoder.json", '"user_id": "int64"', '"users": "int64"', ("encoder.json", "'user_id'")),
        ("schema.json", '"schema_version": 1', '"schema_version": 9', ("schema.json", "schema_version")),
        ("config.yaml", "experts: 2", "experts: 3", ("model.safetensors", "do not fit config.yaml")),
        ("config.yaml", "architecture: mmoe", "architecture: omoe", ("model.safetensors", "do not fit config.yaml")),
        ("manifest.json", '"bundle_version": 1', '"bundle_version": 9', ("bundle version 9", "Load it with manygate")),
        ("manifest.json", '"config.yaml"', '"../config.yaml"', ("'../config.yaml'", "not a plain file name")),
    ],
)
def test_tampered_bundles(file: str, old: str, new: str, words: Any, refuses: Any, tmp_path: Path, trained: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(trained / "bundle", bundle)
    content = (bundle / file).read_text()
    assert old in content
    (bundle / file).write_text(content.replace(old, new, 1))
    if file != "manifest.json":
        _seal(bundle)
    else:
        (bundle / file).write_text(sealed_text(json.loads((bundle / file).read_text())))
    refuses("predict", bundle, trained.parent / "log.parquet", "--out", tmp_path / "scores.csv", words=words)


def test_foreign_files_in_a_bundle(refuses: Any, tmp_path: Path, trained: Path) -> None:
    shutil.copytree(trained / "bundle", tmp_path / "bundle")
    (tmp_path / "bundle/weights.pkl").write_bytes(b"\x80\x04.")
    refuses(
        "evaluate", tmp_path / "bundle", trained.parent / "log.parquet", words=("weights.pkl: not in the manifest", "Remove it")
    )
    refuses("evaluate", tmp_path / "none", trained.parent / "log.parquet", words=("none' does not exist", "run's folder"))
    shutil.rmtree(tmp_path / "bundle")
    refuses("evaluate", tmp_path, trained.parent / "log.parquet", words=("no bundle here",))


# Python


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (lambda log: mg.Ranker(tasks=["click"], expert=3), ("tasks: unknown name. Did you mean 'task'?", "'experts'")),
        (lambda log: mg.Ranker(task=["click"], learning_rate=float("nan")), ("learning_rate",)),
        (lambda log: mg.Ranker(**SETTINGS).fit(log), ("no label to predict", "Columns: user_id")),
        (lambda log: mg.Ranker(task="click").fit(None), ("no log is given",)),
        (lambda log: mg.Ranker(task="click").fit(5), ("cannot be read from builtins.int", "dataframe")),
        (lambda log: mg.Ranker(task="click").fit(log, schema={}), ("schema: expected a Schema", "dict")),
        (lambda log: mg.Ranker(task="click").predict(log), ("not fitted yet", "fit(log)")),
        (lambda log: mg.Ranker(task=["clik", "by"]).fit(log), ("DataFrame (pandas): column 'clik'", "'buy'")),
        (lambda log: mg.Ranker(task="click").fit(pd.concat([log, log], axis=1)), ("'age' 2 times", "Rename")),
        (lambda log: mg.Ranker(task="click").fit(log.assign(country=[1, "a"] * 150)), ("country", "one type")),
        (lambda log: mg.compare(log, task="click", replicas=0, architectures="mmoe,x"), ("replicas", "'x' is unknown")),
        (lambda log: mg.compare(log, task="click", progress="loud"), ("progress='loud': unknown", "plain")),
        (lambda log: mg.infer_schema(log, ["clik"]), ("'clik'", "Did you mean 'click'?")),
        (lambda log: mg.infer_schema(log, ["click", "click"]), ("task 'click' is named twice",)),
        (lambda log: mg.infer_schema(log.iloc[:0], "click"), ("no rows",)),
        (lambda log: mg.infer_schema(log, "click", weight="wt", group="usr"), ("'wt' (weight)", "'usr' (group)")),
        (lambda log: mg.Ranker.load("nowhere"), ("bundle 'nowhere' does not exist",)),
    ],
)
def test_python(action: Any, words: tuple[str, ...]) -> None:
    with pytest.raises(ValueError) as caught:
        action(pd.DataFrame(columns(tags=None)))
    missing = [word for word in words if word not in str(caught.value)]
    assert not missing, str(caught.value)


def test_resume_in_python_with_other_data_or_settings(tmp_path: Path) -> None:
    log = pd.DataFrame(columns(tags=None))
    mg.Ranker(task="click", **SETTINGS).fit(log, out=tmp_path / "run", progress="none")
    for settings, rows, words in (({}, log.iloc[::-1], "or rows in another order"), ({"dim": 3}, log, "settings have changed")):
        with pytest.raises(mg.InputError, match=words):
            mg.Ranker(task="click", **SETTINGS, **settings).fit(rows, out=tmp_path / "run", resume=True, progress="none")
