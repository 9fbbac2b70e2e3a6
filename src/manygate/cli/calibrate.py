"""``manygate calibrate``: probabilities that mean what they say, put into a trained model's bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from manygate.cli.flags import CSV, CsvFlags, Device, Imports, Json, csv_settings
from manygate.cli.loading import load_ranker
from manygate.cli.streams import print_json, say, show_warnings
from manygate.config.names import CalibrationMethod
from manygate.text import count_of


def calibrate(
    run: Annotated[Path, Parameter(help="A run's folder, or a bundle.")],
    log: Annotated[
        str | None,
        Parameter(help="Labelled rows; of a data set's folder, the valid part. Default: the run's own validation rows."),
    ] = None,
    /,
    *,
    method: Annotated[CalibrationMethod, Parameter(help="How; none takes calibrators out.")] = "isotonic",
    task: Annotated[tuple[str, ...], Parameter(help="A binary task to calibrate. Default: every one.")] = (),
    json: Json = False,
    device: Device = "auto",
    import_: Imports = (),
    csv: Annotated[CsvFlags | None, CSV] = None,  # type: ignore[valid-type]
) -> None:
    """Correct a trained model's probabilities on rows that trained nothing, and keep the correction in its bundle.

    Predict and evaluate apply it from then on; nothing is trained again. Never calibrate on rows that are to judge the result.

    Example: manygate calibrate runs/mmoe january.parquet --method isotonic --task click
    """
    from manygate.cli.terminal import show_calibration
    from manygate.scoring.bundle import find_bundle
    from manygate.scoring.calibration import write_calibration

    ranker = load_ranker(run, device, import_, csv_settings(csv))
    report = ranker.calibrate(log, method=method, task=task)
    show_warnings(report.warnings)
    folder = find_bundle(run)
    write_calibration(folder, ranker.calibration)
    if ranker.fusion is not None and ranker.fusion.active:
        say(f"the weights of {ranker.fusion.name!r} were chosen for other probabilities: choose them again", error=True)
    if json:
        print_json({"bundle": str(folder), "method": method, **report.to_tree()})
    elif method == "none":
        say(f"took the calibration out of {folder}" if not ranker.calibration else f"took {', '.join(task)} out of {folder}")
    else:
        show_calibration(report.tasks, f"{method} on {report.log}: {count_of(report.rows, 'row')}, those of the fit")
        say(f"\nbundle {folder}")
