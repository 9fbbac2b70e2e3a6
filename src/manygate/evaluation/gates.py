"""Reports the mean and standard deviation of gate weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import torch

from manygate.data.batches import Split
from manygate.model import MultiTaskModel
from manygate.model.gate_moments import GateMoments
from manygate.model.logits import ROWS_AT_ONCE, Sliced
from manygate.results.evaluation import GateSummary
from manygate.scoring.predictor import Predictor


@torch.no_grad()
def gate_report(model: MultiTaskModel, split: Sliced) -> list[GateSummary]:
    """Return the mean and standard deviation of the first replica's gate weights, over the rows of each task's sample space.

    Replicas are not averaged, because expert 3 of one replica does not correspond to expert 3 of another.
    """
    moments = GateMoments()
    for batch in split.slices(max(ROWS_AT_ONCE // len(model.members), 256)):
        moments.add([gate_RBTE[0] for gate_RBTE in model.gates(batch)], (batch.weight_BT > 0).unsqueeze(-1))
    return [
        GateSummary(level=level, task=task.name, mean=mean_TE[t].tolist(), sd=sd_TE[t].tolist())
        for level, (mean_TE, sd_TE) in enumerate(moments.read())
        for t, task in enumerate(model.problem.tasks)
    ]


def gate_table(predictor: Predictor, source: Any) -> pa.Table:
    """Return the mean and standard deviation of each gate weight over all rows, as a table.

    Its columns are replica, level, task, expert, mean and sd.
    """
    model, encoder = predictor.model, predictor.encoder
    table = predictor.open(source)
    features = [feature.name for feature in encoder.schema.served_features]
    table.require(features, "needed to read the gates")
    moments = GateMoments()
    for location, batch in table.batches(features):
        rows = encoder.encode(batch, location, labels=False, bias=False)
        for part in Split(rows, model.device).slices(8192):
            moments.add(model.gates(part), torch.ones_like(part.weight_BT, dtype=torch.bool).unsqueeze(-1))
    entries = []
    for level, (mean_RTE, sd_RTE) in enumerate(moments.read()):
        for (r, t, e), mean in np.ndenumerate(mean_RTE):
            task = encoder.schema.task_names[t]
            entries.append({"replica": r, "level": level, "task": task, "expert": e, "mean": mean, "sd": sd_RTE[r, t, e]})
    columns = {"replica": pa.int64(), "level": pa.int64(), "task": pa.string(), "expert": pa.int64(), "mean": pa.float64()}
    return pa.Table.from_pylist(entries, schema=pa.schema([*columns.items(), ("sd", pa.float64())]))
