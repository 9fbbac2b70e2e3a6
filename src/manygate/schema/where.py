"""Reads a sample space from text.

The grammar, from the loosest to the tightest::

    space       = all { ("or" | "|" | "||") all }
    all         = negation { ("and" | "&" | "&&") negation }
    negation    = "not" negation | "(" space ")" | predicate
    predicate   = operand operator operand
                | column ["not"] "in" "(" operand { "," operand } ")"
                | column "is" ["not"] "null"
    operator    = "==" | "=" | "!=" | "<>" | "<" | "<=" | ">" | ">="
    operand     = column | number | "true" | "false" | 'text' | "text"
    column      = word | `any name`

Keywords may be in upper or lower case. A quote within text, and a backtick within a name, is written twice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import NoReturn

from manygate.errors import InputError
from manygate.schema.expression import NAME, SWAPPED, And, Column, Comparison, Constant, Expression, In, IsNull, Not, Operand, Or

_TOKEN = re.compile(
    r"(?P<blank>\s+)"
    r"|(?P<text>'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")"
    r"|(?P<quoted>`(?:[^`]|``)+`)"
    r"|(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?(?![\w.])|[+-]?inf(?:inity)?(?![\w.:$@#]))"
    r"|(?P<operator>==|!=|<>|<=|>=|=|<|>)"
    rf"|(?P<word>{NAME.pattern})"
    r"|(?P<mark>&&|\|\||[&|(),\[\]])",
    re.IGNORECASE,
)
_OPERATORS = {"=": "==", "<>": "!="}
_AND, _OR = ("and", "&", "&&"), ("or", "|", "||")
_NULLS = ("null", "none", "nan")
_EXAMPLE = "Write for example click == 1 and country in ('CH', 'DE')."
DEEPEST = 50
LONGEST = 20_000
LARGEST_EXPONENT = 400


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    start: int

    @property
    def word(self) -> str:
        """The token in lower case where it may be a keyword, else nothing."""
        return self.text.lower() if self.kind in ("word", "mark") else ""


@lru_cache(maxsize=256)
def parse_where(text: str) -> Expression:
    """Read a sample space. Raises :class:`InputError` that points at the first character that cannot be understood.

    >>> str(parse_where("click==1 AND (country in ('CH','DE') | not price > 9.5)"))
    "click == 1 and (country in ('CH', 'DE') or not price > 9.5)"
    """
    return _Parser(text).whole()


class _Parser:
    def __init__(self, text: str):
        self.text, self.depth, self.position = text, 0, 0
        if len(text) > LONGEST:
            raise InputError(f"where has {len(text):,} characters, more than {LONGEST:,}. Write a column that holds the answer.")
        self.tokens = list(self._split())

    def whole(self) -> Expression:
        """Read all of the text."""
        space = self._any()
        if self.now.kind != "end":
            self._fail("this is left over; join comparisons with 'and' or 'or', and put text in quotes")
        return space

    @property
    def now(self) -> _Token:
        """The token to be read next."""
        return self.tokens[self.position]

    def _split(self) -> list[_Token]:
        tokens, start = [], 0
        while start < len(self.text):
            match = _TOKEN.match(self.text, start)
            if match is None:
                self._refuse(start)
            if match.lastgroup != "blank":
                tokens.append(_Token(str(match.lastgroup), match.group(), start))
            start = match.end()
        return [*tokens, _Token("end", "", len(self.text))]

    def _refuse(self, start: int) -> NoReturn:
        character = self.text[start]
        if character in "'\"`":
            self._fail("this quote is not closed", start)
        if character in "‘’“”„«»´":
            self._fail("this is no straight quote; write ' or \"", start)
        if character in "!~":
            self._fail("write 'not', and parentheses around what it negates", start)
        if character.isdigit():
            self._fail("this is no number; a column's name that starts with a digit stands in backticks", start)
        self._fail("this character has no meaning here; a name that holds it stands in backticks, text in quotes", start)

    def _fail(self, why: str, start: int | None = None) -> NoReturn:
        start = self.now.start if start is None else start
        first = max(start - 60, 0)
        shown = re.sub(r"[\s\x00-\x1f\x7f-\x9f]", " ", self.text[first : start + 60])
        raise InputError(
            f"where = {self.text[:200]!r} is not a comparison, nor several of them: {why}, at character {start + 1}:\n"
            f"    {shown}\n    {' ' * (start - first)}^\n    {_EXAMPLE}"
        )

    def _take(self, *words: str) -> bool:
        """Step over the next token if it is one of some keywords or marks."""
        taken = self.now.word in words
        self.position += taken
        return taken

    def _any(self) -> Expression:
        parts = [self._all()]
        while self._take(*_OR):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _all(self) -> Expression:
        parts = [self._negation()]
        while self._take(*_AND):
            parts.append(self._negation())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _negation(self) -> Expression:
        self.depth += 1
        if self.depth > DEEPEST:
            self._fail(f"more than {DEEPEST} parentheses and 'not' within each other")
        if self._take("not"):
            part: Expression = Not(self._negation())
        elif self._take("("):
            part = self._any()
            if not self._take(")"):
                self._fail("a closing parenthesis is missing")
        else:
            part = self._predicate()
        self.depth -= 1
        return part

    def _predicate(self) -> Expression:
        start, left = self.now.start, self._operand()
        if self.now.kind == "operator":
            return self._comparison(left, start)
        negated = self._take("not")
        if self._take("in"):
            return In(self._column(left, start), self._values(), negated)
        if not negated and self._take("is"):
            negated = self._take("not")
            if not self._take(*_NULLS):
                self._fail("after 'is' comes 'null' or 'not null'")
            return IsNull(self._column(left, start), negated)
        self._fail(
            f"after {left} an operator is missing (== != < <= > >=, in (...), is null, is not null); a name with blanks stands in "
            "backticks"
        )

    def _comparison(self, left: Operand, start: int) -> Expression:
        operator = _OPERATORS.get(self.now.text, self.now.text)
        self.position += 1
        right_start, right = self.now.start, self._operand()
        if self.now.kind == "operator":
            self._fail("a comparison has two sides; join two comparisons with 'and'")
        if isinstance(left, Constant):
            left, right, operator, start = right, left, SWAPPED[operator], right_start
        return Comparison(self._column(left, start), operator, right)

    def _column(self, operand: Operand, start: int) -> Column:
        if isinstance(operand, Constant):
            self._fail("one side must be a column", start)
        return Column(operand.name)

    def _values(self) -> tuple[Operand, ...]:
        closing = "]" if self.now.word == "[" else ")"
        if not self._take("(", "["):
            self._fail("after 'in' come values in parentheses")
        values = [self._operand()]
        while self._take(","):
            values.append(self._operand())
        if not self._take(closing):
            self._fail("a comma or a closing parenthesis is missing")
        return tuple(values)

    def _operand(self) -> Operand:
        token = self.now
        if token.word in _NULLS:
            self._fail(f"nothing equals {token.text}; write COLUMN is null, or COLUMN is not null")
        if token.kind not in ("text", "quoted", "number", "word") or token.word in ("and", "or", "not", "in", "is"):
            self._fail("a column or a value is missing here")
        if token.kind == "word" and token.word not in ("true", "false"):
            operand: Operand = Column(token.text, may_be_text=True)
        elif token.kind == "quoted":
            operand = Column(token.text[1:-1].replace("``", "`"))
        else:
            operand = Constant(self._value(token))
        self.position += 1
        return operand

    def _value(self, token: _Token) -> str | int | Decimal | bool:
        if token.kind == "word":
            return token.word == "true"
        if token.kind == "text":
            return token.text[1:-1].replace(token.text[0] * 2, token.text[0])
        number = Decimal(token.text)
        if number.is_finite() and (len(token.text) > LARGEST_EXPONENT or abs(number.adjusted()) > LARGEST_EXPONENT):
            self._fail("this number has too many digits")
        return int(token.text) if re.fullmatch(r"[+-]?\d+", token.text) else number
