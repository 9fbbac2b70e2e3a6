"""Says what text may be instead: numbers, numbers with commas, or lists."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from manygate.data.formats.words import DECIMAL_COMMA, LIST, NULL_WORDS, NUMBER_OF_ARROW, THOUSANDS_COMMA

ROWS = 50_000


def look_of_text(values: pa.ChunkedArray, name: str) -> str:
    """Words for the note of a column of text; empty where it is text and nothing else.

    >>> look_of_text(pa.chunked_array([["7", "8", "x"]]), "age")
    ", 67 % of them numbers (not 'x')"
    >>> look_of_text(pa.chunked_array([["1,234", "1", "20,500"]]), "price")
    ", numbers with commas ('1,234'): --types price=thousands_comma reads them"
    >>> look_of_text(pa.chunked_array([["a|b", "c", "a|c|d"]]), "tags")
    ", 67 % of them lists ('a|b'): for a bag, write a list column to Parquet"
    """
    if not (pt.is_string(values.type) and len(values)):
        return ""
    text = values.slice(0, ROWS)
    known = pc.utf8_trim_whitespace(text.filter(pc.invert(pc.is_in(text, pa.array(NULL_WORDS)))))
    if not len(known):
        return ""
    kinds = {"decimal_comma": DECIMAL_COMMA, "thousands_comma": THOUSANDS_COMMA}
    written_with_comma = pc.match_substring(known, ",")
    for kind, pattern in sorted(kinds.items(), key=lambda item: item[0] == "decimal_comma"):
        if pc.any(written_with_comma).as_py() and pc.all(pc.match_substring_regex(known, pattern)).as_py():
            flag = f"--types {name}={kind}"
            example = known.filter(written_with_comma)[0].as_py()
            return f", numbers with commas ({example!r}): {flag} reads them"
    numbers = pc.match_substring_regex(text, NUMBER_OF_ARROW)
    share = pc.mean(numbers.cast(pa.int8())).as_py()
    if share >= 0.01:
        others = text.filter(pc.invert(numbers))
        return f", {_percent(share)} of them numbers" + (f" (not {others[0].as_py()[:20]!r})" if len(others) else "")
    lists = pc.match_substring_regex(known, LIST)
    share = pc.mean(lists.cast(pa.int8())).as_py()
    if share >= 0.05:
        example = known.filter(lists)[0].as_py()[:20]
        return f", {_percent(share)} of them lists ({example!r}): for a bag, write a list column to Parquet"
    return ""


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share == 1 or share < 0.995 else f"{100 * share:.2f} %"
