"""What plan.md fixes: logs, schemes, widths and settings."""

from __future__ import annotations

import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from manygate.config import RunConfig
from manygate.config.settings import PLAIN
from manygate.data.encoded import EncodedLog
from manygate.runs.preflight import prepare

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path += [str(ROOT / folder) for folder in ("experiments", "benchmarks")]
RESULTS, TIMES = HERE / "results.json", HERE / "times.json"
SCHEMES = (
    *("single_task", "shared_bottom", "mmoe", "omoe", "cgc", "ple", "cross_stitch"),
    *("l2_constrained", "tensor_factorization", "asymmetric_sharing", "customized_sharing", "sluice_network"),
    *("ml_mmoe", "adatt", "stem", "pepnet"),
)
"""All schemes, in the order in which they are trained."""
DIVISORS = (1, 2, 4, 8, 16)
FULL = {"expert_hidden": 64, "tower_hidden": 32, "gate_hidden": 32}
"""The widths that are divided. That of a bottom follows from them."""
MARGINS = {"census": 0.001, "made-up": 0.005}
TRAINING: dict[str, Any] = {"replicas": 5, "threads": 1, "epochs": 10, "patience": 2, **PLAIN}
CENSUS_ROWS, MADE_UP_ROWS, MADE_UP_SEED = 50_000, 150_000, 100
CANDIDATES = 500


def settings(scheme: str, divisor: int, **changes: Any) -> RunConfig:
    """The settings of a training."""
    widths = {name: width // divisor for name, width in FULL.items()}
    return RunConfig.build({"architecture": scheme, **TRAINING, **widths, **changes})


def width_name(divisor: int) -> str:
    """The name of a width: 1, 1/2 and so on."""
    return str(Fraction(1, divisor))


def census(data: Path) -> Any:
    """Census with fewer training rows."""
    import logs

    log = logs.census(data, "income")
    train = log.parts["train"]
    kept = np.sort(np.random.default_rng(0).permutation(len(train))[:CENSUS_ROWS])
    return logs.Log("census", {**log.parts, "train": train.take(kept)}, log.schema)


def made_up(data: Path) -> Any:
    """The made-up log in three equal parts by time. It needs no data."""
    import logs

    log = logs.made_up(0.0, MADE_UP_SEED, MADE_UP_ROWS)
    rows, third = pa.concat_tables([log.parts[part] for part in logs.PARTS]), MADE_UP_ROWS // 3
    return logs.Log("made-up", {part: rows.slice(at * third, third) for at, part in enumerate(logs.PARTS)}, log.schema)


LOGS: dict[str, Callable[[Path], Any]] = {"census": census, "made-up": made_up}


def encoded(log: Any) -> EncodedLog:
    """The encoded rows of a log, which are the same for all schemes."""
    return prepare(log.parts["train"], settings("shared_bottom", 1), log.schema, log.parts["valid"], log.parts["test"])
