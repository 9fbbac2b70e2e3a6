"""Checkpoints: what is written is read again, the newest whole one counts, and damage is named."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from resource import RLIMIT_FSIZE, getrlimit, setrlimit

import pytest
import torch

from flipped_bytes import TRIES, flipped
from manygate.errors import InputError
from manygate.files import write_manifest
from manygate.training.checkpoint import load_checkpoint, save_checkpoint


def tensors(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {"a": torch.randn(3, 4, generator=generator, requires_grad=True), "b": torch.randn(4, 3, generator=generator).T}


def save(folder: Path, *steps: int) -> None:
    for step in steps:
        save_checkpoint(folder, step, tensors(step), {"step": step, "best": [0.5, None], "note": "\N{SNOWMAN}"})


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_tensors_and_state_come_back_to_the_bit(tmp_path):
    save(tmp_path / "new" / "checkpoints", 7)
    loaded, state = load_checkpoint(tmp_path / "new" / "checkpoints")
    assert state == {"step": 7, "best": [0.5, None], "note": "\N{SNOWMAN}"}
    assert set(loaded) == {"a", "b"}
    for name, value in tensors(7).items():
        assert torch.equal(loaded[name], value), "a transposed tensor too"
        assert not loaded[name].requires_grad


def test_the_two_newest_are_kept_by_number(tmp_path):
    save(tmp_path, 9, 10, 100, 99)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-0000000099", "step-0000000100"]
    assert load_checkpoint(tmp_path)[1]["step"] == 100


def test_without_a_checkpoint_there_is_none(tmp_path):
    assert load_checkpoint(tmp_path) is None
    assert load_checkpoint(tmp_path / "missing") is None


@pytest.mark.parametrize("name", ["state.safetensors", "state.json"])
def test_a_damaged_one_is_passed_over_and_two_are_named(tmp_path, name):
    save(tmp_path, 1, 2)
    flip(tmp_path / "step-0000000002" / name)
    said = []
    assert load_checkpoint(tmp_path, said.append)[1]["step"] == 1
    assert len(said) == 1
    assert f"step-0000000002/{name}: its sha256 is not that of the manifest" in said[0]
    assert "Training goes on from the older checkpoint step-0000000001" in said[0]
    flip(tmp_path / "step-0000000001" / name)
    with pytest.raises(InputError, match=r"every checkpoint is damaged\. Remove the run's folder") as error:
        load_checkpoint(tmp_path)
    assert all(str(tmp_path / f"step-000000000{step}" / name) in str(error.value) for step in (1, 2))


def test_each_flipped_byte_is_detected_and_its_file_named(tmp_path):
    save(tmp_path, 1, 2)
    detected = 0
    for file in flipped(sorted((tmp_path / "step-0000000002").iterdir())):
        said = []
        assert load_checkpoint(tmp_path, said.append)[1]["step"] == 1
        detected += str(file) in said[0]
    assert detected == TRIES
    assert load_checkpoint(tmp_path)[1]["step"] == 2


def test_a_disk_that_is_full_leaves_the_last_checkpoints(tmp_path):
    save(tmp_path, 1, 2)
    soft, hard = getrlimit(RLIMIT_FSIZE)
    setrlimit(RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(InputError, match=r"step-0000000003.*cannot be written \(File too large\)"):
            save(tmp_path, 3)
    finally:
        setrlimit(RLIMIT_FSIZE, (soft, hard))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-0000000001", "step-0000000002"]
    assert load_checkpoint(tmp_path)[1]["step"] == 2


def failures(monkeypatch: pytest.MonkeyPatch, number: int) -> Iterator[None]:
    """Yield while the first, the second, the third ... step on the disk fails with an error of this number."""
    steps = [(Path, "mkdir"), (os, "fsync"), (Path, "replace"), (Path, "rename"), (os, "rmdir")]
    for fail_at in range(100):
        count = 0
        with monkeypatch.context() as patch:
            for owner, name in steps:

                def step(*given: object, _original: object = getattr(owner, name), **more: object) -> object:
                    nonlocal count
                    count += 1
                    if count == fail_at + 1:  # noqa: B023
                        raise OSError(number, os.strerror(number))
                    return _original(*given, **more)  # type: ignore[operator]

                patch.setattr(owner, name, step)
            yield
        if count <= fail_at:
            return


@pytest.mark.parametrize(("number", "reason"), [(errno.ENOSPC, "No space left"), (errno.EROFS, "Read-only file system")])
def test_a_disk_that_fails_at_any_step_leaves_a_whole_checkpoint(tmp_path, monkeypatch, number, reason):
    outcomes = []
    for at, _ in enumerate(failures(monkeypatch, number)):
        folder = tmp_path / str(at)
        said = ""
        try:
            save(folder, 1, 2)
        except InputError as error:
            said = str(error)
        loaded = load_checkpoint(folder)
        outcomes.append(0 if loaded is None else loaded[1]["step"])
        assert said == "" or (f"cannot be written ({reason}" in said and str(folder) in said)
        assert not list(folder.glob(".*")), "no draft remains"
    assert set(outcomes) == {0, 1, 2}
    assert outcomes == sorted(outcomes)
    assert said == "", "the last time, no step failed"


def test_nothing_is_said_of_whole_checkpoints(tmp_path):
    save(tmp_path, 1, 2)
    said = []
    load_checkpoint(tmp_path, said.append)
    assert said == []


@pytest.mark.parametrize("text", ["[]", "3", "null", "{"])
def test_a_state_that_is_none_is_one_error(tmp_path, text):
    save(tmp_path, 1)
    (tmp_path / "step-0000000001/state.json").write_text(text)
    (tmp_path / "step-0000000001/manifest.json").unlink()
    write_manifest(tmp_path / "step-0000000001", {})
    if text == "[]":
        assert load_checkpoint(tmp_path)[1] == {}
    else:
        with pytest.raises(InputError, match="step-0000000001"):
            load_checkpoint(tmp_path)


def test_the_weights_may_be_read_by_those_who_may_read_the_rest(tmp_path):
    save(tmp_path, 1)
    assert len({path.stat().st_mode for path in (tmp_path / "step-0000000001").iterdir()}) == 1
