"""Saves and loads a trained model as safetensors, JSON and Arrow files with checksums, without pickle.

A bundle is a folder: ``model.safetensors`` (stacked parameters), ``config.yaml``, ``schema.json``, ``encoder.json``,
``vocabulary-N.arrow`` for each sparse or bag feature, ``target-statistics.safetensors`` if the network reads them, and
``manifest.json`` with the size and sha256 of each file. It may also hold ``calibration.json`` and ``fusion.json``, which change the
predictions. These two can be added or replaced later (:func:`manygate.files.put_file`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file

from manygate.config import RunConfig
from manygate.config.settings import PLAIN
from manygate.data.encode import Encoder
from manygate.data.hashing import BUCKET_HASHES
from manygate.data.labels import LabelScale
from manygate.data.number_ids import NumberIds
from manygate.data.rows import Vocabulary
from manygate.data.scale import Scale
from manygate.data.target_statistics import TargetStatistics
from manygate.data.type_names import type_name, type_named
from manygate.errors import InputError, os_reason, raise_all
from manygate.files import check_manifest, check_recorded, read_json, read_text, to_json, write_folder, write_manifest, write_text
from manygate.model import MultiTaskModel
from manygate.model.problem import Problem
from manygate.model.replicas import keeps_copies
from manygate.results.log_record import LOG_FILE, LogRecord
from manygate.schema import Schema
from manygate.schema.reading import read_yaml, validated
from manygate.scoring.calibration import CALIBRATION_FILE, read_calibration
from manygate.scoring.fusion import FUSION_FILE, read_fusion
from manygate.scoring.predictor import Predictor
from manygate.text import count_of

BUNDLE_VERSION, ENCODER_VERSION = 1, 3
_ENCODERS_READ = (1, 2, 3)
"""Version 1 has neither numbers whose values are also ids nor target statistics. Versions 1 and 2 hash ids with blake2b."""
STATISTICS_FILE = "target-statistics.safetensors"
_FILES = ("model.safetensors", "config.yaml", "schema.json", "encoder.json")


def save_bundle(
    path: Path,
    predictor: Predictor,
) -> None:
    """Write a bundle completely or not at all. An existing bundle is replaced. Any other file or folder is an error."""
    if path.exists() and not (path / "manifest.json").is_file() and not (path.is_dir() and not any(path.iterdir())):
        raise InputError(f"{path}: exists and is not a bundle, so it is not replaced. Choose another path.")

    model, encoder, calibration, fusion = predictor.model, predictor.encoder, predictor.calibration, predictor.fusion

    def fill(folder: Path) -> None:
        tensors = {name: value.detach().cpu().contiguous() for name, value in model.parameters.items()}
        save_file(tensors, folder / "model.safetensors")
        write_text(folder / "config.yaml", model.config.to_yaml())
        write_text(folder / "schema.json", to_json(encoder.schema.model_dump(mode="json")))
        _write_encoder(folder, encoder)
        if calibration is not None and calibration.tasks:
            write_text(folder / CALIBRATION_FILE, calibration.to_json())
        if fusion is not None:
            write_text(folder / FUSION_FILE, fusion.to_json())
        if predictor.log is not None:
            write_text(folder / LOG_FILE, to_json(predictor.log.to_tree()))
        write_manifest(folder, {"bundle_version": BUNDLE_VERSION, "manygate_version": _version()})

    write_folder(path, fill)


def load_bundle(path: str | Path, device: str = "cpu") -> Predictor:
    """Read a bundle after checking every file against the manifest.

    Raises :class:`InputError` that names each file that is missing, truncated, changed or unknown.
    """
    folder = find_bundle(path)
    manifest = check_manifest(folder)
    if manifest.get("bundle_version") != BUNDLE_VERSION:
        raise InputError(
            f"{folder}: bundle version {manifest.get('bundle_version')!r}, and this manygate reads version {BUNDLE_VERSION}. "
            f"Load it with manygate {manifest.get('manygate_version', 'of its time')}."
        )
    raise_all(f"{folder}: the manifest does not name {name}. Restore it." for name in _FILES if name not in manifest["files"])
    config_path = folder / "config.yaml"
    config = RunConfig.build(PLAIN | read_yaml(read_text(config_path), str(config_path)), str(config_path))
    schema = validated(Schema, read_json(folder / "schema.json"), str(folder / "schema.json"))
    with _reading(folder / "encoder.json"):
        encoder = _read_encoder(folder, schema)
        problem = Problem.of(encoder, config)
    _check_size(folder, config)
    model = MultiTaskModel(problem, config, device, False, keeps_copies(config, problem))
    with _reading(folder / "model.safetensors"):
        tensors = load_file(folder / "model.safetensors")
    expected = {name: tuple(value.shape) for name, value in model.parameters.items()}
    shapes = {name: tuple(value.shape) for name, value in tensors.items()}
    if expected != shapes:
        wrong = sorted(set(expected.items()) ^ set(shapes.items()))
        raise InputError(f"{folder / 'model.safetensors'}: its tensors do not fit config.yaml and the encoder: {wrong[:4]}.")
    for name, value in tensors.items():
        model.parameters[name].detach().copy_(value)
    log = LogRecord.read(folder / LOG_FILE) if LOG_FILE in manifest["files"] else None  # earlier versions wrote none
    return Predictor(model, encoder, read_calibration(folder), read_fusion(folder), log)


def _check_size(folder: Path, config: RunConfig) -> None:
    """Raise an :class:`InputError` if the settings ask for more replicas than the file of weights can hold.

    Such a bundle would fill the memory before its tensors are compared.
    """
    size = (folder / "model.safetensors").stat().st_size
    if 4 * config.replicas > size:
        raise InputError(
            f"{folder}: config.yaml asks for {config.replicas:,} replicas, and model.safetensors has {size:,} bytes. "
            "Restore the bundle from a good copy."
        )


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn an error of reading into an :class:`InputError`. It occurs if both the file and the manifest were changed."""
    try:
        yield
    except InputError:
        raise
    except RuntimeError as error:  # torch's error of the system
        raise InputError(f"{path}: cannot be read {os_reason(error)}") from None
    except (LookupError, TypeError, ValueError, AttributeError, OSError, pa.ArrowException, SafetensorError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(f"{path}: not a valid file of a bundle ({reason}). Restore the bundle from a good copy.") from None


def find_bundle(path: str | Path) -> Path:
    """Return the folder of the bundle at a path.

    It is the path itself, ``bundle`` inside a run's folder, the bundle of the model that a comparison chose, or that of tuned
    settings.
    """
    folder = tuned_model(Path(path)) or Path(path)
    chosen = chosen_model(folder)
    if chosen is not None:
        folder = folder / chosen.replace(":", ".")
    for candidate in (folder, folder / "bundle"):
        if (candidate / "manifest.json").is_file():
            return candidate
    if not folder.exists():
        raise InputError(f"bundle {str(path)!r} does not exist. Give a run's folder, or the bundle inside it.")
    inner = sorted(child.parent.parent.name for child in folder.glob("*/bundle/manifest.json"))
    if inner:
        raise InputError(f"{path}: a comparison with {count_of(len(inner), 'model')}. Choose one, for example {folder / inner[0]}.")
    raise InputError(f"{path}: no bundle here (no manifest.json). Give a finished run's folder, or the bundle inside it.")


def chosen_model(folder: Path) -> str | None:
    """The name of the model that validation chose in a comparison's folder; None for any other folder."""
    path = folder / "comparison.json"
    if not path.is_file():
        return None
    check_recorded(path)
    tree = read_json(path)
    best = tree.get("best") if isinstance(tree, dict) else None
    name = best.get("architecture") if isinstance(best, dict) else None
    return name if isinstance(name, str) else None


def tuned_model(folder: Path) -> Path | None:
    """The folder of the model with the tuned settings in the folder of a search; None for any other folder."""
    path = folder / "tuning.json"
    if not path.is_file():
        return None
    check_recorded(path)
    tree = read_json(path)
    chosen = tree.get("chosen") if isinstance(tree, dict) else None
    number = chosen.get("number") if isinstance(chosen, dict) else None
    if not isinstance(number, int):
        return None
    return folder / "final" / (f"trial-{number}" if number else "default")  # trial 0 has the default settings


def _write_encoder(folder: Path, encoder: Encoder) -> None:
    vocabularies: dict[str, Any] = {}
    for number, (name, vocabulary) in enumerate(encoder.vocabularies.items()):
        file = f"vocabulary-{number}.arrow"
        table = pa.table({"id": vocabulary.values})
        with pa.OSFile(str(folder / file), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        hashed = {"hash": vocabulary.hash} if vocabulary.buckets else {}
        vocabularies[name] = {"file": file, "buckets": vocabulary.buckets, **hashed}
    statistics = encoder.statistics
    if statistics is not None:
        tables = {str(number): table_VT for number, table_VT in enumerate(statistics.table_VT.values())}
        save_arrays(tables, folder / STATISTICS_FILE)
    tree = {
        "encoder_version": ENCODER_VERSION,
        "types": {name: type_name(kind) for name, kind in encoder.types.items()},
        "vocabularies": vocabularies,
        "scales": {name: asdict(scale) for name, scale in encoder.scales.items()},
        "labels": {name: asdict(scale) for name, scale in encoder.labels.items()},
        "null_share": encoder.null_share,
        "number_ids": {name: ids.values for name, ids in encoder.number_ids.items()},
        "target_statistics": None if statistics is None else list(statistics.table_VT),
    }
    write_text(folder / "encoder.json", to_json(tree))


def _read_encoder(folder: Path, schema: Schema) -> Encoder:
    tree = read_json(folder / "encoder.json")
    if tree["encoder_version"] not in _ENCODERS_READ:
        raise ValueError(f"encoder version {tree['encoder_version']!r}, which is not one of {_ENCODERS_READ}")
    vocabularies = {}
    for name, entry in tree["vocabularies"].items():
        path = folder / Path(entry["file"]).name
        with _reading(path), pa.OSFile(str(path), "rb") as source:
            column = pa.ipc.open_file(source).read_all()["id"]
        vocabularies[name] = _read_vocabulary(name, entry, column.combine_chunks(), tree["encoder_version"])
    scales = TypeAdapter(dict[str, Scale]).validate_python(tree["scales"])
    labels = TypeAdapter(dict[str, LabelScale]).validate_python(tree["labels"])
    types = {name: type_named(kind) for name, kind in tree["types"].items()}
    dense = {feature.name for feature in schema.features if feature.kind == "dense"}
    needed = (
        (types, [name for name in schema.columns if name != schema.time]),
        (vocabularies, set(schema.feature_names) - dense),
        (scales, dense),
        (labels, schema.task_names),
    )
    missing = [name for entries, names in needed for name in names if name not in entries]
    if missing:
        raise ValueError(f"no entry for {missing[0]!r}")
    number_ids = {name: NumberIds(tuple(map(float, values))) for name, values in tree.get("number_ids", {}).items()}
    if not number_ids.keys() <= dense:
        raise ValueError(f"ids of numbers that are none: {sorted(number_ids.keys() - dense)}")
    encoder = Encoder(schema, types, vocabularies, scales, labels, tree["null_share"], number_ids=number_ids)
    if tree.get("target_statistics") is not None:
        encoder.statistics = _read_statistics(folder / STATISTICS_FILE, tree["target_statistics"], encoder)
    return encoder


def _read_vocabulary(name: str, entry: dict[str, Any], values: pa.Array, version: int) -> Vocabulary:
    buckets = int(entry["buckets"])
    if not buckets:
        return Vocabulary(values)
    bucket_hash = entry["hash"] if version > 2 else "blake2b"
    if bucket_hash not in tuple(BUCKET_HASHES):
        raise ValueError(f"ids of {name!r} have the hash {bucket_hash!r}, which is not one of {tuple(BUCKET_HASHES)}")
    return Vocabulary(values, buckets, bucket_hash)


def _read_statistics(path: Path, features: list[str], encoder: Encoder) -> TargetStatistics:
    with _reading(path):
        tables = load_arrays(path)
        table_VT = {name: tables[str(number)] for number, name in enumerate(features)}
        expected = {name: (rows, len(encoder.schema.tasks)) for name, rows in encoder.table_rows.items() if name in table_VT}
        shapes = {name: table.shape for name, table in table_VT.items()}
        if shapes != expected:
            raise ValueError(f"tables of the shapes {shapes}, and not {expected}")
    return TargetStatistics(encoder.schema.task_names, table_VT)


def _version() -> str:
    from importlib.metadata import version

    return version("manygate")
