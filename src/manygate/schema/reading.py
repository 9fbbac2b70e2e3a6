"""Reads YAML and turns every problem of a pydantic model into one line with its path, value and remedy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from manygate.errors import InputError, did_you_mean, either


class Frozen(BaseModel):
    """A pydantic model that cannot be changed and refuses unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """The fields that differ from their defaults."""
        fields = type(self).model_fields
        return ((name, value) for name, value in super().__repr_args__() if name is None or value != fields[name].default)


def read_text(path: str | Path) -> str:
    """Read a text file; raise an :class:`InputError` that names the file when that fails."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"file {str(path)!r} does not exist.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"file {str(path)!r} cannot be read as text: {error}.") from None


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, but a name that is given twice is an error; PyYAML would take the last value."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen and isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is given twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def read_yaml(text: str, where: str) -> dict[str, Any]:
    """Read a YAML mapping; raise an :class:`InputError` with file, line and column when that fails."""
    try:
        tree = yaml.load(text, _Loader)  # noqa: S506 - _Loader is a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        location = f"{where}:{mark.line + 1}:{mark.column + 1}" if mark else where
        raise InputError(f"{location}: not valid YAML: {getattr(error, 'problem', None) or error}.") from None
    if not isinstance(tree, dict):
        raise InputError(f"{where}: expected 'name: value' lines, found {type(tree).__name__}.")
    return tree


def validated(model: type[Any], tree: Any, where: str) -> Any:
    """Build a pydantic model; every problem becomes one line with its path, value and remedy.

    ``where`` is the file or the text that the values come from; without it they are settings, which are named as such.
    """
    try:
        return model.model_validate(tree)
    except InputError as error:
        raise InputError(_raised(error, where)) from None
    except ValidationError as error:
        raise InputError(line for detail in _causes(error) for line in _explain(model, detail, where)) from None


def _raised(error: InputError, where: str) -> list[str]:
    """The problems that a validator raised; in a file, settings go by their keys, which are the names of the arguments."""
    return [f"{where}: {problem}" for problem in error.problems] if where else list(error.marked)


def _named_location(steps: tuple[int | str, ...], where: str) -> str:
    """The words for a value in a file, or for a setting; ``steps`` are the keys and indices that lead to it."""
    if where or not steps:
        return ": ".join(filter(None, (where, ".".join(map(str, steps))))) or "settings"
    first, *rest = map(str, steps)
    index = "".join(f".{step}" for step in rest)
    return either(first + index, f"--{first.replace('_', '-')}{index}")


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


def _explain(model: type[BaseModel], detail: Any, where: str) -> list[str]:
    location = _named_location(detail["loc"], where)
    if detail["type"] == "extra_forbidden":
        name = str(detail["loc"][-1])
        options = _options(model, detail["loc"])
        hint = did_you_mean(name, options) or f" Known names: {', '.join(sorted(options))}."
        return [f"{location}: unknown name.{hint}"]
    if detail["type"] == "missing":
        return [f"{location}: a value is required, and there is none."]
    if detail["type"] in ("tuple_type", "list_type"):
        return [f"{location}: expected a list; found {detail['input']!r}."]
    cause = (detail.get("ctx") or {}).get("error")
    if isinstance(cause, InputError):
        return _raised(cause, where)
    return [f"{location}: {detail['msg']}; found {detail['input']!r}."]


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
