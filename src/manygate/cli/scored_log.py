"""Scores the rows of a log into a file, and says what was written. Nothing here needs torch, unless the model does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from manygate.cli.streams import print_json, say, show_warnings
from manygate.text import count_of

if TYPE_CHECKING:
    from manygate.config import CsvConfig
    from manygate.scoring.input_check import InputCheck
    from manygate.scoring.score_file import Scorer


class Chosen(NamedTuple):
    """What scores the rows."""

    scorer: Scorer
    features: list[str]
    tasks: list[str]
    calibrated: bool
    check: InputCheck | None = None
    """A check of the values of the features, if the model's encoder is at hand."""


class Target(NamedTuple):
    """Where the scores go, and in what form."""

    out: Path
    keep: Sequence[str] = ()
    overwrite: bool = False
    neutralise_formulas: bool = False
    json: bool = False


def exported(folder: Path, csv: CsvConfig | None = None) -> Chosen:
    """Return an exported model. ``csv`` has settings of CSV files that are given over those of its training."""
    from manygate.scoring.exported_model import ExportedModel

    model = ExportedModel.load(folder)
    model.csv = csv
    return Chosen(model, model.features, model.tasks, model.manifest["calibration"] is not None)


def score_log(chosen: Chosen, log: str, target: Target, kinds: Sequence[str] = ()) -> None:
    """Write the scores of a log, and say so. ``kinds`` are columns whose types were given."""
    from manygate.scoring.score_file import write_scores

    out, keep = target.out, target.keep
    table = chosen.scorer.open(log)
    table.require(kinds, "named by --types")
    show_warnings(table.warnings_of([*chosen.features, *keep]))
    observe = chosen.check.add if chosen.check else None
    written = write_scores(chosen.scorer, table, out, keep, target.overwrite, target.neutralise_formulas, observe)
    if written.formulas:
        fields = count_of(written.formulas, "field")
        done = "now begins with an apostrophe" if written.formulas == 1 else "now begin with an apostrophe"
        advice = done if target.neutralise_formulas else "--neutralise-formulas puts an apostrophe before them"
        show_warnings([f"{out}: {fields} that a spreadsheet takes for a formula (=, +, -, @): {advice}."])
    if chosen.check:
        show_warnings(chosen.check.warnings())
    names = chosen.scorer.output_names
    if target.json:
        told = {"tasks": chosen.tasks, "columns": names, "calibrated": chosen.calibrated}
        print_json({"out": str(out), "rows": written.rows, **told})
    else:
        say(f"wrote {count_of(written.rows, 'row')} to {out}: {', '.join([*keep, *names])}")
