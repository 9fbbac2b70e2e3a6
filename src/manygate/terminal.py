"""What the command line prints: tables on stdout for people; all else goes to stderr."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from manygate.schema import Schema

VERDICT_STYLE = {"helps": "bold green", "hurts": "bold red", "cannot tell": "dim"}
SIGNS = {"helps": "+", "hurts": "-", "cannot tell": "?"}


def _console() -> Console:
    return Console(highlight=False, markup=False, emoji=False)


def _grid(title: str, *columns: str) -> Table:
    table = Table(title=Text(title), title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(Text(column), justify="left" if i == 0 else "right", overflow="fold")
    return table


def show_schema(schema: Schema) -> None:
    """A schema, with the reason for each choice."""
    tasks = _grid("tasks", "task", "kind", "label", "where", "why")
    for task in schema.tasks:
        tasks.add_row(*map(Text, (task.name, task.kind, task.column, task.where or "every row", task.note)))
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


def show_metrics(tasks: dict[str, Any], title: str) -> None:
    """Every metric of every task: mean, 95 % interval over replicas, ensemble."""
    table = _grid(title, "task", "metric", "mean", "95 % interval", "ensemble")
    for name, task in tasks.items():
        for metric, value in task["metrics"].items():
            if value["mean"] is None:
                table.add_row(Text(name), Text(metric), Text("undefined"), Text(task["undefined"].get(metric, "")), Text(""))
                continue
            interval = "{:.4f} to {:.4f}".format(*value["ci95"]) if value["ci95"] else ""
            table.add_row(Text(name), Text(metric), _number(value["mean"]), Text(interval), _number(task["ensemble"][metric]))
    _console().print(table)


def show_comparison(document: dict[str, Any], headline: str) -> None:
    """The verdict first, then what each architecture reached and cost."""
    tasks = [task["name"] for task in document["schema"]["tasks"]]
    results = document["results"]
    if document["verdicts"]:
        table = _grid("gain of each task over its own single-task model (test, 95 % interval)", "", *tasks)
        for name, by_task in document["verdicts"].items():
            table.add_row(Text(name), *(_verdict(by_task[task]) for task in tasks))
        _console().print(table)
        _console().print()
    table = _grid("mean over replicas (test)", "", *tasks, "parameters", "seconds")
    for name, result in results.items():
        cells = [_main_metric(result["tasks"][task]) for task in tasks]
        table.add_row(Text(name), *cells, Text(f"{result['parameters']:,}"), Text(f"{result['seconds']:.0f}"))
    _console().print(table)
    _console().print()
    _console().print(Text(headline, style="bold"))
    if document["best"]:
        _console().print(Text(document["best"]["reason"] + " (Chosen on validation only.)"))


def _verdict(verdict: dict[str, Any]) -> Text:
    if verdict["gain"] is None:
        return Text("undefined", style="dim")
    interval = "\n{:+.4f} to {:+.4f}".format(*verdict["ci95"]) if verdict["ci95"] else "\n(one replica)"
    text = Text(f"{SIGNS[verdict['verdict']]} {verdict['verdict']} ", style=VERDICT_STYLE[verdict["verdict"]])
    return text.append(f"{verdict['gain']:+.4f}", style="default").append(interval, style="dim")


def _main_metric(task: dict[str, Any]) -> Text:
    name = "auc" if task["kind"] == "binary" else "r2"
    value = task["metrics"][name]["mean"]
    return Text("undefined" if value is None else f"{name} {value:.4f}")


def _number(value: float | None) -> Text:
    return Text("undefined" if value is None else f"{value:.4f}")
