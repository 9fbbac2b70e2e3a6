"""``manygate architectures``: the sharing schemes and what each would cost on a log."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from manygate.cli.flags import (
    CSV,
    DATA,
    MODEL,
    SCHEME_NAMES,
    ConfigFile,
    CsvFlags,
    DataFlags,
    Imports,
    Json,
    ModelFlags,
    resolve,
    settings_of,
)
from manygate.cli.loading import import_own
from manygate.cli.streams import print_json
from manygate.errors import InputError


def architectures(
    log: Annotated[str | None, Parameter(help="A log whose schema decides the inputs. Default: --columns and --labels.")] = None,
    /,
    *,
    names: Annotated[str, Parameter(help=f"Schemes to list: {SCHEME_NAMES}")] = "all",
    columns: Annotated[int, Parameter(help="Without a log: how many numbers the schemes read.")] = 100,
    labels: Annotated[int, Parameter(help="Without a log: how many tasks.")] = 2,
    config: ConfigFile = None,
    import_: Imports = (),
    json: Json = False,
    data: Annotated[DataFlags | None, DATA] = None,  # type: ignore[valid-type]
    csv: Annotated[CsvFlags | None, CSV] = None,  # type: ignore[valid-type]
    model: Annotated[ModelFlags | None, MODEL] = None,  # type: ignore[valid-type]
) -> None:
    """List the sharing schemes with the parameters and FLOPs that each would have on a log, and with --match-parameters the widths.

    Example: manygate architectures --expert-hidden 16 --tower-hidden 8 --match-parameters 15000
    """
    from manygate.cli.terminal import show_architectures
    from manygate.model.budget import listing

    given = settings_of(data, csv, model) | {"architectures": names} | ({"log": log} if log is not None else {})
    settings = resolve(config, given)
    import_own(import_, given)
    listed, title = listing(settings, columns, labels)
    rows = [
        row.model_copy(update={"problem": InputError(row.problem).for_command_line()}) if row.problem else row for row in listed
    ]
    problems = [row.problem for row in rows if row.problem]
    if len(problems) == len(rows):
        raise InputError(problems)
    if json:
        print_json({"inputs": title, "architectures": [row.to_tree() for row in rows]})
    else:
        show_architectures(rows, title)
