"""What is served: a default MMoE on census, exported, and the ranking requests."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

import manygate as mg
from loadtest.connection import request_bytes
from manygate.scoring.exported_model import ExportedModel

RANK = "/v1/rank"
SEEDS = (0, 3)
"""The seeds of the two models between which ``swap`` changes."""


def command(*words: str | Path) -> list[str]:
    """Return the command of manygate in this Python."""
    return [sys.executable, "-m", "manygate", *map(str, words)]


@dataclass(frozen=True)
class Material:
    """A folder with the census data, two runs, and their exported models. What is missing there is made.

    Args:
        folder: Where it lies.
        source: The downloaded files of the census. None downloads them.
        epochs: Of the training.
        context: The number of features that all candidates share: the first of the schema. The others differ.
        candidates: The number of candidates of a request.
        top: How many of them an answer holds.
    """

    folder: Path
    source: Path | None
    epochs: int
    context: int
    candidates: int
    top: int

    @property
    def runs(self) -> list[Path]:
        return [self.folder / f"run{seed}" for seed in SEEDS]

    @property
    def models(self) -> list[Path]:
        return [self.folder / f"model{seed}" for seed in SEEDS]

    def prepare(self, models: int) -> None:
        """Make what is missing for so many models."""
        log = self.folder / "census"
        if not log.exists():
            mg.datasets.census("income", log, data_dir=self.source)
        for seed, run, model in list(zip(SEEDS, self.runs, self.models, strict=True))[:models]:
            if not run.exists():
                settings = ["--architecture", "mmoe", "--epochs", str(self.epochs), "--seed", str(seed), "--progress", "none"]
                subprocess.run(command("train", log, *settings, "--out", run), check=True, stdout=sys.stderr)
            if not model.exists():
                context = [word for name in self.features[: self.context] for word in ("--context", name)]
                subprocess.run(command("export", run, "--out", model, *context), check=True, stdout=sys.stderr)

    @cached_property
    def features(self) -> list[str]:
        """The features in the order of the schema."""
        return [feature["name"] for feature in yaml.safe_load((self.folder / "census" / "schema.yaml").read_text())["features"]]

    @cached_property
    def tasks(self) -> list[str]:
        return [task["name"] for task in yaml.safe_load((self.folder / "census" / "schema.yaml").read_text())["tasks"]]

    @cached_property
    def _rows(self) -> pa.Table:
        return pq.read_table(self.folder / "census" / "test.parquet", columns=self.features)

    def body(self, n: int) -> dict[str, Any]:
        """Return request ``n``: the candidates are rows of the test part, and the first of them gives the context."""
        rows = self._rows.slice(n * self.candidates, self.candidates)
        context = {name: rows.column(name)[0].as_py() for name in self.features[: self.context]}
        candidates = {name: rows.column(name).to_pylist() for name in self.features[self.context :]}
        return {"context": context, "candidates": candidates, "by": self.tasks[0], "top": self.top}

    def table(self, n: int) -> pa.Table:
        """Return the rows of request ``n`` with the types of the log."""
        rows = self._rows.slice(n * self.candidates, self.candidates)
        for at, name in enumerate(self.features[: self.context]):
            rows = rows.set_column(at, name, pa.array([rows.column(name)[0].as_py()] * len(rows), rows.column(name).type))
        return rows

    def requests(self, count: int) -> list[bytes]:
        """Return requests as bytes, ready to be sent."""
        return [request_bytes(RANK, json.dumps(self.body(n), separators=(",", ":")).encode()) for n in range(count)]


def version_of(folder: Path) -> str:
    """Return the whole digest of a manifest, with which the server's name of a version begins."""
    return hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()


def offline(folder: Path, table: pa.Table) -> dict[str, np.ndarray]:
    """Return the scores of an exported model for the rows of a table, (B,) each."""
    model = ExportedModel.load(folder, threads=1)
    return model.columns(table.combine_chunks().to_batches()[0])


def is_answer(answer: Mapping[str, Any], score: Mapping[str, np.ndarray], by: str, top: int, tolerance: float = 1e-6) -> bool:
    """Return whether an answer holds the best rows and their offline scores. Rows with equal scores may change places.

    The tolerance allows for a graph that predicts several requests at once.
    """
    ids = np.asarray(answer["ids"])
    expected = np.sort(score[by])[::-1][:top]
    if len(ids) != len(expected) or len(set(answer["ids"])) != len(ids) or set(answer["scores"]) != set(score):
        return False
    if not np.allclose(score[by][ids], expected, rtol=0, atol=tolerance):
        return False
    return all(np.allclose(answer["scores"][name], score[name][ids], rtol=0, atol=tolerance) for name in score)


def copy_model(source: Path, target: Path) -> None:
    """Copy an exported model into a folder that :func:`manygate.files.write_folder` made."""
    for file in source.iterdir():
        shutil.copy2(file, target / file.name)
