"""A trained model and rows in, everything that was measured out: the parts of an inspection, in one document.

Its form is in docs/results.md. Shape suffixes: R replicas, N rows, T tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from manygate.data.batches import Split
from manygate.data.rows import Rows
from manygate.errors import InputError, did_you_mean, raise_all
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
"""What one forward pass over the rows shows."""
PARTS = (*CHEAP, "conflict", "affinity", "importance", "embeddings")
ROWS, REPLICAS = 20_000, 5
"""Rows and replicas looked at unless asked otherwise."""
ROWS_OF_A_RUN = 5_000
"""Validation rows that a training run looks at when it is done."""


def look(
    model: MultiTaskModel,
    rows: Rows,
    parts: Iterable[str] = PARTS,
    replicas: int = REPLICAS,
    by: tuple[str, pa.Array] | None = None,
) -> Inspection:
    """Measure the parts asked for on encoded rows, for the first replicas, and raise alarms.

    ``by`` is a column's name and its values beside the rows.
    """
    wanted, of = check_parts(parts), model.replicas
    model = first_replicas(model, replicas)
    split, tasks = Split(rows, model.device), model.problem.tasks
    found: dict[str, object] = _survey(model, rows, split, wanted, by) if wanted & set(CHEAP) else {}
    if wanted & {"conflict", "affinity"}:
        pulls = pulls_report(model, split, "affinity" in wanted)
        found |= {part: value for part, value in pulls._asdict().items() if part in wanted}
    if "importance" in wanted:
        found["importance"] = importance_report(model, rows)
    if "embeddings" in wanted:
        found["embeddings"] = embedding_report(model, rows)
    counts = [int((rows.weight_BT[:, t] > 0).sum()) for t in range(len(tasks))]
    measured = Inspection(
        architecture=model.config.architecture,
        rows=len(rows),
        replicas=ReplicaCount(looked_at=model.replicas, of=of),
        tasks=[InspectedTask(task=task.name, kind=task.kind, rows=count) for task, count in zip(tasks, counts, strict=True)],
        gate=model.config.gate,
        parts=[part for part in PARTS if part in wanted],
        alarms=[],
    ).model_copy(update=found)
    alarmed = measured.model_copy(update={"alarms": raise_alarms(measured)})
    return Inspection.model_validate(rounded(alarmed.to_tree()))


def _survey(
    model: MultiTaskModel,
    rows: Rows,
    split: Split,
    wanted: set[str],
    by: tuple[str, pa.Array] | None,
) -> dict[str, object]:
    """What one pass of each replica over the rows shows."""
    names = model.problem.task_names
    gates: list[SeenGates] = []
    dead = DeadUnits(layers=[], towers=[])
    experts: list[SeenExperts] = []
    logit_RNT = np.zeros((model.replicas, len(rows), len(names)), dtype=np.float32)
    segments = segments_of(by[1]) if by else []
    by_segment: list[SegmentGate] = []
    for m, member in enumerate(model.members):
        r = member.replica
        seen = survey(model, m, split)
        of = {"replica": r} if len(model.members) == model.replicas else {"replica": r, "model": seen.tasks[0]}
        logit_RNT[r][:, list(member.tasks)] = seen.logit_NT
        weight_NT = rows.weight_BT[:, list(member.tasks)]
        gates += [SeenGates(**of, level=level, **dict(entry)) for level, entry in gates_report(seen, weight_NT)]
        dead.layers.extend(SeenLayer(**of, **dict(entry)) for entry in layers_report(model, seen))
        dead.towers.extend(SeenTower(**of, **dict(entry)) for entry in towers_report(seen))
        experts += [SeenExperts(**of, level=level, **dict(entry)) for level, entry in experts_report(model, seen)]
        for level in seen.levels:
            by_segment += _by_segment(of, level, weight_NT, seen.tasks, segments)
    noise = chance_report(logit_RNT, rows, model.problem)
    parts = {"gates": gates, "dead": dead, "experts": experts, "noise": noise}
    found: dict[str, object] = {part: value for part, value in parts.items() if part in wanted}
    if by and "gates" in wanted:
        sizes = [SegmentSize(segment=name, rows=int(row_N.sum())) for name, row_N in segments]
        found["segments"] = Segments(by=by[0], segments=sizes, gates=by_segment)
    return found


def _by_segment(
    of: Mapping[str, Any],
    level: Level,
    weight_NT: np.ndarray,
    tasks: Sequence[str],
    segments: Sequence[tuple[str, np.ndarray]],
) -> list[SegmentGate]:
    """Each task's gate on the rows of each segment; ``distance`` is the total variation from its mean over all rows."""
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


def look_at_run(model: MultiTaskModel, rows: Rows) -> Inspection:
    """The cheap parts on validation rows, as a training run keeps them."""
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
    """Everything measured on a labelled log."""
    given = {"rows": rows, "replicas": replicas}
    raise_all(f"{what}: expected at least 1, found {value}." for what, value in given.items() if value < 1)
    wanted = check_parts(parts)
    if by is not None and "gates" not in wanted:
        raise InputError(f"by {by!r}: only the gates are shown by segment, and they are not among the parts asked for. Add gates.")
    name, total, chosen, column = read_sample(predictor.encoder, log, rows, by)
    segment = (by, column) if by is not None and column is not None else None
    found = look(predictor.model, chosen, wanted, replicas, segment)
    over_time = [EpochGates(epoch=entry.epoch, gates=entry.gates) for entry in history if entry.gates]
    head = {"inspection_version": DOCUMENT_VERSION, "manygate_version": version("manygate"), "log": name, "rows_of_log": total}
    parts_over_time = {"history": over_time} if "gates" in wanted else {}
    return InspectionDocument.model_validate({**head, **found.to_tree(), **parts_over_time})


def read_history(folder: Path) -> list[Epoch]:
    """The epochs of the run in a folder, by its metrics.jsonl; empty without one."""
    path = folder / "metrics.jsonl"
    if not path.is_file():
        return []
    try:
        return [Epoch.model_validate_json(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except ValueError as error:
        raise InputError(f"{path}: not the epochs of a run ({error}). Restore it from a good copy, or remove it.") from None


def check_parts(parts: Iterable[str]) -> set[str]:
    """The parts of an inspection, if all are known."""
    chosen = list(parts)
    unknown = [part for part in chosen if part not in PARTS]
    if unknown or not chosen:
        raise InputError(
            [f"part {part!r} is unknown.{did_you_mean(part, PARTS)} Choose of {', '.join(PARTS)}." for part in unknown]
            or [f"which parts? Choose of {', '.join(PARTS)}."]
        )
    return set(chosen)


def rounded(tree: Any) -> Any:
    """Numbers with six significant digits, so that documents stay small; one that is not finite becomes null.

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
