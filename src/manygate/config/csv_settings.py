"""The settings with which CSV files are read. Without them the form of a file is recognised."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from manygate.config.values import Names
from manygate.errors import InputError, did_you_mean, raise_all, setting

ColumnKind: TypeAlias = Literal["text", "integer", "number", "decimal_comma", "thousands_comma", "boolean"]
KINDS: tuple[ColumnKind, ...] = get_args(ColumnKind)
_OTHER_NAMES: dict[str, ColumnKind] = {
    **dict.fromkeys(("string", "str", "id"), "text"),
    **dict.fromkeys(("int", "int64", "whole"), "integer"),
    **dict.fromkeys(("float", "float64", "double", "decimal"), "number"),
    "bool": "boolean",
}
_CHARACTERS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}


def column_types(value: Any) -> Any:
    """Accept "sku=text", ["sku=text", "age=number"] and {"sku": "text"}; a comma stands between columns.

    >>> column_types({"sku": "string"}), column_types("sku=text,age=int")
    (('sku=text',), ('sku=text', 'age=integer'))
    """
    if isinstance(value, Mapping):
        value = [f"{column}={kind}" for column, kind in value.items()]
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list | tuple) or not all(isinstance(part, str) for part in value):
        return value
    parts = [part.strip() for spec in value for part in spec.split(",") if part.strip()]
    columns = [part.rpartition("=") for part in parts]
    raise_all(
        f"{setting('types')}: {part!r} names no column and kind. Write for example sku=text. Kinds: {', '.join(KINDS)}."
        for part, (column, _, _) in zip(parts, columns, strict=True)
        if not column
    )
    kinds = [(column, _OTHER_NAMES.get(kind, kind)) for column, _, kind in columns]
    raise_all(
        f"{setting('types')}: column {column!r}: unknown kind {kind!r}.{did_you_mean(kind, KINDS)} Kinds: {', '.join(KINDS)}."
        for column, kind in kinds
        if kind not in KINDS
    )
    twice = {column for column, kind in kinds for other, another in kinds if column == other and kind != another}
    raise_all(f"{setting('types')}: column {column!r} has two kinds. Give one." for column in sorted(twice))
    return tuple(dict.fromkeys(f"{column}={kind}" for column, kind in kinds))


class CsvConfig(BaseModel):
    """Settings of CSV files. None stands for what is recognised in each file.

    >>> settings = CsvConfig(separator="tab", types={"sku": "text"})
    >>> settings.separator, settings.kinds
    ('\\t', {'sku': 'text'})
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    types: Annotated[tuple[str, ...], BeforeValidator(column_types)] = Field(
        (),
        description=f"Kind of a column, COLUMN=KIND, with KIND one of {', '.join(KINDS)}. Text keeps the bytes of an id: sku=text. "
        "Default: CSV files are looked through; other tables have types.",
    )
    separator: str | None = Field(
        None, description="What separates the fields of a CSV file: one character, or tab. Default: recognised."
    )
    quote: str | None = Field(None, description='Character around CSV fields that hold separators, or none. Default: ".')
    escape: str | None = Field(
        None, description="Character before a quote inside a quoted CSV field, such as \\, or none. Default: recognised."
    )
    file_encoding: str | None = Field(
        None, description="Encoding of the text of CSV files, such as cp1252. Default: UTF-8, or UTF-16 where that is recognised."
    )
    header: bool | None = Field(
        None, description="Whether CSV files begin with a line of names. Without one the columns are column_1, column_2, ..."
    )
    null_values: Names = Field(
        (), description="Words that stand for a missing value in every column of a CSV file, beside the empty field."
    )

    @field_validator("separator", "quote", "escape")
    @classmethod
    def _one_character(cls, value: str | None, info: Any) -> str | None:
        character = value if value is None else _CHARACTERS.get(value, value)
        if info.field_name != "separator" and character == "none":
            return character
        if character is not None and (len(character) != 1 or not character.isascii() or character in "\r\n\0"):
            name = info.field_name
            raise InputError(f"{setting(name, value)}: expected one ASCII character{' or none' if name != 'separator' else ''}.")
        return character

    @field_validator("file_encoding")
    @classmethod
    def _encoding_is_known(cls, value: str | None) -> str | None:
        try:
            if value is not None and not codecs.lookup(value)._is_text_encoding:
                raise LookupError
        except (LookupError, ValueError):
            raise InputError(
                f"{setting('file_encoding', value)}: unknown encoding. Give utf-8, utf-16, cp1252, latin-1, ..."
            ) from None
        return value

    def over(self, base: CsvConfig) -> CsvConfig:
        """These settings, where they were given, over others.

        >>> CsvConfig(header=False, types="a=text").over(CsvConfig(separator="|", types="b=number")).model_dump(exclude_none=True)
        {'types': ('b=number', 'a=text'), 'separator': '|', 'header': False, 'null_values': ()}
        """
        given = {name: getattr(self, name) for name in self.model_fields_set}
        kept = {name: getattr(base, name) for name in CsvConfig.model_fields}
        return CsvConfig.model_validate({**kept, **given, "types": base.kinds | self.kinds})

    @property
    def kinds(self) -> dict[str, ColumnKind]:
        """The kind that is asked for, by column."""
        return {column: kind for column, _, kind in (spec.rpartition("=") for spec in self.types)}  # type: ignore[misc]
