"""The inferred schema: the kind, role or reason of each sort of column, and errors that list every problem."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manygate.data.inference.infer import infer_schema
from manygate.errors import InputError
from manygate.schema import Schema, Task

N = 400
RNG = np.random.default_rng(0)
CLICK = RNG.integers(0, 2, N)
ITEM = RNG.integers(0, 50, N)


def infer(columns: dict[str, Any], tasks: Any = "click", **roles: Any) -> Schema:
    return infer_schema(pa.table({"click": CLICK, "item_id": ITEM} | columns), tasks, **roles)


def kind_of(name: str, values: Any) -> tuple[str, str]:
    """(kind, note) of one column, or ('ignored', reason)."""
    schema = infer({name: values})
    found = {feature.name: (feature.kind, feature.note) for feature in schema.features}
    return found[name] if name in found else ("ignored", schema.ignored[name])


def ints(low: int, high: int) -> pa.Array:
    return pa.array(np.random.default_rng((low, high)).integers(low, high, N))


def floats(seed: int = 0) -> np.ndarray:
    """The same whichever tests ran before."""
    return np.random.default_rng(seed).random(N)


CASES: list[tuple[str, Any, str, str]] = [
    ("country", [f"c{i % 24}" for i in range(N)], "sparse", "strings, 24 values"),
    ("word", ["a", None] * (N // 2), "sparse", "strings, 1 value, 50 % missing"),
    ("tier", pa.array([1, 5, 9, 70] * (N // 4)).dictionary_encode(), "sparse", "categories, 4 values"),
    ("is_new", [True, False, False, False] * (N // 4), "sparse", "true or false, 25 % true"),
    ("ctr", np.linspace(0, 99_999.5, N), "dense", "decimals from 0 to 100,000"),
    ("spend", [0.0] * (N - 36) + [2.5] * 36, "dense", "decimals from 0 to 2.5, 91 % zeros"),
    ("ratio", [float("nan"), 1.5] * (N // 2), "dense", "decimals from 1.5 to 1.5, 50 % missing"),
    ("shop_id", ints(0, 200), "sparse", ": ids"),
    ("shopId", ints(0, 200), "sparse", ": ids"),
    ("videoid", ints(0, 200), "sparse", ": ids"),
    ("sku", ints(0, 200), "sparse", ": ids"),
    ("ad_id", [float(i % 99) if i % 3 else float("nan") for i in range(N)], "sparse", "whole numbers, 66 values: ids"),
    ("C14", ints(0, 20), "sparse", "values: codes"),
    ("flag_price", ints(0, 2), "sparse", "whole numbers, 2 values: codes"),
    ("num_items", ints(0, 7), "dense", "whole numbers from 0 to 6"),
    ("age", ints(18, 91), "dense", "whole numbers from 18 to 90"),
    ("wage per hour", ints(0, 500), "dense", "whole numbers"),
    ("hour", ints(0, 24), "sparse", "whole numbers, 24 values: codes"),
    ("feature_7", ints(0, 500), "dense", "whole numbers from"),
    ("hashed", ints(0, 2**62), "sparse", "wide range: hashed ids"),
    ("signup", ints(1_500_000_000, 1_700_000_000), "dense", "whole numbers from 1,5"),
    ("valid_bid", ints(0, 500), "dense", "whole numbers"),
    ("tags", [["a", "b"], [], None, ["c"]] * (N // 4), "bag", "lists of strings, 1.0 on average, 25 % missing"),
    ("genres", [[1, 2]] * N, "bag", "lists of whole numbers, 2.0 on average"),
    ("bools", [[True]] * N, "bag", "lists of bool"),
    ("vector", [[0.5, 0.25]] * N, "ignored", "lists of double; a bag holds ids"),
    ("nested", [[[1]]] * N, "ignored", "lists of list<item: int64>"),
    ("hollow", pa.array([[]] * N, pa.list_(pa.string())), "ignored", "an empty list in every row looked at"),
    ("struct", [{"a": 1}] * N, "ignored", "struct values; a feature is an id, a list of ids or a number"),
    ("raw", [b"x"] * N, "ignored", "constant: 'x'"),
    ("pairs", pa.array([[("a", 1)]] * N, pa.map_(pa.string(), pa.int64())), "ignored", "map values"),
    ("length", pa.array([1] * N, pa.duration("s")), "ignored", "duration values"),
    ("clock", [dt.time(1)] * N, "ignored", "time64 values"),
    ("nothing", pa.nulls(N), "ignored", "null in every row looked at"),
    ("no_number", [float("nan")] * N, "ignored", "null in every row looked at"),
    ("always", ["x"] * N, "ignored", "constant: 'x' in every row looked at"),
    ("title", [f"text {i}" for i in range(N)], "ignored", "a row key or free text: 400 values in 400 rows"),
    ("row_id", RNG.permutation(N) * 3, "ignored", "a row key"),
    ("Unnamed: 0", range(N), "ignored", "an index that numbers the rows"),
    ("__index_level_0__", [i % 40 for i in range(N)], "ignored", "an index that numbers the rows"),
    ("", [f"w{i % 40}" for i in range(N)], "ignored", "a column without a name"),
    ("row", np.random.default_rng(1).permutation(N), "ignored", "a row key"),
    ("row", np.random.default_rng(1).permutation(N) + 10_000.0, "ignored", "a row key"),
    ("revenue", RNG.permutation(N) * 3, "dense", "whole numbers from 0 to 1,197"),
    ("clicked", CLICK.astype(bool), "ignored", "identical to label 'click'"),
    ("target", CLICK.astype(float), "ignored", "identical to label 'click'"),
    ("weight", floats(), "ignored", "looks like a row weight; --weight weight uses it"),
    ("instance weight", floats(), "ignored", "--weight 'instance weight' uses it"),
]


@pytest.mark.parametrize(("name", "values", "kind", "note"), CASES, ids=[case[0] for case in CASES])
def test_the_kind_of_a_column(name: str, values: Any, kind: str, note: str) -> None:
    found, why = kind_of(name, values)
    assert found == kind
    assert note in why


STAMPS = [dt.datetime(2024, 1, 1) + dt.timedelta(minutes=i // 2) for i in range(N)]


def test_time() -> None:
    assert infer({"seen": STAMPS}).time == "seen"
    assert infer({"seen": [stamp.date() for stamp in STAMPS]}).time == "seen"
    assert infer({"timestamp": ints(1_600_000_000, 1_700_000_000)}).time == "timestamp"
    assert infer({"time_ms": ints(1_600_000_000_000, 1_700_000_000_000)}).time == "time_ms"
    assert infer({"watch_time": ints(0, 5000)}).time is None
    several = infer({"signup": STAMPS, "event_time": STAMPS})
    assert several.time == "event_time"
    assert several.ignored["signup"] == "a time; the log's time is 'event_time'"
    unknown = infer({"seen": STAMPS, "left": STAMPS})
    assert unknown.time is None
    assert unknown.ignored["left"] == "one of several times; --time NAME uses it"
    given = infer({"seen": STAMPS, "left": STAMPS}, time="left")
    assert given.time == "left"
    assert "left" not in given.ignored
    assert "left" not in given.feature_names


def test_group() -> None:
    user, session = ints(0, 30), ints(0, 60)
    schema = infer({"session_id": session, "userId": user})
    assert schema.group == "userId"
    assert schema.ignored["session_id"] == "names one request or session; --group session_id groups by it"
    assert next(f.note for f in schema.features if f.name == "userId") == "whole numbers, 30 values: ids; the group"
    alone = infer({"session_id": session})
    assert alone.group == "session_id"
    assert "session_id" not in {*alone.feature_names, *alone.ignored}
    given = infer({"session_id": session, "user_id": user}, group="session_id")
    assert given.group == "session_id"
    assert "user_id" in given.feature_names
    unique = infer({"request_id": [f"r{i}" for i in range(N)]})
    assert unique.group is None
    assert "request_id" in unique.ignored
    assert infer({"x": session}, group="item_id").feature_names == ("item_id", "x")


def test_rare_users_of_a_long_log_stay() -> None:
    users = pa.table({"user_id": [f"u{i}" for i in range(1000)] * 2, "click": [0, 1] * 1000})
    schema = infer_schema(users, "click", rows=500)
    assert schema.group == "user_id"
    assert schema.feature_names == ("user_id",)


def test_bias() -> None:
    schema = infer({"position": ints(1, 40), "slot": ["top", "side"] * (N // 2), "screen": ints(0, 300)}, bias="screen")
    found = {feature.name: feature for feature in schema.features if feature.bias}
    assert {name: feature.kind for name, feature in found.items()} == dict.fromkeys(("position", "slot", "screen"), "sparse")
    assert found["slot"].note == "strings, 2 values; bias: known while training, absent at serving"
    assert not any(feature.bias for feature in infer({"page_rank": floats()}).features)


def test_context_is_named_and_never_guessed() -> None:
    columns = {"user_id": ints(1, 40), "hour": ints(0, 24), "position": ints(1, 40)}
    assert not any(feature.context for feature in infer(columns).features)
    assert [feature.name for feature in infer(columns, context=["hour"]).features if feature.context] == ["hour"]
    assert [feature.name for feature in infer(columns, context="hour").features if feature.context] == ["hour"]
    with pytest.raises(InputError, match="context: 'position' is a bias feature"):
        infer(columns, context="position")
    with pytest.raises(InputError, match=r"has no column 'houre' \(context\)|'houre' \(context\)"):
        infer(columns, context="houre")


def test_weight_and_ignore() -> None:
    schema = infer({"w": floats(1), "x": ints(0, 300), "weight": floats(2)}, weight="w", ignore="x")
    assert schema.weight == "w"
    assert schema.ignored == {"x": "asked for"}
    assert schema.feature_names == ("item_id", "weight")


def test_columns_of_a_sample_space_are_outcomes() -> None:
    schema = infer({"shown": ints(0, 2)}, "click:where=shown==1")
    assert schema.ignored["shown"].startswith("in the sample space of task 'click', so probably known only after")


def problems(*arguments: Any, **roles: Any) -> tuple[str, ...]:
    with pytest.raises(InputError) as caught:
        infer(*arguments, **roles)
    return caught.value.problems


def test_every_unknown_column_is_listed() -> None:
    found = problems(
        {"user": ["u"] * N}, ["clik", "buy:where=clck==1"], weight="w", group="usr", time="t", bias=["pos"], ignore=["itemid"]
    )
    assert len(found) == 8
    assert "'clik' (label of task 'clik') is missing. Did you mean 'click'?" in found[0]
    assert "'buy' (label of task 'buy')" in found[1]
    assert "'clck' (sample space of task 'buy') is missing. Did you mean 'click'?" in found[2]
    assert "'w' (weight) is missing. Columns: click, item_id, user." in found[3]
    assert "'usr' (group) is missing. Did you mean 'user'?" in found[4]
    assert "'t' (time)" in found[5]
    assert "'pos' (bias feature)" in found[6]
    assert "'itemid' (to ignore) is missing. Did you mean 'item_id'?" in found[7]


def test_roles_that_collide() -> None:
    assert "column 'click' is a label, so it cannot be group too" in problems({}, group="click")[0]
    assert "column 'item_id' is group and to be ignored" in problems({}, group="item_id", ignore=["item_id"])[0]
    assert "weight column 'w' is string; it must hold numbers" in problems({"w": ["a"] * N}, weight="w")[0]
    assert "'v' cannot be a bias feature: lists of double" in problems({"v": [[0.5]] * N}, bias=["v"])[0]
    assert "no task is named" in problems({}, [])[0]


def test_nothing_to_learn_from() -> None:
    with pytest.raises(InputError, match=r"no column is left to learn from\. one: constant: 1 in every row"):
        infer_schema(pa.table({"click": CLICK, "one": [1] * N}), "click")
    with pytest.raises(InputError, match="no rows"):
        infer_schema(pa.table({"click": CLICK[:0], "one": CLICK[:0]}), "click")


def test_files_frames_and_yaml(tmp_path: Path) -> None:
    columns = {"click": CLICK, "item_id": ITEM, "user": [f"u{i % 9}" for i in range(N)], "price": floats()}
    pq.write_table(pa.table(columns), tmp_path / "log.parquet")
    pd.DataFrame(columns).to_csv(tmp_path / "log.csv", index=False)
    first = infer_schema(tmp_path / "log.parquet", "click")
    assert first == infer_schema(tmp_path / "log.csv", ["click"]) == infer_schema(pd.DataFrame(columns), Task(name="click"))
    assert Schema.from_yaml(first.to_yaml()) == first
    category = pd.DataFrame(columns).astype({"item_id": "category"})
    assert infer_schema(category, "click").features[0].note == "categories, 50 values"


def test_a_column_known_only_where_a_label_is_one_is_an_outcome_and_no_feature():
    log = pa.table({"item": ["a", "b"] * 10, "click": [0, 1] * 10, "dwell": [None, 3.5] * 10})
    schema = infer_schema(log, "click")
    assert schema.feature_names == ("item",)
    assert "--task dwell:where=click==1" in schema.ignored["dwell"]
    price = log.set_column(2, "price", pa.array([1.0, 3.5, 3.5, 1.0] * 5))
    assert infer_schema(price, "click").feature_names == ("item", "price")


def stretched(low: int, high: int, values: int = 200) -> pa.Array:
    """Amounts from exactly ``low`` to exactly ``high``, more of them than make codes, small ones more often than large ones."""
    return pa.array(np.linspace(low, high, values).astype(np.int64)[(values * np.linspace(0, 0.9999, N) ** 2).astype(int)])


def shuffled(values: Any) -> list[Any]:
    return [values[i] for i in np.random.default_rng(5).permutation(len(values))]


def mostly(steps: int) -> pa.Array:
    """Numbers that rise by one ``steps`` times of N - 1, and stay else."""
    return pa.array(np.cumsum([0, *([1] * steps), *([0] * (N - 1 - steps))]) + 3)


LIMITS: list[tuple[str, str, Any, str, Any, str]] = [
    # what, name, quiet side and what it is, loud side and what it is
    ("at most 20 values are codes", "feature_7", stretched(0, 5000, 21), "dense", stretched(0, 5000, 20), "sparse"),
    ("an amount of few values is a number", "num_items", stretched(0, 5000, 3), "dense", stretched(0, 5000, 2), "sparse"),
    ("a spread of 2**31 is of hashed ids", "feature_7", stretched(0, 2**31 - 1), "dense", stretched(0, 2**31), "sparse"),
    ("... wherever it begins", "feature_7", stretched(-5, 2**31 - 6), "dense", stretched(-5, 2**31 - 5), "sparse"),
    ("seconds since 1970 to 3e9 are moments", "feature_7", stretched(10**9, 3 * 10**9), "dense", stretched(0, 3 * 10**9), "sparse"),
    ("... in thousandths", "feature_7", stretched(10**12, 3 * 10**12), "dense", stretched(10**12, 3 * 10**12 + 1), "sparse"),
    ("... in millionths", "feature_7", stretched(10**15, 3 * 10**15), "dense", stretched(10**15 - 1, 3 * 10**15), "sparse"),
    ("... in billionths", "feature_7", stretched(10**18, 3 * 10**18), "dense", stretched(10**18 - 1000, 3 * 10**18), "sparse"),
    (
        "text that differs in more than 95 rows of 100 is a key",
        "word",
        shuffled([f"w{i % 380}" for i in range(N)]),
        "sparse",
        shuffled([f"w{i % 381}" for i in range(N)]),
        "ignored",
    ),
    ("whole numbers that count rows 95 times of 100 are a key", "counter", mostly(379), "dense", mostly(380), "ignored"),
    (
        "ids that differ in every row are a key",
        "thing_id",
        pa.array([0, *np.arange(N - 1) * 3]),
        "sparse",
        pa.array(np.random.default_rng(6).permutation(N) * 3),
        "ignored",
    ),
]


@pytest.mark.parametrize(("what", "name", "quiet", "is_quiet", "loud", "is_loud"), LIMITS, ids=[case[0] for case in LIMITS])
def test_a_limit_lies_where_it_is_said_to(what: str, name: str, quiet: Any, is_quiet: str, loud: Any, is_loud: str) -> None:
    assert kind_of(name, quiet)[0] == is_quiet, what
    assert kind_of(name, loud)[0] == is_loud, what


def test_whole_numbers_named_like_time_are_times_from_ten_million_on() -> None:
    assert infer({"timestamp": stretched(10**7, 10**9)}).time == "timestamp"
    assert infer({"timestamp": stretched(10**7 - 1, 10**9)}).time is None
    assert infer({"seen": stretched(10**7, 10**9)}).time is None, "the name counts too"
    assert infer({"date": pa.array([20240101 + i % 28 for i in range(N)])}).time == "date"


@pytest.mark.parametrize(("rows", "kept"), [(49, True), (50, False)])
def test_below_fifty_rows_nothing_is_a_key(rows: int, kept: bool) -> None:
    click, x = [i % 2 for i in range(rows)], [0.5 + i % 3 for i in range(rows)]
    log = pa.table({"click": click, "title": [f"text {i}" for i in range(rows)], "x": x})
    assert ("title" in infer_schema(log, "click").feature_names) == kept


@pytest.mark.parametrize(("zeros", "said"), [(79, False), (80, True)])
def test_zeros_are_told_from_a_fifth_of_the_rows_on(zeros: int, said: bool) -> None:
    _, note = kind_of("ctr", [0.0] * zeros + [0.5 + i for i in range(N - zeros)])
    assert ("% zeros" in note) == said


def test_a_column_to_ignore_is_not_read():
    """A decimal that no feature can have does not stop a log that need not have it."""
    wide = pa.array([Decimal(2**70)] * 3, pa.decimal128(38, 0))
    table = pa.table({"user": ["a", "b", "a"], "wide": wide, "click": [0, 1, 0]})
    with pytest.raises(InputError, match=r"column 'wide' .*cannot be read as int64"):
        infer_schema(table, "click")
    schema = infer_schema(table, "click", ignore="wide")
    assert schema.feature_names == ("user",)
    assert "wide" in schema.ignored
