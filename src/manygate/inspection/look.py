"""This module inspects a trained model on rows, and returns all parts of the inspection in one document.

docs/results.md describes the document. Shape suffixes: R replicas, N rows, T tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from manygate.data.batches import Split
from manygate.data.labelled import labelled_table, run_part
from manygate.data.log_rows import LogRows
from manygate.data.rows import Rows
from manygate.errors import InputError, did_you_mean, raise_all
from manygate.files import check_recorded, read_text
from manygate.inspection.alarms import alarm
from manygate.inspection.chance import chance_report
from manygate.inspection.gates import one_gate, total_variation
from manygate.inspection.importance import importance_report
from manygate.inspection.pulls import pulls_report
from manygate.inspection.rules import raise_alarms
from manygate.inspection.sample import read_sample, segments_of
from manygate.inspection.spectra import embedding_report
from manygate.inspection.survey import Level, experts_report, gates_report, layers_report, survey, towers_report
from manygate.model import MultiTaskModel
from manygate.model.member import first_replicas
from manygate.results.evaluation import Epoch
from manygate.results.inspection import (
    Alarm,
    DeadUnits,
    EpochGates,
    InspectedTask,
    Inspection,
    InspectionDocument,
    ReplicaCount,
    SeenExperts,
    SeenGates,
    SeenLayer,
    SeenTower,
    SegmentGate,
    Segments,
    SegmentSize,
)
from manygate.scoring.predictor import Predictor

DOCUMENT_VERSION = 1
CHEAP = ("gates", "dead", "experts", "noise")
"""The parts that one forward pass over the rows gives."""
PARTS = (*CHEAP, "conflict", "affinity", "importance", "embeddings")
ROWS, REPLICAS = 20_000, 5
"""The default number of rows and of replicas that are inspected."""
ROWS_OF_A_RUN = 5_000
"""The number of validation rows that are inspected at the end of a training run."""


def look(
    model: MultiTaskModel,
    rows: Rows,
    parts: Iterable[str] = PARTS,
    replicas: int = REPLICAS,
    by: tuple[str, pa.Array] | None = None,
) -> Inspection:
    """Measure the given parts on encoded rows, for the first ``replicas`` replicas, and raise alarms.

    ``by`` is the name of a column and its value for each row.
    """
    parts_chosen, replicas_trained = check_parts(parts), model.replicas
    model = first_replicas(model, replicas)
    split, tasks = Split(rows, model.device), model.problem.tasks
    report: dict[str, object] = _survey(model, rows, split, parts_chosen, by) if parts_chosen & set(CHEAP) else {}
    if parts_chosen & {"conflict", "affinity"}:
        pulls = pulls_report(model, split, "affinity" in parts_chosen)
        report |= {part: value for part, value in pulls._asdict().items() if part in parts_chosen}
    if "importance" in parts_chosen:
        report["importance"] = importance_report(model, rows)
    if "embeddings" in parts_chosen:
        report["embeddings"] = embedding_report(model, rows)
    counts = [int((rows.weight_BT[:, t] > 0).sum()) for t in range(len(tasks))]
    measured = Inspection(
        architecture=model.config.architecture,
        rows=len(rows),
        replicas=ReplicaCount(looked_at=model.replicas, of=replicas_trained),
        tasks=[InspectedTask(task=task.name, kind=task.kind, rows=count) for task, count in zip(tasks, counts, strict=True)],
        gate=model.config.gate,
        parts=[part for part in PARTS if part in parts_chosen],
        alarms=[],
    ).model_copy(update=report)
    alarmed = measured.model_copy(update={"alarms": raise_alarms(measured)})
    return Inspection.model_validate(rounded(alarmed.to_tree()))


def _survey(
    model: MultiTaskModel,
    rows: Rows,
    split: Split,
    parts_chosen: set[str],
    by: tuple[str, pa.Array] | None,
) -> dict[str, object]:
    """Measure the parts that one pass of each replica over the rows gives."""
    names = model.problem.task_names
    gates: list[SeenGates] = []
    dead = DeadUnits(layers=[], towers=[])
    experts: list[SeenExperts] = []
    logit_RNT = np.zeros((model.replicas, len(rows), len(names)), dtype=np.float32)
    segments = segments_of(by[1]) if by else []
    by_segment: list[SegmentGate] = []
    for m, member in enumerate(model.members):
        r = member.replica
        member_survey = survey(model, m, split)
        of = {"replica": r} if len(model.members) == model.replicas else {"replica": r, "model": member_survey.tasks[0]}
        logit_RNT[r][:, list(member.reads)] = member_survey.logit_NT
        weight_NT = rows.weight_BT[:, list(member.reads)]
        gates += [SeenGates(**of, level=level, **dict(entry)) for level, entry in gates_report(member_survey, weight_NT)]
        dead.layers.extend(SeenLayer(**of, **dict(entry)) for entry in layers_report(model, member_survey))
        dead.towers.extend(SeenTower(**of, **dict(entry)) for entry in towers_report(member_survey))
        experts += [SeenExperts(**of, level=level, **dict(entry)) for level, entry in experts_report(model, member_survey)]
        for level in member_survey.levels:
            by_segment += _by_segment(of, level, weight_NT, member_survey.tasks, segments)
    noise = chance_report(logit_RNT, rows, model.problem)
    parts = {"gates": gates, "dead": dead, "experts": experts, "noise": noise}
    report: dict[str, object] = {part: value for part, value in parts.items() if part in parts_chosen}
    if by and "gates" in parts_chosen:
        sizes = [SegmentSize(segment=name, rows=int(row_N.sum())) for name, row_N in segments]
        report["segments"] = Segments(by=by[0], segments=sizes, gates=by_segment)
    return report


def _by_segment(
    of: Mapping[str, Any],
    level: Level,
    weight_NT: np.ndarray,
    tasks: Sequence[str],
    segments: Sequence[tuple[str, np.ndarray]],
) -> list[SegmentGate]:
    """Measure each task's gate on the rows of each segment; ``distance`` is the total variation from its mean over all rows."""
    report = []
    for t, task in enumerate(tasks):
        inside_N = weight_NT[:, t] > 0
        if len(level.sees[t]) < 2 or not inside_N.any():
            continue
        mean_E = level.gate_NTE[inside_N, t].mean(axis=0)
        for name, row_N in segments:
            if (row_N & inside_N).any():
                use = one_gate(level.gate_NTE[row_N & inside_N, t], level.sees[t])
                apart = float(total_variation(np.array(use.mean), mean_E))
                names = {"level": level.name, "task": task, "segment": name}
                report.append(SegmentGate(**of, **names, **dict(use), distance=apart))
    return report


def look_at_run(model: MultiTaskModel, rows: LogRows) -> Inspection:
    """Measure the cheap parts on validation rows, at the end of a training run."""
    keep_B = np.zeros(len(rows), dtype=bool)
    keep_B[np.linspace(0, len(rows) - 1, min(len(rows), ROWS_OF_A_RUN)).round().astype(np.int64)] = True
    return look(model, rows.where(keep_B), CHEAP)


def inspect_log(
    predictor: Predictor,
    log: Any,
    parts: Iterable[str] = PARTS,
    rows: int = ROWS,
    by: str | None = None,
    replicas: int = REPLICAS,
    history: Sequence[Epoch] = (),
) -> InspectionDocument:
    """Inspect the model of a predictor on a labelled log."""
    given = {"rows": rows, "replicas": replicas}
    raise_all(f"{option}: expected at least 1, found {value}." for option, value in given.items() if value < 1)
    parts_chosen = check_parts(parts)
    if by is not None and "gates" not in parts_chosen:
        raise InputError(f"by {by!r}: only the gates are shown by segment, and they are not among the parts asked for. Add gates.")
    name, total, sample, column = read_sample(predictor.encoder, log, rows, by, predictor.csv_settings)
    segment = (by, column) if by is not None and column is not None else None
    inspection = look(predictor.model, sample, parts_chosen, replicas, segment)
    inspection = inspection.model_copy(update={"alarms": [*inspection.alarms, *_known_rows(predictor, log, total)]})
    over_time = [EpochGates(epoch=entry.epoch, gates=entry.gates) for entry in history if entry.gates]
    header = {"inspection_version": DOCUMENT_VERSION, "manygate_version": version("manygate"), "log": name, "rows_of_log": total}
    parts_over_time = {"history": over_time} if "gates" in parts_chosen else {}
    return InspectionDocument.model_validate({**header, **inspection.to_tree(), **parts_over_time})


def _known_rows(predictor: Predictor, log: Any, rows: int) -> Iterator[Alarm]:
    """Raise a note if the log is the one that trained the model. The rows are read again only if their number fits."""
    tables = predictor.log.tables if predictor.log else []
    if all(table.rows != rows for table in tables):
        return
    table = labelled_table(predictor.encoder, log, csv=predictor.csv_settings)
    if run_part(predictor.log, predictor.encoder, table) == "train":
        yield alarm(
            "training_rows",
            "note",
            "These rows trained the model",
            "This is the log of the run, and all or most of its rows are training rows.",
            "What a part of the model is worth on new rows may differ. Leave the log out to look at the run's own test rows.",
            rows=rows,
        )


def read_history(folder: Path) -> list[Epoch]:
    """Read the epochs of a run from the metrics.jsonl of its folder; return an empty list if the file does not exist."""
    path = folder / "metrics.jsonl"
    if not path.is_file():
        return []
    check_recorded(path)
    try:
        return [Epoch.model_validate_json(line) for line in read_text(path).splitlines()]
    except ValueError as error:
        raise InputError(f"{path}: not the epochs of a run ({error}). Restore it from a good copy, or remove it.") from None


def check_parts(parts: Iterable[str]) -> set[str]:
    """Return the names as a set; raise an error if a name is not the name of a part, or if no name is given."""
    names = list(parts)
    unknown = [part for part in names if part not in PARTS]
    if unknown or not names:
        raise InputError(
            [f"part {part!r} is unknown.{did_you_mean(part, PARTS)} Choose of {', '.join(PARTS)}." for part in unknown]
            or [f"which parts? Choose of {', '.join(PARTS)}."]
        )
    return set(names)


def rounded(tree: Any) -> Any:
    """Round all numbers to six significant digits, so that documents stay small; a number that is not finite becomes null.

    >>> rounded({"a": [0.123456789, None, 3]})
    {'a': [0.123457, None, 3]}
    """
    if isinstance(tree, dict):
        return {name: rounded(value) for name, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [rounded(value) for value in tree]
    if isinstance(tree, float):
        return float(f"{tree:.6g}") if np.isfinite(tree) else None
    return tree
