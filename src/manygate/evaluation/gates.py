"""Reports the mean and standard deviation of gate weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import torch

from manygate.data.batches import Split
from manygate.data.table import open_table
from manygate.model import MultiTaskModel
from manygate.model.logits import ROWS_AT_ONCE
from manygate.scoring.predictor import Predictor


@torch.no_grad()
def gate_report(model: MultiTaskModel, split: Split) -> list[dict[str, Any]]:
    """Mean and standard deviation of each gate weight over the rows of the task's sample space, of the first replica.

    Experts carry no names, so expert 3 of one replica has nothing to do with expert 3 of another, and replicas are not averaged.
    """
    sums: list[np.ndarray] = []
    size = max(ROWS_AT_ONCE // len(model.members), 256)
    for batch in split.slices(size):
        for level, gate_RBTE in enumerate(model.gates(batch)):
            gate_BTE, inside_BT1 = gate_RBTE[0].double(), (batch.weight_BT > 0).unsqueeze(-1)
            powers = (inside_BT1.expand_as(gate_BTE), gate_BTE * inside_BT1, gate_BTE.square() * inside_BT1)
            moments = torch.stack([power.sum(dim=0).double() for power in powers]).cpu().numpy()
            if len(sums) <= level:
                sums.append(np.zeros_like(moments))
            sums[level] += moments
    report = []
    for level, (count_TE, first_TE, second_TE) in enumerate(sums):
        mean_TE = first_TE / count_TE
        sd_TE = np.sqrt(np.maximum(second_TE / count_TE - mean_TE**2, 0.0))
        report += [
            {"level": level, "task": task.name, "mean": mean_TE[t].tolist(), "sd": sd_TE[t].tolist()}
            for t, task in enumerate(model.problem.tasks)
        ]
    return report


def gate_table(predictor: Predictor, source: Any) -> pa.Table:
    """Mean and standard deviation over rows of each gate weight: columns replica, level, task, expert, mean, sd."""
    model, encoder = predictor.model, predictor.encoder
    table = open_table(source, types=encoder.types)
    features = [feature.name for feature in encoder.schema.served_features]
    table.require(features, "needed to read the gates")
    sums: dict[int, np.ndarray] = {}
    count = 0
    for place, batch in table.batches(features):
        rows = encoder.encode(batch, place, labels=False, bias=False)
        count += len(rows)
        for part in Split(rows, model.device).slices(8192):
            for level, gate_RBTE in enumerate(model.gates(part)):
                gate = gate_RBTE.double().cpu().numpy()
                sums[level] = sums.get(level, 0.0) + np.stack([gate.sum(axis=1), (gate**2).sum(axis=1)])
    entries = []
    for level, (first_RTE, second_RTE) in sums.items():
        mean_RTE = first_RTE / count
        sd_RTE = np.sqrt(np.maximum(second_RTE / count - mean_RTE**2, 0.0))
        for (r, t, e), mean in np.ndenumerate(mean_RTE):
            task = encoder.schema.task_names[t]
            entries.append({"replica": r, "level": level, "task": task, "expert": e, "mean": mean, "sd": sd_RTE[r, t, e]})
    columns = {"replica": pa.int64(), "level": pa.int64(), "task": pa.string(), "expert": pa.int64(), "mean": pa.float64()}
    return pa.Table.from_pylist(entries, schema=pa.schema([*columns.items(), ("sd", pa.float64())]))
