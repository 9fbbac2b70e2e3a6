"""Tables of ``tables.py`` with odd values, names and types, each with what should become of it."""

from __future__ import annotations

import bz2
import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.feather as pf
import pyarrow.parquet as pq
from attempts import ROWS, base_columns

GOOD, SAME, BAD, ANY = "accepted", "accepted with the predictions of the base table", "refused", "accepted or refused"


@dataclass(frozen=True)
class Table:
    """A table: what should become of it, the function that writes it into a folder, and the task that is trained on it."""

    name: str
    expected: str
    write: Callable[[Path], Path]
    task: str = "click"
    rows: int | None = ROWS
    user_as_text: bool = False
    binary: bool = True
    """Whether the label is 0 or 1; the predictions of a number have no bounds."""


def tables() -> Iterator[Table]:
    """Yield every table of this file."""
    yield from odd_numbers()
    yield from odd_texts()
    yield from odd_types()
    yield from odd_labels()
    yield from odd_names()
    yield from same_tables()


def parquet(**changes: pa.Array) -> Callable[[Path], Path]:
    """Return a function that writes the base table with some columns changed."""

    def write(folder: Path) -> Path:
        pq.write_table(pa.table({**base_columns(), **changes}), folder / "log.parquet", write_page_checksum=True)
        return folder / "log.parquet"

    return write


def repeated(*values: object, kind: pa.DataType | None = None) -> pa.Array:
    return pa.array([values[n % len(values)] for n in range(ROWS)], kind)


def odd_numbers() -> Iterator[Table]:
    x = base_columns()["x"].to_pylist()
    values = {
        "nan": float("nan"),
        "infinity": float("inf"),
        "minus infinity": -float("inf"),
        "largest float": 1.7e308,
        "smallest float": 5e-324,
        "minus zero": -0.0,
        "null": None,
        "huge": 1e300,
    }
    for name, value in values.items():
        yield Table(f"numbers: one {name}", ANY if "inf" in name else GOOD, parquet(x=pa.array([value, *x[1:]])))
        yield Table(
            f"numbers: every fifth {name}",
            ANY if "inf" in name else GOOD,
            parquet(x=pa.array([value if n % 5 == 0 else v for n, v in enumerate(x)])),
        )
        yield Table(f"numbers: all {name}", ANY, parquet(x=pa.array([value] * ROWS, pa.float64())))
    yield Table("numbers: float32 extremes", GOOD, parquet(x=repeated(3.4e38, -3.4e38, 0.0, kind=pa.float32())))
    yield Table("numbers: float16", GOOD, parquet(x=pa.array(np.arange(ROWS).astype(np.float16))))
    yield Table("numbers: uint64 extremes", GOOD, parquet(x=repeated(0, 2**64 - 1, 2**63, kind=pa.uint64())))
    yield Table("numbers: int64 extremes", GOOD, parquet(x=repeated(-(2**63), 2**63 - 1, 0, kind=pa.int64())))
    yield Table("ids: floats beyond 2^53", ANY, parquet(user=repeated(2.0**53, 2.0**53 + 2, 2.0**60)))
    yield Table("ids: floats with halves", ANY, parquet(user=repeated(1.5, 2.0, 3.25)))


def odd_texts() -> Iterator[Table]:
    texts = {
        "empty": "",
        "space": " ",
        "control": "\x1b[2J\x07",
        "nul": "\x00",
        "newlines": "a\nb\r\nc",
        "direction marks": "‮abc",
        "emoji": "🧑‍🚀",
        "formula": "=cmd|' /C calc'!A0",
        "html": "<script>alert(1)</script>",
        "sql": "'; drop table users; --",
        "long": "x" * 100_000,
        "null words": "NULL",
        "nan words": "nan",
        "yaml": "!!python/object:os.system",
        "template": "{{ 7 * 7 }} {% raw %}",
        "format": "%s %n {0} ${HOME}",
    }
    for name, text in texts.items():
        yield Table(f"texts: {name}", GOOD, parquet(country=repeated(text, "CH", "DE")))
    yield Table("texts: all different", GOOD, parquet(country=pa.array([f"row {n}" for n in range(ROWS)])))
    yield Table("texts: composed and decomposed accents", GOOD, parquet(country=repeated("é", "é", "e")))


def odd_types() -> Iterator[Table]:
    moment = datetime(2026, 1, 1, 12, tzinfo=UTC)
    kinds = {
        "decimal128": repeated(Decimal("1.10"), Decimal("2.20"), kind=pa.decimal128(5, 2)),
        "decimal256": repeated(Decimal("1" + "0" * 50), Decimal("2.20"), kind=pa.decimal256(70, 2)),
        "date32": repeated(date(1, 1, 1), date(9999, 12, 31), kind=pa.date32()),
        "date64": repeated(date(2026, 1, 1), date(2026, 1, 2), kind=pa.date64()),
        "time32": repeated(time(1), time(2), kind=pa.time32("s")),
        "time64": repeated(time(1), time(2), kind=pa.time64("ns")),
        "timestamp": repeated(moment.replace(tzinfo=None), None, kind=pa.timestamp("ns")),
        "timestamp with a zone": repeated(moment, kind=pa.timestamp("us", "Europe/Zurich")),
        "duration": repeated(timedelta(1), timedelta(2), kind=pa.duration("ms")),
        "binary": repeated(b"\xff\x00", b"\xfe", kind=pa.binary()),
        "large_binary": repeated(b"\xff", b"\xfe", kind=pa.large_binary()),
        "fixed_size_binary": repeated(b"\xff" * 16, b"\xfe" * 16, kind=pa.binary(16)),
        "large_string": repeated("a", "b", kind=pa.large_string()),
        "bool": repeated(True, False, None),
        "null": pa.nulls(ROWS),
        "struct": repeated({"a": 1, "b": "x"}, {"a": 2, "b": None}),
        "map": repeated([("a", 1)], [], kind=pa.map_(pa.string(), pa.int64())),
        "list": repeated([1, 2], [], None, [None], kind=pa.list_(pa.int64())),
        "list of text": repeated(["a"], ["b", "b"], kind=pa.list_(pa.string())),
        "large_list": repeated([1], [2], kind=pa.large_list(pa.int64())),
        "fixed_size_list": repeated([1.0, 2.0], [2.0, float("nan")], kind=pa.list_(pa.float64(), 2)),
        "list of lists": repeated([[1], [2]], [[3]], kind=pa.list_(pa.list_(pa.int64()))),
        "list of structs": repeated([{"a": 1}], []),
        "list of nan": repeated([float("nan")], [1.0], kind=pa.list_(pa.float64())),
        "long lists": repeated(list(range(2_000)), [1], kind=pa.list_(pa.int64())),
        "int8": repeated(-128, 127, kind=pa.int8()),
        "dictionary": repeated("a", "b").dictionary_encode(),
        "dictionary with an unused value": pa.DictionaryArray.from_arrays(
            repeated(0, 1, kind=pa.int8()), pa.array(["a", "b", "c"])
        ),
        "dictionary of integers": repeated(7, 8).dictionary_encode(),
    }
    for name, column in kinds.items():
        yield Table(f"types: a feature of {name}", ANY, parquet(country=column))
    for name in ("decimal128", "date32", "timestamp", "binary", "struct", "list", "bool", "null", "duration", "dictionary"):
        yield Table(f"types: a label of {name}", ANY, parquet(click=kinds[name]), binary=False)


def odd_labels() -> Iterator[Table]:
    click = base_columns()["click"].to_pylist()
    labels = {
        "all zero": (BAD, pa.array([0] * ROWS)),
        "all one": (BAD, pa.array([1] * ROWS)),
        "all null": (BAD, pa.array([None] * ROWS, pa.int64())),
        "one positive": (ANY, pa.array([1] + [0] * (ROWS - 1))),
        "half null": (GOOD, pa.array([None if n % 2 else v for n, v in enumerate(click)])),
        "nan": (ANY, pa.array([float("nan") if n == 3 else float(v) for n, v in enumerate(click)])),
        "infinite": (ANY, pa.array([float("inf") if n == 3 else float(v) for n, v in enumerate(click)])),
        "one and two": (ANY, pa.array([v + 1 for v in click])),
        "minus one and one": (ANY, pa.array([2 * v - 1 for v in click])),
        "words": (ANY, pa.array(["yes" if v else "no" for v in click])),
        "text digits": (ANY, pa.array([str(v) for v in click])),
        "large": (ANY, pa.array([float(v) * 1e300 for v in click])),
        "a third value": (ANY, pa.array([2 if n == 100 else v for n, v in enumerate(click)])),
    }
    for name, (expected, column) in labels.items():
        yield Table(f"labels: {name}", expected, parquet(click=column), binary=False)
    yield Table("labels: of a column that is missing", BAD, parquet(), task="clik")
    yield Table("labels: with an unfinished where", BAD, parquet(), task="click:where=user ==")
    yield Table("labels: with a where of another language", BAD, parquet(), task="click:where=__import__('os').system('id')")
    yield Table("labels: with a where of many parentheses", BAD, parquet(), task=f"click:where={'(' * 3000}x > 0{')' * 3000}")
    yield Table("labels: with a long where", ANY, parquet(), task="click:where=" + " or ".join(["x > 0"] * 1500))
    yield Table("labels: with an empty space", BAD, parquet(), task="click:where=x > 1e9")


def odd_names() -> Iterator[Table]:
    names = ["", " ", "a b", "a,b", "a:b", "a=b", 'a"b', "a'b", "a\nb", "a\tb", "\x1b[31mred", "‮", "é", "🧑", "x" * 5_000]
    names += [
        "__index_level_0__",
        "Unnamed: 0",
        "1",
        "null",
        "true",
        "../../etc/passwd",
        "%s",
        "{{x}}",
        "<b>",
        "=1+1",
        "a/b",
        "-x",
        "--task",
    ]
    names += ["score", "click_probability", "user.id", "weight", "\x00", "|", "model|x"]
    for name in names:
        yield Table(f"names: a feature {name[:20]!r}", GOOD, parquet(**{name: base_columns(1)["x"]}))
    yield Table("names: no feature but the label", BAD, _columns(["click"]))
    yield Table("names: the same name twice", BAD, _columns(["user", "user", "click"]))
    yield Table("names: three thousand columns", GOOD, parquet(**{f"c{n}": base_columns(1)["x"] for n in range(3_000)}))


def _columns(names: list[str]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        columns = base_columns()
        pq.write_table(pa.Table.from_arrays([columns[name] for name in names], names), folder / "log.parquet")
        return folder / "log.parquet"

    return write


def same_tables() -> Iterator[Table]:
    base = pa.table(base_columns())
    arrow = {
        "categories": base.set_column(0, "user", base["user"].dictionary_encode()),
        "large strings": base.set_column(0, "user", base["user"].cast(pa.large_string())),
        "a label of bool": base.set_column(3, "click", base["click"].cast(pa.bool_())),
        "a label of int8": base.set_column(3, "click", base["click"].cast(pa.int8())),
        "a label of float": base.set_column(3, "click", base["click"].cast(pa.float64())),
        "a label of uint64": base.set_column(3, "click", base["click"].cast(pa.uint64())),
        "a label of decimal": base.set_column(3, "click", base["click"].cast(pa.decimal128(19, 0))),
        "chunks of 7 rows": pa.concat_tables([base.slice(n, 7) for n in range(0, ROWS, 7)]),
    }
    for name, table in arrow.items():
        yield Table(f"same: {name}", SAME, lambda folder, table=table: _written(pq.write_table, table, folder / "log.parquet"))
    for rows in (1, 50):
        yield Table(
            f"same: row groups of {rows}",
            SAME,
            lambda folder, rows=rows: _written(lambda t, p: pq.write_table(t, p, rows), base, folder / "log.parquet"),
        )
    for packed in ("none", "gzip", "brotli", "lz4", "zstd"):
        yield Table(
            f"same: Parquet packed by {packed}",
            SAME,
            lambda folder, packed=packed: _written(
                lambda t, p: pq.write_table(t, p, compression=packed), base, folder / "log.parquet"
            ),
        )
    yield Table(
        "same: Parquet of version 1",
        SAME,
        lambda folder: _written(
            lambda t, p: pq.write_table(t, p, version="1.0", use_dictionary=False), base, folder / "log.parquet"
        ),
    )
    yield Table("same: Feather", SAME, lambda folder: _written(pf.write_feather, base, folder / "log.feather"))
    yield Table("same: an Arrow stream", SAME, _arrow_stream)
    text = base_csv()
    writers = {
        "CSV": ("log.csv", text.encode()),
        "CSV with a byte order mark": ("log.csv", b"\xef\xbb\xbf" + text.encode()),
        "CSV with Windows lines": ("log.csv", text.replace("\n", "\r\n").encode()),
        "CSV without a last line end": ("log.csv", text.rstrip("\n").encode()),
        "CSV in UTF-16": ("log.csv", text.encode("utf-16")),
        "CSV in gzip": ("log.csv.gz", gzip.compress(text.encode())),
        "CSV in bzip2": ("log.csv.bz2", bz2.compress(text.encode())),
        "CSV with quotes": (
            "log.csv",
            "\n".join(",".join(f'"{v}"' for v in line.split(",")) for line in text.splitlines()).encode() + b"\n",
        ),
        "TSV": ("log.tsv", text.replace(",", "\t").encode()),
        "CSV with semicolons": ("log.csv", text.replace(",", ";").encode()),
        "CSV with pipes": ("log.csv", text.replace(",", "|").encode()),
        "CSV with tabs": ("log.csv", text.replace(",", "\t").encode()),
    }
    for name, (file, content) in writers.items():
        yield Table(f"same: {name}", SAME, lambda folder, file=file, content=content: write_bytes(folder / file, content))


def _written(write: Callable[[pa.Table, Path], object], table: pa.Table, path: Path) -> Path:
    write(table, path)
    return path


def _arrow_stream(folder: Path) -> Path:
    table = pa.table(base_columns())
    with pa.OSFile(str(folder / "log.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return folder / "log.arrow"


def base_csv() -> str:
    sink = pa.BufferOutputStream()
    pc_csv.write_csv(pa.table(base_columns()), sink, pc_csv.WriteOptions(quoting_style="none"))
    return str(sink.getvalue().to_pybytes().decode()).replace('"', "")


def write_bytes(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
