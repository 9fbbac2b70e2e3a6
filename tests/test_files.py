"""Tests of writing files: A crash at any moment leaves a valid folder with the old or the new file."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from manygate import files
from manygate.errors import InputError
from manygate.files import check_manifest, put_file, sha256, write_manifest


class Crash(BaseException):
    """Stands for a power failure: nothing is cleaned up."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "weights.bin").write_bytes(b"weights")
    write_manifest(tmp_path / "folder", {"bundle_version": 1})
    return tmp_path / "folder"


def test_a_file_is_added_replaced_and_removed(folder: Path) -> None:
    before = json.loads((folder / "manifest.json").read_text())
    for content in ("first", "second, longer", "second, longer", "ä"):
        put_file(folder, "fusion.json", content)
        manifest = check_manifest(folder)
        assert (folder / "fusion.json").read_text(encoding="utf-8") == content
        entry = {"bytes": len(content.encode()), "sha256": sha256(folder / "fusion.json")}
        assert manifest == {**before, "files": {**before["files"], "fusion.json": entry}}
    for _ in range(2):
        put_file(folder, "fusion.json", None)
        assert json.loads((folder / "manifest.json").read_text()) == before
        assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "weights.bin"]


def crashes(monkeypatch: pytest.MonkeyPatch, folder: Path, content: str | None) -> Iterator[Path]:
    """Yield the folder after a crash before the first, second, third ... step on the disk, and finally without a crash."""
    steps = [(os, "fsync"), (Path, "replace"), (Path, "unlink")]
    for crash_at in range(100):
        copy = Path(shutil.copytree(folder, folder.parent / f"{content}-{crash_at}"))
        count = 0
        with monkeypatch.context() as patch:
            for owner, name in steps:
                original = getattr(owner, name)

                def step(*given: object, _original: object = original, _at: int = crash_at, **more: object) -> object:
                    nonlocal count
                    count += 1
                    if count > _at:
                        raise Crash
                    return _original(*given, **more)  # type: ignore[operator]

                patch.setattr(owner, name, step)
            patch.setattr(files, "writing", lambda path, *drafts: _no_tidying())
            try:
                put_file(copy, "fusion.json", content)
                done = True
            except Crash:
                done = False
        yield copy
        if done:
            assert count == crash_at, "every step was crashed at"
            return


class _no_tidying:  # noqa: N801 - after a power failure the drafts remain
    def __enter__(self) -> None: ...

    def __exit__(self, *error: object) -> None: ...


@pytest.mark.parametrize(("old", "new"), [(None, "new"), ("old", "new, and longer"), ("old", None)])
def test_a_crash_anywhere_leaves_the_old_or_the_new(
    monkeypatch: pytest.MonkeyPatch, folder: Path, old: str | None, new: str | None
) -> None:
    put_file(folder, "fusion.json", old)
    seen = []
    for copy in crashes(monkeypatch, folder, new):
        check_manifest(copy)
        path = copy / "fusion.json"
        seen.append(path.read_text() if path.exists() else None)
        # The next changes succeed, and no draft remains after the last change.
        for content in (None, "next"):
            put_file(copy, "fusion.json", content)
            check_manifest(copy)
        assert {file.name for file in copy.iterdir()} == {"manifest.json", "weights.bin", "fusion.json"}
    assert len(seen) > 6
    assert set(seen) == {old, new}
    assert seen == sorted(seen, key=[old, new].index), "the old content up to some step, and then the new content"


def test_a_changed_file_is_an_error_in_every_state(folder: Path) -> None:
    put_file(folder, "fusion.json", "mine")
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "fusion.json").write_text("evil")
    with pytest.raises(InputError, match="sha256 is not that of the manifest"):
        check_manifest(folder)
    with pytest.raises(InputError, match="sha256"):
        put_file(folder, "fusion.json", "next")
    right, wrong = manifest["files"]["fusion.json"], {"bytes": 5, "sha256": "0"}
    for states in ([right, wrong], [None, right], [wrong, right], [], [None]):
        (folder / "manifest.json").write_text(json.dumps({**manifest, "files": {**manifest["files"], "fusion.json": states}}))
        with pytest.raises(InputError, match=r"fusion\.json"):
            check_manifest(folder)
    (folder / "fusion.json").unlink()
    (folder / "manifest.json").write_text(json.dumps({**manifest, "files": {"fusion.json": [right, wrong]}}))
    with pytest.raises(InputError, match="missing"):
        check_manifest(folder)


def test_only_drafts_of_known_files_are_ignored(folder: Path) -> None:
    (folder / ".manifest.json.tmp").write_text("{")
    (folder / ".weights.bin.tmp").write_text("half")
    check_manifest(folder)
    (folder / ".evil.so.tmp").write_text("x")
    with pytest.raises(InputError, match=r"evil\.so\.tmp: not in the manifest"):
        check_manifest(folder)


@pytest.mark.parametrize("old", [b"old content", None])
def test_a_write_that_fails_midway_leaves_the_old_file_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: bytes | None
) -> None:
    path = tmp_path / "result.json"
    if old is not None:
        path.write_bytes(old)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"result\.json: cannot be written \(No space left"):
        files.write_bytes(path, b"new content, cut short")
    assert (path.read_bytes() if path.exists() else None) == old
    assert [file.name for file in tmp_path.iterdir()] == ([] if old is None else ["result.json"])


@pytest.mark.parametrize("exists", [True, False])
def test_a_folder_that_fails_midway_leaves_the_old_folder_or_none(tmp_path: Path, exists: bool) -> None:
    path = tmp_path / "bundle"
    if exists:
        files.write_folder(path, lambda folder: files.write_text(folder / "a", "old"))

    def fill(folder: Path) -> None:
        files.write_text(folder / "a", "new")
        raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match="No space left"):
        files.write_folder(path, fill)
    assert [file.name for file in tmp_path.iterdir()] == (["bundle"] if exists else [])
    assert not exists or (path / "a").read_text() == "old"


def test_the_error_of_a_changed_byte_names_the_file(folder: Path) -> None:
    """The size is the same, so only the checksum shows the change."""
    (folder / "weights.bin").write_bytes(b"weightz")
    with pytest.raises(InputError, match=r"weights\.bin: its sha256 is not that of the manifest"):
        check_manifest(folder)
