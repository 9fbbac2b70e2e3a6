"""``manygate tune``: search for good settings of one architecture, and show what they gain."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

from manygate.cli.flags import (
    CSV,
    DATA,
    MODEL,
    TRAINING,
    ConfigFile,
    CsvFlags,
    DataFlags,
    Imports,
    Json,
    ModelFlags,
    Overwrite,
    ShowProgress,
    TrialFlags,
    TuneFlags,
    settings_of,
)
from manygate.cli.loading import import_own
from manygate.cli.run_folder import check_resumed, command_line, free_folder, resumable
from manygate.cli.streams import print_json, say
from manygate.config import RunConfig, TuneConfig
from manygate.config.tune_settings import TRIAL_REPLICAS, split_tree
from manygate.errors import InputError, raise_all
from manygate.files import read_text
from manygate.schema.reading import read_yaml, validated
from manygate.training.progress import open_progress

if TYPE_CHECKING:
    from manygate.results.tuning import TuningDocument

SEARCH = Parameter(name="*", group=Group("Search", sort_key=1))


def tune(
    log: Annotated[str | None, Parameter(help="A file, folder or glob: Parquet, CSV, Arrow.")] = None,
    /,
    *,
    out: Annotated[
        Path | None,
        Parameter(help="Folder to write. Processes that name the same folder share the trials. Default: runs/tune-N."),
    ] = None,
    resume: Annotated[
        Path | None, Parameter(help="Continue the study in this folder, or join it. Beside it only --pick and --storage are given.")
    ] = None,
    overwrite: Overwrite = False,
    space: Annotated[
        Path | None, Parameter(help="Ranges as YAML, such as learning_rate: {log: [0.0001, 0.01]}. --config may hold them, too.")
    ] = None,
    config: ConfigFile = None,
    import_: Imports = (),
    json: Json = False,
    progress: ShowProgress = "auto",
    search: Annotated[TuneFlags | None, SEARCH] = None,  # type: ignore[valid-type]
    data: Annotated[DataFlags | None, DATA] = None,  # type: ignore[valid-type]
    csv: Annotated[CsvFlags | None, CSV] = None,  # type: ignore[valid-type]
    model: Annotated[ModelFlags | None, MODEL] = None,  # type: ignore[valid-type]
    training: Annotated[TrialFlags | None, TRAINING] = None,  # type: ignore[valid-type]
) -> None:
    """Search for settings that predict validation rows best, train them again beside the defaults, and judge both on test rows.

    Kinds of ranges: uniform, log, int and log_int with two ends; ordered and choice with a list of values. Without ranges the
    architecture has a default space, in which settings that you give stay as they are. A trial trains 2 replicas unless --replicas
    says otherwise. The same command in a second process helps with the trials.

    Example: manygate tune log.parquet --task click --task buy:where=click==1 --architecture mmoe --trials 50 --out runs/tuned
    """
    from manygate.cli.tuning_table import show_tuning
    from manygate.runs.folder import sources_of
    from manygate.runs.preflight import prepare
    from manygate.runs.run import with_batches
    from manygate.runs.tuning.folder import study_folder
    from manygate.runs.tuning.run import plan, tune_run

    given, searched = settings_of(data, csv, model, training), settings_of(search)
    if resume is not None:
        check_resumed(log is not None or bool(given) or any(value is not None for value in (out, space, config)) or overwrite)
        run, tuning = resumed_study(resume, searched)
        fixed: tuple[str, ...] = ()
    else:
        run, tuning = study_settings(log, config, space, given, searched)
        fixed = tuple(run.model_fields_set)
        run = run.with_defaults(replicas=TRIAL_REPLICAS)
    folder, show = resume or out or free_folder("tune"), open_progress(progress)
    import_own(import_, given)
    rows = prepare(run.log, run, progress=show)
    run = with_batches(run.absolute(), rows, show)
    found, tuning, objectives = plan(rows, run, tuning, fixed)
    command = command_line(folder if (folder / "config.yaml").is_file() else None)

    def work() -> TuningDocument:
        with study_folder(folder, run, tuning, rows.record, overwrite, command, sources_of(run)):
            return tune_run(rows, found, tuning, objectives, folder, show, command)[0]

    document = resumable("tune", folder, import_, work)
    if json:
        print_json(document.to_tree())
        return
    show_tuning(document)
    say(f"\nsettings {folder / 'tuned.yaml'}\nreport {folder / 'report.html'}")


def study_settings(
    log: str | None, config: Path | None, space: Path | None, given: Mapping[str, object], searched: Mapping[str, object]
) -> tuple[RunConfig, TuneConfig]:
    """Return the default settings and those of the search: flags over a configuration file, also over its ranges."""
    tree: dict[str, Any] = {}
    ranges: dict[str, Any] = {}
    own: dict[str, Any] = {}
    if config is not None:
        tree, own = split_tree(read_yaml(read_text(config), str(config)), str(config))
        RunConfig.build(tree, str(config))
        validated(TuneConfig, own, str(config))
        ranges = {name: values for name, values in _ranges(own).items() if name not in given}
    if space is not None:
        _, from_file = split_tree(_space_tree(space), str(space))
        found = _ranges(from_file)
        raise_all(
            f"{space}: {name}: it has a range here and a value in --{name.replace('_', '-')}. Leave one out."
            for name in found
            if name in given
        )
        ranges = {**ranges, **found}
    named = {} if log is None else {"log": log}
    run = RunConfig.build({**tree, **given, **named})
    if run.log is None:
        raise InputError("no log is given. Give a file, a folder or a glob, or 'log:' in --config.")
    tuning: TuneConfig = validated(TuneConfig, {**own, **searched, "space": ranges}, "")
    return run, tuning


def _ranges(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ranges among the settings of a search."""
    return dict(tree.get("space", {}))


def _space_tree(path: Path) -> Any:
    """Return the content of a file of ranges as the entry ``space`` of a configuration."""
    tree = read_yaml(read_text(path), str(path))
    names = type(tree)({"space": dict(tree)})
    names.lines = {("space", *steps): line for steps, line in tree.lines.items()}
    return names


def resumed_study(folder: Path, searched: Mapping[str, object]) -> tuple[RunConfig, TuneConfig]:
    """Return the settings of a study that continues, with the trial to pick and the address of its database."""
    from manygate.runs.tuning.folder import FREE, has_study, load_study

    if not has_study(folder):
        raise InputError(f"--resume {folder}: no study here (no tuning.yaml). Give the --out of the study that was stopped.")
    check_resumed(any(name not in FREE for name in searched))
    run, tuning = load_study(folder)
    tuning = validated(TuneConfig, {**tuning.model_dump(), **searched}, "")
    if tuning.storage is not None and "***" in tuning.storage:
        raise InputError(f"--resume {folder}: the password of {tuning.storage} is not kept. Give --storage, too.")
    return run, tuning
