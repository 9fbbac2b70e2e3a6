"""A value is one id and one number however it is stored: for every pair of representations, and for any values."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pc_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoders import KEEP_ALL, schema_of
from manygate.config import RunConfig
from manygate.data.encode import Encoder
from manygate.data.fit import fit_encoder
from manygate.data.rows import NULL_ROW, UNKNOWN_ROW
from manygate.data.table import open_table
from manygate.errors import InputError
from manygate.model import MultiTaskModel
from manygate.model.problem import Problem
from manygate.schema import Feature
from manygate.scoring.predictor import Predictor

Values = list[int | None]
quick = settings(max_examples=60, deadline=None, derandomize=True)


def arrow(kind: pa.DataType) -> Callable[[Values], pa.Table]:
    return lambda values: pa.table({"id": pa.array(values, kind)})


def texts(values: Values) -> list[str | None]:
    return [None if value is None else str(value) for value in values]


def decimals(values: Values) -> list[Decimal | None]:
    return [None if value is None else Decimal(value) for value in values]


def in_arrow(make: Callable[[Values], Any]) -> Callable[[Values], pa.Table]:
    return lambda values: pa.table({"id": make(values)})


def in_pandas(make: Callable[[Values], Any]) -> Callable[[Values], pd.DataFrame]:
    return lambda values: pd.DataFrame({"id": make(values)})


def in_polars(make: Callable[[Values], pl.Series]) -> Callable[[Values], pl.DataFrame]:
    return lambda values: pl.DataFrame({"id": make(values)})


def as_index(values: Values) -> pd.DataFrame:
    return pd.DataFrame({"other": [0.5] * len(values)}, index=pd.Index(pd.array(values, "Int64"), name="id"))


EXACT: dict[str, Callable[[Values], Any]] = {
    "int64": arrow(pa.int64()),
    "dictionary": in_arrow(lambda v: pa.array(v, pa.int64()).dictionary_encode()),
    "run ends": in_arrow(lambda v: pc.run_end_encode(pa.array(v, pa.int64()))),
    "decimal128": in_arrow(lambda v: pa.array(decimals(v), pa.decimal128(38, 0))),
    "decimal256": in_arrow(lambda v: pa.array(decimals(v), pa.decimal256(40, 0))),
    "string": in_arrow(lambda v: pa.array(texts(v), pa.string())),
    "large_string": in_arrow(lambda v: pa.array(texts(v), pa.large_string())),
    "string_view": in_arrow(lambda v: pa.array(texts(v), pa.string_view())),
    "dictionary of strings": in_arrow(lambda v: pa.array(texts(v), pa.string()).dictionary_encode()),
    "binary": in_arrow(lambda v: pa.array(texts(v), pa.string()).cast(pa.binary())),
    "pandas Int64": in_pandas(lambda v: pd.array(v, "Int64")),
    "pandas int64[pyarrow]": in_pandas(lambda v: pd.array(v, "int64[pyarrow]")),
    "pandas categories": in_pandas(lambda v: pd.Series(pd.array(v, "Int64")).astype("category")),
    "pandas categories of text": in_pandas(lambda v: pd.Series(texts(v), dtype="str").astype("category")),
    "pandas objects": in_pandas(lambda v: pd.Series(v, dtype=object)),
    "pandas text": in_pandas(lambda v: pd.Series(texts(v), dtype="str")),
    "pandas Decimal": in_pandas(lambda v: pd.Series(decimals(v), dtype=object)),
    "pandas index": as_index,
    "polars Int64": in_polars(lambda v: pl.Series(v, dtype=pl.Int64)),
    "polars Int128": in_polars(lambda v: pl.Series(v, dtype=pl.Int128)),
    "polars String": in_polars(lambda v: pl.Series(texts(v), dtype=pl.String)),
    "polars Categorical": in_polars(lambda v: pl.Series(texts(v), dtype=pl.Categorical)),
    "polars lazy": lambda v: pl.LazyFrame({"id": pl.Series(v, dtype=pl.Int64)}),
}
"""Representations of every int64."""

SMALL: dict[str, Callable[[Values], Any]] = {
    **{str(kind): arrow(kind) for kind in (pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())},
    "float16": in_arrow(lambda v: pa.array([None if x is None else np.float16(x) for x in v], pa.float16())),
    "float32": in_arrow(lambda v: pa.array(v, pa.float32())),
    "float64": in_arrow(lambda v: pa.array([None if x is None else float(x) for x in v], pa.float64())),
    "decimals with a scale": in_arrow(lambda v: pa.array(decimals(v), pa.decimal128(20, 4))),
    "pandas floats": in_pandas(lambda v: pd.Series([np.nan if x is None else float(x) for x in v])),
    "pandas Float64": in_pandas(lambda v: pd.array(v, "Float64")),
    "pandas sparse": in_pandas(lambda v: pd.arrays.SparseArray([np.nan if x is None else float(x) for x in v])),
    "pandas UInt8": in_pandas(lambda v: pd.array(v, "UInt8")),
    "polars UInt64": in_polars(lambda v: pl.Series(v, dtype=pl.UInt64)),
    "polars Float64": in_polars(lambda v: pl.Series(v, dtype=pl.Float64)),
    "polars Decimal": in_polars(lambda v: pl.Series(decimals(v), dtype=pl.Decimal(10, 2))),
}
"""Representations of the whole numbers from 0 to 127."""

ALL = {**EXACT, **SMALL}


def batches(source: Any) -> list[tuple[str, pa.RecordBatch]]:
    """The rows of a source with a label, as training reads them."""
    read = list(open_table(source).batches())
    return [(location, batch.append_column("click", pa.array(np.arange(batch.num_rows) % 2))) for location, batch in read]


def encoder_of(source: Any, feature: Feature) -> Encoder:
    return fit_encoder(schema_of(feature), KEEP_ALL, batches(source))


def rows_in(encoder: Encoder, source: Any) -> list[int]:
    table = open_table(source)
    encoder.check(table.arrow_schema, table.name, ["id"])
    return list(chain.from_iterable(encoder.encode(batch, labels=False).id_BS[:, 0].tolist() for _, batch in table.batches(["id"])))


SPARSE = Feature(name="id", kind="sparse")
HASHED = Feature(name="id", kind="sparse", vocabulary="hash", buckets=2**20)
small = st.lists(st.one_of(st.none(), st.integers(0, 127)), min_size=1, max_size=12).filter(any)
large = st.integers(-(2**63), 2**63 - 1)


@pytest.mark.parametrize("feature", [SPARSE, HASHED], ids=["ids", "hashed"])
@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(ALL)), st.sampled_from(sorted(ALL)), small, small)
def test_small_ids_have_one_row_in_every_pair_of_representations(
    feature: Feature, fitted: str, served: str, known: Values, others: Values
) -> None:
    encoder = encoder_of(ALL[fitted](known), feature)
    plain = rows_in(encoder, ALL[fitted]([*known, *others]))
    assert rows_in(encoder, ALL[served]([*known, *others])) == plain
    by_value = dict(zip([*known, *others], plain, strict=True))
    assert by_value.get(None, NULL_ROW) == NULL_ROW
    if feature is SPARSE:
        assert {value: row for value, row in by_value.items() if row == UNKNOWN_ROW}.keys() == set(others) - set(known) - {None}
        assert len({by_value[value] for value in known}) == len(set(known))


@quick
@given(
    st.sampled_from(sorted(EXACT)),
    st.sampled_from(sorted(EXACT)),
    st.lists(st.one_of(st.none(), large, st.integers(2**53 - 2, 2**53 + 2)), min_size=1, max_size=12).filter(any),
    large,
)
def test_large_ids_have_one_row_in_every_pair_of_exact_representations(fitted: str, served: str, known: Values, other: int) -> None:
    encoder = encoder_of(EXACT[fitted](known), SPARSE)
    rows = rows_in(encoder, EXACT[served](known))
    assert rows == rows_in(encoder, EXACT[fitted](known))
    assert len(set(rows)) == len(set(known)), "different ids have different rows"
    assert rows_in(encoder, EXACT[served]([other, None])) == [dict(zip(known, rows, strict=True)).get(other, UNKNOWN_ROW), NULL_ROW]


@quick
@given(
    st.sampled_from(sorted(EXACT)),
    st.sampled_from(["float64", "float32", "pandas floats", "decimals with a scale", "polars Float64"]),
    st.lists(st.one_of(large, st.integers(2**53 - 2, 2**53 + 2), st.integers(2**24 - 2, 2**24 + 2)), min_size=1, max_size=6),
    st.booleans(),
)
def test_an_id_that_a_type_cannot_hold_is_refused_and_never_another(
    fitted: str, rounding: str, known: list[int], swapped: bool
) -> None:
    """Whichever side rounds, each row is that of its value, or there is an error."""
    try:
        rounded = SMALL[rounding](known)  # type: ignore[arg-type]
    except (pa.ArrowInvalid, OverflowError):
        return  # the library itself refuses to round
    exact = EXACT[fitted](known)  # type: ignore[arg-type]
    encoder = encoder_of(rounded if swapped else exact, SPARSE)
    try:
        rows = rows_in(encoder, exact if swapped else rounded)
    except InputError as error:
        assert "may stand for several ids" in str(error)  # noqa: PT017
        assert max(abs(value) for value in known) >= (2**24 if rounding == "float32" else 2**53) - 1
        return
    assert UNKNOWN_ROW not in rows
    assert len(set(rows)) == len(set(known))


BAGS: dict[str, Callable[[list[Values | None]], Any]] = {
    "list": lambda v: pa.table({"id": pa.array(v, pa.list_(pa.int64()))}),
    "large_list": lambda v: pa.table({"id": pa.array(v, pa.large_list(pa.int16()))}),
    "list_view": lambda v: pa.table({"id": pa.array(v, pa.list_view(pa.int64()))}),
    "large_list_view": lambda v: pa.table({"id": pa.array(v, pa.large_list_view(pa.uint64()))}),
    "floats": lambda v: pa.table({"id": pa.array(v, pa.list_(pa.float64()))}),
    "text": lambda v: pa.table({"id": pa.array([None if x is None else texts(x) for x in v], pa.list_(pa.string_view()))}),
    "views of text": lambda v: pa.table({"id": pa.array([None if x is None else texts(x) for x in v], pa.list_view(pa.string()))}),
    "decimals": lambda v: pa.table(
        {"id": pa.array([None if x is None else decimals(x) for x in v], pa.list_(pa.decimal128(9, 0)))}
    ),
    "pandas tuples": lambda v: pd.DataFrame({"id": pd.Series([None if x is None else tuple(x) for x in v], dtype=object)}),
    "polars lists": lambda v: pl.DataFrame({"id": pl.Series(v, dtype=pl.List(pl.Int32))}),
}


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.sampled_from(sorted(BAGS)),
    st.sampled_from(sorted(BAGS)),
    st.lists(st.one_of(st.none(), st.lists(st.one_of(st.none(), st.integers(0, 127)), max_size=4)), min_size=1, max_size=8),
    st.integers(0, 7),
)
def test_bags_have_the_same_rows_in_every_pair_of_representations(
    fitted: str, served: str, bags: list[Values | None], first: int
) -> None:
    bags = [[1, 2], *bags]
    encoder = encoder_of(BAGS[fitted](bags), Feature(name="id", kind="bag"))

    def encoded(source: Any) -> list[Any]:
        [batch] = [batch for _, batch in open_table(source).batches(["id"])]
        ((ids, offsets),) = encoder.encode(batch.slice(first), labels=False).bags
        return [ids.tolist(), offsets.tolist()]

    assert encoded(BAGS[served](bags)) == encoded(BAGS[fitted](bags))
    lengths = [0 if bag is None else len(bag) for bag in bags[first:]]
    assert encoded(BAGS[served](bags))[1] == np.cumsum([0, *lengths]).tolist()


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """A model with an id and a number, fitted on int64."""
    values = [*range(128), None]
    log = pa.record_batch({"id": pa.array(values), "number": pa.array(values), "click": np.arange(129) % 2})
    features = (Feature(name="id", kind="sparse"), Feature(name="number", kind="dense", encoding="piecewise"))
    encoder = fit_encoder(schema_of(*features), KEEP_ALL, [("log", log)])
    config = RunConfig.build({"dim": 4, "experts": 2, "expert_hidden": (4,), "tower_hidden": (4,), "threads": 1})
    return Predictor(MultiTaskModel(Problem.of(encoder, config), config), encoder)


NUMBERS = sorted(
    name for name in ALL if not any(word in name for word in ("string", "text", "binary", "String", "Categorical", "index"))
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.sampled_from(NUMBERS), small)
def test_predictions_are_equal_for_every_representation(predictor: Predictor, kind: str, values: Values) -> None:
    expected = predictor.predict(pa.table({"id": pa.array(values, pa.int64()), "number": pa.array(values, pa.int64())}))
    source = ALL[kind](values)
    if isinstance(source, pa.Table):
        source = source.append_column("number", source["id"])
    elif isinstance(source, pd.DataFrame):
        source = source.assign(number=source["id"])
    else:
        source = source.with_columns(number=pl.col("id"))
    predicted = predictor.predict(source)
    predicted = predicted.collect() if isinstance(predicted, pl.LazyFrame) else predicted
    np.testing.assert_array_equal(np.asarray(predicted["click"]), expected["click"].to_numpy())


WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {
    "parquet": pq.write_table,
    "csv": lambda table, path: pc_csv.write_csv(table, path),
}


@quick
@given(
    st.sampled_from(sorted(WRITERS)),
    st.lists(st.one_of(st.none(), large), min_size=2, max_size=12, unique=True).filter(
        lambda values: any(v is not None for v in values)
    ),
)
def test_ids_of_files_are_those_of_dataframes(ending: str, known: Values) -> None:
    encoder = encoder_of(EXACT["int64"](known), SPARSE)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"log.{ending}"
        WRITERS[ending](pa.table({"id": pa.array(known, pa.int64()), "other": [0] * len(known)}), path)
        assert rows_in(encoder, str(path)) == rows_in(encoder, EXACT["int64"](known))


@quick
@given(st.lists(st.text("0123456789.-+eE ", max_size=6), min_size=1, max_size=8))
def test_different_texts_stay_different(known: list[str]) -> None:
    encoder = encoder_of(pa.table({"id": known}), SPARSE)
    rows = rows_in(encoder, pa.table({"id": known}))
    assert len(set(rows)) == len(set(known))


@quick
@given(st.lists(st.integers(-200, 200), min_size=1, max_size=6), st.text("0123456789.-", min_size=1, max_size=5))
def test_a_text_is_the_id_that_it_is_the_digits_of_and_no_other(known: list[int], text: str) -> None:
    encoder = encoder_of(pa.table({"id": known}), SPARSE)
    try:
        [row] = rows_in(encoder, pa.table({"id": [text]}))
    except InputError as error:
        assert "is no whole number" in str(error)  # noqa: PT017
        assert not text.removeprefix("-").isdigit()
        return
    same = [value for value in known if str(value) == text]
    assert (row != UNKNOWN_ROW) == bool(same)
    if same:
        assert [row] == rows_in(encoder, pa.table({"id": same[:1]}))
