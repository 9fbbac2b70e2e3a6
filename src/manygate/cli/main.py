"""The ``manygate`` command: registers the subcommands, and turns errors into messages and exit codes.

Each command imports what it needs when it is called, so that ``--help`` loads neither torch nor pyarrow.
"""

from __future__ import annotations

import signal
import sys
import traceback
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from cyclopts import App, CycloptsError, Parameter
from pydantic import ValidationError

from manygate.cli.architectures import architectures
from manygate.cli.calibrate import calibrate
from manygate.cli.compare import compare
from manygate.cli.dataset import dataset_app
from manygate.cli.demo import demo
from manygate.cli.evaluate import evaluate
from manygate.cli.export import export
from manygate.cli.fuse import fuse
from manygate.cli.inspect import inspect
from manygate.cli.plan import plan
from manygate.cli.predict import predict
from manygate.cli.report import report
from manygate.cli.reproduce import reproduce_app
from manygate.cli.reproduce_census import mmoe_census
from manygate.cli.schema import schema
from manygate.cli.serve import serve
from manygate.cli.streams import discard_output, flush_streams, prepare_streams, say
from manygate.cli.train import train
from manygate.cli.tune import tune
from manygate.errors import InputError, outside_problem
from manygate.text import cut
from manygate.training.interrupt import Interrupted
from manygate.training.torchrun import rank

EPILOGUE = (
    "Exit codes: 0 done, 1 a fault of manygate (--debug shows the traceback), 2 bad input or settings, a full disk and the like, "
    "130 stopped by Ctrl-C, 141 nobody read the output, 143 stopped by SIGTERM. Every command takes --debug."
)

app = App(
    name="manygate",
    help="Train, compare, explain and serve multi-task ranking models. Start with: manygate demo",
    help_epilogue=EPILOGUE,
    help_format="plaintext",
    default_parameter=Parameter(negative=()),
    version_flags=["--version"],
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # Interrupted is a KeyboardInterrupt, and main() gives it an exit code and a remedy
)
for command in (
    demo,
    schema,
    train,
    compare,
    tune,
    plan,
    architectures,
    evaluate,
    predict,
    export,
    serve,
    report,
    calibrate,
    fuse,
    inspect,
):
    app.command(command)
app.command(dataset_app)
reproduce_app.command(mmoe_census, name="mmoe-census")
app.command(reproduce_app)


def main() -> None:
    """Entry point of the ``manygate`` command."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    signal.signal(signal.SIGTERM, _terminated)
    try:
        prepare_streams()
        app(arguments, exit_on_error=False, print_error=False)
        flush_streams()
    except CycloptsError as error:
        _fail(_usage_problem(error), 2, "Try manygate --help.")
    except InputError as error:
        _trace(debug)
        _fail(error.for_command_line(), 2)
    except Interrupted as stop:
        _fail(str(stop), stop.exit_code, "" if stop.resume or rank() else "Run the same command again.")
    except KeyboardInterrupt:
        _fail("stopped by Ctrl-C.", 130)
    except BrokenPipeError:
        discard_output()
        raise SystemExit(128 + signal.SIGPIPE) from None
    except Exception as error:
        _trace(debug)
        problem = outside_problem(error)
        if problem is not None:
            _fail(f"{problem} --debug shows where.", 2)
        _fail(f"{type(error).__name__}: {error}. This is a fault of manygate; --debug shows where.", 1)


def _trace(debug: bool) -> None:
    if debug:
        say(traceback.format_exc(), error=True)


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    raise Interrupted(number)


def _usage_problem(error: CycloptsError) -> str:
    """The message of an error in the flags; a fault that pydantic reports is written as the other errors are."""
    if not isinstance(error.__cause__, ValidationError):
        return str(error)
    flags = [(str(detail["loc"][-1]).replace("_", "-"), detail) for detail in error.__cause__.errors()]
    return str(InputError(f"--{flag}: {detail['msg']}; found {cut(detail['input'])}." for flag, detail in flags))


def _fail(message: str, code: int, hint: str = "") -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun sends it to processes that are about to end
    name = f"manygate, process {rank()}" if rank() else "manygate"
    with suppress(OSError):  # nobody may read stderr, and the code says it, too
        say(f"{name}: {message}{' ' + hint if hint else ''}", error=True)
    discard_output()
    raise SystemExit(code)


if __name__ == "__main__":
    main()
