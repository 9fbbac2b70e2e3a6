"""A run's folder: what is refused, what is kept, and what is replaced."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from flipped_bytes import TRIES, flipped
from manygate.config import RunConfig
from manygate.datasets.folder import write_folder
from manygate.errors import InputError
from manygate.files import OWN_LOGITS, RECORD, check_recorded, locked, write_text
from manygate.inspection.look import read_history
from manygate.results.comparison import ComparisonDocument
from manygate.runs.folder import check_folder, mark, open_folder, record, sources_of
from manygate.runs.own import read_own_logits
from manygate.scoring.bundle import chosen_model, tuned_model
from manygate.training.divergence import DivergedError


def start(folder: Path, config: RunConfig | None = None, resume: bool = False, overwrite: bool = False, command: str = "") -> None:
    """Open a folder, and do nothing in it."""
    with open_folder(folder, config or RunConfig(), resume, overwrite, command):
        pass


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder with a file of an older run in it."""
    start(tmp_path / "run", RunConfig(epochs=7))
    (tmp_path / "run" / "metrics.jsonl").write_text("{}")
    return tmp_path / "run"


def test_a_new_folder_has_the_configuration_under_its_command(tmp_path: Path) -> None:
    start(tmp_path / "a" / "b", RunConfig(epochs=7), command="manygate train x.csv")
    text = (tmp_path / "a" / "b" / "config.yaml").read_text()
    assert text.startswith("# manygate train x.csv\n")
    assert yaml.safe_load(text)["epochs"] == 7
    assert RunConfig.load(tmp_path / "a" / "b" / "config.yaml") == RunConfig(epochs=7)


@pytest.mark.parametrize("command", ["", "manygate train a\nb"])
def test_a_command_that_is_no_line_is_left_out(tmp_path: Path, command: str) -> None:
    start(tmp_path / "run", command=command)
    assert not (tmp_path / "run" / "config.yaml").read_text().startswith("#")


def test_an_empty_folder_is_as_good_as_none(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    start(tmp_path / "run")
    assert (tmp_path / "run" / "config.yaml").is_file()


def test_a_folder_that_holds_something_is_refused_with_the_ways_out(run: Path) -> None:
    with pytest.raises(InputError, match=r"run'? exists. Choose another .*(resume=True|--resume).*overwrite"):
        check_folder(run, False, False)
    with pytest.raises(InputError, match=r"exists\. Choose another"):
        start(run)
    assert (run / "metrics.jsonl").exists()


def test_overwriting_empties_a_run_s_folder_and_leaves_nothing_beside_it(run: Path) -> None:
    start(run, RunConfig(epochs=9), overwrite=True)
    assert sorted(path.name for path in run.iterdir()) == ["config.yaml", RECORD]
    assert RunConfig.load(run / "config.yaml").epochs == 9
    assert [path.name for path in run.parent.iterdir()] == ["run"]


def notes(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")


def notes_in_a_model(folder: Path) -> None:
    mark(folder / "mmoe")
    (folder / "mmoe" / "notes.txt").write_text("mine")


def notes_in_the_bundle(folder: Path) -> None:
    (folder / "bundle").mkdir()
    write_text(folder / "bundle/manifest.json", '{"files": {}}')
    (folder / "bundle/notes.txt").write_text("mine")


def notes_in_the_checkpoints(folder: Path) -> None:
    (folder / "checkpoints/step-0000000001").mkdir(parents=True)
    (folder / "checkpoints/notes.txt").write_text("mine")


def a_folder_of_the_user(folder: Path) -> None:
    (folder / "src").mkdir()


def a_link_to_other_data(folder: Path) -> None:
    (folder / "bundle").symlink_to(folder.parent)


def notes_in_the_log_of_a_demo(folder: Path) -> None:
    write_folder(folder / "log", {"README.md": "A made-up log."})
    (folder / "log" / "notes.txt").write_text("mine")


def a_hidden_folder(folder: Path) -> None:
    (folder / ".git").mkdir()


def no_record(folder: Path) -> None:
    (folder / RECORD).unlink()


def the_record_of_something_else(folder: Path) -> None:
    (folder / RECORD).write_text('{"files": {}}')


@pytest.mark.parametrize(
    "spoil",
    [
        notes,
        notes_in_a_model,
        notes_in_the_bundle,
        notes_in_the_checkpoints,
        a_folder_of_the_user,
        a_link_to_other_data,
        notes_in_the_log_of_a_demo,
        a_hidden_folder,
        no_record,
        the_record_of_something_else,
    ],
)
def test_what_manygate_did_not_write_is_never_destroyed(run: Path, spoil: Callable[[Path], None]) -> None:
    spoil(run)
    before = sorted(str(path.relative_to(run)) for path in run.rglob("*"))
    for check in (lambda: check_folder(run, False, True), lambda: start(run, overwrite=True)):
        with pytest.raises(InputError, match="so it is not overwritten") as error:
            check()
        assert "manygate did not write" in str(error.value) or "not a run's folder" in str(error.value)
    assert sorted(str(path.relative_to(run)) for path in run.rglob("*")) == before


def test_a_project_with_a_config_yaml_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("dim: 3")
    (tmp_path / "main.py").write_text("")
    with pytest.raises(InputError, match=r"not a run's folder \(no run\.json\), so it is not overwritten"):
        start(tmp_path, overwrite=True)
    assert (tmp_path / "main.py").exists()


def test_everything_that_a_run_writes_may_be_overwritten(run: Path) -> None:
    for name in ("state.json", "schema.yaml", "evaluation.json", "report.html", "inspection.html", "DONE", ".report.html.tmp"):
        (run / name).write_text("")
    (run / "checkpoints/step-0000000001").mkdir(parents=True)
    (run / "checkpoints/.step-0000000002.tmp").mkdir()
    (run / "packs/000000-000002").mkdir(parents=True)
    (run / "bundle").mkdir()
    write_text(run / "bundle/manifest.json", '{"files": {"config.yaml": {}}}')
    (run / "bundle/config.yaml").write_text("")
    mark(run / "single_task")
    write_folder(run / "log", {"README.md": "A made-up log."})
    start(run, overwrite=True)
    assert sorted(path.name for path in run.iterdir()) == ["config.yaml", RECORD]


@pytest.mark.parametrize("inside", ["log.parquet", "", "part/*.csv", "../link"])
def test_a_folder_that_holds_the_log_is_not_overwritten(run: Path, inside: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (run.parent / "link").symlink_to(run / "config.yaml")
    mark(run / "part")
    (run / "part/state.json").write_text("")
    reads = [str(run / "part" / "*.json") if "*" in inside else str(run / inside)]
    with pytest.raises(InputError, match="which this run reads, so it is not overwritten"):
        check_folder(run, False, True, reads)
    check_folder(run, False, True, [str(run.parent / "other.csv"), str(run.parent)])
    check_folder(run, True, False, reads)


def test_a_folder_that_holds_the_working_directory_is_not_overwritten(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark(run / "mmoe")
    for place in (run, run / "mmoe"):
        monkeypatch.chdir(place)
        with pytest.raises(InputError, match="holds the working directory, so it is not overwritten"):
            check_folder(run, False, True)
    monkeypatch.chdir(run.parent)
    monkeypatch.setenv("HOME", str(run))
    with pytest.raises(InputError, match="holds your home directory"):
        check_folder(run, False, True)


def test_the_sources_of_a_run_are_its_paths() -> None:
    config = RunConfig(log="a", valid="b", schema_file="c")
    assert sources_of(config, ["d", 1], Path("e"), None, {"x": 1}) == ["a", "b", "c", "d", Path("e")]


@pytest.mark.parametrize("error", [InputError("the loss became NaN"), DivergedError("every replica diverged")])
def test_the_old_run_is_kept_until_the_new_one_has_ended_well(run: Path, error: InputError) -> None:
    (run / "DONE").touch()
    aside = run.parent / ".run.replaced"
    with pytest.raises(type(error), match=r"the run that was to be replaced is kept: .*run\.replaced"):  # noqa: SIM117
        with open_folder(run, RunConfig(epochs=8), False, True):
            raise error
    assert RunConfig.load(aside / "config.yaml").epochs == 7
    assert RunConfig.load(run / "config.yaml").epochs == 8
    with pytest.raises(KeyboardInterrupt), open_folder(run, RunConfig(epochs=9), False, True):
        raise KeyboardInterrupt
    assert RunConfig.load(aside / "config.yaml").epochs == 7, "an unfinished run does not take the place of the old one"
    assert RunConfig.load(run / "config.yaml").epochs == 9
    start(run, resume=True)
    assert not aside.exists()
    assert RunConfig.load(run / "config.yaml").epochs == 9


def test_a_link_to_a_run_stays_a_link(run: Path) -> None:
    (run.parent / "latest").symlink_to("run")
    start(run.parent / "latest", RunConfig(epochs=9), overwrite=True)
    assert (run.parent / "latest").is_symlink()
    assert RunConfig.load(run / "config.yaml").epochs == 9


def test_a_run_has_one_process(run: Path) -> None:
    with open_folder(run, RunConfig(), True, False):
        for resume, overwrite in ((True, False), (False, True)):
            with pytest.raises(InputError, match="another process is working in this folder"):
                check_folder(run, resume, overwrite)
            with pytest.raises(InputError, match="another process is working in this folder"):
                start(run, resume=resume, overwrite=overwrite)
        with pytest.raises(InputError, match="another process"), locked(run):
            pass
    check_folder(run, True, False)


@pytest.mark.parametrize("overwrite", [False, True])
def test_resuming_keeps_what_the_folder_holds(run: Path, overwrite: bool) -> None:
    start(run, RunConfig(epochs=9), True, overwrite, "manygate train")
    assert (run / "metrics.jsonl").exists()
    assert RunConfig.load(run / "config.yaml").epochs == 7


def test_what_is_recorded_later_replaces_the_record(run: Path) -> None:
    (run / "state.json").write_text("{}")
    (run / "log.json").write_text("{}")
    record(run)
    (run / "log.json").write_text("[]")
    with pytest.raises(InputError, match=r"log\.json: its sha256"):
        check_recorded(run / "log.json")
    (run / "log.json").write_text("{}")
    for name in ("state.json", "metrics.jsonl", "log.json"):
        check_recorded(run / name)
    (run / "state.json").write_text("[]")
    mark(run)
    with pytest.raises(InputError, match="sha256"):
        check_recorded(run / "state.json")


def test_each_reader_of_a_run_detects_each_flipped_byte_and_names_the_file(run: Path) -> None:
    readers: dict[str, Callable[[], object]] = {
        "metrics.jsonl": lambda: read_history(run),
        "evaluation.json": lambda: ComparisonDocument.read(run / "evaluation.json"),
        "comparison.json": lambda: chosen_model(run),
        "tuning.json": lambda: tuned_model(run),
        OWN_LOGITS: lambda: read_own_logits(run),
        RECORD: lambda: chosen_model(run),
    }
    for name in readers:
        (run / name).write_text('{"version": 1}')
    record(run)
    detected = 0
    for file in flipped([run / name for name in readers]):
        with pytest.raises(InputError) as caught:
            readers[file.name]()
        detected += str(file) in str(caught.value)
    assert detected == TRIES


def test_a_file_of_the_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    os.mkfifo(tmp_path / "pipe")
    for name in ("run", "pipe"):
        for resume, overwrite in ((False, False), (True, False), (False, True)):
            with pytest.raises(InputError, match=f"{name}'?: a file of this name exists"):
                check_folder(tmp_path / name, resume, overwrite)


def test_a_name_that_the_system_refuses_is_cut_short(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be written \(.*\)\. Choose a shorter name") as error:
        start(Path("x" * 5000))
    assert len(str(error.value)) < 250


def test_a_folder_that_was_made_for_nothing_is_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, text: str) -> None:
        raise InputError("the disk is full")

    monkeypatch.setattr("manygate.runs.folder.write_text", fail)
    with pytest.raises(InputError, match="the disk is full"):
        start(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_parent_that_is_a_file_is_an_error_of_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        start(tmp_path / "file" / "run")
