"""Formats numbers, intervals, shares and lists as words."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, TypeGuard

from markupsafe import Markup, escape

UNDEFINED = "undefined"
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""Control characters (but for tab and line feed), marks that change the direction of writing, and halves of surrogate pairs."""


def finite(value: Any) -> TypeGuard[float]:
    """True of an ordinary number: not null, not NaN, not infinite."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def number(value: Any, signed: bool = False) -> str:
    """Four decimals, fewer where the number is large, two digits where it is tiny; never NaN.

    >>> number(0.81234), number(-0.01, signed=True), number(1234.5), number(-0.000021), number(None)
    ('0.8123', '−0.0100', '1,234', '−0.000021', 'undefined')
    """
    if not finite(value):
        return UNDEFINED
    return format(value, ("+" if signed and value else "") + _form(abs(value))).replace("-", "−")


def _form(size: float) -> str:
    if 0 < size < 0.00005:
        return decimals(size, 2)
    return ".4f" if size < 10 else ".2f" if size < 1000 else ",.0f"


def decimals(size: float, digits: int) -> str:
    """The format of a number of that size with so many digits: a plain decimal with at most seven places, or a power of ten.

    >>> format(0.000021, decimals(0.000021, 2)), format(123.4, decimals(123.4, 2)), format(2e-12, decimals(2e-12, 2))
    ('0.000021', '123', '2.0e-12')
    """
    if not size:
        return ".0f"
    exponent = int(f"{size:.{digits - 1}e}".partition("e")[2])
    return f".{digits - 1}e" if exponent < -7 else f".{min(max(digits - 1 - exponent, 0), 7)}f"


def half_width(middle: float | None, bounds: tuple[float, float] | None) -> float | None:
    """Half the width of an interval around ``middle``; None without one, and for one of which a side was cut off.

    >>> half_width(0.5, (0.25, 0.75)), half_width(0.9, (0.75, 1.0)), half_width(0.9, None)
    (0.25, None, None)
    """
    if bounds is None or middle is None:
        return None
    low, high = bounds
    return (high - low) / 2 if abs((low + high) / 2 - middle) <= 1e-6 * (high - low) else None


def plus_minus(mean: float | None, bounds: tuple[float, float] | None = None) -> str:
    """The mean with the half-width of its interval, or with both ends where these lie unevenly.

    >>> plus_minus(0.8, (0.79, 0.81)), plus_minus(0.8), plus_minus(None)
    ('0.8000 ± 0.0100', '0.8000', 'undefined')
    >>> plus_minus(0.99, (0.97, 1.0))
    '0.9900 (0.9700 to 1.0000)'
    """
    if mean is None:
        return UNDEFINED
    half = half_width(mean, bounds)
    if half is None:
        return f"{number(mean)} ({number(bounds[0])} to {number(bounds[1])})" if bounds else number(mean)
    same = format(half, _form(max(abs(mean), 0.0001)))
    return f"{number(mean)} ± {same if float(same.replace(',', '')) or not half else number(half)}"


def interval(bounds: Any) -> str:
    """An interval of a gain, or that there is none.

    >>> interval([-0.001, 0.02]), interval(None)
    ('−0.0010 to +0.0200', 'no interval')
    """
    if not bounds or not all(finite(bound) for bound in bounds):
        return "no interval"
    return " to ".join(number(bound, signed=True) for bound in bounds)


def whole(value: Any) -> str:
    """A count with thousands separated, or a dash.

    >>> whole(1234567), whole(None)
    ('1,234,567', '–')
    """
    return f"{value:,.0f}" if finite(value) else "–"


def share(value: Any) -> str:
    """A share in per cent.

    >>> share(0.01234), share(0), share(0.5)
    ('1.23 %', '0 %', '50.0 %')
    """
    if not finite(value):
        return "–"
    percent = 100 * value
    form = ".0f" if percent == 0 else ".1f" if abs(percent) >= 10 else ".2f" if abs(percent) >= 1 else ".2g"
    return f"{percent:{form}} %"


def duration(seconds: Any) -> str:
    """Seconds as a person says them.

    >>> duration(7.26), duration(192), duration(7320)
    ('7.3 s', '3 min 12 s', '2 h 2 min')
    """
    if not finite(seconds):
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds) // 60
    return f"{minutes} min {round(seconds) % 60} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def time_left(seconds: float) -> str:
    """Return how long something still takes, as a person says it.

    >>> time_left(40), time_left(400), time_left(9000)
    ('less than a minute', 'about 7 min', 'about 2 h 30 min')
    """
    if seconds < 60:
        return "less than a minute"
    minutes = round(seconds / 60)
    return f"about {minutes} min" if minutes < 90 else f"about {minutes // 60} h {minutes % 60} min"


def listed(words: Sequence[str], joint: str = "and") -> str:
    """Words as a list in a sentence.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return f" {joint} ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def flags(text: str) -> Markup:
    """A sentence in which each flag, with the number it is given, is code that is not broken over lines.

    >>> flags("Try --dropout 0.1 & wait.")
    Markup('Try <code>--dropout 0.1</code> &amp; wait.')
    """
    return Markup(re.sub(r"(--[a-z][a-z0-9-]*(?: [0-9.]*[0-9])?)", r"<code>\1</code>", str(escape(text))))


def arguments(text: str) -> str:
    """A sentence in which each flag, with the number it is given, is an argument of Python.

    >>> arguments("Try --gate-dropout 0.1 or fewer --experts.")
    'Try gate_dropout=0.1 or fewer experts.'
    """

    def argument(flag: re.Match[str]) -> str:
        name = flag[1].replace("-", "_")
        return f"{name}={flag[2]}" if flag[2] else name

    return re.sub(r"--([a-z][a-z0-9-]*)(?: ([0-9.]*[0-9]))?", argument, text)


def count_of(amount: int, noun: str) -> str:
    """A count with its noun.

    >>> count_of(1, "task"), count_of(2, "task")
    ('1 task', '2 tasks')
    """
    return f"{amount:,} {noun}" if amount == 1 else f"{amount:,} {noun}s"


def printable(text: str) -> str:
    r"""Text for a terminal: each character that could steer it, or that it cannot show, stands as an escape.

    >>> print(printable("a\x1b[31mb caf\u00e9"), printable("\u202ecod.exe"))
    a\x1b[31mb café \u202ecod.exe
    """
    return _UNPRINTABLE.sub(lambda match: ascii(match[0])[1:-1], text)


def cut(value: object, most: int = 80) -> str:
    """A value as Python writes it, for an error; a long one loses its middle.

    >>> cut("ab"), cut("x" * 500, 20), cut(10**5000)
    ("'ab'", "'xxxxxxx ... xxxxxx'", 'a whole number of 5,001 digits')
    """
    if isinstance(value, int) and value.bit_length() > 14_000:
        return f"a whole number of {int(value.bit_length() * math.log10(2)) + 1:,} digits"
    if isinstance(value, str) and len(value) > 4 * most:
        value = value[: 2 * most] + value[-2 * most :]
    try:
        written = repr(value)
    except (ValueError, RecursionError):  # a whole number of thousands of digits, or nesting without end, somewhere inside
        return f"a {type(value).__name__} that is too large to show"
    half = (most - 5) // 2
    return written if len(written) <= most else f"{written[: most - 5 - half]} ... {written[-half:]}"
