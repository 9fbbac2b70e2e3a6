"""A bundle is whole or refused: every file that is damaged, missing, swapped or foreign is found and named."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from encoders import assert_same_rows
from flipped_bytes import TRIES, flipped
from manygate.config.names import ARCHITECTURES
from manygate.data.batches import Split
from manygate.data.encode import Encoder
from manygate.errors import InputError
from manygate.files import check_manifest, sealed_text, sha256, write_manifest
from manygate.model.logits import predict
from manygate.scoring import bundle as bundle_module
from manygate.scoring.bundle import load_bundle, save_bundle
from manygate.scoring.predictor import Predictor

FILES = [
    "config.yaml",
    "encoder.json",
    "model.safetensors",
    "schema.json",
    "target-statistics.safetensors",
    *(f"vocabulary-{number}.arrow" for number in range(5)),
]


@pytest.fixture(scope="module")
def log(encoded, log_table, repeating_ages, settings) -> Any:
    return encoded(repeating_ages(log_table()), config=settings(number_ids=5, target_statistics=True))


@pytest.fixture(scope="module")
def saved(log, trainer, settings, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "good"
    save_bundle(path, Predictor(trainer(log, settings(replicas=2)).model, log.encoder))
    return path


@pytest.fixture
def bundle(saved, tmp_path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(saved, tmp_path / "bundle"))


def refused(path: Path) -> list[str]:
    with pytest.raises(InputError) as error:
        load_bundle(path)
    return list(error.value.problems)


def rewrite_manifest(path: Path, change: Any) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    change(manifest)
    (path / "manifest.json").write_text(sealed_text(manifest))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_is_loaded_is_what_was_saved(log, trainer, settings, tmp_path, architecture):
    config = settings(architecture=architecture, replicas=2, expert_hidden=(5, 4), epochs=1, gate_bias=True, cross_layers=1)
    training = trainer(log, config)
    training.fit()
    save_bundle(tmp_path / "b", Predictor(training.model, log.encoder))
    loaded = load_bundle(tmp_path / "b")
    model, encoder = loaded.model, loaded.encoder
    assert model.config == config
    assert model.members == training.model.members
    assert encoder.schema == log.schema
    for name, value in training.model.parameters.items():
        assert torch.equal(value, model.parameters[name])
    split = Split(log.parts["test"])
    np.testing.assert_array_equal(predict(model, split), predict(training.model, split))


def test_a_bundle_encodes_raw_rows_as_training_did(log, saved, log_table, repeating_ages):
    loaded = load_bundle(saved).encoder
    assert loaded.number_ids == log.encoder.number_ids != {}
    batch = repeating_ages(log_table(60, seed=5)).combine_chunks().to_batches()[0]
    before, after = (encoder.encode(batch, bias=False) for encoder in (log.encoder, loaded))
    assert len(np.unique(after.id_BS[:, -1])) > 5
    np.testing.assert_array_equal(before.id_BS, after.id_BS)
    np.testing.assert_array_equal(before.number_BM, after.number_BM)
    assert before.number_BM.shape[1] == 3 + 5 * 3, "and a statistic of each feature of ids for each task"
    assert loaded.inputs(3) == log.encoder.inputs(3)


def test_a_bundle_of_before_numbers_were_ids_still_loads(encoded, trainer, settings, tmp_path, monkeypatch):
    """It lacks the settings that came later, whose defaults may have changed since."""
    log = encoded()
    training = trainer(log, settings())
    save_bundle(tmp_path, Predictor(training.model, log.encoder))
    tree = json.loads((tmp_path / "encoder.json").read_text())
    assert (tree.pop("number_ids"), tree.pop("target_statistics")) == ({}, None)
    (tmp_path / "encoder.json").write_text(json.dumps(tree | {"encoder_version": 1}))
    later = ("number_ids", "target_statistics", "cross_layers", "cross_rank", "weight_average")
    lines = (tmp_path / "config.yaml").read_text().splitlines(keepends=True)
    kept = [line for line in lines if line.split(":")[0] not in later]
    assert len(lines) - len(kept) == len(later)
    (tmp_path / "config.yaml").write_text("".join(kept))
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    write_manifest(tmp_path, {name: value for name, value in manifest.items() if name != "files"})
    loaded = load_bundle(tmp_path)
    assert (loaded.model.config.cross_layers, loaded.encoder.number_ids) == (0, {})
    split = Split(log.parts["test"])
    np.testing.assert_array_equal(predict(loaded.model, split), predict(training.model, split))
    monkeypatch.setitem(bundle_module.PLAIN, "cross_layers", 2)
    assert "do not fit config.yaml" in refused(tmp_path)[0], "these values stand for the settings, and not the defaults of today"


def edit_encoder(path: Path, change: Any) -> None:
    """Change ``encoder.json``, and the manifest with it."""
    tree = json.loads((path / "encoder.json").read_text())
    change(tree)
    (path / "encoder.json").write_text(json.dumps(tree))
    manifest = json.loads((path / "manifest.json").read_text())
    write_manifest(path, {name: value for name, value in manifest.items() if name != "files"})


@pytest.fixture(scope="module")
def hashed(encoded, log_schema, settings) -> Any:
    """A log whose users (whole numbers), countries (text) and tags (bags of text) are hashed."""
    schema = log_schema()
    features = tuple(
        feature.model_copy(update={"vocabulary": "hash", "buckets": 50}) if feature.name in ("user", "country", "tags") else feature
        for feature in schema.features
    )
    return encoded(schema=schema.model_copy(update={"features": features}), config=settings())


BLAKE2B_ROWS = [[8, 0], [2, 45], [46, 45], [2, 45], [47, 23]]
"""The rows of users and countries that manygate had when it wrote encoders of version 2."""


def of_blake2b(encoder: Encoder) -> Encoder:
    changed = {n: replace(v, hash="blake2b") if v.buckets else v for n, v in encoder.vocabularies.items()}
    return replace(encoder, vocabularies=changed)


def hashes(encoder: Encoder) -> list[str]:
    return [vocabulary.hash for vocabulary in encoder.vocabularies.values() if vocabulary.buckets]


@pytest.mark.parametrize("version", [1, 2])
def test_hashed_ids_of_earlier_versions_keep_their_rows(hashed, trainer, settings, log_table, tmp_path, version):
    def as_written_then(tree: Any) -> None:
        tree["encoder_version"] = version
        assert [entry.pop("hash", None) for entry in tree["vocabularies"].values()] == ["blake2b"] * 3 + [None] * 2

    model, table = trainer(hashed, settings()).model, log_table(80, seed=5)
    earlier, now = Predictor(model, of_blake2b(hashed.encoder)), Predictor(model, hashed.encoder)
    save_bundle(tmp_path, earlier)
    edit_encoder(tmp_path, as_written_then)
    loaded = load_bundle(tmp_path)
    assert hashes(loaded.encoder) == ["blake2b"] * 3
    batch = table.combine_chunks().to_batches()[0]
    rows = loaded.encoder.encode(batch)
    assert rows.id_BS[:5, :2].tolist() == BLAKE2B_ROWS
    assert_same_rows(rows, earlier.encoder.encode(batch))
    assert loaded.predict(table).equals(earlier.predict(table))
    assert not loaded.predict(table).equals(now.predict(table))
    save_bundle(tmp_path / "again", loaded)
    assert load_bundle(tmp_path / "again").predict(table).equals(earlier.predict(table)), "saved anew, it stays as it was"


def test_a_bundle_names_the_hash_of_hashed_ids(hashed, trainer, settings, log_table, tmp_path):
    predictor = Predictor(trainer(hashed, settings()).model, hashed.encoder)
    save_bundle(tmp_path, predictor)
    tree = json.loads((tmp_path / "encoder.json").read_text())
    assert tree["encoder_version"] == 3
    assert [entry.get("hash") for entry in tree["vocabularies"].values()] == ["murmur3"] * 3 + [None] * 2
    loaded = load_bundle(tmp_path)
    assert hashes(loaded.encoder) == ["murmur3"] * 3
    assert loaded.predict(log_table(80, seed=5)).equals(predictor.predict(log_table(80, seed=5)))


@pytest.mark.parametrize("name", ["murmur2", "", None, 3, ["murmur3"], {}])
def test_an_unknown_hash_is_refused(hashed, trainer, settings, tmp_path, name):
    save_bundle(tmp_path, Predictor(trainer(hashed, settings()).model, hashed.encoder))
    edit_encoder(tmp_path, lambda tree: tree["vocabularies"]["country"].update(hash=name))
    (problem,) = refused(tmp_path)
    assert f"ids of 'country' have the hash {name!r}, which is not one of ('murmur3', 'blake2b')" in problem
    edit_encoder(tmp_path, lambda tree: tree["vocabularies"]["country"].pop("hash"))
    assert "encoder.json: not a valid file of a bundle (KeyError: 'hash')" in refused(tmp_path)[0]


def test_a_bundle_with_ids_of_numbers_that_are_none_is_refused(bundle):
    tree = json.loads((bundle / "encoder.json").read_text())
    tree["number_ids"]["country"] = [1.0, 2.0]
    (bundle / "encoder.json").write_text(json.dumps(tree))
    manifest = json.loads((bundle / "manifest.json").read_text())
    write_manifest(bundle, {name: value for name, value in manifest.items() if name != "files"})
    assert "ids of numbers that are none: ['country']" in refused(bundle)[0]


def test_statistics_of_another_vocabulary_are_refused(bundle):
    path = bundle / "target-statistics.safetensors"
    tables = load_file(path)
    save_file({**tables, "1": tables["0"]}, path)
    manifest = json.loads((bundle / "manifest.json").read_text())
    write_manifest(bundle, {name: value for name, value in manifest.items() if name != "files"})
    assert "target-statistics.safetensors: not a valid file of a bundle (ValueError: tables of the shapes" in refused(bundle)[0]


def test_the_files_of_a_bundle(saved):
    assert sorted(path.name for path in saved.iterdir()) == sorted([*FILES, "manifest.json"])
    manifest = json.loads((saved / "manifest.json").read_text())
    assert manifest["bundle_version"] == 1
    assert sorted(manifest["files"]) == sorted(FILES)
    for name, entry in manifest["files"].items():
        assert entry == {"bytes": (saved / name).stat().st_size, "sha256": sha256(saved / name)}


def test_the_same_model_gives_the_same_bytes(log, trainer, settings, saved, tmp_path):
    save_bundle(tmp_path / "again", Predictor(trainer(log, settings(replicas=2)).model, log.encoder))
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()
    }


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("where", [0, 0.5, -1])
def test_one_flipped_bit_is_found(bundle, name, where):
    content = bytearray((bundle / name).read_bytes())
    content[-1 if where == -1 else int(where * len(content))] ^= 4
    (bundle / name).write_bytes(content)
    (problem,) = refused(bundle)
    assert str(bundle / name) in problem
    assert "sha256" in problem


@pytest.mark.parametrize("name", FILES)
def test_truncated_extended_and_missing_files_are_found(bundle, name):
    content = (bundle / name).read_bytes()
    for changed in (content[:-1], b"", content + b"\0"):
        (bundle / name).write_bytes(changed)
        (problem,) = refused(bundle)
        assert f"{bundle / name}: {len(changed):,} bytes, expected {len(content)}" in problem
    (bundle / name).unlink()
    (problem,) = refused(bundle)
    assert f"{bundle / name}: in the manifest, but missing" in problem
    (bundle / name).symlink_to("/etc/hostname")
    assert "missing" in refused(bundle)[0]


def test_swapped_files_are_found(bundle):
    one, two = bundle / "vocabulary-0.arrow", bundle / "vocabulary-1.arrow"
    content = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(content)
    assert [problem.split(":")[0] for problem in refused(bundle)] == [str(one), str(two)]


def test_every_problem_is_listed_at_once(bundle):
    (bundle / "schema.json").unlink()
    (bundle / "config.yaml").write_bytes(b"")
    (bundle / "extra.bin").write_bytes(b"x")
    problems = refused(bundle)
    assert len(problems) == 3
    for name in ("schema.json", "config.yaml", "extra.bin"):
        assert any(name in problem for problem in problems)


def test_each_flipped_byte_is_detected_and_its_file_named(bundle):
    detected = sum(any(str(file) in problem for problem in refused(bundle)) for file in flipped(sorted(bundle.iterdir())))
    assert detected == TRIES
    assert load_bundle(bundle).model.replicas == 2


def test_a_foreign_file_or_folder_is_found(bundle):
    (bundle / "evil.so").write_bytes(b"x")
    (bundle / "inner").mkdir()
    problems = refused(bundle)
    assert [problem.partition(": ")[0] for problem in problems] == [str(bundle / "evil.so"), str(bundle / "inner")]
    assert "not in the manifest" in problems[0]


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "inner/file", "..", ".", "a\\..\\b/c"])
def test_a_manifest_may_name_plain_files_only(bundle, name):
    (bundle.parent / "outside").write_bytes(b"secret")
    rewrite_manifest(bundle, lambda m: m["files"].update({name: {"bytes": 6, "sha256": "0"}}))
    assert any(repr(name) in problem and "not a plain file name" in problem for problem in refused(bundle))


def test_a_vocabulary_is_never_read_from_outside(bundle):
    """Even when encoder.json and the manifest agree on it."""
    shutil.copy(bundle / "vocabulary-0.arrow", bundle.parent / "outside.arrow")
    tree = json.loads((bundle / "encoder.json").read_text())
    tree["vocabularies"]["user"]["file"] = "../outside.arrow"
    (bundle / "encoder.json").write_text(json.dumps(tree))
    write_manifest(bundle, {"bundle_version": 1})
    assert "outside.arrow" in refused(bundle)[0]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"files": []}', '{"files": {"config.yaml": 3}}', '{"files": {}}', "null"]
)
def test_a_manifest_that_is_none(bundle, content):
    (bundle / "manifest.json").write_text(content)
    problems = refused(bundle)
    assert all(str(bundle) in problem for problem in problems)


def test_another_version_is_refused_by_name(bundle):
    rewrite_manifest(bundle, lambda m: m.update(bundle_version=2, manygate_version="9.9"))
    assert "bundle version 2, and this manygate reads version 1. Load it with manygate 9.9" in refused(bundle)[0]
    rewrite_manifest(bundle, lambda m: m.pop("bundle_version"))
    assert "bundle version None" in refused(bundle)[0]


def test_tensors_that_do_not_fit_are_named(bundle):
    text = (bundle / "config.yaml").read_text().replace("experts: 3", "experts: 4")
    (bundle / "config.yaml").write_text(text)
    write_manifest(bundle, {"bundle_version": 1})
    (problem,) = refused(bundle)
    assert "model.safetensors: its tensors do not fit" in problem
    assert "trunk.architecture.level.banks.0" in problem


@pytest.mark.parametrize("name", FILES)
def test_files_that_agree_with_the_manifest_and_are_nonsense_are_named(bundle, name):
    for content in (b"", b"nonsense", b"{}", b"\xff\xfe\0"):
        (bundle / name).write_bytes(content)
        write_manifest(bundle, {"bundle_version": 1})
        assert any(name in problem for problem in refused(bundle)), content


def test_places_without_a_bundle(saved, tmp_path):
    assert "does not exist" in refused(tmp_path / "nowhere")[0]
    assert "no bundle here" in refused(tmp_path)[0]
    for name in ("single_task", "mmoe"):
        shutil.copytree(saved, tmp_path / "runs" / name / "bundle")
    assert "a comparison with 2 models. Choose one, for example" in refused(tmp_path / "runs")[0]
    assert load_bundle(tmp_path / "runs" / "mmoe").model.replicas == 2


def test_saving_replaces_a_bundle_whole(log, trainer, settings, bundle):
    (bundle / "left-over").write_bytes(b"x")
    save_bundle(bundle, Predictor(trainer(log, settings(replicas=1)).model, log.encoder))
    assert load_bundle(bundle).model.replicas == 1
    assert [path.name for path in bundle.parent.iterdir()] == ["bundle"]


def test_a_save_that_fails_leaves_the_old_bundle(log, trainer, settings, bundle, monkeypatch):
    from manygate.scoring import bundle as module

    def fail(*given: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_write_encoder", fail)
    with pytest.raises((OSError, InputError), match="No space left"):
        save_bundle(bundle, Predictor(trainer(log, settings(replicas=1)).model, log.encoder))
    monkeypatch.undo()
    assert load_bundle(bundle).model.replicas == 2
    check_manifest(bundle)


def test_loading_draws_nothing_and_leaves_the_random_state_alone(saved):
    before = torch.get_rng_state()
    one, two = load_bundle(saved).model, load_bundle(saved).model
    assert torch.equal(before, torch.get_rng_state())
    for name, value in one.parameters.items():
        assert torch.isfinite(value).all()
        assert torch.equal(value, two.parameters[name])


def test_more_replicas_than_the_weights_hold_are_refused_before_memory_is_taken(bundle):
    text = (bundle / "config.yaml").read_text()
    many = (bundle / "model.safetensors").stat().st_size // 4 + 1  # a number each would not fit into the file
    (bundle / "config.yaml").write_text(re.sub(r"replicas: \d+", f"replicas: {many}", text))
    write_manifest(bundle, {"bundle_version": 1})
    assert f"config.yaml asks for {many:,} replicas, and model.safetensors has" in refused(bundle)[0]


def test_weights_that_cannot_be_opened_are_an_error_of_the_system(bundle, monkeypatch):
    def fail(path):
        raise RuntimeError(f"unable to open file <{path}> in read-only mode: Too many open files (24)")

    monkeypatch.setattr("manygate.scoring.bundle.load_file", fail)
    assert refused(bundle)[0].endswith("cannot be read (Too many open files). Raise the limit of open files (ulimit -n 1024).")
