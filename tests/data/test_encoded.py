"""From a log to three encoded parts: which files are read, and that test rows influence nothing."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
from pyarrow.csv import write_csv

from log_folders import PARTS, equal_rows, write_log_folder
from manygate.data.encoded import EncodedLog, encode_log, encoded_bytes, open_store
from manygate.data.sources import open_sources
from manygate.errors import InputError
from manygate.schema import Feature, Schema, Task


def test_test_rows_influence_nothing(tmp_path, parts, log_table, log_schema, settings, trainer):
    """Other test rows, more of them, with ids, numbers and labels never seen: same encoder, same weights."""
    wild = log_table(130, seed=99)
    wild = wild.set_column(4, "age", pa.array(np.linspace(-1e6, 1e6, 130)))
    wild = wild.set_column(0, "user", pa.array(np.arange(130) + 1000))
    found = []
    for name, test in (("a", parts["test.parquet"]), ("b", wild)):
        folder = write_log_folder(tmp_path / name, {**parts, "test.parquet": test}, log_schema())
        config = settings(replicas=2, dropout=0.1)
        log = encode_log(open_sources(folder, config), log_schema(), config)
        training = trainer(log, config)
        training.fit()
        found.append((log, training))
    (one, first), (two, second) = found
    assert not equal_rows(one.parts["test"], two.parts["test"])
    assert one.encoder.scales == two.encoder.scales
    assert one.encoder.labels == two.encoder.labels
    for name, vocabulary in one.encoder.vocabularies.items():
        assert vocabulary.values.equals(two.encoder.vocabularies[name].values)
    assert equal_rows(one.parts["train"], two.parts["train"])
    assert equal_rows(one.parts["valid"], two.parts["valid"])
    assert first.state.history == second.state.history
    for name, value in first.model.parameters.items():
        assert torch.equal(value, second.model.parameters[name])


def test_validation_rows_do_not_reach_the_encoder(tmp_path, parts, log_table, log_schema, settings):
    other = {**parts, "valid.parquet": log_table(90, seed=50)}
    one, two = (
        encode_log(open_sources(write_log_folder(tmp_path / name, files, log_schema()), settings()), log_schema(), settings())
        for name, files in (("a", parts), ("b", other))
    )
    assert one.encoder.scales == two.encoder.scales
    assert one.encoder.labels == two.encoder.labels
    assert equal_rows(one.parts["train"], two.parts["train"])


def test_a_single_table_is_split(log_table, log_schema, settings):
    table = log_table(600)
    log = encode_log(open_sources(table, settings()), log_schema(), settings(fractions=(0.7, 0.2, 0.1)))
    sizes = {part: len(rows) for part, rows in log.parts.items()}
    assert sum(sizes.values()) == 600
    assert sizes["train"] == pytest.approx(420, abs=45)
    assert sizes["test"] == pytest.approx(60, abs=30)
    again = encode_log(open_sources(table, settings()), log_schema(), settings(fractions=(0.7, 0.2, 0.1)))
    assert all(equal_rows(log.parts[part], again.parts[part]) for part in PARTS)
    other = encode_log(open_sources(table, settings()), log_schema(), settings(fractions=(0.7, 0.2, 0.1), shuffle_seed=1))
    assert not equal_rows(log.parts["train"], other.parts["train"])


def test_validation_and_test_rows_have_no_bias_features(parts, tmp_path, log_schema, settings):
    lean = {name: t if name.startswith("train") else t.drop_columns(["position", "depth"]) for name, t in parts.items()}
    one, two = (
        encode_log(open_sources(write_log_folder(tmp_path / name, files), settings()), log_schema(), settings())
        for name, files in (("full", parts), ("lean", lean))
    )
    assert all(equal_rows(one.parts[part], two.parts[part]) for part in PARTS)
    assert (one.parts["train"].id_BS[:, 2] > 0).all()
    assert (one.parts["test"].id_BS[:, 2] == 0).all()


def test_missing_columns_of_every_part_are_listed_at_once(parts, tmp_path, log_schema, settings):
    parts["train.parquet"] = parts["train.parquet"].rename_columns(
        ["user", "country", "tags", "codes", "agee", "price", "position", "depth", "weight", "session", "click", "like", "watch"]
    )
    parts["test.parquet"] = parts["test.parquet"].drop_columns(["like"])
    with pytest.raises(InputError) as error:
        encode_log(open_sources(write_log_folder(tmp_path, parts), settings()), log_schema(), settings())
    train, test = error.value.problems
    assert "'age' (named in the schema) is missing. Did you mean 'agee'?" in train
    assert "test.parquet: column 'like' (a label) is missing" in test


def test_a_word_without_quotes_in_a_schema_file_is_a_missing_column(log_table, log_schema, settings):
    schema = log_schema()
    like = schema.tasks[1].model_copy(update={"where": "country == CH"})
    schema = schema.model_copy(update={"tasks": (schema.tasks[0], like)})
    with pytest.raises(InputError, match=r"column 'CH' \(sample space of task 'like'; text stands in quotes: 'CH'\) is missing"):
        encode_log(open_sources(log_table(60), settings()), schema, settings())


def test_a_part_with_another_type_is_named(parts, tmp_path, log_schema, settings):
    test = parts["test.parquet"]
    parts["test.parquet"] = test.set_column(0, "user", pc.equal(test["user"], 1))
    with pytest.raises(InputError, match=r"test\.parquet: column 'user' is bool, but was int64 in training"):
        encode_log(open_sources(write_log_folder(tmp_path, parts), settings()), log_schema(), settings())


def problems(table: Any, schema: Schema, settings: Any, **changes: Any) -> str:
    with pytest.raises(InputError) as error:
        encode_log(open_sources(table, settings(**changes)), schema, settings(**changes))
    return str(error.value)


def test_labels_that_teach_or_judge_nothing_are_named_with_their_part(log_table, log_schema, settings):
    table = log_table(300)
    place = table.column_names.index("like")
    never = table.set_column(place, "like", pa.nulls(300, pa.int8()))
    assert "task 'like' has no labelled row where click == 1 in test" in problems(never, log_schema(), settings)
    ones = table.set_column(place, "like", pa.array(np.ones(300, dtype=np.int8)))
    assert "label 'like' of task 'like' is always 1 in train" in problems(ones, log_schema(), settings)
    flat = table.set_column(table.column_names.index("watch"), "watch", pa.array(np.full(300, 3.5)))
    assert "label 'watch' of task 'watch' is constant in valid" in problems(flat, log_schema(), settings)


def test_a_share_of_zero_and_too_few_rows_are_named(log_table, log_schema, settings):
    assert "no test rows: its share in fractions is 0" in problems(
        log_table(100), log_schema(), settings, fractions=(0.8, 0.2, 0.0)
    )
    assert "leaves valid without rows" in problems(log_table(1), log_schema(), settings)


def test_a_fingerprint_knows_rows_bags_and_settings(log_table, log_schema, settings, encoded):
    table = log_table(200)
    one = encoded(table)
    assert one.fingerprint("a") == encoded(table).fingerprint("a")
    assert one.fingerprint("a") != one.fingerprint("b")
    lists = table["tags"].to_pylist()
    lists[0] = ["t0", "t0"] if lists[0] != ["t0", "t0"] else ["t1"]
    for column, values in (("tags", lists), ("user", table["user"].to_numpy()[::-1])):
        place = table.column_names.index(column)
        changed = table.set_column(place, column, pa.array(values, table.schema.field(column).type))
        changed_log = encode_log(open_sources(changed, settings()), log_schema(), settings())
        assert changed_log.fingerprint("a") != one.fingerprint("a"), column


TASK_CHANGES = {
    "name": "other",
    "label": "like",
    "where": "age > 1",
    "after": "click",
    "loss": "huber",
    "quantile": 0.25,
    "levels": 7,
    "weight": 0.5,
    "decay": 0.5,
    "kind": "binary",
    "unknown": "-1",
    "positive": "yes",
    "negative": "no",
}
FEATURE_CHANGES = {
    "name": "other",
    "kind": "dense",
    "bias": True,
    "dim": 9,
    "vocabulary": "hash",
    "min_count": 7,
    "max_ids": 2,
    "id_dropout": 1.0,
    "buckets": 64,
    "pooling": "sum",
    "encoding": "minmax",
}


def changed_schema(log, part: str, place: int, **changes):
    """The log under a schema of which one task or feature differs; nothing is encoded anew."""
    items = list(getattr(log.schema, part))
    items[place] = items[place].model_copy(update=changes)
    return replace(log, encoder=replace(log.encoder, schema=log.schema.model_copy(update={part: tuple(items)})))


def test_a_fingerprint_knows_every_field_of_the_schema(encoded, log_table):
    """The same rows under another schema would be other tasks: only what is for people may differ."""
    log = encoded(log_table(200))
    own = log.fingerprint("a")
    assert set(TASK_CHANGES) == set(Task.model_fields) - {"note"}
    assert set(FEATURE_CHANGES) == set(Feature.model_fields) - {"note", "context"}
    for part, changes in (("tasks", TASK_CHANGES), ("features", FEATURE_CHANGES)):
        last = len(getattr(log.schema, part)) - 1
        for name, value in changes.items():
            for place in (0, last):
                if getattr(getattr(log.schema, part)[place], name) != value:
                    assert changed_schema(log, part, place, **{name: value}).fingerprint("a") != own, (part, name, place)
        assert changed_schema(log, part, last, note="for people").fingerprint("a") == own
    assert changed_schema(log, "features", 0, context=True).fingerprint("a") == own, "training ignores this role"
    for name in ("group", "time", "weight"):
        schema = log.schema.model_copy(update={name: "another"})
        assert replace(log, encoder=replace(log.encoder, schema=schema)).fingerprint("a") != own, name
    schema = log.schema.model_copy(update={"ignored": {"x": "for people"}})
    assert replace(log, encoder=replace(log.encoder, schema=schema)).fingerprint("a") == own


def test_a_fingerprint_knows_what_the_encoder_was_fitted_to(encoded, log_table):
    log = encoded(log_table(200))
    own, encoder = log.fingerprint("a"), log.encoder
    user, age, watch = encoder.vocabularies["user"], encoder.scales["age"], encoder.labels["watch"]
    ids = user.values.to_pylist()
    others = {
        "an id": {
            "vocabularies": {**encoder.vocabularies, "user": replace(user, values=pa.array([*ids[:-1], 99], user.values.type))}
        },
        "buckets": {"vocabularies": {**encoder.vocabularies, "user": replace(user, buckets=64)}},
        "a knot": {"scales": {**encoder.scales, "age": replace(age, x=(*age.x[:-1], age.x[-1] + 1))}},
        "a label's mean": {"labels": {**encoder.labels, "watch": replace(watch, mean=watch.mean + 1)}},
        "a label's unit": {"labels": {**encoder.labels, "watch": replace(watch, sd=60 * watch.sd)}},
        "a type": {"types": {**encoder.types, "user": pa.string()}},
    }
    for name, changes in others.items():
        assert replace(log, encoder=replace(encoder, **changes)).fingerprint("a") != own, name
    for changes in ({}, {"vocabularies": {**encoder.vocabularies, "user": replace(user, hash="blake2b")}}):
        assert replace(log, encoder=replace(encoder, **changes)).fingerprint("a") == own, "no ids are hashed"


def test_a_fingerprint_knows_how_ids_were_hashed(encoded, log_table):
    """A run whose ids have other rows cannot be continued. A hash tells 7 from 7.0."""
    hashed = Schema(features=(Feature(name="user", kind="sparse", vocabulary="hash", buckets=64),), tasks=(Task(name="click"),))
    table = log_table(200)
    log = encoded(table, hashed)
    own, user = log.fingerprint("a"), log.encoder.vocabularies["user"]
    earlier = replace(log.encoder, vocabularies={"user": replace(user, hash="blake2b")})
    assert replace(log, encoder=earlier).fingerprint("a") != own
    for kind, same in ((pa.int16(), True), (pa.uint64(), True), (pa.float64(), False)):
        other = encoded(table.set_column(0, "user", table["user"].cast(kind)), hashed)
        assert (other.fingerprint("a") == own) is same
        assert (other.parts["test"].id_BS.tolist() == log.parts["test"].id_BS.tolist()) is same


def test_a_label_in_another_unit_is_another_log(encoded, log_table):
    """Seconds as minutes: the standardised labels are the same, and the run is not."""
    table = log_table(200)
    place = table.column_names.index("watch")
    minutes = pa.array(
        [None if value is None else value / 64 for value in table["watch"].to_pylist()], table.schema.field("watch").type
    )
    one, two = encoded(table), encoded(table.set_column(place, "watch", minutes))
    assert one.fingerprint("a") != two.fingerprint("a")


def test_a_fingerprint_of_a_log_with_one_kind_of_feature(encoded, log_table):
    for kind, name in (("sparse", "user"), ("dense", "age"), ("bag", "tags")):
        log = encoded(log_table(200), Schema(features=(Feature(name=name, kind=kind),), tasks=(Task(name="click"),)))
        assert log.fingerprint("a") == log.fingerprint("a") != log.fingerprint("b")


def test_the_summary_counts(encoded, log_table):
    table = log_table(300)
    summary = encoded(table).summary()
    assert sum(summary.rows.values()) == 300
    assert sum(part.rows for part in summary.tasks["click"].values()) == 300
    assert sum(part.rows for part in summary.tasks["like"].values()) == int(table["click"].to_numpy().sum())
    watched = sum(part.rows * part.mean for part in encoded(table, None).summary().tasks["watch"].values())
    assert watched > 0
    assert 15 < summary.tasks["watch"]["train"].mean < 35
    by_name = {feature.name: feature for feature in summary.features}
    assert by_name["user"].rows == 27
    assert by_name["price"].rows is None
    assert by_name["age"].null_share == pytest.approx(0.1, abs=0.06)
    assert by_name["user"].unknown_share == 0.0


@pytest.mark.parametrize("part", PARTS)
def test_a_fingerprint_knows_every_value_of_every_part(tmp_path, parts, log_schema, settings, part):
    """One value of any column changed, of the first row or the last."""

    def read(name: str, tables: dict[str, pa.Table]) -> EncodedLog:
        return encode_log(open_sources(write_log_folder(tmp_path / name, tables), settings()), log_schema(), settings())

    before, table = read("before", parts), parts[f"{part}.parquet"]
    names = log_schema().columns if part == "train" else log_schema().evaluated_columns
    assert [column.name for column in before.record.table(part).columns] == list(names)
    for c, name in enumerate(names):
        for row in {0, table.num_rows - 1} if c % 4 == 0 else {table.num_rows - 1}:
            values = table[name].to_pylist()
            others = [value for value in values if value is not None and value != values[row]]
            values[row] = others[0]
            place = table.column_names.index(name)
            changed = table.set_column(place, name, pa.array(values, table.schema.field(name).type))
            log = read(f"{part}-{name}-{row}", {**parts, f"{part}.parquet": changed})
            assert log.fingerprint("a") != before.fingerprint("a"), (name, row)
            (text,) = before.record.differences(log.record)
            assert f"{part}.parquet" in text
            assert f"column {name!r} has other values" in text
    assert read("again", parts).fingerprint("a") == before.fingerprint("a")


def test_the_record_names_the_files_and_the_rows(tmp_path, parts, log_schema, settings, monkeypatch):
    write_log_folder(tmp_path / "log", parts)
    monkeypatch.chdir(tmp_path)
    log = encode_log(open_sources("log", settings()), log_schema(), settings())
    assert [table.part for table in log.record.tables] == list(PARTS)
    for table in log.record.tables:
        assert table.paths == [str(tmp_path / "log" / f"{table.part}.parquet")]
        assert table.rows == parts[f"{table.part}.parquet"].num_rows == len(log.parts[table.part])


def test_a_split_log_has_one_table_whose_column_of_times_counts(log_table, settings):
    table = log_table(300).append_column("day", pa.array(np.arange(300) // 3))
    schema = Schema(features=(Feature(name="age", kind="dense"),), tasks=(Task(name="click"),), time="day")
    config = settings(split="time")
    one, two, random = (
        encode_log(open_sources(log, config), schema, config)
        for log, config in (
            (table, config),
            (table.set_column(13, "day", pa.array(np.arange(300) // 4)), config),
            (table, settings()),
        )
    )
    assert [column.name for column in one.record.table("train").columns] == ["age", "click", "day"]
    assert one.record.table("train").rows == 300
    assert "column 'day' has other values" in one.record.differences(two.record)[0]
    assert [column.name for column in random.record.table("train").columns] == ["age", "click"]


def shares_log() -> dict[str, pa.Table]:
    """Training rows of which a quarter, none and an eighth are null; test rows with nulls and ids unseen in other numbers."""
    train = pa.table(
        {
            "shop": ["a", "b", "a", None] * 10,
            "city": ["x", "y", "x", "y"] * 10,
            "age": [1.0, 2.0, 3.0, None, 5.0, 6.0, 7.0, 8.0] * 5,
            "click": [0, 1] * 20,
        }
    )
    test = pa.table(
        {
            "shop": ["a", None, None, None, None, "new", "b", "a", "newer", "b"],
            "city": ["x", "new", "new", "new", "y", "x", None, "new", "x", "y"],
            "age": [None] * 6 + [1.0] * 4,
            "click": [0, 1] * 5,
        }
    )
    return {"train.parquet": train, "valid.parquet": train, "test.parquet": test}


def test_unknown_and_null_shares_by_hand(tmp_path, settings):
    """Unknown: test rows whose id training had not seen, nulls left out of the count. Null: training rows."""
    features = (Feature(name="shop", kind="sparse"), Feature(name="city", kind="sparse"), Feature(name="age", kind="dense"))
    schema = Schema(features=features, tasks=(Task(name="click"),))
    log = encode_log(open_sources(write_log_folder(tmp_path, shares_log(), schema), settings()), schema, settings())
    found = {feature.name: (feature.null_share, feature.unknown_share) for feature in log.summary().features}
    assert found == {"shop": (0.25, 0.2), "city": (0.0, 0.4), "age": (0.125, None)}


def dated_log() -> pa.Table:
    """Ten days, of which the last four are validation and test: their ids, numbers, nulls and labels are of their own."""
    day = np.repeat(np.arange(10), 10)
    late = day >= 6
    return pa.table(
        {
            "day": day,
            "shop": np.where(late, "late", np.where(day % 2, "odd", "even")),
            "age": pa.array(np.where(late, 1000.0 + day, day), mask=late & (np.arange(100) % 2 == 0)),
            "tags": [["late", "odd"] if one else ["even"] for one in late],
            "position": 1 + np.arange(100) % 5,
            "depth": np.arange(100) / 10,
            "click": np.arange(100) % 2,
            "watch": np.where(late, 500.0, 10.0) + np.arange(100) % 4,
        }
    )


def dated(settings: Any) -> Any:
    features = (
        Feature(name="shop", kind="sparse"),
        Feature(name="age", kind="dense"),
        Feature(name="tags", kind="bag"),
        Feature(name="position", kind="sparse", bias=True),
        Feature(name="depth", kind="dense", bias=True, encoding="minmax"),
    )
    schema = Schema(features=features, tasks=(Task(name="click"), Task(name="watch", kind="regression")), time="day")
    config = settings(split="time")
    return encode_log(open_sources(dated_log(), config), schema, config)


def test_of_one_table_the_training_rows_alone_reach_the_encoder(settings):
    """Days 0 to 5 train: ids, bins, null shares and the label's mean are theirs, whatever comes later."""
    encoder = dated(settings).encoder
    assert encoder.vocabularies["shop"].values.to_pylist() == ["even", "odd"]
    assert encoder.vocabularies["tags"].values.to_pylist() == ["even"]
    assert (min(encoder.scales["age"].x), max(encoder.scales["age"].x)) == (0.0, 5.0)
    assert not encoder.scales["age"].nullable
    assert encoder.null_share == {"shop": 0.0, "age": 0.0, "tags": 0.0, "position": 0.0, "depth": 0.0}
    labels = np.array([10.0 + n % 4 for n in range(60)])
    assert encoder.labels["watch"].decode(np.zeros(1))[0] == pytest.approx(labels.mean(), abs=1e-6)
    assert encoder.labels["watch"].decode(np.ones(1))[0] == pytest.approx(labels.mean() + labels.std(), rel=1e-6)


def test_of_one_table_bias_features_are_known_in_training_rows_alone(settings):
    """The table has them on every row; serving will not."""
    log = dated(settings)
    train = log.parts["train"]
    assert train.id_BS[:, 1].tolist() == [2 + n % 5 for n in range(60)]
    np.testing.assert_allclose(train.number_BM[:, 1], np.arange(60) / 59, rtol=1e-6)
    for part in ("valid", "test"):
        assert len(log.parts[part]) == 20
        assert (log.parts[part].id_BS[:, 1] == 0).all()
        assert np.isnan(log.parts[part].number_BM[:, 1]).all()


def test_a_log_goes_to_files_if_it_is_known_not_to_fit(log_table, log_schema, settings, monkeypatch):
    """4 numbers and ids, 2 of them bias features, 2 bags, 3 tasks and a group: 400 rows need twice these bytes."""
    needed = encoded_bytes(log_schema(), 400)
    assert needed == 400 * (6 * 4 + 2 * 12 + 3 * 8 + 8)
    assert encoded_bytes(log_schema(), 400, number_ids=True) == needed + 400 * 2 * 4, "all numbers but the bias feature"
    with_statistics = encoded_bytes(log_schema(), 400, number_ids=True, statistics=True)
    assert with_statistics == needed + 400 * 2 * 4 + 400 * 6 * 3 * 4, "of 4 features of ids and 2 numbers, for 3 tasks"
    sources = open_sources(log_table(400), settings())
    for free, in_files in ((2.0 * needed, False), (2.0 * needed - 1, True)):
        monkeypatch.setattr("manygate.data.encoded.free_memory", lambda free=free: free)
        store = open_store(sources, log_schema(), settings())
        assert (store.folder is not None) == in_files
    assert open_store(sources, log_schema(), settings(memory="1MB")).folder is None


def test_a_log_whose_length_is_not_known_goes_to_files_once_it_is_too_large(log_table, log_schema, settings, tmp_path):
    write_csv(log_table(400).drop_columns(["tags", "codes"]), tmp_path / "log.csv")
    features = tuple(feature for feature in log_schema().features if feature.kind != "bag")
    schema = log_schema().model_copy(update={"features": features})
    for memory, in_files in (("1MB", False), ("5kB", True)):
        config = settings(memory=memory, rows_folder=str(tmp_path / "rows"))
        log = encode_log(open_sources(tmp_path / "log.csv", config), schema, config)
        assert {rows.files is not None for rows in log.parts.values()} == {in_files}
        assert sum(map(len, log.parts.values())) == 400


def everything(log: EncodedLog) -> list[object]:
    arrays = [
        getattr(rows, name) for rows in log.parts.values() for name in ("id_BS", "number_BM", "label_BT", "weight_BT", "groups")
    ]
    bags = [array for rows in log.parts.values() for bag in rows.bags for array in bag]
    counts = [(len(rows), rows.groupless) for rows in log.parts.values()]
    return [
        *((a.dtype, a.shape, a.tobytes()) for a in [*arrays, *bags]),
        counts,
        log.summary(),
        log.separations,
        log.fingerprint(""),
    ]


@pytest.mark.parametrize("blocks", [False, True], ids=["one block", "many blocks"])
@pytest.mark.parametrize("statistics", [False, True])
def test_rows_in_files_are_those_in_memory(blocks, statistics, log_table, repeating_ages, log_schema, settings, tmp_path, request):
    if blocks:
        request.getfixturevalue("small_blocks")
    table, found = repeating_ages(log_table(700)), []
    for memory in ("1GB", "0"):
        config = settings(memory=memory, rows_folder=str(tmp_path), number_ids=5, target_statistics=statistics)
        log = encode_log(open_sources(table, config), log_schema(), config)
        assert {rows.files is not None for rows in log.parts.values()} == {memory == "0"}
        found.append(everything(log))
    assert found[0] == found[1]


class Passes:
    """Records what is shown."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, int, int]] = []

    def start(self, title: str, total: int, done: int = 0) -> None:
        self.title, self.total, self.rows = title, total, done

    def advance(self, rows: int) -> None:
        self.rows += rows

    def finish(self) -> None:
        self.shown.append((self.title, self.total, self.rows))


@pytest.mark.parametrize("threads", [1, 3])
def test_both_passes_show_how_far_they_are(threads, log_table, log_schema, settings):
    passes = Passes()
    encode_log(open_sources(log_table(400), settings()), log_schema(), settings(), threads, passes)
    assert passes.shown == [("fitting the encoder", 400, 400), ("encoding", 400, 400)]


def test_the_number_of_threads_changes_nothing(log_table, repeating_ages, log_schema, settings):
    config = settings(number_ids=5, target_statistics=True)
    sources = open_sources(pa.concat_tables([repeating_ages(log_table(300, seed=seed)) for seed in range(4)]), config)
    logs = [encode_log(sources, log_schema(), config, threads) for threads in (1, 4)]
    assert everything(logs[0]) == everything(logs[1])


def test_the_files_of_rows_are_removed_with_the_log(log_table, log_schema, settings, tmp_path):
    config = settings(memory="0", rows_folder=str(tmp_path))
    log = encode_log(open_sources(log_table(400), config), log_schema(), config)
    files = log.parts["train"].files
    assert files is not None
    assert all(block.path.is_relative_to(tmp_path) and block.path.is_file() for block in files.blocks)
    del log, files
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_statistics_too_large_for_memory_are_refused(log_table, log_schema, settings, monkeypatch):
    """600 rows: the numbers that are there are copied once, and those that are added twice."""
    config, sizes = settings(target_statistics=True), iter([10**9, 4 * 600 * (3 + 2 * 4 * 3) - 1])
    monkeypatch.setattr("manygate.data.encoded.free_memory", lambda: next(sizes))
    with pytest.raises(InputError) as error:
        encode_log(open_sources(log_table(600), config), log_schema(), config)
    assert "target_statistics: the mean labels of ids need about 0.00 GB of memory for 600 rows" in str(error.value)
    assert "Give target_statistics=False, fewer rows, or less memory for the rows (memory)" in str(error.value)


def test_memory_that_runs_out_while_encoding_says_what_to_do(log_table, log_schema, settings, monkeypatch):
    def full(*_: Any, **__: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr("manygate.data.encode.Encoder.encode", full)
    assert "memory ran out" in (text := problems(log_table(400), log_schema(), settings))
    assert "Give the encoded rows less memory (memory='1GiB'), so that they go to files" in text


def test_warnings_of_files_reach_the_summary(parts, tmp_path, log_schema, settings):
    folder = write_log_folder(tmp_path / "log", {**parts, "extra.parquet": parts["test.parquet"]}, log_schema())
    warnings = encode_log(open_sources(folder, settings()), log_schema(), settings()).summary().warnings
    assert f"{folder}: the parts train, valid, test are read; not read: extra.parquet." in map(str, warnings)
