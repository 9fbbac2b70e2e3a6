"""Shows the result of a search in the terminal."""

from __future__ import annotations

from manygate.cli.screen import Text, grid, open_console, show_note, show_points
from manygate.cli.streams import say
from manygate.metrics.table import metric_label
from manygate.report.tuning import words
from manygate.results.tuning import TunedTrial, TuningDocument
from manygate.text import count_of, duration, interval, listed, number

STYLES = {1: "green", -1: "red", 0: ""}


def show_tuning(document: TuningDocument) -> None:
    """Print the answer, the gains of each task, the chosen settings, and how the trials ended."""
    console = open_console()
    console.print(Text(document.headline, style="bold"))
    gains = document.final.gains
    if gains is not None:
        table = grid(
            f"tuned over default settings on test, {count_of(document.final.replicas, 'replica')} each",
            "task",
            "gain",
            "95 %",
            "all tasks",
        )
        for task, gain in gains.items():
            side = STYLES[words.side(gain)]
            cells = (number(gain.gain, signed=True), interval(gain.ci95), interval(gain.joint95))
            table.add_row(Text(f"{task} {metric_label(gain.metric)}"), *(Text(cell, style=side) for cell in cells))
        console.print(table)
        show_note(document.final.interval_note)
    _show_settings(document)
    say("")
    show_points(points(document))


def _show_settings(document: TuningDocument) -> None:
    table = grid(f"settings of trial {document.chosen.number}", "setting", "tuned", "default", "importance")
    for name, value in document.chosen.settings.items():
        share = (document.importance or {}).get(name)
        values = [words.setting_value(value), words.setting_value(document.defaults.get(name))]
        table.add_row(Text(name), *map(Text, values), Text("" if share is None else f"{share:.0%}"))
    open_console().print(table)


def points(document: TuningDocument) -> list[str]:
    """Return sentences on the trials: how many ended how, which is best, and which no other beats."""
    by_state: dict[str, list[TunedTrial]] = {"complete": [], "pruned": [], "failed": []}
    for trial in document.trials:
        by_state[trial.state].append(trial)
    ended = {"complete": "completed", "pruned": "ended early", "failed": "failed"}
    counts = [f"{len(trials)} {ended[state]}" for state, trials in by_state.items() if trials]
    lines = [f"{count_of(len(document.trials), 'trial')}: {listed(counts)}, {duration(document.seconds)} in all."]
    if document.repeated:
        lines.append(f"{count_of(document.repeated, 'trial')} ran again, since a process had died or was stopped.")
    lines.append(f"Trial {document.chosen.number} is chosen: {document.chosen.rule}.")
    if len(document.objectives) > 1:
        ahead = [str(trial.number) for trial in document.trials if trial.front]
        lines.append(
            f"No other trial beats {count_of(len(ahead), 'trial')}: {listed(ahead)}. --resume FOLDER --pick N trains another one."
        )
    return lines
