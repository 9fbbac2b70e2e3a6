"""``manygate predict``: score the rows of a log with a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from manygate.cli.flags import CSV, CsvFlags, Device, Imports, Json, csv_settings
from manygate.cli.loading import load_ranker
from manygate.cli.screen import print_json, say, show_warnings
from manygate.text import count_of


def predict(
    run: Annotated[Path, Parameter(help="A run's folder, or a bundle.")],
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
    from manygate.scoring.input_check import InputCheck
    from manygate.scoring.score_file import write_scores

    ranker = load_ranker(run, device, import_, csv_settings(csv))
    predictor = ranker.predictor.uncorrected() if raw else ranker.predictor
    table, given = predictor.open(log), csv_settings(csv)
    table.require(given.kinds if given else (), "named by --types")
    show_warnings(table.warnings_of([*(feature.name for feature in predictor.schema.served_features), *keep]))
    check = InputCheck(predictor.encoder)
    written = write_scores(predictor, table, out, keep, overwrite, neutralise_formulas, check.add)
    if written.formulas:
        fields = count_of(written.formulas, "field")
        done = "now begins with an apostrophe" if written.formulas == 1 else "now begin with an apostrophe"
        advice = "--neutralise-formulas puts an apostrophe before them"
        show_warnings(
            [f"{out}: {fields} that a spreadsheet takes for a formula (=, +, -, @): {done if neutralise_formulas else advice}."]
        )
    show_warnings(check.warnings())
    names = predictor.output_names
    if json:
        tasks = list(ranker.schema.task_names)
        print_json(
            {
                "out": str(out),
                "rows": written.rows,
                "tasks": tasks,
                "columns": names,
                "calibrated": predictor.calibration is not None,
            }
        )
    else:
        say(f"wrote {count_of(written.rows, 'row')} to {out}: {', '.join([*keep, *names])}")
