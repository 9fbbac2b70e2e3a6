"""How far the sampled requests are from the rows on which the model was exported.

The manifest holds the shares of the bins of each number, of the frequent ids of each feature of one id, and of the bins of each
output. Here the same bins are counted over requests, and compared by the population stability index. Older requests count less and
less.

Shape suffixes: B rows, S features of one id, K bins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from manygate.scoring.reference import Bins, FrequentIds, psi, shares
from manygate.serving.batching import Columns
from manygate.serving.corrections import number_of
from manygate.serving.feeds import Feed, Inputs

FEWEST = 500
"""The fewest values for which there is an index."""
WINDOW = 20_000
"""When so many values are counted, all counts are halved."""


class Drift:
    """Counts values in the bins of the reference.

    Args:
        manifest: The manifest of a model. Its reference is null if the model was exported without rows of a log.
    """

    def __init__(self, manifest: Mapping[str, Any]):
        reference = manifest.get("reference") or {"features": {}, "outputs": {}}
        features = {name: entry for name, entry in reference["features"].items() if "shares" in entry}
        self.numbers = {name: Bins(tuple(entry["cuts"])) for name, entry in features.items() if "cuts" in entry}
        self.ids = {name: FrequentIds(tuple(entry["rows"])) for name, entry in features.items() if "rows" in entry}
        self.outputs = {name: Bins(tuple(entry["cuts"])) for name, entry in reference["outputs"].items()}
        self.id_columns: list[str] = manifest["id_rows"]["features"] if "id_rows" in manifest else []
        self._before_K = {
            **{("feature", name): np.array(entry["shares"]) for name, entry in features.items()},
            **{("output", name): np.array(entry["shares"]) for name, entry in reference["outputs"].items()},
        }
        self._count_K = {key: np.zeros(len(before_K)) for key, before_K in self._before_K.items()}

    def add(self, feed: Feed, inputs: Inputs, row_BS: np.ndarray, columns: Columns) -> None:
        """Count the rows of a prediction. ``row_BS`` are the rows of the embedding tables that its ids have."""
        for name, bins in self.numbers.items():
            self._add("feature", name, bins.count(number_of(name, feed, inputs)))
        for name, frequent in self.ids.items():
            self._add("feature", name, frequent.count(row_BS[:, self.id_columns.index(name)]))
        for name, bins in self.outputs.items():
            if name in columns:
                self._add("output", name, bins.count(columns[name]))

    def _add(self, kind: str, name: str, count_K: np.ndarray) -> None:
        total_K = self._count_K[kind, name] + count_K
        self._count_K[kind, name] = total_K / 2 if total_K.sum() >= WINDOW else total_K

    def indices(self) -> dict[tuple[str, str], float]:
        """Return the index of each feature and output that has enough values, by (``feature`` or ``output``, name)."""
        return {key: psi(self._before_K[key], shares(count_K)) for key, count_K in self._count_K.items() if count_K.sum() >= FEWEST}
