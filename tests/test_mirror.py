"""Tests mirror the sources: src/manygate/ROOM/x.py is tested in tests/ROOM/test_x.py."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SOURCES = TESTS.parent / "src" / "manygate"

CROSS_CUTTING = {
    "architecture/test_conformance.py": "properties that hold for every scheme",
    "architecture/test_known_mistakes.py": "mistakes of public implementations that must not be made here",
    "architecture/test_own_scheme.py": "a scheme of the user's own, from the class to the bundle",
    "architecture/test_same_training.py": "schemes that are one another train the same weights",
    "architecture/test_settings.py": "settings of schemes: errors, chosen features, lower layers",
    "cli/test_bad_input.py": "bad input to every command: one clear error, and nothing left behind",
    "data/test_equal_representations.py": "a value is one id and one number however it is stored",
    "data/test_representations.py": "the same rows in every form of file and frame: the same ids, numbers and groups",
    "data/test_real_tables.py": "rules for ids, outcomes and leaks on real tables",
    "inspection/test_faults.py": "planted faults, from the trained model to the alarm",
    "inspection/test_inspect.py": "mg.inspect and manygate inspect, from the run to the page",
    "inspection/test_own_scheme_seen.py": "an inspection of a scheme of plain PyTorch layers",
    "objective/test_funnel_training.py": "a funnel from the loss to the checkpoint",
    "objective/weighting/test_errors.py": "errors of weightings before a run starts",
    "objective/weighting/test_every_weighting.py": "properties that hold for every weighting in a run",
    "runs/test_best_per_task.py": "one checkpoint per task, from the training to the bundle and the inspection",
    "runs/test_rows_in_files.py": "runs and comparisons on rows in files end as those on rows in memory",
    "runs/test_unconnected_networks.py": "networks that share nothing: a comparison finds nothing",
    "serving/test_agreement.py": "all ways to a prediction agree with the predictor",
    "serving/test_hostile.py": "hostile clients of a real server",
    "serving/test_pace.py": "the estimate of how long requests wait",
    "report/test_browser.py": "pages in a real browser: they load nothing, fit the screen and report no error",
}
"""Test files of a room that belong to no single source, each with its subject."""


def untested(sources: Path, tests: Path) -> list[str]:
    """Sources without a test file of their name."""
    relative = [path.relative_to(sources) for path in sources.rglob("*.py") if path.name != "__init__.py"]
    return sorted(path.as_posix() for path in relative if not (tests / path.with_name(f"test_{path.name}")).exists())


def without_a_source(sources: Path, tests: Path) -> list[str]:
    """Test files in the folder of a room that have no source of their name."""
    relative = [path.relative_to(tests) for path in tests.rglob("test_*.py")]
    rooms = [path for path in relative if len(path.parts) > 1 and (sources / path.parts[0]).is_dir()]
    return sorted(path.as_posix() for path in rooms if not (sources / path.with_name(path.name.removeprefix("test_"))).exists())


def test_every_source_has_a_test_file_of_its_name() -> None:
    missing = untested(SOURCES, TESTS)
    assert not missing, f"write tests/ROOM/test_NAME.py for each of these sources: {missing}"


def test_every_test_file_has_a_source_of_its_name_or_is_listed() -> None:
    unlisted = [path for path in without_a_source(SOURCES, TESTS) if path not in CROSS_CUTTING]
    assert not unlisted, f"rename these test files after their sources, or list them in CROSS_CUTTING: {unlisted}"


def test_the_list_has_no_line_too_many() -> None:
    for path in CROSS_CUTTING:
        assert path in without_a_source(SOURCES, TESTS), f"{path} has a source of its name or is gone: take its line out"


@pytest.fixture
def tree(tmp_path: Path) -> tuple[Path, Path]:
    """Sources with one file that has a test file and one that has none, and a test file without a source."""
    sources, tests = tmp_path / "src", tmp_path / "tests"
    for path in ("room/a.py", "room/__init__.py", "room/inner/b.py", "top.py"):
        (sources / path).parent.mkdir(parents=True, exist_ok=True)
        (sources / path).touch()
    for path in ("room/test_a.py", "room/test_b.py", "docs/test_pages.py", "test_top.py"):
        (tests / path).parent.mkdir(parents=True, exist_ok=True)
        (tests / path).touch()
    return sources, tests


def test_a_file_in_another_folder_does_not_count(tree: tuple[Path, Path]) -> None:
    assert untested(*tree) == ["room/inner/b.py"]
    assert without_a_source(*tree) == ["room/test_b.py"]
