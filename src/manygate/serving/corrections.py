"""A calibration and a fusion that stand in files of their own and replace those of the exported model.

They are applied with NumPy to what the graph predicts, by the same code with which a run applies them.

Shape suffixes: B rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from manygate.errors import InputError, raise_all
from manygate.scoring.calibration import Calibration, load_calibration
from manygate.scoring.fusion import Fusion, fusion_from, load_fusion
from manygate.serving.feeds import Feed, Inputs


@dataclass(frozen=True)
class Corrections:
    """What replaces the calibration and the fusion of a model. None leaves the model's own."""

    calibration: Calibration | None = None
    fusion: Fusion | None = None

    def check(self, manifest: Mapping[str, Any]) -> None:
        """Raise one :class:`InputError` with everything that does not fit the model."""
        kinds = {output["name"]: output["kind"] for output in manifest["outputs"]}
        problems = []
        if self.calibration is not None:
            if not manifest.get("uncalibrated"):
                problems.append("calibration: the model was exported without uncalibrated outputs. Export it again.")
            if not self.calibration.tasks:
                problems.append("calibration: it has no task. Take the file away, and the model's own calibration holds.")
            problems += [
                f"calibration: the model has no binary task {task!r}."
                for task in self.calibration.tasks
                if kinds.get(task) != "binary"
            ]
        if self.fusion is not None:
            predicted = [name for name, kind in kinds.items() if kind != "score"]
            entries = {entry["feature"]: entry for entry in manifest["inputs"]}
            problems += [f"fusion: the model has no output {name!r}." for name in self.fusion.weights if name not in predicted]
            problems += [
                f"fusion: feature {name!r} is no number among the model's inputs."
                for name in self.fusion.features
                if entries.get(name, {"type": "string"})["type"] == "string" or entries[name]["kind"] == "bag"
            ]
            if self.fusion.active and self.fusion.name in predicted:
                problems.append(f"fusion: the score cannot be named {self.fusion.name!r}, an output's name.")
        raise_all(problems)

    def outputs(self, manifest: Mapping[str, Any]) -> list[str]:
        """Return the columns of the corrected predictions, in their order."""
        names = [output["name"] for output in manifest["outputs"] if self.fusion is None or output["kind"] != "score"]
        return [*names, self.fusion.name] if self.fusion is not None and self.fusion.active else names

    def score(self, manifest: Mapping[str, Any]) -> str | None:
        """Return the name of the fused score, if there is one."""
        if self.fusion is not None:
            return self.fusion.name if self.fusion.active else None
        return next((output["name"] for output in manifest["outputs"] if output["kind"] == "score"), None)

    def fetched(self, manifest: Mapping[str, Any]) -> list[str]:
        """Return the outputs of the graph that are needed, the model's own columns first."""
        names = [output["name"] for output in manifest["outputs"]]
        return [*names, *manifest["uncalibrated"].values()] if self.calibration is not None else names

    def apply(
        self, manifest: Mapping[str, Any], values: Mapping[str, np.ndarray], feed: Feed, inputs: Inputs
    ) -> dict[str, np.ndarray]:
        """Return the corrected columns of the outputs ``values`` of the graph."""
        columns = {output["name"]: values[output["name"]] for output in manifest["outputs"] if output["kind"] != "score"}
        if self.calibration is not None:
            columns = recalibrated(self.calibration, manifest, values)
        fusion = self.fusion
        if fusion is None:
            fusion = fusion_from(manifest["fusion"]) if self.calibration is not None and manifest["fusion"] else None
        if fusion is None:
            return {output["name"]: columns.get(output["name"], values[output["name"]]) for output in manifest["outputs"]}
        if fusion.active:
            columns[fusion.name] = fusion.score(columns, {name: number_of(name, feed, inputs) for name in fusion.features})
        return columns


def recalibrated(calibration: Calibration, manifest: Mapping[str, Any], values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the columns of tasks and of funnels with another calibration, as :meth:`Predictor.columns` computes them."""
    tasks = manifest["schema"]["tasks"]
    columns = calibration.apply({task["name"]: values[manifest["uncalibrated"][task["name"]]] for task in tasks})
    joint: dict[str, np.ndarray] = {}
    remaining = list(tasks)
    while remaining:
        task = remaining.pop(0)
        after = task.get("after")
        if after is not None and after not in joint:
            remaining.append(task)
        else:
            joint[task["name"]] = columns[task["name"]] if after is None else joint[after] * columns[task["name"]]
    names = [output["name"] for output in manifest["outputs"] if output["kind"] == "joint"]
    steps = [task["name"] for task in tasks if task.get("after") is not None]
    return columns | {name: joint[step] for name, step in zip(names, steps, strict=True)}


def number_of(feature: str, feed: Feed, inputs: Inputs) -> np.ndarray:
    """Return a feature's numbers (B,), NaN where they are missing."""
    entry = inputs.entries[feature]
    of_context = bool(entry.get("context"))
    number = np.asarray(feed.arrays[entry["name"]], dtype=np.float64)
    if "missing" in entry:
        name, features = inputs.null_columns[of_context]
        number = np.where(feed.arrays[str(name)][:, features.index(feature)], np.nan, number)
    return number[feed.arrays[str(inputs.context_row)]] if of_context else number


def read_corrections(calibration: Path | None, fusion: Path | None) -> Corrections:
    """Read the files. Raises one :class:`InputError` that says what is wrong with them."""
    problems: list[str] = []
    read: dict[str, Any] = {}
    for name, path, load in (("calibration", calibration, load_calibration), ("fusion", fusion, load_fusion)):
        if path is None:
            continue
        try:
            read[name] = load(path)
        except InputError as error:
            problems += error.marked
    raise_all(problems)
    return Corrections(**read)
