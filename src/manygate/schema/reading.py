"""Reads YAML and turns every problem of a pydantic model into one line with its path, value and remedy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from manygate.errors import InputError, did_you_mean, either
from manygate.text import cut

DEEPEST = 32
"""The most lists and mappings inside each other in a YAML file."""
LARGEST_YAML = 1 << 23
"""The most characters of a YAML file that are read; the largest schemas have a tenth of it."""


class Frozen(BaseModel):
    """A pydantic model that cannot be changed and refuses unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """The fields that differ from their defaults."""
        fields = type(self).model_fields
        return ((name, value) for name, value in super().__repr_args__() if name is None or value != fields[name].default)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with limits: no name twice, no alias, no deep nesting, no value that Python cannot make.

    PyYAML takes the last of two values, lets ten lines of aliases fill the memory, and raises what Python raises.
    """

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            raise _problem(f"the alias *{cut(event.anchor)[1:-1]} is not read; write the value out", event.start_mark)
        if self.depth >= DEEPEST:
            raise _problem(f"nested more than {DEEPEST} times", event.start_mark)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
        except (ValueError, ArithmeticError, LookupError, TypeError, AttributeError):
            kind = str(node.tag).rpartition(":")[2]
            raise _problem(f"{cut(node.value)} is not a value of the kind {kind}", node.start_mark) from None
        if isinstance(value, int) and value.bit_length() > 64:
            raise _problem(f"{cut(node.value)} is a whole number of more than 64 bits", node.start_mark)
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise _problem(f"{cut(key.value)} is given twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _problem(text: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, text, mark)


class YamlTree(dict[str, Any]):
    """A YAML mapping that knows the line of each value, by the keys and indices that lead to it."""

    lines: dict[tuple[str, ...], int]


def read_yaml(text: str, where: str) -> YamlTree:
    """Read a YAML mapping; raise an :class:`InputError` with file, line and column when that fails."""
    if len(text) > LARGEST_YAML:
        raise InputError(f"{where}: {len(text):,} characters, and at most {LARGEST_YAML:,} are read. Name another file.")
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        tree = loader.construct_document(node) if node is not None else None
    except yaml.YAMLError as error:
        raise InputError(f"{_yaml_location(error, text, where)}: not valid YAML: {_yaml_reason(error)}.") from None
    if not isinstance(tree, dict):
        raise InputError(f"{where}: expected 'name: value' lines, found {type(tree).__name__}.")
    names = YamlTree(tree)
    names.lines = dict(_lines(node, ()))
    return names


def _yaml_location(error: yaml.YAMLError, text: str, where: str) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        position = getattr(error, "position", None)
        return where if position is None else f"{where}:{text.count(chr(10), 0, position) + 1}"
    return f"{where}:{mark.line + 1}:{mark.column + 1}"


def _yaml_reason(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.reader.ReaderError):
        return f"the character {cut(chr(error.character))} is not allowed" if isinstance(error.character, int) else error.reason
    reason = str(getattr(error, "problem", None) or error)
    return reason if len(reason) <= 200 else f"{reason[:200]} ..."


def _lines(node: Any, steps: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    """The line of each value, from 1; the composed tree has no aliases, so that it is as large as the file."""
    yield steps, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (*steps, str(key.value)), key.start_mark.line + 1
            yield from _lines(value, (*steps, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _lines(value, (*steps, str(index)))


def validated(model: type[Any], tree: Any, where: str) -> Any:
    """Build a pydantic model; every problem becomes one line with its path, value and remedy.

    ``where`` is the file or the text that the values come from; without it they are settings, which are named as such. A tree of
    :func:`read_yaml` adds the line.
    """
    try:
        return model.model_validate(tree)
    except InputError as error:
        raise InputError(_raised(error, where)) from None
    except ValidationError as error:
        lines = tree.lines if isinstance(tree, YamlTree) else {}
        problems = [line for detail in _causes(error) for line in _explain(model, detail, where, lines)]
        hints = [problem.partition(" Known names: ") for problem in problems]
        known = next((hint[2] for hint in hints if hint[1]), "")
        later = [first if names == known else first + mark + names for first, mark, names in hints]
        at = next((n for n, hint in enumerate(hints) if hint[1]), 0)
        raise InputError([*later[:at], problems[at], *later[at + 1 :]]) from None
    except RecursionError:
        raise InputError(f"{where or 'settings'}: its lists are nested too deeply.") from None


def _raised(error: InputError, where: str) -> list[str]:
    """The problems that a validator raised; in a file, settings go by their keys, which are the names of the arguments."""
    return [f"{where}: {problem}" for problem in error.problems] if where else list(error.marked)


def _named_location(steps: tuple[int | str, ...], where: str, lines: dict[tuple[str, ...], int]) -> str:
    """The words for a value in a file, or for a setting; ``steps`` are the keys and indices that lead to it."""
    if where or not steps:
        return ": ".join(filter(None, (_with_line(steps, where, lines), ".".join(map(str, steps))))) or "settings"
    first, *rest = map(str, steps)
    index = "".join(f".{step}" for step in rest)
    return either(first + index, f"--{first.replace('_', '-')}{index}")


def _with_line(steps: tuple[int | str, ...], where: str, lines: dict[tuple[str, ...], int]) -> str:
    """The file, with the line of the innermost of ``steps`` that has one."""
    names = tuple(map(str, steps))
    line = next((lines[names[:size]] for size in range(len(names), 0, -1) if names[:size] in lines), None)
    return where if line is None else f"{where}:{line}"


def _causes(error: ValidationError) -> list[Any]:
    """The errors, without those that only follow from others: pydantic calls a list too short when it refused its parts."""
    details = error.errors()
    locations = [detail["loc"] for detail in details]

    def follows(detail: Any) -> bool:
        size = len(detail["loc"])
        return detail["type"] == "too_short" and any(
            len(location) > size and location[:size] == detail["loc"] for location in locations
        )

    return [detail for detail in details if not follows(detail)]


def _explain(model: type[BaseModel], detail: Any, where: str, lines: dict[tuple[str, ...], int]) -> list[str]:
    location, value = _named_location(detail["loc"], where, lines), cut(detail["input"])
    if detail["type"] == "extra_forbidden":
        name = str(detail["loc"][-1])
        options = _options(model, detail["loc"])
        hint = did_you_mean(name[:200], options) or f" Known names: {', '.join(sorted(options))}."
        return [f"{location}: unknown name.{hint}"]
    if detail["type"] == "missing":
        return [f"{location}: a value is required, and there is none."]
    if detail["type"] in ("tuple_type", "list_type"):
        return [f"{location}: expected a list; found {value}."]
    cause = (detail.get("ctx") or {}).get("error")
    if isinstance(cause, InputError):
        return _raised(cause, _with_line(detail["loc"], where, lines))
    return [f"{location}: {detail['msg']}; found {value}."]


def _options(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    """The names that are allowed at a location: those of the model, or of the model that the field there holds."""
    for step in location[:-1]:
        field = model.model_fields.get(str(step))
        inner = _held_model(field.annotation) if field else None
        model = inner or model
    return list(model.model_fields)


def _held_model(annotation: Any) -> type[BaseModel] | None:
    """The model in an annotation such as ``tuple[Task, ...]``; None where there is none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_held_model, get_args(annotation))), None)
