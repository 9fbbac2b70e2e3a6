"""Describes the rows of a log on which an exported model was compared, for the manifest. A server compares its requests with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from manygate.data.column import as_numbers
from manygate.data.encode import Encoder
from manygate.scoring.exported_model import ExportedModel
from manygate.scoring.reference import distribution, id_reference, list_reference, number_reference


def log_reference(model: ExportedModel, encoder: Encoder, batch: pa.RecordBatch) -> dict[str, Any] | None:
    """Return the number of rows, and what each served feature and each output looked like. It is None without rows."""
    if not batch.num_rows:
        return None
    features, rows = encoder.schema.features, encoder.encode(batch, "rows", labels=False, bias=False)
    single = [feature.name for feature in features if feature.kind == "sparse"]
    lists = [feature.name for feature in features if feature.kind == "bag"]
    found: dict[str, dict[str, Any]] = {}
    for feature in encoder.schema.served_features:
        name = feature.name
        if feature.kind == "dense":
            found[name] = number_reference(as_numbers(batch.column(name), name, "rows"))
        elif feature.kind == "sparse":
            found[name] = id_reference(rows.id_BS[:, single.index(name)])
        else:
            row_n, offset = rows.bags[lists.index(name)]
            found[name] = list_reference(row_n, np.diff(offset))
    outputs = {name: distribution(value_B) for name, value_B in model.columns(batch).items()}
    return {"rows": batch.num_rows, "features": found, "outputs": outputs}
