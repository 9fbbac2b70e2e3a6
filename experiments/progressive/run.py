"""What do ten days earn, trained day by day, and what does one random split say of them?

python experiments/progressive/run.py [SEED ...] adds its logs to results.json here (then table.py writes the README).
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

import manygate as mg
from manygate.data.encode import Encoder
from manygate.layers.embedding import INITIAL_SD
from manygate.metrics import MAIN_METRIC
from manygate.model import MultiTaskModel
from manygate.model.growth import GrownTables, grow_model
from manygate.results.summary import TaskReport
from manygate.schema import Schema

HERE = Path(__file__).parent
ROWS, TURNOVER, DAYS, SEEDS = 84_000, 0.3, 10, (0, 1, 2)
"""The whole log has 14 days; its first ten have about 60,000 rows."""
SETTINGS: dict[str, Any] = {"architecture": "mmoe", "replicas": 2, "threads": 1, "device": "cpu"}
VARIANTS: dict[str, dict[str, Any]] = {
    "one epoch a day": {},
    "three epochs a day": {"epochs": 3},
    "items of the first day alone": {"items": "first"},
    "new rows drawn at random": {"rows": "drawn"},
}


def ten_days(seed: int, folder: Path) -> tuple[pa.Table, Schema, pa.Array]:
    """The first ten days of a made-up log whose items come and go, its schema, and the day of each row from 0."""
    written = mg.datasets.impressions(folder, rows=ROWS, turnover=TURNOVER, seed=seed)
    table = pa.concat_tables([pq.read_table(path) for path in written.parts.values()]).combine_chunks()
    day = pc.days_between(pa.scalar(pc.min(table["timestamp"]).as_py(), table["timestamp"].type), table["timestamp"])
    kept = pc.less(day, DAYS)
    return table.filter(kept), Schema.load(written.schema), pc.filter(day, kept)


def main_metrics(tasks: dict[str, TaskReport]) -> dict[str, float | None]:
    """The mean over replicas of each task's main metric."""
    return {name: report.metrics[MAIN_METRIC[report.kind]].mean for name, report in tasks.items()}


def day_by_day(table: pa.Table, schema: Schema, settings: dict[str, Any]) -> dict[str, Any]:
    """Train day by day. Return what each day earned."""
    began = time.monotonic()
    ranker = mg.Ranker(split="progressive", **SETTINGS, **settings).fit(table, schema=schema, progress=False)
    assert ranker.document is not None
    found = []
    for day in ranker.document.results["mmoe"].days or ():
        cold = day.tasks["click"].cold_start
        apart = {} if cold is None else {"warm": cold.warm.metrics["auc"].mean, "cold": cold.cold.metrics["auc"].mean}
        found.append(
            {
                "day": day.day,
                "rows": day.rows,
                "cold_share": day.cold_share,
                "new_items": day.new_ids["item_id"],
                "metrics": main_metrics(day.tasks),
                "click": apart,
            }
        )
    return {"days": found, "seconds": round(time.monotonic() - began)}


def at_random(table: pa.Table, schema: Schema, day: pa.Array) -> dict[str, Any]:
    """Split at random: all ten days, and the first nine, whose model is then judged on the tenth."""
    began = time.monotonic()
    whole = mg.Ranker(split="random", **SETTINGS).fit(table, schema=schema, progress=False)
    nine = mg.Ranker(split="random", **SETTINGS).fit(table.filter(pc.less(day, DAYS - 1)), schema=schema, progress=False)
    tenth = nine.evaluate(table.filter(pc.equal(day, DAYS - 1)))
    assert whole.document is not None
    assert nine.document is not None
    (feature,) = (one for one in whole.document.data.features if one.name == "item_id")
    return {
        "ten_days": main_metrics(whole.document.results["mmoe"].tasks),
        "unseen_items": feature.unknown_share,
        "nine_days": main_metrics(nine.document.results["mmoe"].tasks),
        "nine_days_on_the_tenth": main_metrics(tenth.tasks),
        "epochs": whole.document.results["mmoe"].history[-1].epoch,
        "seconds": round(time.monotonic() - began),
    }


@contextmanager
def drawn_rows() -> Iterator[None]:
    """New rows start as rows of a new model do, and not as those of unseen ids."""
    generator = torch.Generator().manual_seed(0)

    def grow(model: MultiTaskModel, encoder: Encoder) -> MultiTaskModel:
        grown = grow_model(model, encoder)
        for name, rows in GrownTables.between(model, grown).rows.items():
            if name.startswith("embedding."):
                table = grown.parameters[name].detach()
                table[rows.new_V] = torch.empty_like(table[rows.new_V]).normal_(0.0, INITIAL_SD, generator=generator)
        return grown

    with mock.patch("manygate.runs.progressive.grow_model", grow):
        yield


def with_items_of(schema: Schema, count: int) -> Schema:
    """The schema with a limit on the items that have a row, so that no later item gets one."""
    features = tuple(f.model_copy(update={"max_ids": count}) if f.name == "item_id" else f for f in schema.features)
    return schema.model_copy(update={"features": features})


def study(seed: int) -> dict[str, Any]:
    """All runs on one log."""
    with tempfile.TemporaryDirectory() as folder:
        table, schema, day = ten_days(seed, Path(folder) / "log")
    runs: dict[str, Any] = {}
    for name, given in VARIANTS.items():
        settings = {key: value for key, value in given.items() if key not in ("items", "rows")}
        first = runs["one epoch a day"]["days"][0]["new_items"] if "items" in given else 0
        with drawn_rows() if "rows" in given else nullcontext():
            runs[name] = day_by_day(table, with_items_of(schema, first) if first else schema, settings)
    return {"seed": seed, "rows": len(table), "by_day": runs, "random": at_random(table, schema, day)}


if __name__ == "__main__":
    path = HERE / "results.json"
    document = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"logs": []}
    for seed in map(int, sys.argv[1:] or SEEDS):
        logs = [log for log in document["logs"] if log["seed"] != seed] + [study(seed)]
        document = {"log": ROWS, "turnover": TURNOVER, "settings": SETTINGS, "logs": sorted(logs, key=lambda log: log["seed"])}
        path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
