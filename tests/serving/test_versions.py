"""New versions on disk: when they answer, and what keeps the old one."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import manygate.serving.versions as versions_module
from exported import Exported
from manygate.config.serve_settings import ServeConfig
from manygate.errors import InputError
from manygate.files import read_json, write_manifest, write_text
from manygate.scoring.exported_model import ExportedModel
from manygate.serving.feeds import Feed, blank
from manygate.serving.versions import Version, Versions, digest


@pytest.fixture
def folder(exported: Exported, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported.folder, tmp_path / "model"))


def another(source: Path, target: Path, **changed: object) -> Path:
    """A copy of a model whose manifest differs."""
    shutil.copytree(source, target)
    manifest = {name: value for name, value in read_json(target / "manifest.json").items() if name != "files"}
    write_manifest(target, {**manifest, **changed})
    return target


def replace(target: Path, source: Path) -> None:
    shutil.rmtree(target)
    source.rename(target)


def test_the_first_version_answers(folder: Path) -> None:
    versions = Versions(folder, ServeConfig(), 1)
    version = versions.current
    assert version.names == {"model_version": digest(folder / "manifest.json")}
    assert len(version.model_version) == 12
    columns, extra = version.predict(blank(version.inputs, 3))
    assert (list(columns), extra) == (version.model.output_names, {})
    assert all(column.shape == (3,) for column in columns.values())
    assert versions.refresh() is False


def test_a_new_folder_answers_after_the_next_look(folder: Path, tmp_path: Path) -> None:
    versions = Versions(folder, ServeConfig(), 1)
    old = versions.current
    replace(folder, another(folder, tmp_path / "new", note="new"))
    assert versions.current is old, "it changes when it is looked at, and not before"
    assert versions.refresh() is True
    assert versions.current.model_version == digest(folder / "manifest.json") != old.model_version
    old.predict(blank(old.inputs, 2))  # requests that it began still get their answer


def test_a_folder_that_is_missing_for_a_moment_changes_nothing(folder: Path, tmp_path: Path) -> None:
    versions = Versions(folder, ServeConfig(), 1)
    folder.rename(tmp_path / "away")
    assert versions.refresh() is False
    (tmp_path / "away").rename(folder)
    assert versions.refresh() is False


@pytest.mark.parametrize("broken", ["weights", "graph", "version", "json"])
def test_a_broken_version_leaves_the_old_one(folder: Path, tmp_path: Path, broken: str) -> None:
    versions = Versions(folder, ServeConfig(), 1)
    old = versions.current
    new = another(folder, tmp_path / "new", note="new", **({"export_version": 99} if broken == "version" else {}))
    if broken == "weights":
        (new / "weights.bin").write_bytes(b"short")
    if broken == "graph":
        (new / "model.onnx").write_bytes(b"no graph")
        write_manifest(new, {name: value for name, value in read_json(new / "manifest.json").items() if name != "files"})
    if broken == "json":
        write_text(new / "manifest.json", "{")
    replace(folder, new)
    with pytest.raises(InputError):
        versions.refresh()
    assert versions.current is old
    old.predict(blank(old.inputs, 2))
    assert versions.refresh() is False, "it is not tried again until the files change"


def test_a_version_that_cannot_predict_leaves_the_old_one(folder: Path, tmp_path: Path) -> None:
    versions = Versions(folder, ServeConfig(), 1)
    old = versions.current
    inputs = [entry for entry in old.model.manifest["inputs"] if entry["feature"] != "item"]
    replace(folder, another(folder, tmp_path / "new", inputs=inputs))
    with pytest.raises(InputError, match="cannot predict"):
        versions.refresh()
    assert versions.current is old


def test_the_way_back_is_immediate(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The version before stays in memory, and only that one."""
    names = {name: another(folder, tmp_path / name, note=name) for name in ("one", "two", "three")}
    link = tmp_path / "link"
    link.symlink_to(names["one"])
    versions = Versions(link, ServeConfig(), 1)

    def point_to(name: str) -> None:
        link.unlink()
        link.symlink_to(names[name])
        assert versions.refresh() is True

    loaded: list[Path] = []
    load = ExportedModel.load
    monkeypatch.setattr(
        versions_module.ExportedModel, "load", lambda path, threads=None: (loaded.append(Path(path)), load(path, threads))[1]
    )
    first = versions.current
    point_to("two")
    point_to("one")
    assert loaded == [names["two"]]
    assert versions.current.model is first.model
    point_to("three")
    point_to("two")
    assert loaded == [names["two"], names["three"], names["two"]]


def test_a_folder_that_changes_while_it_is_read_is_read_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, load = another(folder, tmp_path / "new", note="new"), ExportedModel.load

    def load_slowly(path: Path, threads: int | None = None) -> ExportedModel:
        model = load(path, threads)
        if new.exists():
            replace(folder, new)
        return model

    monkeypatch.setattr(versions_module.ExportedModel, "load", load_slowly)
    version = Versions(folder, ServeConfig(), 1).current
    assert version.model_version == digest(folder / "manifest.json")
    assert version.model.manifest["note"] == "new"


def test_a_folder_that_always_changes_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load, turn = ExportedModel.load, iter(range(100))

    def load_and_change(path: Path, threads: int | None = None) -> ExportedModel:
        model = load(path, threads)
        write_manifest(folder, {**{k: v for k, v in model.manifest.items() if k != "files"}, "note": next(turn)})
        return model

    monkeypatch.setattr(versions_module.ExportedModel, "load", load_and_change)
    with pytest.raises(InputError, match="it changed while it was read, 3 times"):
        Versions(folder, ServeConfig(), 1)


def test_no_model_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no exported model here"):
        Versions(tmp_path / "nothing", ServeConfig(), 1)


def test_a_version_is_the_content_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    assert digest(tmp_path / "a") == "2d711642b726"  # printf x | sha256sum
    with pytest.raises(InputError, match="does not exist"):
        digest(tmp_path / "b")


def test_warm_up_sizes_are_predicted(folder: Path) -> None:
    version = Versions(folder, ServeConfig(), 1).current
    for rows in versions_module.WARM_UP:
        columns, _ = version.predict(blank(version.inputs, rows))
        assert len(set(np.round(columns["click"], 12))) == 1, "blank rows are all the same"


def test_the_largest_batch_is_predicted_before_the_first_request(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its memory is there from the beginning, and does not come when the load rises."""
    sizes: list[int] = []
    predict = Version.predict

    def noting(version: Version, feed: Feed, more: tuple[str, ...] = ()) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        sizes.append(feed.rows)
        return predict(version, feed, more)

    monkeypatch.setattr(Version, "predict", noting)
    Versions(folder, ServeConfig(batch_rows=700), 1)
    assert max(sizes) == 700
    Versions(folder, ServeConfig(batch_rows=10**9), 1)
    assert max(sizes) == versions_module.LARGEST_WARM_UP


def test_what_loading_freed_is_given_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[bool] = []
    monkeypatch.setattr(versions_module, "give_back", lambda: given.append(True))
    Versions(folder, ServeConfig(), 1)
    assert given == [True]
