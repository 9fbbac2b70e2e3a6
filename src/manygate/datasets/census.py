"""Census-Income (KDD), the public data of section 6 of the MMoE paper, with two tasks a group."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import http.client
import os
import shutil
import urllib.request
import uuid
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from manygate.datasets.folder import WrittenDataset, check_out, check_seed, write_dataset
from manygate.errors import InputError, did_you_mean, setting
from manygate.schema import Feature, Schema, Task

GROUPS = ("income", "education")
LABELS = (*GROUPS, "never_married")
URL = "https://archive.ics.uci.edu/ml/machine-learning-databases/census-income-mld/"
TIMEOUT_SECONDS = 60.0
SHA256 = {
    "census-income.data": "3676a81db7d3528f3f8b9f3c699d0f0aa28db45e6e994fa0b8ed38327539ee86",
    "census-income.test": "98402b1ab879573d0a7f38a699a40258080e25e33d3401e7bf9c96d3fa0fab8c",
}
DENSE = (
    "age",
    "wage_per_hour",
    "capital_gains",
    "capital_losses",
    "dividends",
    "num_persons_worked_for_employer",
    "weeks_worked",
)
CODES = ("industry", "occupation", "own_business", "veterans_benefits", "year")
# The 42 fields of a line, in the order of census-income.names; the ones in NOT_INPUTS are labels, or say how rows were sampled.
FIELDS = (
    "age",
    "class_of_worker",
    "industry",
    "occupation",
    "education_level",
    "wage_per_hour",
    "enrolled_in_education",
    "marital_status",
    "major_industry",
    "major_occupation",
    "race",
    "hispanic_origin",
    "sex",
    "union_member",
    "reason_for_unemployment",
    "employment_status",
    "capital_gains",
    "capital_losses",
    "dividends",
    "tax_filer_status",
    "previous_region",
    "previous_state",
    "household_and_family",
    "household_summary",
    "instance_weight",
    "migration_msa",
    "migration_region",
    "migration_within_region",
    "same_house_a_year_ago",
    "migration_sunbelt",
    "num_persons_worked_for_employer",
    "family_members_under_18",
    "father_birth_country",
    "mother_birth_country",
    "birth_country",
    "citizenship",
    "own_business",
    "veterans_questionnaire",
    "veterans_benefits",
    "weeks_worked",
    "year",
    "income_class",
)
NOT_INPUTS = ("education_level", "marital_status", "instance_weight", "income_class")
INPUTS = tuple(field for field in FIELDS if field not in NOT_INPUTS)
INCOMES = ("- 50000.", "50000+.")
ASSOCIATE_OR_ABOVE = (
    "Associates degree-occup /vocational",
    "Associates degree-academic program",
    "Bachelors degree(BA AB BS)",
    "Masters degree(MA MS MEng MEd MSW MBA)",
    "Prof school degree (MD DDS DVM LLB JD)",
    "Doctorate degree(PhD EdD)",
)


def census(
    group: str, out: str | Path, data_dir: str | Path | None = None, seed: int = 0, overwrite: bool = False
) -> WrittenDataset:
    """Write UCI Census-Income (KDD) as the folder ``out`` and return what was written.

    Both tasks are binary and defined on every row (MMoE, Ma et al. 2018, section 6.3.1). Group ``income``: ``income`` (above
    50,000 dollars a year) and ``never_married``. Group ``education``: ``education`` (associate degree or above, the reading of
    "at least college" that gives the paper's correlation) and ``never_married``. Inputs are 38 of the 40 attributes, 7 dense
    and 31 sparse: education and marital status are out of both groups, and so is the instance weight, which says how rows were
    sampled. ``NA`` and ``?`` stay values of their own.

    train.parquet holds the 199,523 rows of the train file; the 99,762 of the test file are halved at random by ``seed`` into
    valid.parquet and test.parquet.

    Args:
        group: ``income`` or ``education``.
        out: Folder to write.
        data_dir: Folder with census-income.data and census-income.test, plain, .gz or .bz2. Without it both are downloaded once
            from the UCI archive into ``$MANYGATE_CACHE``, or ~/.cache/manygate.
        seed: Seed of the split of the test file.
        overwrite: Replace a folder that is there and not empty.

    Raises:
        InputError: Unknown group, bad seed, ``out`` taken, files missing, not downloadable, or not the published ones.

    Example:
        ``census("income", "census-income", data_dir="downloads")``
    """
    problems = check_seed(seed)
    if group not in GROUPS:
        problems.insert(0, f"group {group!r} is unknown.{did_you_mean(group, GROUPS)} Known: {', '.join(GROUPS)}.")
    if problems:
        raise InputError(problems)
    target = check_out(out, overwrite)
    if data_dir is not None and Path(data_dir).expanduser().resolve().is_relative_to(target):
        raise InputError(
            f"{setting('out', target)} holds the source files of {setting('data_dir')}. Choose another {setting('out')}."
        )
    tables = census_tables((group, "never_married"), data_dir, seed)
    files = {
        **{f"{part}.parquet": table for part, table in tables.items()},
        "schema.yaml": census_schema(group).to_yaml(),
        "README.md": _readme(group, seed),
    }
    return write_dataset(out, files, overwrite)


def census_tables(labels: Sequence[str] = LABELS, data_dir: str | Path | None = None, seed: int = 0) -> dict[str, pa.Table]:
    """Return the rows of train, valid and test as :func:`census` writes them, with the labels that are named.

    Raises :class:`InputError` if files are missing, not downloadable, or not the published ones.
    """
    train, rest = (_parse(_source(name, data_dir), name, labels) for name in SHA256)
    order = np.random.Generator(np.random.PCG64(seed)).permutation(rest.num_rows)
    half = rest.num_rows // 2
    return {"train": train, "valid": rest.take(np.sort(order[:half])), "test": rest.take(np.sort(order[half:]))}


def census_schema(group: str) -> Schema:
    """The schema of a group: 38 inputs and two tasks."""
    return task_schema((group, "never_married"))


def task_schema(tasks: Sequence[str]) -> Schema:
    """The schema of 38 inputs and some of the three tasks."""
    notes = {
        "income": "Income above 50,000 dollars a year.",
        "education": "Associate degree or above.",
        "never_married": "Marital status is 'Never married'.",
    }
    features = [
        Feature(name=name, kind="dense")
        if name in DENSE
        else Feature(name=name, kind="sparse", note="A code, not a quantity." if name in CODES else "")
        for name in INPUTS
    ]
    return Schema(features=tuple(features), tasks=tuple(Task(name=name, note=notes[name]) for name in tasks))


def _readme(group: str, seed: int) -> str:
    return f"""# Census-Income (KDD), group {group}

Current population survey of the US Census Bureau, 1994 and 1995. Tasks: {group}, never_married. 38 inputs (7 dense, 31 sparse).
Train is the published train file; validation and test are halves of the published test file, split at random with seed {seed}.

Source: UCI Machine Learning Repository, Census-Income (KDD), https://doi.org/10.24432/C5N30T
Licence of the data: CC BY 4.0
Written by manygate.datasets.census(group={group!r}, seed={seed}).
"""


def parse_records(raw: bytes, name: str, group: str) -> pa.Table:
    """The inputs and the group's two labels from the text of a file; ``name`` is for errors."""
    return _parse(raw, name, (group, "never_married"))


def _parse(raw: bytes, name: str, tasks: Sequence[str]) -> pa.Table:
    try:
        table = pacsv.read_csv(
            pa.BufferReader(raw),
            read_options=pacsv.ReadOptions(column_names=list(FIELDS)),
            parse_options=pacsv.ParseOptions(quote_char=False),
            # As strings, nothing is a null: NA is a value of hispanic_origin, ? one of the migration codes and birth countries.
            convert_options=pacsv.ConvertOptions(column_types=dict.fromkeys(FIELDS, pa.string()), strings_can_be_null=False),
        )
        columns = {field: pc.utf8_trim_whitespace(table[field]).combine_chunks() for field in FIELDS}
        inputs = {field: columns[field].cast(pa.int64()) if field in DENSE else columns[field] for field in INPUTS}
    except pa.ArrowInvalid as error:
        raise InputError(f"file {name!r} is not Census-Income with {len(FIELDS)} fields a line: {error}.") from None
    unknown = sorted(set(columns["income_class"].unique().to_pylist()) - set(INCOMES))
    if unknown:
        raise InputError(f"file {name!r}: the last field must be one of {list(INCOMES)}; found {unknown[:3]}.")
    labels = {
        "income": pc.equal(columns["income_class"], INCOMES[1]),
        "education": pc.is_in(columns["education_level"], value_set=pa.array(ASSOCIATE_OR_ABOVE)),
        "never_married": pc.equal(columns["marital_status"], "Never married"),
    }
    return pa.table(inputs | {task: labels[task].cast(pa.int8()) for task in tasks})


def _source(name: str, data_dir: str | Path | None) -> bytes:
    """The verified, unpacked bytes of one published file, from the user's folder or from the cache."""
    if data_dir is None:
        return _cached(name)
    folder = Path(data_dir).expanduser()
    candidates = [folder / f"{name}{suffix}" for suffix in ("", ".gz", ".bz2")]
    for path in candidates:
        if path.is_file():
            return _verified(path, name)
    raise InputError(
        f"{setting('data_dir', folder)} holds none of {', '.join(path.name for path in candidates)}. "
        f"Download {name}.gz from {URL} into it."
    )


def _verified(path: Path, name: str) -> bytes:
    """The unpacked bytes of ``path``, or an :class:`InputError` unless they are the published ones."""
    try:
        raw = path.read_bytes()
        # By content, not by name: a download on its way carries a temporary name.
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
        elif raw[:3] == b"BZh":
            raw = bz2.decompress(raw)
        digest = hashlib.sha256(raw).hexdigest()
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raw, digest = b"", f"a file that cannot be unpacked ({error})"
    if digest != SHA256[name]:
        raise InputError(
            f"file {str(path)!r} is damaged, or not the published one: expected sha256 {SHA256[name]} after unpacking, "
            f"found {digest}. Download {name}.gz again from {URL}."
        )
    return raw


def _cached(name: str) -> bytes:
    default = Path.home() / ".cache" / "manygate"
    path = Path(os.environ.get("MANYGATE_CACHE") or default).expanduser() / "census-income" / f"{name}.gz"
    if path.is_file():
        try:
            return _verified(path, name)
        except InputError:
            pass  # a damaged copy in the cache is ours to replace
    return _download(name, path)


def _download(name: str, path: Path) -> bytes:
    """Fetch one file into the cache; it takes its name there only after it was verified."""
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    url = f"{URL}{name}.gz"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response, partial.open("wb") as file:
            shutil.copyfileobj(response, file)
        raw = _verified(partial, name)
        partial.replace(path)
    except (OSError, http.client.HTTPException) as error:
        raise InputError(
            f"{url} cannot be downloaded to {str(path)!r}: {error}. Download census-income.data.gz and census-income.test.gz "
            f"by hand from {URL} and pass their folder as {setting('data_dir')}."
        ) from None
    finally:
        partial.unlink(missing_ok=True)
    return raw
