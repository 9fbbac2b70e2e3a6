"""``manygate predict``: score the rows of a log with a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from manygate.cli.flags import CSV, CsvFlags, Device, Imports, Json, csv_settings
from manygate.cli.loading import load_ranker
from manygate.cli.scored_log import Chosen, Target, exported, score_log
from manygate.errors import raise_all, setting

if TYPE_CHECKING:
    from manygate.config import CsvConfig


def predict(
    run: Annotated[Path, Parameter(help="A run's folder, a bundle, or an exported model.")],
    log: Annotated[str, Parameter(help="Rows to score: a file, folder or glob.")],
    /,
    *,
    out: Annotated[Path, Parameter(help="File to write: .parquet, .csv or .arrow.")],
    keep: Annotated[tuple[str, ...], Parameter(help="Columns to copy beside the scores.")] = (),
    raw: Annotated[bool, Parameter(help="The model's own predictions: no calibration and no fused score.")] = False,
    overwrite: Annotated[bool, Parameter(help="Replace --out.")] = False,
    neutralise_formulas: Annotated[
        bool, Parameter(help="Put an apostrophe before text of --keep that a spreadsheet would run as a formula, in CSV.")
    ] = False,
    json: Json = False,
    device: Device = "auto",
    import_: Imports = (),
    csv: Annotated[CsvFlags | None, CSV] = None,  # type: ignore[valid-type]
) -> None:
    """Score rows: one column per task, in the order of the rows; calibrated, and with the fused score, where the bundle says how.

    Example: manygate predict runs/mmoe today.parquet --keep user_id --keep item_id --out scores.parquet
    """
    from manygate.scoring.exported_model import is_exported

    given = csv_settings(csv)
    chosen = _exported(run, raw, device, import_, given) if is_exported(run) else _trained(run, raw, device, import_, given)
    score_log(chosen, log, Target(out, keep, overwrite, neutralise_formulas, json), tuple(given.kinds) if given else ())


def _trained(run: Path, raw: bool, device: str, modules: tuple[str, ...], csv: CsvConfig | None) -> Chosen:
    """Return the model of a run."""
    from manygate.scoring.input_check import InputCheck

    ranker = load_ranker(run, device, modules, csv)
    predictor = ranker.predictor.uncorrected() if raw else ranker.predictor
    features = [feature.name for feature in predictor.schema.served_features]
    calibrated = predictor.calibration is not None
    return Chosen(predictor, features, list(predictor.schema.task_names), calibrated, InputCheck(predictor.encoder))


def _exported(run: Path, raw: bool, device: str, modules: tuple[str, ...], csv: CsvConfig | None) -> Chosen:
    """Return an exported model. It needs no torch, and the settings of a trained model would change nothing."""
    raise_all(
        problem
        for given, problem in (
            (raw, f"{setting('raw', True)}: {run} is an exported model, whose graph is calibrated or not. Export with --raw."),
            (device != "auto", f"{setting('device', device)}: {run} is an exported model, which runs on the CPU. Leave it out."),
            (bool(modules), f"--import: {run} is an exported model, whose graph needs no module of yours. Leave it out."),
        )
        if given
    )
    return exported(run, csv)
