"""The command line: parse, call, print. Heavy imports wait inside the commands, so that --help is quick."""

from __future__ import annotations

import shlex
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

from cyclopts import App, CycloptsError, Group, Parameter
from pydantic import ValidationError

from manygate.cli.calibrate import calibrate
from manygate.cli.dataset import dataset_app
from manygate.cli.flags import (
    CompareFlags,
    DataFlags,
    Device,
    Json,
    ModelFlags,
    OwnScheme,
    ShowProgress,
    TrainFlags,
    print_json,
    resolve,
    settings_of,
)
from manygate.cli.fuse import fuse
from manygate.cli.inspect import inspect
from manygate.cli.loading import load_ranker
from manygate.cli.reproduce import reproduce_app
from manygate.config import RunConfig
from manygate.config.names import COMPARED
from manygate.errors import InputError
from manygate.training.interrupt import Interrupted
from manygate.training.progress import open_progress

EPILOGUE = (
    "Exit codes: 0 done, 1 a fault of manygate (--debug shows the traceback), 2 bad input or settings, 130 stopped by Ctrl-C, "
    "143 stopped by SIGTERM. Every command takes --debug."
)

app = App(
    name="manygate",
    help="Train, compare, explain and serve multi-task ranking models. Start with: manygate demo",
    help_epilogue=EPILOGUE,
    help_format="plaintext",
    default_parameter=Parameter(negative=()),
    version_flags=["--version"],
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # Interrupted is one, and has an exit code and a remedy of its own
)
app.command(calibrate)
app.command(dataset_app)
app.command(fuse)
app.command(reproduce_app)
app.command(inspect)

Data = Annotated[Any, Parameter(name="*", group=Group("Data", sort_key=2))]
_data = Parameter(name="*", group=Group("Data", sort_key=2))
_model = Parameter(name="*", group=Group("Model", sort_key=3))
_training = Parameter(name="*", group=Group("Training", sort_key=4))
ConfigFile = Annotated[Path | None, Parameter(help="Settings as YAML; flags override them.")]
Out = Annotated[Path | None, Parameter(help="Folder to write. Default: runs/NAME-N.")]
Resume = Annotated[Path | None, Parameter(help="Continue the run in this folder, with its own log and settings.")]
_NAMES = "names separated by commas, all for every one, module:Class for your own."
Overwrite = Annotated[bool, Parameter(help="Replace the run in --out.")]


@app.command
def demo(
    *,
    out: Annotated[Path, Parameter(help="Folder to write.")] = Path("runs/demo"),
    rows: Annotated[int, Parameter(help="Impressions in the log.")] = 60_000,
    replicas: Annotated[int, Parameter(help="Replicas of each architecture.")] = 5,
    json: Json = False,
    progress: ShowProgress = "auto",
) -> None:
    """Compare four ways of sharing on an embedded log whose truth is known: writes the log, trains, shows the verdict.

    Example: manygate demo
    """
    from manygate import datasets
    from manygate.runs.folder import open_folder
    from manygate.runs.preflight import prepare

    show = open_progress(progress)
    schemes = "single_task,shared_bottom,mmoe,ple"
    config = RunConfig.build(
        {"architectures": schemes, "replicas": replicas, "learning_rate": 3e-3, "patience": 2, "log": str(out / "log")}
    )
    earlier = (out / "config.yaml").is_file() and RunConfig.load(out / "config.yaml").log == config.log
    if rows < 1000:
        raise InputError(f"--rows {rows:,}: too few to compare anything on. Write at least 1,000.")
    if out.exists() and not earlier and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--out {out} exists and is not an earlier demo. Choose another --out.")
    open_folder(out, config, resume=False, overwrite=earlier)
    show.say(f"writing an impression log of {rows:,} rows to {out / 'log'}")
    datasets.log(out / "log", rows=rows)
    log = prepare(out / "log", config)
    _compare(log, config, out, json, show, f"manygate demo --out {shlex.quote(str(out))} --rows {rows} --replicas {replicas}")


@app.command
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
    ignore: Annotated[tuple[str, ...], Parameter(help="Columns not to use.")] = (),
    overwrite: Annotated[bool, Parameter(help="Replace --out.")] = False,
    json: Json = False,
) -> None:
    """Infer what each column of a log means, say why, and write it as YAML to edit.

    Example: manygate schema log.parquet --task click --task buy:where=click==1 --out schema.yaml
    """
    from manygate.cli.terminal import show_schema
    from manygate.data.infer import infer_schema
    from manygate.files import write_text

    if out is not None and out.exists() and (out.is_dir() or not overwrite):
        raise InputError(f"--out {out} exists. Choose another{', or add --overwrite' if out.is_file() else ''}.")
    found = infer_schema(log, list(task), weight=weight, group=group, time=time, bias=bias, ignore=ignore)
    if out is not None:
        write_text(out, found.to_yaml())
        print(f"wrote {out}", file=sys.stderr)
    if json:
        print_json(found.model_dump(mode="json"))
    else:
        show_schema(found)


@app.command
def train(
    log: Annotated[str | None, Parameter(help="A file, folder or glob: Parquet, CSV, Arrow.")] = None,
    /,
    *,
    out: Out = None,
    resume: Resume = None,
    overwrite: Overwrite = False,
    config: ConfigFile = None,
    json: Json = False,
    progress: ShowProgress = "auto",
    data: Annotated[DataFlags | None, _data] = None,  # type: ignore[valid-type]
    model: Annotated[ModelFlags | None, _model] = None,  # type: ignore[valid-type]
    training: Annotated[TrainFlags | None, _training] = None,  # type: ignore[valid-type]
) -> None:
    """Train one architecture, evaluate it on test rows, and write a bundle and a report.

    Example: manygate train log.parquet --task click --task buy:where=click==1 --architecture mmoe --out runs/mmoe
    """
    from manygate.cli.terminal import show_calibration, show_metrics
    from manygate.runs.folder import check_folder, open_folder
    from manygate.runs.preflight import prepare
    from manygate.runs.run import train_run

    settings = _settings("train", log, config, settings_of(data, model, training), resume, out, overwrite)
    folder = resume or out or _free_folder("train")
    check_folder(folder, resume is not None, overwrite)
    log_rows = prepare(settings.log, settings)
    open_folder(folder, settings, resume is not None, overwrite, _command())
    show, command = open_progress(progress), _command(resume)
    _, document = _stoppable("train", folder, lambda: train_run(log_rows, settings, folder, show, command))
    if json:
        print_json(document)
    else:
        result = document["results"][settings.architecture]
        show_metrics(result["tasks"], f"{settings.architecture} on test, {result['replicas']} replicas")
        show_calibration(result["tasks"], "calibrated on validation rows, judged on test")
        print(f"\nbundle {folder / 'bundle'}\nreport {folder / 'report.html'}")


@app.command
def compare(
    log: Annotated[str | None, Parameter(help="A file, folder or glob: Parquet, CSV, Arrow.")] = None,
    /,
    *,
    architectures: Annotated[str | None, Parameter(help=f"Schemes to compare: {_NAMES} Default: {','.join(COMPARED)}.")] = None,
    weightings: Annotated[
        str | None, Parameter(help="Weightings to cross them with, separated by commas, or all. Default: --weighting.")
    ] = None,
    weight_sweep: Annotated[int, Parameter(help="Vectors of fixed weights to try for each: the front a weighting must beat.")] = 0,
    out: Out = None,
    resume: Resume = None,
    overwrite: Overwrite = False,
    config: ConfigFile = None,
    json: Json = False,
    progress: ShowProgress = "auto",
    data: Annotated[DataFlags | None, _data] = None,  # type: ignore[valid-type]
    model: Annotated[ModelFlags | None, _model] = None,  # type: ignore[valid-type]
    training: Annotated[CompareFlags | None, _training] = None,  # type: ignore[valid-type]
) -> None:
    """Does sharing help? Train several architectures alike and say what each task gains over its own model, and how sure.

    Trains 8 replicas of each unless --replicas says otherwise.

    Example: manygate compare log.parquet --task click --task buy:where=click==1 --replicas 8 --out runs/first
    """
    from manygate.runs.folder import check_folder, open_folder
    from manygate.runs.preflight import prepare

    given = settings_of(data, model, training)
    own = {"architectures": architectures, "weightings": weightings, "weight_sweep": weight_sweep or None}
    given |= {name: value for name, value in own.items() if value is not None}
    settings = _settings("compare", log, config, given, resume, out, overwrite).with_defaults(replicas=8)
    folder = resume or out or _free_folder("compare")
    check_folder(folder, resume is not None, overwrite)
    log_rows = prepare(settings.log, settings, architectures=settings.architectures)
    open_folder(folder, settings, resume is not None, overwrite, _command())
    _compare(log_rows, settings, folder, json, open_progress(progress), _command(resume))


@app.command
def architectures(
    log: Annotated[str | None, Parameter(help="A log whose schema decides the inputs. Default: --columns and --labels.")] = None,
    /,
    *,
    names: Annotated[str, Parameter(help=f"Schemes to list: {_NAMES}")] = "all",
    columns: Annotated[int, Parameter(help="Without a log: how many numbers the schemes read.")] = 100,
    labels: Annotated[int, Parameter(help="Without a log: how many tasks.")] = 2,
    config: ConfigFile = None,
    json: Json = False,
    data: Annotated[DataFlags | None, _data] = None,  # type: ignore[valid-type]
    model: Annotated[ModelFlags | None, _model] = None,  # type: ignore[valid-type]
) -> None:
    """List the sharing schemes with the parameters and FLOPs that each would have on a log, and with --match-parameters the widths.

    Example: manygate architectures --expert-hidden 16 --tower-hidden 8 --match-parameters 15000
    """
    from manygate.cli.terminal import show_architectures
    from manygate.model.budget import listing

    given = settings_of(data, model) | {"architectures": names} | ({"log": log} if log is not None else {})
    settings = resolve(config, given)
    rows, title = listing(settings, columns, labels)
    if all(row["problem"] for row in rows):
        raise InputError(row["problem"] for row in rows)
    if json:
        print_json({"inputs": title, "architectures": rows})
    else:
        show_architectures(rows, title)


@app.command
def evaluate(
    run: Annotated[Path, Parameter(help="A run's folder, or a bundle.")],
    log: Annotated[str, Parameter(help="A labelled log; of a data set's folder, the test part.")],
    /,
    *,
    json: Json = False,
    device: Device = "auto",
    import_: OwnScheme = None,
) -> None:
    """Every metric of every task of a trained model on a log.

    Example: manygate evaluate runs/mmoe january.parquet
    """
    from manygate.cli.terminal import show_calibration, show_metrics, show_ranking

    report = load_ranker(run, device, import_).evaluate(log)
    if json:
        print_json(report)
    else:
        show_metrics(report["tasks"], f"{report['log']}: {report['rows']:,} rows, {report['replicas']} replicas")
        show_calibration(report["tasks"], "calibrated, which predict applies")
        show_ranking(report.get("fusion"))


@app.command
def predict(
    run: Annotated[Path, Parameter(help="A run's folder, or a bundle.")],
    log: Annotated[str, Parameter(help="Rows to score: a file, folder or glob.")],
    /,
    *,
    out: Annotated[Path, Parameter(help="File to write: .parquet, .csv or .arrow.")],
    keep: Annotated[tuple[str, ...], Parameter(help="Columns to copy beside the scores.")] = (),
    raw: Annotated[bool, Parameter(help="The model's own predictions: no calibration and no fused score.")] = False,
    overwrite: Annotated[bool, Parameter(help="Replace --out.")] = False,
    json: Json = False,
    device: Device = "auto",
    import_: OwnScheme = None,
) -> None:
    """Score rows: one column per task, in the order of the rows; calibrated, and with the fused score, where the bundle says how.

    Example: manygate predict runs/mmoe today.parquet --keep user_id --keep item_id --out scores.parquet
    """
    from manygate.scoring.predictor import output_names
    from manygate.scoring.score_file import write_scores

    ranker = load_ranker(run, device, import_)
    calibration, fusion = (None, None) if raw else (ranker.calibration, ranker.fusion)
    rows = write_scores(ranker.model, ranker.encoder, log, out, keep, overwrite, calibration, fusion)
    names = output_names(ranker.encoder, fusion)
    if json:
        tasks = list(ranker.schema.task_names)
        print_json({"out": str(out), "rows": rows, "tasks": tasks, "columns": names, "calibrated": calibration is not None})
    else:
        print(f"wrote {rows:,} rows to {out}: {', '.join([*keep, *names])}")


@app.command
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
    from manygate.files import read_json
    from manygate.report import headline, write_report

    found = next((run / name for name in ("comparison.json", "evaluation.json") if (run / name).is_file()), None)
    if found is None:
        raise InputError(f"{run}: no results here (no comparison.json or evaluation.json). Give the folder of a finished run.")
    document, target = read_json(found), out or run / "report.html"
    if not isinstance(document, dict) or document.get("comparison_version") != 1:
        raise InputError(f"{found}: not the results of a run, or of another version of manygate. Restore it, or run again.")
    write_report(document, target)
    if json:
        print_json({"out": str(target), "headline": headline(document)})
    else:
        print(f"{headline(document)}\nreport {target}")


def _compare(log: Any, settings: RunConfig, folder: Path, json: bool, progress: Any, command: str) -> None:
    from manygate.cli.terminal import show_comparison
    from manygate.report import headline
    from manygate.runs.comparison import compare_run

    document = _stoppable("compare", folder, lambda: compare_run(log, settings, folder, progress, command))
    if json:
        print_json(document)
    else:
        show_comparison(document, headline(document))
        print(f"report {folder / 'report.html'}")


def _settings(
    verb: str,
    log: str | None,
    config: Path | None,
    given: dict[str, Any],
    resume: Path | None,
    out: Path | None,
    overwrite: bool,
) -> RunConfig:
    if resume is not None:
        if log is not None or config is not None or given or out is not None or overwrite:
            raise InputError("--resume continues a run in its own folder, with its own log and settings; leave out all others.")
        other = "train" if any((resume / name).exists() for name in ("metrics.jsonl", "packs", "bundle")) else "compare"
        known = any((folder / name).exists() for folder in resume.glob("*/") for name in ("metrics.jsonl", "packs", "bundle"))
        if other != verb and (other == "train" or known):
            raise InputError(f"--resume {resume}: a run of manygate {other}. Continue it with: manygate {other} --resume {resume}")
        if not (resume / "config.yaml").is_file():
            raise InputError(f"--resume {resume}: no run here (no config.yaml). Give the --out of the run that was stopped.")
        return RunConfig.load(resume / "config.yaml")
    settings = resolve(config, given | ({"log": log} if log is not None else {}))
    if settings.log is None:
        raise InputError("which log? Give a file, a folder or a glob, or 'log:' in --config.")
    return settings


def _stoppable(verb: str, folder: Path, work: Any) -> Any:
    try:
        return work()
    except Interrupted as stop:
        raise Interrupted(
            stop.signal, f"{stop.resume} Continue with: manygate {verb} --resume {shlex.quote(str(folder))}"
        ) from None


def _free_folder(verb: str) -> Path:
    number = 1
    while (folder := Path("runs") / f"{verb}-{number}").exists():
        number += 1
    return folder


def _command(resume: Path | None = None) -> str:
    """The command line as given; of a run that goes on, the one that began it, which heads its configuration."""
    if resume is not None:
        first = (resume / "config.yaml").read_text(encoding="utf-8").partition("\n")[0]
        if first.startswith("# manygate "):
            return first.removeprefix("# ")
    return shlex.join(["manygate", *(argument for argument in sys.argv[1:] if argument != "--debug")])


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    raise Interrupted(number, "Nothing was being trained; run the same command again.")


def main() -> None:
    """Entry point of the ``manygate`` command."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    signal.signal(signal.SIGTERM, _terminated)
    try:
        app(arguments, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        _fail(_usage_problem(error), 2, "Try manygate --help.")
    except InputError as error:
        if debug:
            traceback.print_exc()
        _fail(str(error), 2)
    except Interrupted as stop:
        _fail(str(stop), stop.exit_code)
    except KeyboardInterrupt:
        _fail("stopped by Ctrl-C.", 130)
    except Exception as error:
        if debug:
            traceback.print_exc()
        _fail(f"{type(error).__name__}: {error}. This is a fault of manygate; --debug shows where.", 1)


def _usage_problem(error: CycloptsError) -> str:
    """What is wrong with the flags; where pydantic says so, in the words of the other errors."""
    if not isinstance(error.__cause__, ValidationError):
        return str(error)
    flags = [(str(detail["loc"][-1]).replace("_", "-"), detail) for detail in error.__cause__.errors()]
    return str(InputError(f"--{flag}: {detail['msg']}; found {detail['input']!r}." for flag, detail in flags))


def _fail(message: str, code: int, hint: str = "") -> NoReturn:
    print(f"manygate: {message}{' ' + hint if hint else ''}", file=sys.stderr)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
