"""``manygate compare``: train several architectures alike and compare them task by task."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from manygate.cli.flags import (
    CSV,
    DATA,
    MODEL,
    SCHEME_NAMES,
    TRAINING,
    CompareFlags,
    ConfigFile,
    CsvFlags,
    DataFlags,
    Imports,
    Json,
    ModelFlags,
    Out,
    Overwrite,
    Resume,
    ShowProgress,
    settings_of,
)
from manygate.cli.loading import import_own
from manygate.cli.run_folder import command_line, free_folder, resumable, run_settings
from manygate.cli.streams import print_json, say
from manygate.config import RunConfig
from manygate.config.names import BASELINES, COMPARED
from manygate.errors import InputError
from manygate.training.progress import Progress, open_progress

if TYPE_CHECKING:
    from manygate.data.encoded import EncodedLog
    from manygate.results.comparison import ComparisonDocument
    from manygate.runs.comparison import StoryOf
    from manygate.runs.run import Trained


def compare(
    log: Annotated[str | None, Parameter(help="A file, folder or glob: Parquet, CSV, Arrow.")] = None,
    /,
    *,
    architectures: Annotated[
        str | None, Parameter(help=f"Schemes to compare: {SCHEME_NAMES} Default: {','.join(COMPARED)}.")
    ] = None,
    weightings: Annotated[
        str | None, Parameter(help="Weightings to cross them with, separated by commas, or all. Default: --weighting.")
    ] = None,
    weight_sweep: Annotated[int, Parameter(help="Vectors of fixed weights to try for each: the front a weighting must beat.")] = 0,
    id_dropouts: Annotated[
        str | None, Parameter(help="Values of --id-dropout from which each model gets one, on validation rows: 0,5,20.")
    ] = None,
    tune: Annotated[
        int, Parameter(help="Trials with which each model is tuned on validation rows before it is compared. Default: none.")
    ] = 0,
    baselines: Annotated[
        str | None,
        Parameter(help=f"Models from outside, one for each task: {', '.join(BASELINES)}; or none. Default: lightgbm if installed."),
    ] = None,
    out: Out = None,
    resume: Resume = None,
    overwrite: Overwrite = False,
    config: ConfigFile = None,
    import_: Imports = (),
    json: Json = False,
    progress: ShowProgress = "auto",
    data: Annotated[DataFlags | None, DATA] = None,  # type: ignore[valid-type]
    csv: Annotated[CsvFlags | None, CSV] = None,  # type: ignore[valid-type]
    model: Annotated[ModelFlags | None, MODEL] = None,  # type: ignore[valid-type]
    training: Annotated[CompareFlags | None, TRAINING] = None,  # type: ignore[valid-type]
) -> None:
    """Train several architectures alike and show what each task gains or loses by sharing, with intervals and verdicts.

    Trains 8 replicas of each unless --replicas says otherwise.

    Example: manygate compare log.parquet --task click --task buy:where=click==1 --replicas 8 --out runs/first
    """
    from manygate.runs.folder import check_folder, open_folder, sources_of
    from manygate.runs.preflight import prepare

    given = settings_of(data, csv, model, training)
    if "architecture" in given:
        raise InputError(f"--architecture {given['architecture']}: a comparison trains several. Give them with --architectures.")
    chosen = {"architectures": architectures, "weightings": weightings, "baselines": baselines, "id_dropouts": id_dropouts}
    counts = {"weight_sweep": weight_sweep, "tune": tune}
    given |= {name: count for name, count in counts.items() if count}
    given |= {name: value for name, value in chosen.items() if value is not None}
    settings = run_settings("compare", log, config, given, resume, out, overwrite).with_defaults(replicas=8)
    folder, reads = resume or out or free_folder("compare"), sources_of(settings)
    check_folder(folder, resume is not None, overwrite, reads)
    import_own(import_, given)
    show = open_progress(progress)
    log_rows = prepare(settings.log, settings, architectures=settings.architectures, progress=show)
    with open_folder(folder, settings, resume is not None, overwrite, command_line(), reads):
        compare_and_show(log_rows, settings, folder, json, show, command_line(resume), import_)


def compare_and_show(
    log: EncodedLog,
    settings: RunConfig,
    folder: Path,
    json: bool,
    progress: Progress,
    command: str,
    imports: tuple[str, ...] = (),
    story_of: StoryOf | None = None,
) -> None:
    """Train the architectures of a comparison in a folder and print the result."""
    from manygate.cli.comparison_table import show_comparison, show_story
    from manygate.cli.terminal import show_alarms
    from manygate.report import headline
    from manygate.runs.comparison import compare_run

    def run() -> tuple[ComparisonDocument, dict[str, Trained]]:
        return compare_run(log, settings, folder, progress, command, story_of=story_of)

    document, _ = resumable("compare", folder, imports, run)
    if json:
        print_json(document.to_tree())
        show_alarms(document.data.warnings, to_stderr=True)
    else:
        show_comparison(document, headline(document))
        show_alarms(document.data.warnings)
        show_story(document.story)
        say(f"\nreport {folder / 'report.html'}")
