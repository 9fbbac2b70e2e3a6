"""``manygate evaluate``: the metrics of a trained model on a log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from manygate.cli.flags import CSV, CsvFlags, Device, Imports, Json, csv_settings
from manygate.cli.loading import load_ranker
from manygate.cli.streams import print_json, show_warnings
from manygate.text import count_of


def evaluate(
    run: Annotated[Path, Parameter(help="A run's folder, or a bundle.")],
    log: Annotated[str, Parameter(help="A labelled log; of a data set's folder, the test part.")],
    /,
    *,
    json: Json = False,
    device: Device = "auto",
    import_: Imports = (),
    csv: Annotated[CsvFlags | None, CSV] = None,  # type: ignore[valid-type]
) -> None:
    """Print every metric of every task of a trained model on a log.

    Example: manygate evaluate runs/mmoe january.parquet
    """
    from manygate.cli.terminal import show_calibration, show_cold_start, show_metrics, show_ranking

    report = load_ranker(run, device, import_, csv_settings(csv)).evaluate(log)
    show_warnings(report.warnings)
    if json:
        print_json(report.to_tree())
    else:
        title = f"{report.log}: {count_of(report.rows, 'row')}, {count_of(report.replicas, 'replica')}"
        show_metrics(report.tasks, title, report.interval_note)
        show_cold_start(report.tasks)
        show_calibration(report.tasks, "calibrated, which predict applies")
        show_ranking(report.fusion)
