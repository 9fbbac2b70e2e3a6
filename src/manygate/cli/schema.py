"""``manygate schema``: infer what each column of a log means."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from manygate.cli.flags import CSV, CsvFlags, Json, csv_settings
from manygate.cli.streams import print_json, say, show_warnings
from manygate.errors import InputError, raise_all


def schema(
    log: Annotated[str, Parameter(help="A file, folder or glob: Parquet, CSV, Arrow.")],
    /,
    *,
    task: Annotated[tuple[str, ...], Parameter(help="A label to predict, NAME or NAME:where=click==1,kind=regression.")],
    out: Annotated[Path | None, Parameter(help="YAML file to write.")] = None,
    weight: Annotated[str | None, Parameter(help="Column of row weights.")] = None,
    group: Annotated[str | None, Parameter(help="Column of users or queries.")] = None,
    time: Annotated[str | None, Parameter(help="Column of times.")] = None,
    bias: Annotated[tuple[str, ...], Parameter(help="Features absent at serving, such as a position.")] = (),
    context: Annotated[
        tuple[str, ...], Parameter(help="Features of the user or the request, the same for all its candidates.")
    ] = (),
    ignore: Annotated[tuple[str, ...], Parameter(help="Columns not to use.")] = (),
    overwrite: Annotated[bool, Parameter(help="Replace --out.")] = False,
    json: Json = False,
    csv: Annotated[CsvFlags | None, CSV] = None,  # type: ignore[valid-type]
) -> None:
    """Infer what each column of a log means, say why, and write it as YAML to edit.

    Example: manygate schema log.parquet --task click --task buy:where=click==1 --out schema.yaml
    """
    from manygate.cli.terminal import show_alarms, show_schema
    from manygate.data.formats.part_paths import training_part
    from manygate.data.inference.infer import asked_about, infer_with_questions
    from manygate.data.sources import unused_settings
    from manygate.data.table import open_table
    from manygate.files import check_not_read, write_text

    if out is not None and out.exists() and (out.is_dir() or not overwrite):
        raise InputError(f"--out {out} exists. Choose another{', or add --overwrite' if out.is_file() else ''}.")
    settings = csv_settings(csv)
    table = open_table(training_part(log), csv=settings)
    if settings is not None:
        table.require(settings.kinds, "named by --types")
        raise_all(unused_settings(settings, [table]))
    answer = infer_with_questions(
        table, list(task), weight=weight, group=group, time=time, bias=bias, context=context, ignore=ignore
    )
    inferred = answer.schema
    show_warnings(table.warnings_of(asked_about(inferred, table)))
    if out is not None:
        check_not_read(out, table.paths)
        write_text(out, inferred.to_yaml())
        say(f"wrote {out}", error=True)
    if json:
        print_json(inferred.model_dump(mode="json"))
        show_alarms(answer.questions, to_stderr=True)
    else:
        show_schema(inferred)
        show_alarms(answer.questions)
