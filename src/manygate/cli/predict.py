"""``manygate predict``: score the rows of a log with a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

from cyclopts import Parameter

from manygate.cli.flags import CSV, CsvFlags, Device, Imports, Json, csv_settings
from manygate.cli.loading import load_ranker
from manygate.cli.screen import print_json, say, show_warnings
from manygate.errors import raise_all, setting
from manygate.text import count_of

if TYPE_CHECKING:
    from manygate.config import CsvConfig
    from manygate.scoring.input_check import InputCheck
    from manygate.scoring.score_file import Scorer


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
    from manygate.scoring.score_file import write_scores

    given = csv_settings(csv)
    exported = is_exported(run)
    chosen = _exported(run, raw, device, import_, given) if exported else _trained(run, raw, device, import_, given)
    table = chosen.scorer.open(log)
    table.require(given.kinds if given else (), "named by --types")
    show_warnings(table.warnings_of([*chosen.features, *keep]))
    written = write_scores(
        chosen.scorer, table, out, keep, overwrite, neutralise_formulas, chosen.check.add if chosen.check else None
    )
    if written.formulas:
        fields = count_of(written.formulas, "field")
        done = "now begins with an apostrophe" if written.formulas == 1 else "now begin with an apostrophe"
        advice = "--neutralise-formulas puts an apostrophe before them"
        show_warnings(
            [f"{out}: {fields} that a spreadsheet takes for a formula (=, +, -, @): {done if neutralise_formulas else advice}."]
        )
    if chosen.check:
        show_warnings(chosen.check.warnings())
    names = chosen.scorer.output_names
    if json:
        told = {"tasks": chosen.tasks, "columns": names, "calibrated": chosen.calibrated}
        print_json({"out": str(out), "rows": written.rows, **told})
    else:
        say(f"wrote {count_of(written.rows, 'row')} to {out}: {', '.join([*keep, *names])}")


class Chosen(NamedTuple):
    """What scores the rows."""

    scorer: Scorer
    features: list[str]
    tasks: list[str]
    calibrated: bool
    check: InputCheck | None = None
    """A check of the values of the features, if the model's encoder is at hand."""


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
    from manygate.scoring.exported_model import ExportedModel

    raise_all(
        problem
        for given, problem in (
            (raw, f"{setting('raw', True)}: {run} is an exported model, whose graph is calibrated or not. Export with --raw."),
            (device != "auto", f"{setting('device', device)}: {run} is an exported model, which runs on the CPU. Leave it out."),
            (bool(modules), f"--import: {run} is an exported model, whose graph needs no module of yours. Leave it out."),
        )
        if given
    )
    model = ExportedModel.load(run)
    model.csv = csv
    return Chosen(model, model.features, model.tasks, model.manifest["calibration"] is not None)
