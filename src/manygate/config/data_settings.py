"""The settings of a log's rows: where they come from, how they are split and how they become inputs."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_serializer, field_validator

from manygate.config.csv_settings import CsvConfig
from manygate.config.values import LARGEST_SEED, Names, Specs
from manygate.errors import InputError, setting
from manygate.schema import Task

LARGE_LOG = 100_000
"""The training rows of a large log. What needs many rows is on by default from there on (experiments/defaults)."""


class DataConfig(CsvConfig):
    """Settings of the rows: their sources, and how they become inputs."""

    valid: str | None = Field(None, description="Validation rows: a file, folder or glob. Default: split from the log.")
    test: str | None = Field(None, description="Test rows: a file, folder or glob. Default: split from the log.")
    schema_file: str | None = Field(None, description="Schema as YAML. Default: schema.yaml beside the log, else inferred.")
    task: Specs = Field((), description="A label to predict: NAME, or NAME:where=click==1,kind=regression.")
    group: str | None = Field(None, description="Column of users or queries, for GAUC, splits and intervals.")
    time: str | None = Field(None, description="Column of times, for splits.")
    weight: str | None = Field(None, description="Column of row weights.")
    bias: Names = Field((), description="Features that are absent at serving, such as a position.")
    context: Names = Field(
        (), description="Features of the user or the request, the same for all its candidates. Exported models use it."
    )
    ignore: Names = Field((), description="Columns not to use.")
    split: Literal["random", "time", "group", "progressive"] = Field(
        "random",
        description="How to split a log that is not split yet. progressive is for manygate train alone: it trains on each day of "
        "--time in turn and judges the model on the next day before it trains on it.",
    )
    fractions: tuple[float, float, float] = Field((0.8, 0.1, 0.1), description="Shares of train, validation and test.")
    shuffle_seed: int = Field(0, ge=0, le=LARGEST_SEED, description="Seed of the split and of the order of batches.")
    encoding: Literal["piecewise", "minmax", "standard", "log1p"] = Field(
        "piecewise", description="How dense numbers are scaled, unless the schema sets it."
    )
    bins: int = Field(16, ge=1, le=1024, description="Quantile bins of the piecewise-linear encoding.")
    target_statistics: bool | None = Field(
        None,
        description="Give the network the smoothed mean label of each id, for each task, as numbers. Training rows read those of "
        "other training rows. Default: from 100,000 training rows on, for features of 16 ids or more that have 500 training rows "
        "on average, with at most 4 tasks.",
    )
    number_ids: int | None = Field(
        None,
        ge=0,
        description="Smallest number of training rows from which on a value of a number is also an id, with an embedding. Only "
        "numbers whose values repeat have such ids. 0 switches them off. Default: 10 from 100,000 training rows on, for numbers "
        "whose ids have 500 training rows or more on average.",
    )
    memory: str | None = Field(
        None,
        description="Most memory for the encoded rows, such as 4GiB or 500MB. More rows go to files, and training reads them block "
        "by block. Default: half of the free memory.",
    )
    rows_folder: str | None = Field(
        None, description="Folder for the files of encoded rows. They are removed at the end. Default: that of temporary files."
    )
    min_count: int = Field(2, ge=1, description="Ids that occur less often share the row of unseen ids.")
    max_ids: int | None = Field(
        None,
        ge=1,
        le=2**30,
        description="Largest number of ids of a feature with a row of their own: the most frequent. Default: no limit.",
    )

    @classmethod
    def of_csv(cls, csv: CsvConfig | None) -> Self:
        """Settings that say how CSV files are read, and nothing else."""
        return cls(**{name: getattr(csv, name) for name in CsvConfig.model_fields} if csv else {})

    @field_serializer("task")
    def _tasks_as_given(self, tasks: tuple[str | Task, ...]) -> list[str | dict[str, object]]:
        return [task if isinstance(task, str) else task.model_dump(mode="json", exclude_defaults=True) for task in tasks]

    @field_validator("number_ids")
    @classmethod
    def _values_repeat(cls, least: int | None) -> int | None:
        if least == 1:
            raise InputError(f"{setting('number_ids', 1)}: then every value would be an id. Give 2 or more, or 0 for none.")
        return least

    @field_validator("fractions")
    @classmethod
    def _fractions_sum_to_one(cls, shares: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(shares) < 0 or shares[0] <= 0 or abs(sum(shares) - 1) > 1e-6:
            raise InputError(
                f"{setting('fractions')}: shares of train, validation and test must be positive and sum to 1; found {shares}."
            )
        return shares
