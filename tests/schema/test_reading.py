"""YAML and settings are read strictly; every problem is one line with its file, its key and its value."""

from __future__ import annotations

import pytest
from pydantic import Field

from manygate.errors import InputError, raise_all, setting
from manygate.schema.reading import LARGEST_YAML, Frozen, read_yaml, validated


class Wheel(Frozen):
    size: int = Field(ge=1)


class Car(Frozen):
    wheels: tuple[Wheel, ...] = ()
    top_speed: int = 1

    def model_post_init(self, context: object) -> None:
        raise_all([f"{setting('top_speed')}: too slow"] if self.top_speed == 0 else [])


def problems(tree: object, where: str = "") -> tuple[InputError, tuple[str, ...]]:
    with pytest.raises(InputError) as caught:
        validated(Car, tree, where)
    return caught.value, caught.value.problems


def test_a_good_tree_gives_the_model() -> None:
    assert validated(Car, {"wheels": [{"size": 3}]}, "car.yaml") == Car(wheels=(Wheel(size=3),))


@pytest.mark.parametrize(
    ("tree", "problem"),
    [
        ({"top_sped": 1}, "car.yaml: top_sped: unknown name. Did you mean 'top_speed'?"),
        ({"wheels": [{"sise": 1}]}, "car.yaml: wheels.0.size: a value is required, and there is none."),
        ({"wheels": 1}, "car.yaml: wheels: expected a list; found 1."),
        ({"wheels": [{"size": 0}]}, "car.yaml: wheels.0.size: Input should be greater than or equal to 1; found 0."),
        ({"xxxxxxx": 1}, "car.yaml: xxxxxxx: unknown name. Known names: top_speed, wheels."),
        ({"top_speed": 0}, "car.yaml: top_speed: too slow"),
    ],
)
def test_a_problem_of_a_file_names_file_key_and_value(tree: object, problem: str) -> None:
    assert problem in problems(tree, "car.yaml")[1]


def test_an_unknown_name_in_a_part_is_compared_with_the_names_of_the_part() -> None:
    assert "car.yaml: wheels.0.sise: unknown name. Did you mean 'size'?" in problems({"wheels": [{"sise": 1}]}, "car.yaml")[1]


def test_without_a_file_values_are_settings() -> None:
    error, lines = problems({"top_speed": "x"})
    assert lines[0].startswith("top_speed: Input should be a valid integer")
    assert error.for_command_line().startswith("--top-speed: Input")
    assert problems({"top_speed": 0})[0].for_command_line() == "--top-speed: too slow"
    assert problems({"wheels": [{"size": 0}]})[0].for_command_line().startswith("--wheels.0.size: Input")


def test_all_problems_are_listed_at_once() -> None:
    assert len(problems({"top_speed": "x", "color": 1, "wheels": [{}]}, "car.yaml")[1]) == 3


def test_yaml_is_a_mapping_with_each_name_once() -> None:
    assert read_yaml("a: 1\nb: [x]", "car.yaml") == {"a": 1, "b": ["x"]}
    with pytest.raises(InputError, match=r"car\.yaml:2:1: not valid YAML: 'a' is given twice"):
        read_yaml("a: 1\na: 2", "car.yaml")
    with pytest.raises(InputError, match=r"car\.yaml:1:4: not valid YAML"):
        read_yaml("a: @", "car.yaml")
    with pytest.raises(InputError, match=r"car\.yaml: expected 'name: value' lines, found list"):
        read_yaml("- 1", "car.yaml")
    with pytest.raises(InputError, match="not valid YAML"):
        read_yaml("a: !!python/object:os.system {}", "car.yaml")


BOMB = "a: &a [x, x]\n" + "\n".join(f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]" for n in range(20))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (BOMB, r"2:8: not valid YAML: the alias \*a is not read; write the value out"),
        ("a: &x 1\nb: {<<: *x}", r"2:9: not valid YAML: the alias"),
        ("a: " + "[" * 5000, r"1:\d+: not valid YAML: nested more than 32 times"),
        ("a: " + "{b: " * 5000, r"1:\d+: not valid YAML: nested more than 32 times"),
        ("\n".join(" " * n + "a:" for n in range(200)), r"\d+:\d+: not valid YAML: nested more than 32 times"),
        ("ok: 1\na: " + "9" * 5000, r"2:4: not valid YAML: '9+ \.\.\. 9+' is not a value of the kind int"),
        ("a: 0x" + "f" * 5000, r"1:4: not valid YAML: '0xf+ \.\.\. f+' is a whole number of more than 64 bits"),
        ("a: -" + "9" * 30, r"1:4: not valid YAML: '-9+' is a whole number of more than 64 bits"),
        ("a: " + "9:" * 3000 + "9", r"1:4: not valid YAML: .* more than 64 bits"),
        ("a: !!int ''", r"1:4: not valid YAML: '' is not a value of the kind int"),
        ("a: !!int _", r"1:4: not valid YAML: '_' is not a value of the kind int"),
        ("a: !!float x", r"1:4: not valid YAML: 'x' is not a value of the kind float"),
        ("a: !!bool x", r"1:4: not valid YAML: 'x' is not a value of the kind bool"),
        ("a: !!timestamp x", r"1:4: not valid YAML: 'x' is not a value of the kind timestamp"),
        ("a: 2026-13-45", r"1:4: not valid YAML: '2026-13-45' is not a value of the kind timestamp"),
        ("a: !!binary '\N{SNOWMAN}'", r"1:4: not valid YAML"),
        ("? [a, b]\n: 1", r"1:3: not valid YAML"),
        ("? {a: b}\n: 1", r"1:3: not valid YAML"),
        ("a: !!python/object/apply:os.system ['true']", r"1:4: not valid YAML: could not determine a constructor"),
        ("a: !!python/name:os.system", r"1:4: not valid YAML: could not determine a constructor"),
        ("a: 1\nb: \x07", r":2: not valid YAML: the character '\\x07' is not allowed"),
        ("--- {a: 1}\n--- {b: 1}", "not valid YAML"),
        ("a: 'x", "not valid YAML"),
        ("\t", "not valid YAML"),
        ("%YAML 9.9\n---\na: 1", "not valid YAML"),
    ],
)
def test_hostile_yaml_is_one_short_error_with_its_line(text: str, problem: str) -> None:
    with pytest.raises(InputError, match=rf"car\.yaml:{problem}" if problem[0].isdigit() else problem) as caught:
        read_yaml(text, "car.yaml")
    assert len(caught.value.problems) == 1
    assert len(str(caught.value)) < 400


def test_a_file_that_is_too_long_is_not_read() -> None:
    with pytest.raises(InputError, match=r"car\.yaml: 8,388,609 characters, and at most 8,388,608 are read"):
        read_yaml("#" * (LARGEST_YAML + 1), "car.yaml")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("# a car\ntop_sped: 1", "car.yaml:2: top_sped: unknown name. Did you mean 'top_speed'?"),
        ("wheels:\n- size: 1\n- size: 0", "car.yaml:3: wheels.1.size: Input should be greater than or equal to 1; found 0."),
        ("wheels:\n- {size: 1}\n-\n  sise: 1", "car.yaml:4: wheels.1.sise: unknown name. Did you mean 'size'?"),
        ("\nwheels: 1", "car.yaml:2: wheels: expected a list; found 1."),
    ],
)
def test_a_problem_of_a_yaml_file_names_the_line(text: str, problem: str) -> None:
    assert problem in problems(read_yaml(text, "car.yaml"), "car.yaml")[1]


def test_long_values_and_many_problems_are_cut() -> None:
    error, _ = problems({"top_speed": "x" * 10_000}, "car.yaml")
    assert len(str(error)) < 300
    error, lines = problems({"top_speed": [10**6000]}, "car.yaml")
    assert "too large to show" in str(error)
    error, lines = problems({"wheels": [{"size": 0}] * 1000}, "car.yaml")
    assert len(lines) == 1000
    assert str(error).endswith("Input should be greater than or equal to 1; found 0.\n  - and 900 more")
    error, lines = problems({f"x{n}": 1 for n in range(200)}, "car.yaml")
    assert str(error).count("Known names: ") == 1, "once is enough"
    assert len(str(InputError("x" * 10_000))) < 2_000


def test_a_tree_that_holds_itself_is_one_error() -> None:
    endless: dict[str, object] = {}
    endless["wheels"] = [endless]
    assert len(problems(endless, "car.yaml")[1]) >= 1
