"""``manygate train``: train one architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

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
    Out,
    Overwrite,
    Resume,
    ShowProgress,
    TrainFlags,
    settings_of,
)
from manygate.cli.loading import import_own
from manygate.cli.run_folder import command_line, folder_of_train, resumable, run_settings
from manygate.cli.streams import print_json, say
from manygate.text import count_of
from manygate.training.progress import open_progress


def train(
    log: Annotated[str | None, Parameter(help="A file, folder or glob: Parquet, CSV, Arrow.")] = None,
    /,
    *,
    out: Out = None,
    resume: Resume = None,
    overwrite: Overwrite = False,
    continue_: Annotated[
        Path | None,
        Parameter(
            name="--continue",
            help="Train on from the weights of this finished run, in a new folder. Its schema and network stay, new ids get "
            "rows, and the optimizer begins anew. Files of the log that this run has read are left out.",
        ),
    ] = None,
    config: ConfigFile = None,
    import_: Imports = (),
    json: Json = False,
    progress: ShowProgress = "auto",
    data: Annotated[DataFlags | None, DATA] = None,  # type: ignore[valid-type]
    csv: Annotated[CsvFlags | None, CSV] = None,  # type: ignore[valid-type]
    model: Annotated[ModelFlags | None, MODEL] = None,  # type: ignore[valid-type]
    training: Annotated[TrainFlags | None, TRAINING] = None,  # type: ignore[valid-type]
) -> None:
    """Train one architecture, evaluate it on test rows, and write a bundle and a report.

    Example: manygate train log.parquet --task click --task buy:where=click==1 --architecture mmoe --out runs/mmoe
    """
    from manygate.cli.terminal import show_alarms, show_calibration, show_cold_start, show_days, show_metrics
    from manygate.runs.folder import check_folder, open_folder, sources_of
    from manygate.runs.plan import plan_run
    from manygate.training.processes import open_world

    given = settings_of(data, csv, model, training) | ({} if continue_ is None else {"continued": str(continue_)})
    settings = run_settings("train", log, config, given, resume, out, overwrite)
    folder, reads = resume or out or folder_of_train(), sources_of(settings)
    import_own(import_, given)
    with open_world(settings.device) as world:
        if not world.leads:
            plan_run(settings.log, settings, world=world).follow()
            return
        resumed = resume is not None or world.begun
        check_folder(folder, resumed, overwrite, reads)
        show, command = open_progress(progress), command_line(resume)
        plan = plan_run(settings.log, settings, progress=show, world=world)
        with open_folder(folder, plan.config, resumed, overwrite, command_line(), reads):
            world.begin()
            _, document = resumable("train", folder, import_, lambda: plan.train(folder, show, command))
    if json:
        print_json(document.to_tree())
        show_alarms(document.data.warnings, to_stderr=True)
    else:
        result = document.results[plan.config.architecture]
        rows = f"the last day, {result.days[-1].day}" if result.days else "test"
        title = f"{plan.config.architecture} on {rows}, {count_of(result.replicas, 'replica')}"
        show_metrics(result.tasks, title, document.interval_note)
        show_cold_start(result.tasks)
        if result.days:
            show_days(result.days)
        show_calibration(result.tasks, "calibrated on validation rows, judged on test")
        show_alarms(document.data.warnings)
        say(f"\nbundle {folder / 'bundle'}\nreport {folder / 'report.html'}")
