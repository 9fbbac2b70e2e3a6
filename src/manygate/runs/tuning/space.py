"""Space: the settings that a search may change, their values, and the settings of each trial."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from manygate.architecture import find_architecture
from manygate.config import ModelConfig, RunConfig, TuneConfig
from manygate.config.ranges import Range
from manygate.config.tune_settings import TUNABLE
from manygate.errors import InputError, did_you_mean, raise_all, setting
from manygate.model.problem import Problem
from manygate.runs.tuning.reads import NEEDS, settings_read
from manygate.text import cut

Value = str | int | float
"""A number, the place of an ordered value, or the text of a choice: what a sampler sees."""
Settings = dict[str, JsonValue]
"""The values of the settings that a trial changes, by name."""
WIDTHS = ("expert_hidden", "bottom_hidden", "tower_hidden", "lower_hidden")
"""The settings of which ``max_units`` bounds every layer."""


@dataclass(frozen=True)
class Space:
    """The search space of one architecture.

    >>> space = Space(RunConfig(), {"experts": Range.model_validate({"int": [2, 8]})})
    >>> space.settings({"experts": 4}), space.config({"experts": 4}).experts
    ({'experts': 4}, 4)
    """

    base: RunConfig
    """The default settings: the values of all that is not searched, and those of the first trial."""
    ranges: Mapping[str, Range]
    max_units: int | None = None

    def settings(self, params: Mapping[str, Value]) -> Settings:
        """Return the settings that a sampler's values stand for, with widths cut to ``max_units``."""
        chosen: Settings = {}
        for name, found in self.ranges.items():
            value = params[name]
            if found.kind == "ordered":
                chosen[name] = found.values[int(value)]
            elif found.kind == "choice":
                chosen[name] = found.values[choices(found).index(str(value))]
            else:
                chosen[name] = int(value) if found.is_whole else float(value)
        return self._cut(chosen) if self.max_units is not None else chosen

    def _cut(self, chosen: Settings) -> Settings:
        """Cut widths so that no layer has more than ``max_units`` hidden units, all its experts together."""
        assert self.max_units is not None
        config = self.config(chosen)
        for name in WIDTHS:
            widths, most = getattr(config, name), self.max_units // (config.experts if name == "expert_hidden" else 1)
            varies = name in chosen or (name == "expert_hidden" and "experts" in chosen)
            if varies and widths is not None and max(widths, default=0) > most:
                chosen[name] = [min(width, most) for width in widths]
        return chosen

    def params(self, settings: Mapping[str, object]) -> dict[str, Value] | None:
        """Return the values of a sampler that stand for settings. None if one lies outside its range."""
        found: dict[str, Value] = {}
        for name, values in self.ranges.items():
            value = _plain(settings[name])
            options = [self._as_read(name, option) for option in values.values] if not values.is_span else []
            if values.is_span:
                value = value[0] if isinstance(value, list) and len(value) == 1 else value
                if not values.holds(value) or not isinstance(value, int | float):
                    return None
                found[name] = value
            elif value not in options:
                return None
            else:
                place = options.index(value)
                found[name] = place if values.kind == "ordered" else choices(values)[place]
        return found

    def _as_read(self, name: str, value: JsonValue) -> object:
        return _plain(getattr(self.base.replace(**{name: value}), name))

    def default_settings(self) -> Settings:
        """Return the settings of the first trial: the defaults."""
        tree = {**self.base.model_dump(mode="json"), "weight_decay": self.base.decay}
        return {name: tree[name] for name in self.ranges}

    def config(self, settings: Mapping[str, JsonValue]) -> RunConfig:
        """Return the whole settings of a trial."""
        return self.base.replace(**settings)


def choices(found: Range) -> list[str]:
    """Return the texts of the values of a choice."""
    return [json.dumps(value) for value in found.values]


def _plain(value: object) -> object:
    """Turn tuples into lists, as JSON has them."""
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


def find_space(problem: Problem, base: RunConfig, tuning: TuneConfig, given: Iterable[str] = ()) -> Space:
    """Return the space that the settings describe, checked, or the default space of the architecture.

    Args:
        problem: Features and tasks of the log.
        base: The default settings.
        tuning: The settings of the search.
        given: Names of settings with a value of the user. The default space leaves them alone.

    Raises:
        InputError: With all problems of all ranges.
    """
    ranges = tuning.space or default_ranges(problem, base, given)
    if not ranges:
        raise InputError("every setting of the default space has a value of yours, so nothing is left to search. Take some out.")
    space = Space(base, ranges, tuning.max_units)
    wrong = {**_name_problems(space)}
    wrong |= {name: _value_problem(space, name) for name in ranges if name not in wrong}
    sound = Space(base, {name: values for name, values in ranges.items() if not wrong[name]}, tuning.max_units)
    raise_all([*(text for texts in wrong.values() for text in texts), *_unread_problems(problem, sound), *_cut_problems(sound)])
    return space


def _name_problems(space: Space) -> dict[str, list[str]]:
    """Return the problems of settings that no search can vary, by name."""
    problems: dict[str, list[str]] = {}
    for name in space.ranges:
        if name == "architecture":
            problems[name] = [
                f"{name}: a search is for one architecture. Name one, or give a comparison trials for each of several."
            ]
        elif name in RunConfig.model_fields and name not in TUNABLE:
            problems[name] = [
                f"{name}: this setting is the same in every trial, so it takes one value and no range. Give one value."
            ]
        elif name not in TUNABLE:
            problems[name] = [f"{name}: unknown name of a setting in the search space.{did_you_mean(name, TUNABLE)}"]
    return problems


def _value_problem(space: Space, name: str) -> list[str]:
    """Return why a setting refuses a value of its range. The ends of a span and a number between stand for all its numbers."""
    values = space.ranges[name]
    for value in values.samples():
        try:
            space.base.replace(**{name: value})
        except InputError as error:
            hint = ""
            if values.kind in ("uniform", "log") and not _refuses_all(space.base, name, values):
                hint = f" Choose {'log_int' if values.is_log else 'int'} for whole numbers."
            shown = f"{value:.4g}" if isinstance(value, float) else cut(value)
            return [f"{name}: its range holds {shown}, which it refuses. {problem}{hint}" for problem in error.marked]
    return []


def _cut_problems(space: Space) -> Iterator[str]:
    """Find a limit of hidden units that is too small for the experts."""
    highest = space.ranges.get("experts")
    most_experts = int(highest.ends[1]) if highest is not None and highest.is_span else space.base.experts
    if space.max_units is not None and space.max_units < most_experts:
        yield f"{setting('max_units', space.max_units)}: too few for {most_experts} experts. Give {most_experts} or more."


def _refuses_all(base: RunConfig, name: str, values: Range) -> bool:
    """Return whether a setting refuses whole numbers, too."""
    try:
        base.replace(**{name: int(values.ends[1])})
    except InputError:
        return True
    return False


def _unread_problems(problem: Problem, space: Space) -> Iterator[str]:
    """Find ranges of settings that would change nothing."""
    base, ranges = space.base, space.ranges
    some = space.config({name: values.samples()[0] for name, values in ranges.items()})
    read = settings_read(problem, some.replace(dim=base.dim))
    scheme = find_architecture(base.architecture)
    alone = scheme.one_model_per_task or len(problem.tasks) == 1
    matched = base.match_parameters is not None or base.match_flops is not None
    for name in ranges:
        if name in ModelConfig.model_fields and name not in read:
            yield f"{name}: {base.architecture} does not read this setting, given the others and this log. Take its range out."
        elif name == "weighting" and alone:
            yield f"{name}: models of one task have no losses to weigh. Take its range out."
        elif matched and name in WIDTHS:
            yield f"{name}: a budget of parameters or FLOPs chooses the widths. Leave one out."
        elif name in NEEDS:
            other, allowed = NEEDS[name]
            values = ranges[other].values if other in ranges else (getattr(base, other),)
            if not set(allowed) & {value for value in values if isinstance(value, str)}:
                yield f"{name}: it has an effect only if {other} is {' or '.join(allowed)}. Take its range out, or change {other}."


def default_ranges(problem: Problem, base: RunConfig, given: Iterable[str] = ()) -> dict[str, Range]:
    """Return the default search space of an architecture: what it reads, without the settings in ``given``.

    The size of a batch varies around the default, which follows the number of training rows.
    """
    reads = settings_read(problem, base)
    rows = base.batch_rows
    trees: dict[str, dict[str, list[JsonValue]]] = {
        "learning_rate": {"log": [2e-4, 2e-2]},
        "weight_decay": {"log": [1e-4, 1e-1]},
        "batch_size": {"ordered": [max(rows // 4, 1), max(rows // 2, 1), rows, 2 * rows, 4 * rows]},
        "dropout": {"uniform": [0.0, 0.5]},
        "id_dropout": {"uniform": [0.0, 5.0]},
        "dim": {"log_int": [4, 32]},
        "tower_hidden": {"log_int": [8, 128]},
        **_scheme_ranges(problem, base, reads),
    }
    fixed = {*given, *(WIDTHS if base.match_parameters is not None or base.match_flops is not None else ())}
    always = {name for name in TUNABLE if name not in ModelConfig.model_fields}
    return {name: Range.model_validate(tree) for name, tree in trees.items() if name in reads | always and name not in fixed}


def _scheme_ranges(problem: Problem, base: RunConfig, reads: frozenset[str]) -> dict[str, dict[str, list[JsonValue]]]:
    """Return the ranges of the settings that some schemes read."""
    scheme, tasks = find_architecture(base.architecture), len(problem.tasks)
    ranges: dict[str, dict[str, list[JsonValue]]] = {
        "l2_alpha": {"log": [1e-6, 1e-1]},
        "stitch_rate": {"log": [1.0, 100.0]},
        "gate_hidden": {"log_int": [8, 128]},
    }
    if scheme.widths == "expert_hidden":
        ranges |= {"experts": {"int": [2, 16]}, "expert_hidden": {"log_int": [16, 256]}, "levels": {"int": [1, 3]}}
    elif "bottom_hidden" in reads:
        step = scheme.width_step(base)  # widths must be multiples of it
        widths: list[JsonValue] = [[step * -(-width // step)] for width in (16, 32, 64, 128, 256, 512)]
        ranges["bottom_hidden"] = {"log_int": [16, 512]} if step == 1 else {"ordered": widths}
    if "tucker_ranks" in reads:
        ranges["tucker_ranks"] = {"ordered": [[rank, rank, tasks] for rank in (2, 4, 8, 16)]}
    return ranges
