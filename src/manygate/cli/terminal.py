"""What the command line prints beside comparisons: tables on stdout for people; all else goes to stderr."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from manygate.cli.screen import Grid, Text, grid, number_cell, open_console, show_note
from manygate.cli.streams import say
from manygate.report.by_day import day_cells, day_heads
from manygate.report.cold_start import cold_start_rows
from manygate.results.evaluation import DataWarning, DayReport
from manygate.results.fusion import FusionRanking, FusionSearch
from manygate.results.inspection import Inspection, NoiseReport
from manygate.results.study import StudyResults
from manygate.results.summary import Scores, TaskReport
from manygate.schema import Schema
from manygate.scoring.fusion import Fusion
from manygate.studies.sentences import verdict_words
from manygate.text import count_of

if TYPE_CHECKING:
    from manygate.model.budget import ArchitectureCost

SEVERITY_STYLE = {"serious": "bold red", "warning": "bold yellow", "note": "dim"}
FUSED, RANDOM = "the fused score", "an order at random"
COLD_COLUMNS = ("task", "rows with", "number", "positives", "main metric", "loss")
CALIBRATED = ("ece", "calibration", "log_loss")


def show_schema(schema: Schema) -> None:
    """A schema, with the reason for each choice."""
    tasks = grid("tasks", "task", "kind", "label", "where", "why")
    for task in schema.tasks:
        tasks.add_row(*map(Text, (task.name, task.kind, task.column, task.space, task.note)))
    features = grid("features", "column", "kind", "role", "why")
    for feature in schema.features:
        features.add_row(*map(Text, (feature.name, feature.kind, feature.role, feature.note)))
    others = grid("other columns", "column", "role", "why")
    for role in ("group", "time", "weight"):
        if getattr(schema, role):
            others.add_row(Text(getattr(schema, role)), Text(role), Text(""))
    for name, reason in schema.ignored.items():
        others.add_row(Text(name), Text("ignored"), Text(reason))
    for table in (tasks, features, others):
        for column in table.columns:
            column.justify = "left"
        if table.rows:
            open_console().print(table)
            open_console().print()


def show_alarms(warnings: Sequence[DataWarning], to_stderr: bool = False) -> None:
    """Every warning about the data and the results, the serious ones first; nothing where there is none."""
    if not warnings:
        return
    levels = [warning.level for warning in warnings]
    names = (("serious", "serious alarm"), ("warning", "warning"), ("note", "note"))
    title = ", ".join(count_of(levels.count(level), name) for level, name in names if level in levels)
    table = Grid(title=Text(title), title_justify="left", title_style="bold", show_header=False, box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for warning in warnings:
        table.add_row(Text(warning.level, style=SEVERITY_STYLE[warning.level]), Text(warning.text))
    console = Console(stderr=True, highlight=False, markup=False, emoji=False) if to_stderr else open_console()
    console.print()
    console.print(table)


def show_study(results: StudyResults, out: Path) -> None:
    """Every claim of a study with its verdict, and where the page is."""
    table = grid(f"{count_of(results.runs, 'run')}, {results.seconds / 60:.1f} minutes of training", "claim", "verdict", "where")
    for column in table.columns:
        column.justify, column.no_wrap = "left", False
    for claim in results.claims:
        style = {"reproduced": "bold green", "not reproduced": "bold red", "cannot tell": "dim"}.get(claim.verdict, "yellow")
        table.add_row(Text(claim.title), Text(verdict_words(claim), style=style), Text(claim.where))
    open_console().print(table)
    say(f"\nThe figures and all numbers: {out / 'report.html'}")


def show_inspection(document: Inspection, headline: str) -> None:
    """The alarms of an inspection first, then each task's numbers in a line."""
    console = open_console()
    console.print(Text(headline, style="bold"))
    for alarm in document.alarms:
        console.print(Text(f"\n{alarm.severity}: ", style=SEVERITY_STYLE[alarm.severity]).append(alarm.title, style="bold"))
        console.print(Text(f"{alarm.message}\n{alarm.advice}"))
    columns = ("task", "rows", "metric ± 2 se", "gate entropy", "polarised", "dead in tower")
    replicas = document.replicas
    title = f"{document.architecture}, {count_of(document.rows, 'row')}, {replicas.looked_at} of {count_of(replicas.of, 'replica')}"
    table = grid(f"\n{title}", *columns)
    table.columns[2].no_wrap = True
    for task in document.tasks:
        noise = next((one for one in document.noise or [] if one.task == task.task), None)
        uses = [use for entry in document.gates or [] for use in entry.tasks if use.task == task.task]
        networks = [network for layer in (document.dead.layers if document.dead else []) for network in layer.networks]
        towers = [network.dead for network in networks if network.name == f"tower of {task.task}"]
        table.add_row(
            Text(task.task),
            Text(f"{task.rows:,}"),
            _with_error(noise),
            Text(_range([use.entropy_share for use in uses], ".2f")),
            Text(_range([use.polarised for use in uses], ".0%")),
            Text(_range(towers, ".0%")),
        )
    console.print(table)
    if replicas.looked_at > 1 or len({entry.level for entry in document.gates or []}) > 1:
        console.print(Text("Ranges are over replicas and levels.", style="dim"))


def _with_error(noise: NoiseReport | None) -> Text:
    if noise is None:
        return Text("")
    spread = f" ± {2 * noise.se:.3f}" if noise.se is not None else ""
    value = "undefined" if noise.value is None else f"{noise.value:.3f}"
    return Text(f"{noise.metric} {value}").append(spread, style="dim")


def _range(values: Sequence[float | None], form: str) -> str:
    """The least and the most of some numbers, or the one that all of them are."""
    known = [format(value, form) for value in sorted(value for value in values if value is not None)]
    return "" if not known else known[0] if known[0] == known[-1] else f"{known[0]} to {known[-1]}"


def show_metrics(tasks: Mapping[str, TaskReport], title: str, interval_note: str | None = None) -> None:
    """Every metric of every task, and of a funnel's joint events: mean, 95 % interval over replicas, ensemble."""
    table = grid(title, "task", "metric", "mean", "95 % interval", "ensemble")
    joint = {task.joint.name: task.joint for task in tasks.values() if task.joint}
    scores: dict[str, Scores] = {**tasks, **joint}
    for name, task in scores.items():
        for metric, value in task.metrics.items():
            if value.mean is None:
                table.add_row(Text(name), Text(metric), Text("undefined"), Text(task.undefined.get(metric, "")), Text(""))
                continue
            interval = "{:.4f} to {:.4f}".format(*value.ci95) if value.ci95 else ""
            table.add_row(Text(name), Text(metric), number_cell(value.mean), Text(interval), number_cell(task.ensemble[metric]))
    open_console().print(table)
    show_note(interval_note)


def show_days(days: Sequence[DayReport]) -> None:
    """The main metrics of each day that was judged before it was trained on, and their mean."""
    table = grid("each day, predicted before it was trained on", *day_heads(days))
    for cells in day_cells(days):
        table.add_row(*map(Text, cells))
    open_console().print()
    open_console().print(table)


def show_cold_start(tasks: Mapping[str, TaskReport]) -> None:
    """The metrics apart for rows with known ids and rows with an unseen id; nothing where no row has one."""
    table = grid("metrics apart by ids", *COLD_COLUMNS)
    for column in (1, 4, 5):
        table.columns[column].justify = "left"
    for name, task in tasks.items():
        for cells in cold_start_rows(task.cold_start) if task.cold_start else ():
            table.add_row(Text(name), *map(Text, cells))
    if table.rows:
        open_console().print()
        open_console().print(table)
        show_note("AUC compares pairs of rows. The AUC of all rows is the mean of these three, weighted by their pairs.")


def show_calibration(tasks: Mapping[str, TaskReport], title: str) -> None:
    """What calibration changed, where there is any: the ensemble's metrics before and after."""
    table = grid("", "task", "method", "metric", "before", "after")
    for name, task in tasks.items():
        calibrated = task.calibrated
        if calibrated is None:
            continue
        for metric in CALIBRATED:
            before, after = task.ensemble[metric], calibrated.metrics[metric]
            table.add_row(Text(name), Text(calibrated.method), Text(metric), number_cell(before), number_cell(after))
    if table.rows:
        open_console().print(Text(f"\n{title}", style="bold"))
        open_console().print(table)


def show_fusion(fusion: Fusion | None, result: FusionSearch | None) -> None:
    """The formula of the score, and of a search what it reaches beside each prediction alone."""
    if fusion is None:
        say("there is no fusion")
        return
    say(f"{fusion.formula()}   (version {fusion.version}, {fusion.made.get('how', 'unknown')})")
    if result is None:
        return
    counts = ((result.rows, "row"), (result.visits, "visit"), (len(result.trials), "trial"))
    say("\n" + ", ".join(count_of(*count) for count in counts))
    names = [one.objective for one in result.objectives]
    fused, random = result.trials[result.chosen].values, [one.random for one in result.objectives]
    _ranked_by(names, {FUSED: fused, **{f"{name} alone": values for name, values in result.alone.items()}, RANDOM: random})


def show_ranking(ranking: FusionRanking | None) -> None:
    """How the fused score ranks the visits of a log, beside each prediction alone; nothing where there is no fusion."""
    if ranking is None:
        return
    say(f"\n{ranking.formula}   (version {ranking.version}), {count_of(ranking.visits, 'visit')}")
    objectives = list(ranking.objectives.values())
    rows = {FUSED: [one.fused for one in objectives]}
    for name in objectives[0].alone if objectives else ():
        rows[f"{name} alone"] = [one.alone[name] for one in objectives]
    _ranked_by(list(ranking.objectives), {**rows, RANDOM: [one.random for one in objectives]})


def _ranked_by(names: list[str], rows: dict[str, list[float]]) -> None:
    table = grid("", "ranked by", *names)
    for name, values in rows.items():
        table.add_row(Text(name), *map(number_cell, values))
    if names:
        open_console().print(table)


def show_architectures(rows: list[ArchitectureCost], title: str) -> None:
    """Schemes with what each costs; below, why some cannot be had."""
    table = grid(title, "architecture", "parameters", "network", "FLOPs a row", "hidden", "towers")
    for row in (row for row in rows if not row.problem):
        numbers = [Text("" if value is None else f"{value:,}") for value in (row.parameters, row.network_parameters, row.flops)]
        table.add_row(Text(row.name), *numbers, Text(row.hidden or ""), Text(row.towers or ""))
    if table.rows:
        open_console().print(table)
    for problem in (row.problem for row in rows if row.problem):
        open_console().print(Text(problem, style="red"))
