"""Documents from trees that hold a part of their fields, and the functions that read documents, for tests that write trees."""

from __future__ import annotations

import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from manygate import report
from manygate.report import page as comparison_page
from manygate.report.inspection import page as inspection_page
from manygate.results.base import Record
from manygate.results.comparison import ComparisonDocument
from manygate.results.inspection import Inspection, InspectionDocument

Kind = TypeVar("Kind", bound=Record)
Tree = Mapping[str, Any]
EMPTY: dict[Any, Any] = {str: "", int: 0, float: 0.0, bool: False}


def filled(kind: type[Kind], tree: Tree | Kind) -> Kind:
    """A record from some of its fields; a required field that the tree lacks gets an empty value."""
    return kind.model_validate(_filled(kind, tree))


def _filled(annotation: Any, value: Any) -> Any:
    if isinstance(value, Record) or value is None:
        return value
    if isinstance(annotation, type) and issubclass(annotation, Record) and isinstance(value, Mapping):
        tree = dict(value)
        for name, field in annotation.model_fields.items():
            key = field.alias or name
            if key in tree:
                tree[key] = _filled(field.annotation, tree[key])
            elif field.is_required():
                tree[key] = _empty(field.annotation)
        return tree
    inner = get_args(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        return _filled(next(part for part in inner if part is not type(None)), value)
    if get_origin(annotation) is list:
        return [_filled(inner[0], part) for part in value]
    if get_origin(annotation) is dict:
        return {name: _filled(inner[1], part) for name, part in value.items()}
    return value


def _empty(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, types.UnionType):
        return None
    if get_origin(annotation) is Literal:
        return get_args(annotation)[0]
    if get_origin(annotation) in (list, dict):
        return get_origin(annotation)()
    return _filled(annotation, {}) if issubclass(annotation, Record) else EMPTY[annotation]


def comparison(tree: Tree | ComparisonDocument) -> ComparisonDocument:
    return filled(ComparisonDocument, tree)


def inspection(tree: Tree | Inspection) -> Inspection:
    return filled(InspectionDocument if "inspection_version" in tree else Inspection, tree)  # type: ignore[operator]


def render(tree: Tree) -> str:
    return report.render(comparison(tree))


def headline(tree: Tree) -> str:
    return report.headline(comparison(tree))


def html_summary(tree: Tree) -> str:
    return comparison_page.html_summary(comparison(tree))


def write_report(tree: Tree, path: str | Path) -> None:
    report.write_report(comparison(tree), path)


def render_inspection(tree: Tree) -> str:
    return inspection_page.render(inspection(tree))


def write_page(tree: Tree, path: Path) -> None:
    inspection_page.write_page(inspection(tree), path)


def html_alarms(tree: Tree) -> str:
    return inspection_page.html_alarms(inspection(tree))


def summary(tree: Tree) -> str:
    return inspection_page.summary(inspection(tree))
