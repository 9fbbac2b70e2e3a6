"""A sample space is read as a tree, or refused with the character at which it stops making sense."""

from __future__ import annotations

from decimal import Decimal

import pytest

from manygate.errors import InputError
from manygate.schema.expression import And, Column, Comparison, Constant, In, IsNull, Not, Or
from manygate.schema.where import DEEPEST, LONGEST, parse_where

A, B = Column("a"), Column("b")
A1, B2 = Comparison(A, "==", Constant(1)), Comparison(B, "==", Constant(2))
C3 = Comparison(Column("c"), "==", Constant(3))


@pytest.mark.parametrize("space", ["", " ", "\n\t"])
@pytest.mark.parametrize(
    ("written", "operator"),
    [("==", "=="), ("=", "=="), ("!=", "!="), ("<>", "!="), (">=", ">="), ("<=", "<="), (">", ">"), ("<", "<")],
)
def test_every_operator(written: str, operator: str, space: str) -> None:
    assert parse_where(f"a{space}{written}{space}1") == Comparison(A, operator, Constant(1))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-2", -2),
        ("007", 7),
        ("18446744073709551615", 2**64 - 1),
        ("1.5", Decimal("1.5")),
        (".5", Decimal("0.5")),
        ("1e3", Decimal(1000)),
        ("inf", Decimal("inf")),
        ("-Infinity", Decimal("-inf")),
        ("true", True),
        ("FALSE", False),
        ("'CH'", "CH"),
        ('"1"', "1"),
        ("'a<b and c'", "a<b and c"),
        ("'Home & Kitchen'", "Home & Kitchen"),
        ("'it''s'", "it's"),
        ('"it\'s; a | \\ ""b"""', 'it\'s; a | \\ "b"'),
        ("''", ""),
    ],
)
def test_values_of_every_type(text: str, value: object) -> None:
    tree = parse_where(f"a == {text}")
    assert isinstance(tree, Comparison)
    assert isinstance(tree.other, Constant)
    assert tree.other.value == value
    assert type(tree.other.value) is type(value)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("user_id:token", "user_id:token"),
        ("größe.x", "größe.x"),
        ("`first name`", "first name"),
        ("`a``b`", "a`b"),
        ("`and`", "and"),
        ("`2nd`", "2nd"),
        ("`it's; == 1 or`", "it's; == 1 or"),
        ("order", "order"),
        ("info", "info"),
        ("nothing", "nothing"),
    ],
)
def test_names_of_columns(text: str, name: str) -> None:
    tree = parse_where(f"{text} == 1")
    assert tree == Comparison(Column(name), "==", Constant(1))
    assert parse_where(str(tree)) == tree


@pytest.mark.parametrize("spelling", ["and", "AND", "And", "&", "&&"])
def test_spellings_of_and(spelling: str) -> None:
    assert parse_where(f"a == 1 {spelling} b == 2") == And((A1, B2))


@pytest.mark.parametrize("spelling", ["or", "OR", "oR", "|", "||"])
def test_spellings_of_or(spelling: str) -> None:
    assert parse_where(f"a == 1 {spelling} b == 2") == Or((A1, B2))


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a==1&b==2|c==3", Or((And((A1, B2)), C3))),
        ("a == 1 or b == 2 and c == 3", Or((A1, And((B2, C3))))),
        ("(a == 1 or b == 2) and c == 3", And((Or((A1, B2)), C3))),
        ("not a == 1 and b == 2", And((Not(A1), B2))),
        ("NOT (a == 1 and b == 2)", Not(And((A1, B2)))),
        ("not not a == 1", Not(Not(A1))),
        ("((a == 1))", A1),
        ("1 == a", A1),
        ("1 < a", Comparison(A, ">", Constant(1))),
        ("'x' >= a", Comparison(A, "<=", Constant("x"))),
        ("a != b", Comparison(A, "!=", B)),
        ("a in (1, 'x', b)", In(A, (Constant(1), Constant("x"), B))),
        ("a NOT IN ['A,B']", In(A, (Constant("A,B"),), negated=True)),
        ("a is null", IsNull(A)),
        ("a IS NOT NULL", IsNull(A, negated=True)),
        ("a is not none and not b is null", And((IsNull(A, negated=True), Not(IsNull(B))))),
    ],
)
def test_what_binds_tighter(text: str, tree: object) -> None:
    assert parse_where(text) == tree
    assert parse_where(str(tree)) == tree


@pytest.mark.parametrize(
    ("text", "character", "why"),
    [
        ("", 1, "a column or a value is missing"),
        ("  ", 3, "a column or a value is missing"),
        ("click", 6, "after click an operator is missing"),
        ("click ==", 9, "a column or a value is missing"),
        ("== 1", 1, "a column or a value is missing"),
        ("a == 1 and", 11, "a column or a value is missing"),
        ("and a == 1", 1, "a column or a value is missing"),
        ("a == 1 ; b == 2", 8, "this character has no meaning"),
        ("a == 1, b == 2", 7, "left over"),
        ("a == 1 b == 2", 8, "left over"),
        ("a == 1)", 7, "left over"),
        ("(a == 1", 8, "a closing parenthesis is missing"),
        ("a == 'x' 'y'", 10, "left over"),
        ("a == 'it's'", 11, "this quote is not closed"),
        ("a == 'x", 6, "this quote is not closed"),
        ("`a == 1", 1, "this quote is not closed"),
        ("a == ‘CH’", 6, "no straight quote"),
        ("1 < a < 3", 7, "a comparison has two sides"),
        ("a == b == c", 8, "a comparison has two sides"),
        ("1 == 1", 6, "one side must be a column"),
        ("'x' in (a)", 1, "one side must be a column"),
        ("a == null", 6, "write COLUMN is null"),
        ("a != None", 6, "write COLUMN is null"),
        ("a in (1, nan)", 10, "write COLUMN is null"),
        ("a is 1", 6, "after 'is' comes 'null'"),
        ("a is true", 6, "after 'is' comes 'null'"),
        ("a in 1", 6, "values in parentheses"),
        ("a in ()", 7, "a column or a value is missing"),
        ("a in (1, 2", 11, "a comma or a closing parenthesis"),
        ("a not == 1", 7, "an operator is missing"),
        ("a between 1 and 2", 3, "an operator is missing"),
        ("a like 'x%'", 3, "an operator is missing"),
        ("first name == 1", 7, "stands in backticks"),
        ("!(a == 1)", 1, "write 'not'"),
        ("~a == 1", 1, "write 'not'"),
        ("a-b == 1", 2, "has no meaning here"),
        ("a === 1", 5, "a column or a value is missing"),
        ("a =< 1", 4, "a column or a value is missing"),
        ("2nd == 1", 1, "starts with a digit"),
        ("a == 1_000", 6, "no number"),
        ("a == 0x1f", 6, "no number"),
        ("a == 1e999", 6, "too many digits"),
        ("a == Home & Kitchen", 20, "after Kitchen an operator is missing"),
    ],
)
def test_what_is_refused(text: str, character: int, why: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_where(text)
    message = str(caught.value)
    assert "is not a comparison" in message
    assert why in message
    assert f"at character {character}:" in message
    shown, caret = message.splitlines()[1:3]
    assert caret.index("^") - 4 == character - 1
    assert shown[4:].rstrip() == text.rstrip()


def test_hostile_text_is_refused_quickly_and_shown_without_control_characters() -> None:
    for text in ("(" * 4000 + "a == 1", "not " * 4000 + "a == 1", "a == " + "9" * 5000, "a == 1 or " * 3000 + "a == 1"):
        with pytest.raises(InputError):
            parse_where(text)
    assert str(parse_where("(" * (DEEPEST - 1) + "a == 1" + ")" * (DEEPEST - 1))) == "a == 1"
    assert parse_where("a == 1" + " " * (LONGEST - 6)) == A1
    with pytest.raises(InputError) as caught:
        parse_where("a == \x1b[31m\x07 1")
    assert "\x1b" not in str(caught.value)
    assert "\x07" not in str(caught.value)
