"""``manygate inspect``: what the experts and gates of a trained model do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from manygate.cli.flags import CSV, CsvFlags, Imports, Json, csv_settings
from manygate.cli.loading import import_own
from manygate.cli.streams import print_json, say
from manygate.errors import InputError

PARTS = "gates, dead, experts, noise, conflict, affinity, importance, embeddings"


def inspect(
    run: Annotated[Path, Parameter(help="A run's folder, or a bundle.")],
    log: Annotated[
        str | None,
        Parameter(help="A labelled log; of a data set's folder, the test part. Default: the run's own test rows."),
    ] = None,
    /,
    *,
    only: Annotated[str | None, Parameter(help=f"Parts to look at, separated by commas: {PARTS}. Default: all.")] = None,
    rows: Annotated[int, Parameter(help="Most rows to look at, spread evenly over the log.")] = 20_000,
    by: Annotated[str | None, Parameter(help="Column of the log: show the gates for its 10 largest segments.")] = None,
    replicas: Annotated[int, Parameter(help="Most replicas to look at, the first ones.")] = 5,
    out: Annotated[Path | None, Parameter(help="Folder to write. Default: the run's.")] = None,
    json: Json = False,
    device: Annotated[str, Parameter(help="auto, cpu, cuda or cuda:N.")] = "auto",
    import_: Imports = (),
    csv: Annotated[CsvFlags | None, CSV] = None,  # type: ignore[valid-type]
) -> None:
    """Show what the experts and gates of a trained model do, with alarms in plain words; write inspection.json and inspection.html.

    Looks for collapsed gates, unused and identical experts, dead units and towers, tasks whose labels are noise, tasks that pull
    against each other, and collapsed embeddings.

    Example: manygate inspect runs/mmoe january.parquet --by country
    """
    from manygate.cli.terminal import show_inspection
    from manygate.files import to_json, write_text
    from manygate.ranker import inspect as look

    folder = out or run
    if out is None and (run / "manifest.json").is_file():
        raise InputError(f"{run}: a bundle, which is kept as it is. Say where to write with --out FOLDER.")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out {folder}: a file of this name exists. Choose another --out.")
    import_own(import_)
    parts = None if only is None else [part.strip() for part in only.split(",") if part.strip()]
    inspection = look(run, log, only=parts, rows=rows, by=by, replicas=replicas, device=device, csv=csv_settings(csv))
    write_text(folder / "inspection.json", to_json(inspection.document.to_tree()))
    inspection.report(folder / "inspection.html")
    if json:
        print_json(inspection.document.to_tree())
    else:
        show_inspection(inspection.document, repr(inspection).partition("\n")[0])
        say(f"page {folder / 'inspection.html'}")
