"""``manygate report``: write the HTML report of a run again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from manygate.cli.flags import Json
from manygate.cli.screen import print_json, say
from manygate.errors import InputError


def report(
    run: Annotated[Path, Parameter(help="The folder of a comparison or of a training run.")],
    /,
    *,
    out: Annotated[Path | None, Parameter(help="File to write. Default: report.html in the run's folder.")] = None,
    json: Json = False,
) -> None:
    """Write the HTML report of a run again, from its results.

    Example: manygate report runs/first --out first.html
    """
    from manygate.report import headline, write_report
    from manygate.results.comparison import ComparisonDocument

    results = next((run / name for name in ("comparison.json", "evaluation.json") if (run / name).is_file()), None)
    if results is None:
        raise InputError(f"{run}: no results here (no comparison.json or evaluation.json). Give the folder of a finished run.")
    document, target = ComparisonDocument.read(results), out or run / "report.html"
    write_report(document, target)
    if json:
        print_json({"out": str(target), "headline": headline(document)})
    else:
        say(f"{headline(document)}\nreport {target}")
