"""YAML and settings are read strictly; every problem is one line with its file, its key and its value."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from manygate.errors import InputError, raise_all, setting
from manygate.schema.reading import Frozen, read_text, read_yaml, validated


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


def test_text_is_read_or_its_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\N{SNOWMAN}", encoding="utf-8")
    assert read_text(tmp_path / "a.txt") == "\N{SNOWMAN}"
    (tmp_path / "b.txt").write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"b\.txt' cannot be read as text"):
        read_text(tmp_path / "b.txt")
    with pytest.raises(InputError, match=r"c\.txt' does not exist"):
        read_text(tmp_path / "c.txt")
