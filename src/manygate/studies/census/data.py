"""The census rows of the study: read once, encoded for the tasks of a job."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from manygate.config import RunConfig
from manygate.data.encoded import EncodedLog
from manygate.datasets.census import census_tables, task_schema
from manygate.runs.preflight import prepare
from manygate.studies.census.plan import Job, Plan


class CensusData:
    """The tables of the study, and the encoded log of the job at hand. Nothing is read before it is needed."""

    def __init__(self, data_dir: Path | None, plan: Plan, threads: int | None = None):
        self.data_dir, self.plan, self.threads = data_dir, plan, threads
        self._encoded: tuple[tuple[object, ...], EncodedLog] | None = None

    @cached_property
    def tables(self) -> dict[str, pa.Table]:
        """The three parts with all labels. Training and validation rows may be samples; test rows are whole."""
        tables, most = census_tables(data_dir=self.data_dir, seed=self.plan.seed), self.plan.most_rows
        return {part: table if part == "test" else sample(table, most, self.plan.seed) for part, table in tables.items()}

    def log(self, job: Job) -> EncodedLog:
        """Return the encoded log of a job, with its tasks and inputs. The last one is kept for the next job."""
        key = (job.tasks, *job.inputs)
        if self._encoded is None or self._encoded[0] != key:
            schema = task_schema(job.tasks)
            tables = {part: table.select(schema.columns) for part, table in self.tables.items()}
            config = RunConfig.build({**job.inputs, "monitor": job.tasks[0], "threads": self.threads})
            self._encoded = key, prepare(tables["train"], config, schema, tables["valid"], tables["test"])
        return self._encoded[1]


def sample(table: pa.Table, rows: int | None, seed: int) -> pa.Table:
    """Draw rows without replacement, in the order of the table; all of them if ``rows`` is None or no fewer."""
    if rows is None or rows >= table.num_rows:
        return table
    drawn = np.random.Generator(np.random.PCG64([seed, rows])).choice(table.num_rows, rows, replace=False)
    return table.take(np.sort(drawn))
