"""Tests of writing files: A crash at any moment leaves a valid folder with the old or the new file."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from flipped_bytes import TRIES, flipped
from manygate import files
from manygate.errors import InputError
from manygate.files import (
    RECORD,
    RECORDED,
    check_manifest,
    check_not_read,
    check_recorded,
    locked,
    put_file,
    read_json,
    read_manifest,
    read_text,
    reading_file,
    sealed_text,
    sha256,
    write_folder,
    write_manifest,
    write_text,
    writing,
)


class Crash(BaseException):
    """Stands for a power failure: nothing is cleaned up."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "weights.bin").write_bytes(b"weights")
    write_manifest(tmp_path / "folder", {"bundle_version": 1})
    return tmp_path / "folder"


def rewrite(folder: Path, listed: dict[str, object]) -> None:
    write_text(folder / "manifest.json", sealed_text({"bundle_version": 1, "files": listed}))


def test_a_file_is_added_replaced_and_removed(folder: Path) -> None:
    before = json.loads((folder / "manifest.json").read_text())
    for content in ("first", "second, longer", "second, longer", "ä"):
        put_file(folder, "fusion.json", content)
        manifest = check_manifest(folder)
        assert (folder / "fusion.json").read_text(encoding="utf-8") == content
        entry = {"bytes": len(content.encode()), "sha256": sha256(folder / "fusion.json")}
        assert manifest == {"bundle_version": 1, "files": {**before["files"], "fusion.json": entry}}
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
        rewrite(folder, {**manifest["files"], "fusion.json": states})
        with pytest.raises(InputError, match=r"fusion\.json"):
            check_manifest(folder)
    (folder / "fusion.json").unlink()
    rewrite(folder, {"fusion.json": [right, wrong]})
    with pytest.raises(InputError, match="missing"):
        check_manifest(folder)


def test_each_flipped_byte_of_a_manifest_is_detected(folder: Path) -> None:
    path = folder / "manifest.json"
    content = path.read_bytes()
    for place in range(len(content)):
        for mask in (7, 32):  # 7 makes a newline a carriage return, and 32 a small letter a capital
            path.write_bytes(content[:place] + bytes([content[place] ^ mask]) + content[place + 1 :])
            with pytest.raises(InputError, match=r"manifest\.json"):
                read_manifest(path)
    path.write_bytes(content)
    assert check_manifest(folder)["bundle_version"] == 1


def test_a_manifest_without_a_seal_is_read_and_gets_one_with_the_next_change(folder: Path) -> None:
    """Earlier versions wrote it. The files are checked, and the other entries are not."""
    manifest = check_manifest(folder)
    write_text(folder / "manifest.json", json.dumps({**manifest, "bundle_version": 7}))
    assert check_manifest(folder) == {**manifest, "bundle_version": 7}
    put_file(folder, "fusion.json", "new")
    assert list(read_json(folder / "manifest.json"))[-2:] == ["seal_version", "seal"]
    assert check_manifest(folder)["bundle_version"] == 7


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


def test_text_is_read_or_its_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\N{SNOWMAN}", encoding="utf-8")
    assert read_text(tmp_path / "a.txt") == "\N{SNOWMAN}"
    (tmp_path / "b.txt").write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"b\.txt' cannot be read as text"):
        read_text(tmp_path / "b.txt")
    with pytest.raises(InputError, match=r"c\.txt' does not exist"):
        read_text(tmp_path / "c.txt")
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory\)\. It is a folder"):
        read_text(tmp_path)


@pytest.mark.parametrize("text", ["NaN", '{"a": -Infinity}', "[" * 100_000, "{", '{"a": ' + "9" * 5000 + "}", ""])
def test_json_that_is_no_json_is_one_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=r"a\.json' is not valid JSON: ") as caught:
        read_json(tmp_path / "a.json")
    assert len(str(caught.value)) < 500


@pytest.fixture
def alarm_clock() -> Iterator[None]:
    """Ends what waits for ever: after 20 seconds the test fails with a TimeoutError."""

    def ring(*_: object) -> None:
        raise TimeoutError("waited for 20 seconds")

    former = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 20)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, former)


def test_a_pipe_a_socket_and_a_device_are_refused_and_not_waited_for(tmp_path: Path, alarm_clock: None) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        for path, kind in ((tmp_path / "pipe", "pipe"), (tmp_path / "link", "pipe"), (tmp_path / "socket", "socket")):
            with pytest.raises(InputError, match=f"a {kind} and not a file, so it is not read"):
                read_text(path)
            with pytest.raises(InputError, match=f"a {kind} and not a file, so it is not overwritten"):
                write_text(path, "x")
    for device in ("/dev/zero", "/dev/null", "/dev/tty"):
        with pytest.raises(InputError, match="a device and not a file"):
            read_json(Path(device))
    assert (tmp_path / "pipe").is_fifo()


def test_a_symbolic_link_stays_and_its_target_is_written(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there/target").write_text("old")
    (tmp_path / "link").symlink_to("there/target")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there/target").read_text() == "new"


@pytest.mark.parametrize("mask", [0o022, 0o002, 0o027, 0o077])
def test_files_have_the_permissions_of_the_umask(tmp_path: Path, mask: int) -> None:
    def fill(folder: Path) -> None:
        write_text(folder / "a.json", "{}")
        save_file({"a": torch.zeros(3)}, folder / "a.safetensors")

    before = os.umask(mask)
    try:
        write_folder(tmp_path / "folder", fill)
    finally:
        os.umask(before)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "folder").iterdir()}
    assert modes == dict.fromkeys(("a.json", "a.safetensors"), 0o666 & ~mask)


def test_a_folder_has_one_owner_at_a_time(tmp_path: Path) -> None:
    script = "import sys, time, pathlib\nfrom manygate.files import locked\nwith locked(pathlib.Path(sys.argv[1])):\n"
    script += "    print('ready', flush=True)\n    time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        with pytest.raises(InputError, match="another process is working in this folder"), locked(tmp_path):
            pass
        other.kill()
        other.wait()
    with locked(tmp_path):
        pass
    with locked(tmp_path, wait=1):
        pass


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_file_is_as_it_was_written(tmp_path: Path, name: str) -> None:
    check_recorded(tmp_path / name)
    (tmp_path / name).write_text("0.81")
    write_manifest(tmp_path, {}, RECORD, RECORDED)
    (tmp_path / "notes.txt").write_text("mine")
    for file in (name, "notes.txt"):
        check_recorded(tmp_path / file)
    (tmp_path / name).write_text("0.82")
    with pytest.raises(InputError, match=r"its sha256 is not that of run\.json"):
        check_recorded(tmp_path / name)
    (tmp_path / name).write_text("0.8")
    with pytest.raises(InputError, match="3 bytes, expected 4"):
        check_recorded(tmp_path / name)
    write_manifest(tmp_path, {}, RECORD, ["other"])
    with pytest.raises(InputError, match=r"not in run\.json, so this run is not done"):
        check_recorded(tmp_path / name)
    (tmp_path / RECORD).unlink()
    (tmp_path / "DONE").touch()
    with pytest.raises(InputError, match=r"run\.json: missing, so that .* cannot be checked"):
        check_recorded(tmp_path / name)


def test_each_flipped_byte_of_a_run_is_detected_and_its_file_named(tmp_path: Path) -> None:
    for name in RECORDED:
        (tmp_path / name).write_text(f"what {name} holds")
    write_manifest(tmp_path, {"run_version": 1}, RECORD, RECORDED)
    detected = 0
    for file in flipped([tmp_path / name for name in (*RECORDED, RECORD)]):
        with pytest.raises(InputError) as caught:
            check_recorded(tmp_path / "state.json" if file.name == RECORD else file)
        detected += str(file) in str(caught.value)
    assert detected == TRIES


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.ENOSPC, "Free space"), (errno.EROFS, "read-only"), (errno.EACCES, "chmod"), (errno.EMFILE, "ulimit -n")],
)
def test_an_error_of_the_disk_names_file_and_remedy(tmp_path: Path, number: int, remedy: str) -> None:
    reason = re.escape(f"({os.strerror(number)}). ") + f".*{remedy}"
    for context, verb in ((writing, "written"), (reading_file, "read")):
        with pytest.raises(InputError, match=f"a.csv: cannot be {verb} {reason}"), context(tmp_path / "a.csv"):
            raise OSError(number, os.strerror(number))


def test_what_is_not_of_the_disk_is_raised_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(KeyError), writing(tmp_path / "a.csv"):
        raise KeyError("a fault")


@pytest.mark.parametrize("source", ["log.csv", "link.csv", "hard.csv", "part", "*.csv", "**/*.csv", "part/../log.csv"])
def test_what_is_read_is_not_overwritten(tmp_path: Path, source: str) -> None:
    (tmp_path / "part").mkdir()
    for name in ("log.csv", "part/a.csv"):
        (tmp_path / name).write_text("x")
    (tmp_path / "link.csv").symlink_to("log.csv")
    (tmp_path / "hard.csv").hardlink_to(tmp_path / "log.csv")
    out = tmp_path / ("part/a.csv" if source == "part" else "log.csv")
    with pytest.raises(InputError, match=r"which is read\. Choose another out"):
        check_not_read(out, [str(tmp_path / "other.csv"), str(tmp_path / source)])
    check_not_read(tmp_path / "new.csv", [str(tmp_path / source)])
    (tmp_path / "other.csv").write_text("x")
    check_not_read(tmp_path / "other.csv", [str(tmp_path / "log.csv"), str(tmp_path / "part"), str(tmp_path / "gone.csv")])
