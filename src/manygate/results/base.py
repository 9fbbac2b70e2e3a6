"""A record that becomes JSON and comes back, and a document with a version."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationError, WithJsonSchema

from manygate.errors import InputError
from manygate.files import check_recorded, read_json
from manygate.text import cut

Interval = tuple[float, float]
Number = Annotated[
    float,
    BeforeValidator(lambda value: math.nan if value is None else value),
    PlainSerializer(lambda value: value if math.isfinite(value) else None, when_used="json"),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "null"}]}),
]
"""A measured number; null in JSON stands for one that is not finite, and is NaN in Python."""
Value = TypeVar("Value")


class Record(BaseModel):
    """A frozen part of a document. A field that was not given stays absent from the JSON; an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    def to_tree(self) -> dict[str, Any]:
        """The record as a dictionary that :mod:`json` can write; absent fields are left out.

        >>> class Size(Record):
        ...     rows: int
        ...     groups: int | None = None
        >>> Size(rows=2).to_tree(), Size(rows=2, groups=None).to_tree()
        ({'rows': 2}, {'rows': 2, 'groups': None})
        """
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    if not TYPE_CHECKING:

        def __getitem__(self, name: str) -> object:
            """Dictionaries had these fields before; the error names the attribute."""
            raise TypeError(f"{type(self).__name__} is no dictionary: read .{name} in place of [{name!r}], or call to_tree().")


class Document(Record):
    """A whole file. ``VERSION`` is the version of its form, in the field ``VERSION_FIELD``; ``KIND`` names it in errors."""

    KIND: ClassVar[str]
    VERSION_FIELD: ClassVar[str]
    VERSION: ClassVar[int]

    @classmethod
    def from_tree(cls, tree: object, source: str) -> Self:
        """A document from parsed JSON. Raises :class:`InputError`, which names ``source``, for another version or form."""
        if not isinstance(tree, dict) or cls.VERSION_FIELD not in tree:
            raise InputError(f"{source}: not {cls.KIND}: it has no {cls.VERSION_FIELD}. Restore it, or make it again.")
        version = tree[cls.VERSION_FIELD]
        if version != cls.VERSION:
            raise InputError(
                f"{source}: {cls.VERSION_FIELD} is {cut(version)}, and this version of manygate reads {cls.VERSION}. "
                "Read it with the version of manygate that wrote it, or make it again."
            )
        try:
            return cls.model_validate(tree)
        except ValidationError as error:
            raise InputError(f"{source}: not {cls.KIND}: {_first_problem(error)} Restore it, or make it again.") from None

    @classmethod
    def read(cls, path: Path) -> Self:
        """The document in a JSON file, if it is as the run wrote it that its folder belongs to."""
        tree = read_json(path)
        check_recorded(path)
        return cls.from_tree(tree, str(path))


def required(value: Value | None, name: str) -> Value:
    """A field that a document of this kind has. Raises :class:`InputError` where it is absent.

    >>> required(3, "rows")
    3
    """
    if value is None:
        raise InputError(f"the document has no {name}. Make it again with the command that writes it.")
    return value


def _first_problem(error: ValidationError) -> str:
    problems = error.errors()
    where = ".".join(str(part) for part in problems[0]["loc"]) or "the document"
    rest = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{where}: {problems[0]['msg']}{rest}."
