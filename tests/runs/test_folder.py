"""A run's folder: what is refused, what is kept, and what is replaced."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from manygate.config import RunConfig
from manygate.errors import InputError
from manygate.runs.folder import check_folder, open_folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder with a file of an older run in it."""
    open_folder(tmp_path / "run", RunConfig(epochs=7), False, False)
    (tmp_path / "run" / "metrics.jsonl").write_text("{}")
    return tmp_path / "run"


def test_a_new_folder_has_the_configuration_under_its_command(tmp_path: Path) -> None:
    open_folder(tmp_path / "a" / "b", RunConfig(epochs=7), False, False, "manygate train x.csv")
    text = (tmp_path / "a" / "b" / "config.yaml").read_text()
    assert text.startswith("# manygate train x.csv\n")
    assert yaml.safe_load(text)["epochs"] == 7
    assert RunConfig.load(tmp_path / "a" / "b" / "config.yaml") == RunConfig(epochs=7)


@pytest.mark.parametrize("command", ["", "manygate train a\nb"])
def test_a_command_that_is_no_line_is_left_out(tmp_path: Path, command: str) -> None:
    open_folder(tmp_path / "run", RunConfig(), False, False, command)
    assert not (tmp_path / "run" / "config.yaml").read_text().startswith("#")


def test_an_empty_folder_is_as_good_as_none(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    open_folder(tmp_path / "run", RunConfig(), False, False)
    assert (tmp_path / "run" / "config.yaml").is_file()


def test_a_folder_that_holds_something_is_refused_with_the_ways_out(run: Path) -> None:
    with pytest.raises(InputError, match=r"run'? exists. Choose another .*(resume=True|--resume).*overwrite"):
        check_folder(run, False, False)
    with pytest.raises(InputError, match=r"exists\. Choose another"):
        open_folder(run, RunConfig(), False, False)
    assert (run / "metrics.jsonl").exists()


def test_overwriting_empties_a_run_s_folder_and_no_other(run: Path, tmp_path: Path) -> None:
    open_folder(run, RunConfig(epochs=9), False, True)
    assert [path.name for path in run.iterdir()] == ["config.yaml"]
    assert RunConfig.load(run / "config.yaml").epochs == 9
    other = tmp_path / "photos"
    other.mkdir()
    (other / "cat.jpg").write_text("")
    with pytest.raises(InputError, match=r"not a run's folder \(no config.yaml\), so it is not overwritten"):
        open_folder(other, RunConfig(), False, True)
    assert (other / "cat.jpg").exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_resuming_keeps_what_the_folder_holds(run: Path, overwrite: bool) -> None:
    open_folder(run, RunConfig(epochs=9), True, overwrite, "manygate train")
    assert (run / "metrics.jsonl").exists()
    assert RunConfig.load(run / "config.yaml").epochs == 7


def test_a_file_of_the_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    for resume, overwrite in ((False, False), (True, False), (False, True)):
        with pytest.raises(InputError, match=r"run'?: a file of this name exists"):
            check_folder(tmp_path / "run", resume, overwrite)


def test_a_name_that_the_system_refuses_is_cut_short(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be written \(.*\)\. Choose another") as error:
        open_folder(Path("x" * 5000), RunConfig(), False, False)
    assert len(str(error.value)) < 250


def test_a_folder_that_was_made_for_nothing_is_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, text: str) -> None:
        raise InputError("the disk is full")

    monkeypatch.setattr("manygate.runs.folder.write_text", fail)
    with pytest.raises(InputError, match="the disk is full"):
        open_folder(tmp_path / "run", RunConfig(), False, False)
    assert not (tmp_path / "run").exists()


def test_a_parent_that_is_a_file_is_an_error_of_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        open_folder(tmp_path / "file" / "run", RunConfig(), False, False)
