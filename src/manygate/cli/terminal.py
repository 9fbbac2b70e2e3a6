"""What the command line prints: tables on stdout for people; all else goes to stderr."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from manygate.cli.screen import Grid, Text, say
from manygate.metrics.table import MAIN_METRIC
from manygate.report.cold_start import cold_start_rows
from manygate.report.outside import outside_gain, outside_outcome
from manygate.report.words import outcome, priced, task_names
from manygate.results.base import Interval
from manygate.results.comparison import ComparisonDocument, Recommendation, Seesaw, WeightSweep
from manygate.results.evaluation import DataWarning
from manygate.results.fusion import FusionRanking, FusionSearch
from manygate.results.inspection import Inspection, NoiseReport
from manygate.results.story import Story
from manygate.results.study import StudyResults
from manygate.results.summary import Scores, TaskReport
from manygate.schema import Schema
from manygate.scoring.fusion import Fusion
from manygate.text import count_of, half_width, listed

if TYPE_CHECKING:
    from manygate.model.budget import ArchitectureCost

SEVERITY_STYLE = {"serious": "bold red", "warning": "bold yellow", "note": "dim"}
VERDICT_STYLE = {"helps": "bold green", "hurts": "bold red", "likely helps": "green", "likely hurts": "red", "cannot tell": "dim"}
SIGNS = {"helps": "+", "hurts": "-", "likely helps": "+", "likely hurts": "-", "cannot tell": "?"}
ADVICE_STYLE = {
    "share": "bold green",
    "one checkpoint per task": "bold green",
    "separate": "bold red",
    "trade-off": "bold yellow",
    "look again": "bold yellow",
}
FOUND_STYLE = {"found": "bold green", "cannot tell": "bold yellow", "contradicted": "bold red"}
FUSED, RANDOM = "the fused score", "an order at random"
COLD_COLUMNS = ("task", "rows with", "number", "positives", "main metric", "loss")
CALIBRATED = ("ece", "calibration", "log_loss")


def _console() -> Console:
    return Console(highlight=False, markup=False, emoji=False)


def _grid(title: str, *columns: str) -> Table:
    table = Grid(title=Text(title), title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(Text(column), justify="left" if i == 0 else "right", overflow="fold", no_wrap=i == 0)
    return table


def show_schema(schema: Schema) -> None:
    """A schema, with the reason for each choice."""
    tasks = _grid("tasks", "task", "kind", "label", "where", "why")
    for task in schema.tasks:
        tasks.add_row(*map(Text, (task.name, task.kind, task.column, task.space, task.note)))
    features = _grid("features", "column", "kind", "role", "why")
    for feature in schema.features:
        features.add_row(*map(Text, (feature.name, feature.kind, "bias" if feature.bias else "", feature.note)))
    others = _grid("other columns", "column", "role", "why")
    for role in ("group", "time", "weight"):
        if getattr(schema, role):
            others.add_row(Text(getattr(schema, role)), Text(role), Text(""))
    for name, reason in schema.ignored.items():
        others.add_row(Text(name), Text("ignored"), Text(reason))
    for table in (tasks, features, others):
        for column in table.columns:
            column.justify = "left"
        if table.rows:
            _console().print(table)
            _console().print()


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
    console = Console(stderr=True, highlight=False, markup=False, emoji=False) if to_stderr else _console()
    console.print()
    console.print(table)


def show_study(results: StudyResults, out: Path) -> None:
    """Every claim of a study with its verdict, and where the page is."""
    table = _grid(f"{count_of(results.runs, 'run')}, {results.seconds / 60:.1f} minutes of training", "claim", "verdict", "where")
    for column in table.columns:
        column.justify, column.no_wrap = "left", False
    for claim in results.claims:
        style = {"reproduced": "bold green", "not reproduced": "bold red", "cannot tell": "dim"}.get(claim.verdict, "yellow")
        table.add_row(Text(claim.title), Text(claim.verdict, style=style), Text(claim.where))
    _console().print(table)
    say(f"\nThe figures and all numbers: {out / 'report.html'}")


def show_inspection(document: Inspection, headline: str) -> None:
    """The alarms of an inspection first, then each task's numbers in a line."""
    console = _console()
    console.print(Text(headline, style="bold"))
    for alarm in document.alarms:
        console.print(Text(f"\n{alarm.severity}: ", style=SEVERITY_STYLE[alarm.severity]).append(alarm.title, style="bold"))
        console.print(Text(f"{alarm.message}\n{alarm.advice}"))
    columns = ("task", "rows", "metric ± 2 se", "gate entropy", "polarised", "dead in tower")
    replicas = document.replicas
    title = f"{document.architecture}, {count_of(document.rows, 'row')}, {replicas.looked_at} of {count_of(replicas.of, 'replica')}"
    table = _grid(f"\n{title}", *columns)
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
    table = _grid(title, "task", "metric", "mean", "95 % interval", "ensemble")
    joint = {task.joint.name: task.joint for task in tasks.values() if task.joint}
    scores: dict[str, Scores] = {**tasks, **joint}
    for name, task in scores.items():
        for metric, value in task.metrics.items():
            if value.mean is None:
                table.add_row(Text(name), Text(metric), Text("undefined"), Text(task.undefined.get(metric, "")), Text(""))
                continue
            interval = "{:.4f} to {:.4f}".format(*value.ci95) if value.ci95 else ""
            table.add_row(Text(name), Text(metric), _number(value.mean), Text(interval), _number(task.ensemble[metric]))
    _console().print(table)
    _show_note(interval_note)


def show_cold_start(tasks: Mapping[str, TaskReport]) -> None:
    """The metrics apart for rows with known ids and rows with an unseen id; nothing where no row has one."""
    table = _grid("metrics apart by ids", *COLD_COLUMNS)
    for column in (1, 4, 5):
        table.columns[column].justify = "left"
    for name, task in tasks.items():
        for cells in cold_start_rows(task.cold_start) if task.cold_start else ():
            table.add_row(Text(name), *map(Text, cells))
    if table.rows:
        _console().print()
        _console().print(table)
        _show_note("AUC compares pairs of rows. The AUC of all rows is the mean of these three, weighted by their pairs.")


def show_calibration(tasks: Mapping[str, TaskReport], title: str) -> None:
    """What calibration changed, where there is any: the ensemble's metrics before and after."""
    table = _grid("", "task", "method", "metric", "before", "after")
    for name, task in tasks.items():
        calibrated = task.calibrated
        if calibrated is None:
            continue
        for metric in CALIBRATED:
            before, after = task.ensemble[metric], calibrated.metrics[metric]
            table.add_row(Text(name), Text(calibrated.method), Text(metric), _number(before), _number(after))
    if table.rows:
        _console().print(Text(f"\n{title}", style="bold"))
        _console().print(table)


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
    table = _grid("", "ranked by", *names)
    for name, values in rows.items():
        table.add_row(Text(name), *map(_number, values))
    if names:
        _console().print(table)


def show_comparison(document: ComparisonDocument, headline: str) -> None:
    """What each task reached and gained, what each architecture cost, and the verdict last, where the eye rests."""
    gain = "effect ± 95 %" if priced(document) else "gain ± 95 %"
    title = "each task on test, mean over replicas"
    title += " (mean: the kept checkpoint, effect: own best epochs)" if priced(document) else ""
    table = _grid(title, "task", "architecture", "in", "mean", gain, "verdict")
    for column in (1, 5):
        table.columns[column].justify = "left"
    for column in (1, 4, 5):
        table.columns[column].no_wrap = True
    for task in task_names(document):
        for i, (name, result) in enumerate(document.results.items()):
            cells = _result_cells(result.tasks[task]) + _verdict_cells(document, name, task)
            table.add_row(Text(task if i == 0 else ""), Text(name), *cells)
        for name, outside in (document.baselines or {}).items():
            if task in outside.tasks:
                table.add_row(Text(""), Text(name), *_result_cells(outside.tasks[task]), *_outside_cells(document, name, task))
    _console().print(table)
    _show_note(document.interval_note)
    _console().print()
    show_price(document)
    cost = _grid("cost", "architecture", "parameters", "network", "FLOPs a row", "seconds", "validation")
    for name, result in document.results.items():
        cost.add_row(
            Text(name),
            Text(f"{result.parameters:,}"),
            Text(f"{result.network_parameters:,}"),
            Text(f"{result.flops:,}"),
            Text(f"{result.seconds:.0f}"),
            _number(document.valid[name].mean),
        )
    _console().print(cost)
    if document.id_dropout:
        values = listed([f"{choice.chosen:g} for {name}" for name, choice in document.id_dropout.items()])
        _show_note(f"id_dropout, chosen on validation: {values}.")
    _console().print()
    for architecture, sweep in (document.sweep or {}).items():
        show_sweep(architecture, sweep)
    _console().print(Text(headline, style="bold"))
    if document.best:
        _console().print(Text(document.best.reason + " The choice is made on validation alone."))
    if document.recommendation and document.transfer:
        _show_advice(document.recommendation, document.transfer.seesaws)
    for text in document.against_baselines.text if document.against_baselines else ():
        _console().print()
        _console().print(Text(text))


def show_price(document: ComparisonDocument) -> None:
    """What one checkpoint for all tasks costs with the model that the advice is about; nothing where it costs nothing."""
    name = document.recommendation.judged if document.recommendation else None
    prices = (document.price or {}).get(name or "", {})
    if not any(entry.price for entry in prices.values()):
        return
    table = _grid(f"{name} with one checkpoint for all tasks", "task", "effect of sharing", "- price", "= as shipped ± 95 %")
    table.columns[3].no_wrap = True
    for task, price in prices.items():
        effect, shipped = document.verdicts[str(name)][task], (document.as_shipped or {})[str(name)][task]
        table.add_row(Text(task), _signed(effect.gain), _signed(price.price), _with_interval(shipped.gain, shipped.ci95))
    _console().print(table)
    _console().print()


def _show_advice(advice: Recommendation, seesaws: Sequence[Seesaw]) -> None:
    """What to do and why, and which tasks pay for which."""
    told = [f"Seesaw, {one.origin} to {one.to}: {one.gains} gains, {one.loses} loses." for one in seesaws if one.sure]
    possible = len(seesaws) - len(told)
    if possible:
        told.append(f"{count_of(possible, 'possible seesaw')}, of which one side may be luck: see the report.")
    rule = str(advice.rule)
    _console().print()
    _console().print(
        Text(f"{rule.capitalize()}. ", style=ADVICE_STYLE.get(rule, "bold")).append(Text(advice.text, style="not bold"))
    )
    for line in [*advice.reasons, *told]:
        _console().print(Text(f"- {line}", style="dim"))
    if advice.could_change:
        _console().print(Text("What could change this answer:"))
    for line in advice.could_change:
        _console().print(Text(f"- {line}", style="dim"))


def _show_note(note: str | None) -> None:
    if note:
        _console().print(Text(note, style="dim"))


def show_story(story: Story | None) -> None:
    """What is true of a log whose truth is known, and what the comparison found; nothing for another log."""
    if story is None:
        return
    console = _console()
    console.print(Text("\nWhat is true of this made-up log", style="bold"))
    for line in story.truth:
        console.print(Text(f"- {line}"))
    for claim in story.claims:
        console.print(
            Text(f"{claim.found}: ", style=FOUND_STYLE[claim.found]).append(f"{claim.text} {claim.evidence}.", style="not bold")
        )
    console.print(Text(story.summary, style="bold"))


def show_sweep(architecture: str, sweep: WeightSweep) -> None:
    """How each weighting of an architecture stands to fixed weights."""
    front = sum(point.on_front for point in sweep.points)
    title = f"{architecture} against {count_of(len(sweep.points), 'vector')} of fixed weights, {front} of them on the front"
    table = _grid(title, "run", *sweep.reference, "hypervolume", "verdict")
    styles = {"dominated": "bold red", "beyond the sweep": "bold green"}
    for name, method in sweep.methods.items():
        added, whole = method.hypervolume_added, sweep.hypervolume["test"]
        cells = [_number(value) for value in method.test.values()]
        cells.append(Text("undefined" if added is None or not whole else f"{added / whole:+.2%}"))
        table.add_row(Text(name), *cells, Text(method.verdict, style=styles.get(method.verdict, "dim")))
    _console().print(table)
    _console().print()


def show_architectures(rows: list[ArchitectureCost], title: str) -> None:
    """Schemes with what each costs; below, why some cannot be had."""
    table = _grid(title, "architecture", "parameters", "network", "FLOPs a row", "hidden", "towers")
    for row in (row for row in rows if not row.problem):
        numbers = [Text("" if value is None else f"{value:,}") for value in (row.parameters, row.network_parameters, row.flops)]
        table.add_row(Text(row.name), *numbers, Text(row.hidden or ""), Text(row.towers or ""))
    if table.rows:
        _console().print(table)
    for problem in (row.problem for row in rows if row.problem):
        _console().print(Text(problem, style="red"))


def _result_cells(task: TaskReport) -> list[Text]:
    metric = MAIN_METRIC[task.kind]
    return [Text(metric), _number(task.metrics[metric].mean)]


def _verdict_cells(document: ComparisonDocument, name: str, task: str) -> list[Text]:
    entry = document.verdicts.get(name, {}).get(task)
    if entry is None:
        return [Text(""), Text("its own model" if name == document.baseline else "", style="dim")]
    if entry.gain is None:
        return [Text(""), Text("undefined", style="dim")]
    word = outcome(document, name, task)
    verdict = Text(f"{SIGNS[word]} {word}", style=VERDICT_STYLE[word])
    return [_with_interval(entry.gain, entry.ci95), verdict]


def _with_interval(gain: float | None, ci95: Interval | None) -> Text:
    half = half_width(gain, ci95)
    interval = f" ± {half:.4f}" if half is not None else " ({:+.4f} to {:+.4f})".format(*ci95) if ci95 else ""
    return _signed(gain).append(interval, style="dim")


def _signed(value: float | None) -> Text:
    return Text("undefined" if value is None else f"{value:+.4f}")


def _outside_cells(document: ComparisonDocument, name: str, task: str) -> list[Text]:
    """The gain of a model from outside over the networks of one task, where there are such, and whether it is ahead."""
    gain = outside_gain(document, name, task)
    if gain is None or gain.gain is None:
        return [Text(""), Text("from outside", style="dim")]
    outcome_word = outside_outcome(gain)
    shown = outcome_word.replace("helps", "ahead").replace("hurts", "behind")
    return [_with_interval(gain.gain, gain.ci95), Text(f"{SIGNS[outcome_word]} {shown}", style=VERDICT_STYLE[outcome_word])]


def _number(value: float | None) -> Text:
    return Text("undefined" if value is None else f"{value:.4f}")
