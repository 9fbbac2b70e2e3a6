"""The faults fit the source as it is, and planting them tells caught from survived from broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from faults import plant

SOURCE = """def double(x):
    return 2 * x


def half(x):
    return x / 2


LIMIT = int("3")
"""
TESTS = """from manygate.sums import double


def test_double():
    assert double(3) == 6


def test_other():
    import manygate.sums
"""
ENTRY = "- {{name: {name}, file: sums.py, old: {old!r}, new: {new!r}, tests: [{test}]}}\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A package of one module, with a test that looks at one of its functions."""
    for folder in ("src/manygate", "tests/faults"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    (tmp_path / "src/manygate/__init__.py").write_text("")
    (tmp_path / "src/manygate/sums.py").write_text(SOURCE)
    (tmp_path / "tests/test_sums.py").write_text(TESTS)
    return tmp_path


def write(project: Path, *entries: tuple[str, str, str], test: str = "tests/test_sums.py") -> None:
    text = "".join(ENTRY.format(name=name, old=old, new=new, test=test) for name, old, new in entries)
    (project / "tests/faults/some.yaml").write_text(text)


def test_every_entry_fits_the_source():
    faults, problems = plant.read_faults(plant.ROOT)
    assert problems + plant.problems_of(faults, plant.ROOT) == []


def test_what_becomes_of_faults(project: Path, capsys: pytest.CaptureFixture[str]):
    write(
        project,
        ("seen", "2 * x", "3 * x"),
        ("unseen", "x / 2", "x / 3"),
        ("no-import", 'int("3")', 'int("three")'),
        ("no-name", "def double", "def twice"),
    )
    assert plant.main(["--jobs", "2"], project) == 1
    printed = capsys.readouterr().out
    lines = {line.split()[2]: line.split()[0] for line in printed.splitlines() if line.startswith(plant.VERDICTS)}
    assert lines == {"seen": "caught", "unseen": "survived", "no-import": "broken", "no-name": "broken"}
    assert printed.splitlines()[-1].split() == ["all", "1", "1", "2"]
    assert (project / "src/manygate/sums.py").read_text() == SOURCE
    assert plant.main(["--only", "seen", "--only", "nothing", "--list"], project) == 0
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == ["seen", "unseen"]


def test_all_caught_is_success(project: Path):
    write(project, ("seen", "2 * x", "3 * x"), test="tests/test_sums.py::test_double")
    assert plant.main(["--jobs", "1"], project) == 0


def test_nothing_is_planted_where_the_tests_fail_without(project: Path, capsys: pytest.CaptureFixture[str]):
    write(project, ("seen", "2 * x", "3 * x"))
    (project / "tests/test_sums.py").write_text("def test_no():\n    assert False\n")
    assert plant.main([], project) == 2
    assert "nothing was planted" in capsys.readouterr().err


def test_tests_that_take_too_long_are_no_catch(project: Path):
    write(project, ("slow", "return 2 * x", "return __import__('time').sleep(60)"))
    (fault,), _ = plant.read_faults(project)
    assert plant.try_fault(fault, project, seconds=5).verdict == "broken"
    assert (project / "src/manygate/sums.py").read_text() == SOURCE


def test_all_problems_at_once(project: Path, capsys: pytest.CaptureFixture[str]):
    write(project, ("a", "return", "yield"), ("a", "nowhere", "x"), ("b", "2 * x", "2 * x"), test="tests/none.py::test_x")
    (project / "tests/faults/other.yaml").write_text("- {name: c, file: sums.py}\n")
    assert plant.main([], project) == 2
    said = capsys.readouterr().err
    for words in (
        "named twice",
        "occurs 2 times",
        "occurs 0 times",
        "'new' is 'old'",
        "tests/none.py::test_x",
        "other.yaml, entry 1",
    ):
        assert words in said
