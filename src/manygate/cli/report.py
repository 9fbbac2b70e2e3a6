"""``manygate report``: write the HTML report of a run again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from manygate.cli.flags import Json
from manygate.cli.streams import print_json, say
from manygate.errors import InputError
from manygate.files import check_regular, reading_file


def report(
    run: Annotated[Path, Parameter(help="The folder of a comparison, a training run or a search.")],
    /,
    *,
    out: Annotated[Path | None, Parameter(help="File to write. Default: report.html in the run's folder.")] = None,
    json: Json = False,
) -> None:
    """Write the HTML report of a run again, from its results.

    Example: manygate report runs/first --out first.html
    """
    words, write = _results(run)
    target = out or run / "report.html"
    _check_page(target)
    write(target)
    if json:
        print_json({"out": str(target), "headline": words})
    else:
        say(f"{words}\nreport {target}")


def _results(run: Path) -> tuple[str, Callable[[Path], None]]:
    """Return the headline of the results in a folder, and a function that writes their page."""
    from manygate.report import headline, write_report
    from manygate.report.tuning.page import write_tuning_page
    from manygate.results.comparison import ComparisonDocument
    from manygate.results.tuning import TuningDocument

    if (run / "tuning.json").is_file():
        search = TuningDocument.read(run / "tuning.json")
        return search.headline, partial(write_tuning_page, search)
    results = next((run / name for name in ("comparison.json", "evaluation.json") if (run / name).is_file()), None)
    if results is None:
        raise InputError(f"{run}: no results here (no comparison.json or evaluation.json). Give the folder of a finished run.")
    document = ComparisonDocument.read(results)
    return headline(document), partial(write_report, document)


def _check_page(path: Path) -> None:
    """Raise an :class:`InputError` if a file would be overwritten that is no page of manygate."""
    with reading_file(path):
        if not path.exists():
            return
        check_regular(path, "overwritten")
        with path.open("rb") as file:
            head = file.read(4096).lower()
    if head and not (head.lstrip().startswith(b"<!doctype html") and b"manygate" in head):
        raise InputError(f"--out {path}: exists and is no page of manygate, so it is not overwritten. Choose another --out.")
