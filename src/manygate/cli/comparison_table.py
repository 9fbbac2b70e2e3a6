"""What the command line prints of a comparison: verdicts, prices and costs, then the answer, where the eye rests."""

from __future__ import annotations

from collections.abc import Sequence

from manygate.cli.screen import Text, grid, number_cell, open_console, show_note, show_points
from manygate.data.alarms import UNSEEN_NOTE
from manygate.data.inference.sampled_column import percent
from manygate.metrics.table import MAIN_METRIC
from manygate.report.cold_start import ROWS
from manygate.report.outside import outside_gain, outside_outcome
from manygate.report.tuning.words import setting_value
from manygate.report.words import outcome, priced, task_names
from manygate.results.base import Interval
from manygate.results.comparison import ComparisonDocument, Recommendation, Seesaw, WeightSweep
from manygate.results.story import Story
from manygate.results.summary import ColdStart, TaskReport
from manygate.text import count_of, half_width, listed, number, plus_minus

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


def show_tuned(document: ComparisonDocument) -> None:
    """Print the settings that each model was tuned to, if they were tuned."""
    if document.tuned:
        table = grid(f"settings of the best of {document.config['tune']} trials each", "architecture", "settings")
        table.columns[1].justify = "left"
        for name, found in document.tuned.items():
            table.add_row(Text(name), Text(", ".join(f"{key} {setting_value(value)}" for key, value in found.settings.items())))
        open_console().print(table)


def show_comparison(document: ComparisonDocument, headline: str) -> None:
    """What each task reached and gained, what each architecture cost, and the verdict last, where the eye rests."""
    gain = "effect ± 95 %" if priced(document) else "gain ± 95 %"
    title = "each task on test, mean over replicas"
    title += " (mean: the kept checkpoint, effect: own best epochs)" if priced(document) else ""
    table = grid(title, "task", "architecture", "metric", "mean", gain, "verdict")
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
    open_console().print(table)
    show_note(document.interval_note)
    open_console().print()
    show_price(document)
    show_unseen(document)
    show_tuned(document)
    cost = grid("cost", "architecture", "parameters", "network", "FLOPs a row", "seconds", "validation score")
    for name, result in document.results.items():
        cost.add_row(
            Text(name),
            Text(f"{result.parameters:,}"),
            Text(f"{result.network_parameters:,}"),
            Text(f"{result.flops:,}"),
            Text(f"{result.seconds:.0f}"),
            Text(number(document.valid[name].mean)),
        )
    open_console().print(cost)
    if document.id_dropout:
        values = listed([f"{choice.chosen:g} for {name}" for name, choice in document.id_dropout.items()])
        show_note(f"id_dropout, chosen on validation: {values}.")
    open_console().print()
    for architecture, sweep in (document.sweep or {}).items():
        show_sweep(architecture, sweep)
    open_console().print(Text(headline, style="bold"))
    if document.best:
        open_console().print(Text(document.best.reason + " The choice is made on validation alone."))
    if document.recommendation and document.transfer:
        _show_advice(document.recommendation, document.transfer.seesaws)
    for text in document.against_baselines.text if document.against_baselines else ():
        open_console().print()
        open_console().print(Text(text))


def show_price(document: ComparisonDocument) -> None:
    """What one checkpoint for all tasks costs with the model that the advice is about; nothing where it costs nothing."""
    name = document.recommendation.judged if document.recommendation else None
    prices = (document.price or {}).get(name or "", {})
    if not any(entry.price for entry in prices.values()):
        return
    table = grid(f"{name} with one checkpoint for all tasks", "task", "effect of sharing", "- price", "= as shipped ± 95 %")
    table.columns[3].no_wrap = True
    for task, price in prices.items():
        effect, shipped = document.verdicts[str(name)][task], (document.as_shipped or {})[str(name)][task]
        table.add_row(Text(task), _signed(effect.gain), _signed(price.price), _with_interval(shipped.gain, shipped.ci95))
    open_console().print(table)
    open_console().print()


def show_unseen(document: ComparisonDocument) -> None:
    """The main metric apart for test rows with known ids alone and rows with an unseen id; nothing where few rows have one."""
    table = grid("each task on test, apart by ids", "task", "unseen", "architecture", "metric", ROWS["warm"], ROWS["cold"])
    table.columns[2].justify = "left"
    for column in (2, 4, 5):
        table.columns[column].no_wrap = True
    for task in task_names(document):
        known = {name: result.tasks[task].cold_start for name, result in document.results.items()}
        apart = {name: parts for name, parts in known.items() if parts and _unseen_share(parts) >= UNSEEN_NOTE}
        for i, (name, parts) in enumerate(apart.items()):
            metric = MAIN_METRIC[document.results[name].tasks[task].kind]
            cells = [plus_minus(part.metrics[metric].mean, part.metrics[metric].ci95) for part in (parts.warm, parts.cold)]
            share = percent(_unseen_share(parts))
            table.add_row(*(Text(task), Text(share)) if i == 0 else (Text(), Text()), Text(name), Text(metric), *map(Text, cells))
    if table.rows:
        open_console().print(table)
        show_note("An id is unseen if training had not seen it, or too rarely. The report has more about these rows.")
        open_console().print()


def _unseen_share(parts: ColdStart) -> float:
    """Return the share of a task's rows that have an unseen id."""
    return parts.cold.rows / (parts.warm.rows + parts.cold.rows)


def _show_advice(advice: Recommendation, seesaws: Sequence[Seesaw]) -> None:
    """What to do and why, and which tasks pay for which."""
    told = [f"Seesaw, {one.origin} to {one.to}: {one.gains} gains, {one.loses} loses." for one in seesaws if one.sure]
    possible = len(seesaws) - len(told)
    if possible:
        told.append(f"{count_of(possible, 'possible seesaw')}, of which one side may be luck: see the report.")
    rule = str(advice.rule)
    open_console().print()
    open_console().print(
        Text(f"{rule.capitalize()}. ", style=ADVICE_STYLE.get(rule, "bold")).append(Text(advice.text, style="not bold"))
    )
    show_points([*advice.reasons, *told], style="dim")
    if advice.could_change:
        open_console().print(Text("What could change this answer:"))
    show_points(advice.could_change, style="dim")


def show_story(story: Story | None) -> None:
    """What is true of a log whose truth is known, and what the comparison found; nothing for another log."""
    if story is None:
        return
    console = open_console()
    console.print(Text("\nWhat is true of this made-up log", style="bold"))
    show_points(story.truth)
    for claim in story.claims:
        console.print(
            Text(f"{claim.found}: ", style=FOUND_STYLE[claim.found]).append(f"{claim.text} {claim.evidence}.", style="not bold")
        )
    console.print(Text(story.summary, style="bold"))


def show_sweep(architecture: str, sweep: WeightSweep) -> None:
    """How each weighting of an architecture stands to fixed weights."""
    front = sum(point.on_front for point in sweep.points)
    title = f"{architecture} against {count_of(len(sweep.points), 'vector')} of fixed weights, {front} of them on the front"
    table = grid(title, "run", *sweep.reference, "hypervolume", "verdict")
    styles = {"dominated": "bold red", "beyond the sweep": "bold green"}
    for name, method in sweep.methods.items():
        added, whole = method.hypervolume_added, sweep.hypervolume["test"]
        cells = [number_cell(value) for value in method.test.values()]
        cells.append(Text("undefined" if added is None or not whole else f"{added / whole:+.2%}"))
        table.add_row(Text(name), *cells, Text(method.verdict, style=styles.get(method.verdict, "dim")))
    open_console().print(table)
    open_console().print()


def _result_cells(task: TaskReport) -> list[Text]:
    metric = MAIN_METRIC[task.kind]
    return [Text(metric), number_cell(task.metrics[metric].mean)]


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
