"""The ``manygate-serving`` command: it serves exported models and scores files with them, and needs neither torch nor cyclopts.

The flags are those of ``manygate serve`` and ``manygate predict``: the settings of the server, and those of CSV files.
"""

from __future__ import annotations

import argparse
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar, get_args, get_origin

from pydantic import BaseModel

from manygate.cli.scored_log import Target, exported, score_log
from manygate.cli.streams import discard_output, flush_streams, prepare_streams, say
from manygate.config.csv_settings import CsvConfig
from manygate.config.serve_settings import ServeConfig
from manygate.errors import InputError, outside_problem
from manygate.schema.reading import validated
from manygate.serving.distribution import distribution_version
from manygate.serving.start import serve

NAME = "manygate-serving"
Config = TypeVar("Config", bound=BaseModel)
METAVARS: dict[type, str] = {int: "N", float: "X", str: "TEXT", Path: "PATH"}


class _Parser(argparse.ArgumentParser):
    """Refuses flags as the other errors are shown."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}. Try {self.prog} --help.")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command.

    >>> parser().parse_args(["serve", "model", "--max-rows", "500"]).max_rows
    '500'
    """
    command = _Parser(NAME, description="Answer requests with a model that manygate export wrote, or score a file with it.")
    command.add_argument("--version", action="version", version=distribution_version())
    shared = _Parser(add_help=False)
    shared.add_argument("--debug", action="store_true", help="Show the traceback of an error.")
    commands = command.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_serve(commands.add_parser("serve", parents=[shared], allow_abbrev=False, help="Answer requests over HTTP."))
    _add_predict(commands.add_parser("predict", parents=[shared], allow_abbrev=False, help="Score the rows of a log."))
    return command


def _add_serve(command: argparse.ArgumentParser) -> None:
    command.description = "Answer requests over HTTP. SIGTERM ends the server after the requests that are inside."
    command.add_argument("model", type=Path, metavar="MODEL", help="Folder that manygate export wrote, or a symbolic link to one.")
    _add_settings(command, ServeConfig)


def _add_settings(command: argparse._ActionsContainer, settings: type[BaseModel]) -> None:
    """Add a flag for each setting. A flag that is not given has no place in the arguments."""
    for name, field in settings.model_fields.items():
        flag, kinds = f"--{name.replace('_', '-')}", get_args(field.annotation) or (field.annotation,)
        default = "" if field.default in (None, ()) else f" [default: {field.default}]"
        told: dict[str, Any] = {"help": f"{field.description}{default}".replace("%", "%%")}
        if bool in kinds:
            told["action"] = argparse.BooleanOptionalAction
        else:
            told["metavar"] = _metavar(field.annotation)
        if field.default == ():
            told |= {"nargs": "+", "action": "extend"}
        command.add_argument(flag, dest=name, default=argparse.SUPPRESS, **told)


def _settings(config: type[Config], given: Mapping[str, Any]) -> Config | None:
    """Return the settings of which flags were given, or None if there are none."""
    told = {name: given[name] for name in config.model_fields if name in given}
    return validated(config, told, "") if told else None


def _metavar(annotation: Any) -> str:
    """The word for a value in the help.

    >>> _metavar(int | None), _metavar(Literal["debug", "info"])
    ('N', 'debug|info')
    """
    if get_origin(annotation) is Literal:
        return "|".join(get_args(annotation))
    kinds = get_args(annotation) or (annotation,)
    return METAVARS.get(kinds[0], "TEXT")


def _add_predict(command: argparse.ArgumentParser) -> None:
    command.description = "Score rows: one column per task, in the order of the rows."
    command.add_argument("model", type=Path, metavar="MODEL", help="Folder that manygate export wrote.")
    command.add_argument("log", metavar="LOG", help="Rows to score: a file, folder or glob.")
    command.add_argument("--out", type=Path, required=True, help="File to write: .parquet, .csv or .arrow.")
    command.add_argument(
        "--keep", nargs="+", action="extend", default=[], metavar="COLUMN", help="Columns to copy beside the scores."
    )
    command.add_argument("--overwrite", action="store_true", help="Replace --out.")
    command.add_argument(
        "--neutralise-formulas",
        action="store_true",
        help="Put an apostrophe before text of --keep that a spreadsheet would run as a formula, in CSV.",
    )
    command.add_argument("--json", action="store_true", help="Print one JSON object on stdout.")
    _add_settings(command.add_argument_group("CSV files"), CsvConfig)


def _run(arguments: argparse.Namespace) -> None:
    given = vars(arguments)
    if arguments.command == "serve":
        serve(arguments.model, _settings(ServeConfig, given) or ServeConfig(), _say_now)
    else:
        target, csv = Target(*(given[name] for name in Target._fields)), _settings(CsvConfig, given)
        score_log(exported(arguments.model, csv), arguments.log, target, tuple(csv.kinds) if csv else ())


def _say_now(line: str) -> None:
    """Print a line that must be seen while the server runs, also where stdout is a pipe."""
    say(line)
    flush_streams()


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the ``manygate-serving`` command."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    try:
        prepare_streams()
        _run(parser().parse_args(words))
        flush_streams()
    except InputError as error:
        _fail(error.for_command_line(), 2, debug)
    except KeyboardInterrupt:
        _fail("stopped by Ctrl-C.", 130, debug)
    except BrokenPipeError:
        discard_output()
        raise SystemExit(128 + signal.SIGPIPE) from None
    except Exception as error:
        problem = outside_problem(error)
        if problem is not None:
            _fail(f"{problem} --debug shows where.", 2, debug)
        _fail(f"{type(error).__name__}: {error}. This is a fault of manygate; --debug shows where.", 1, debug)


def _fail(message: str, code: int, debug: bool) -> NoReturn:
    with suppress(OSError):  # nobody may read stderr, and the code says it, too
        if debug:
            say(traceback.format_exc(), error=True)
        say(f"{NAME}: {message}", error=True)
    discard_output()
    raise SystemExit(code)


if __name__ == "__main__":
    main()
