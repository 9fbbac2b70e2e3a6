"""Names of Arrow types, as files keep them."""

from __future__ import annotations

import pyarrow as pa

_TYPES = {
    str(kind): kind
    for kind in (
        *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
        *(pa.float16(), pa.float32(), pa.float64(), pa.string(), pa.bool_(), pa.null(), pa.date32(), pa.date64()),
    )
}


def type_name(kind: pa.DataType) -> str:
    """Return the name of a type.

    >>> type_name(pa.int8()), type_name(pa.list_(pa.string()))
    ('int8', 'list<string>')
    """
    return f"list<{kind.value_type}>" if pa.types.is_list(kind) else str(kind)


def type_named(name: str) -> pa.DataType:
    """Return the type of a name. Types that are not plain, such as dictionaries, are text.

    >>> type_named("list<int64>"), type_named("dictionary<values=string, indices=int32, ordered=0>")
    (ListType(list<item: int64>), DataType(string))
    """
    if name.startswith("list<"):
        return pa.list_(type_named(name.removeprefix("list<").removesuffix(">")))
    return _TYPES.get(name, pa.string())
