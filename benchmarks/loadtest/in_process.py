"""The time of the model alone, in this process, without HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

import manygate as mg
from loadtest.material import Material
from loadtest.summary import milliseconds
from manygate.scoring.exported_model import ExportedModel

BARE, EXPORTED, EAGER, EAGER_ARROW = "onnxruntime", "exported model, pyarrow", "eager PyTorch, pandas", "eager PyTorch, pyarrow"


def calls(material: Material, requests: int) -> dict[str, list[Callable[[], Any]]]:
    """Return what is timed: for each way, one call for each request. The inputs are made before, so they take no time."""
    torch.set_num_threads(1)
    ranker = mg.Ranker.load(material.runs[0])
    model = ExportedModel.load(material.models[0], threads=1)
    tables = [material.table(n) for n in range(requests)]
    batches = [table.combine_chunks().to_batches()[0] for table in tables]
    shared, own = material.features[: material.context], material.features[material.context :]
    parts = [(batch.select(own), batch.slice(0, 1).select(shared)) for batch in batches]
    feeds = [model.feed(candidates, context=context) for candidates, context in parts]
    frames = [table.to_pandas() for table in tables]
    return {
        BARE: [lambda feed=feed: model.session.run(model.output_names, feed) for feed in feeds],
        EXPORTED: [lambda c=candidates, x=context: model.columns(c, context=x) for candidates, context in parts],
        EAGER: [lambda frame=frame: ranker.predict(frame) for frame in frames],
        EAGER_ARROW: [lambda table=table: ranker.predict(table) for table in tables],
    }


def measure(material: Material, rounds: int, requests: int) -> dict[str, Any]:
    """Return milliseconds of each way. The ways take turns, request after request."""
    ways = calls(material, requests)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for n in range(rounds + 1):
        for request in range(requests):
            for name, work in ways.items():
                began = time.perf_counter()
                work[request]()
                if n:  # the first round warms up
                    seconds[name].append(time.perf_counter() - began)
    return {name: milliseconds(found) for name, found in seconds.items()}
