"""Writes files so that a crash leaves the old or the new content: under a temporary name, then synced, then renamed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from manygate.errors import InputError
from manygate.text import count_of


@contextmanager
def writing(path: Path, *drafts: Path) -> Iterator[None]:
    """Turn an error of the disk into an :class:`InputError` that names the file. On any error, ``drafts`` are removed."""
    try:
        yield
    except BaseException as error:
        for draft in drafts:
            with suppress(OSError):
                shutil.rmtree(draft) if draft.is_dir() else draft.unlink(missing_ok=True)
        if isinstance(error, OSError | SafetensorError):
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"{path}: cannot be written ({reason}). Free space on this disk, or choose another path.") from None
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file completely or not at all. Missing folders are made."""
    temporary = path.with_name(f".{path.name}.tmp")
    with writing(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        sync(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file completely or not at all."""
    write_bytes(path, text.encode("utf-8"))


def to_json(tree: Any) -> str:
    """Return JSON with a stable layout. NaN and infinity raise :class:`ValueError`."""
    return json.dumps(tree, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(path: Path) -> Any:
    """Return the content of a JSON file. Raises an :class:`InputError` that names the file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"file {str(path)!r} does not exist.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"file {str(path)!r} is not valid JSON: {error}.") from None


def write_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Make a folder completely or not at all. ``fill`` writes into a hidden sibling, which is synced and renamed."""
    temporary = path.with_name(f".{path.name}.tmp")
    with writing(path, temporary):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        fill(temporary)
        for file in sorted(temporary.rglob("*")):
            if file.is_file():
                with file.open("rb") as stream:
                    os.fsync(stream.fileno())
        sync(temporary)
        if path.exists():
            old = path.with_name(f".{path.name}.old")
            shutil.rmtree(old, ignore_errors=True)
            path.rename(old)
            temporary.rename(path)
            shutil.rmtree(old)
        else:
            temporary.rename(path)
        sync(path.parent)


def sync(path: Path) -> None:
    """Sync the content of a file, or the entries of a folder, to the disk, so that they survive a power failure."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_manifest(folder: Path, about: Mapping[str, object]) -> None:
    """Write ``manifest.json`` with the entries of ``about``, and the size and sha256 of every other file of the folder."""
    files = {
        file.name: {"bytes": file.stat().st_size, "sha256": sha256(file)}
        for file in sorted(folder.iterdir())
        if file.name != "manifest.json"
    }
    write_text(folder / "manifest.json", to_json({**about, "files": files}))


def check_manifest(folder: Path) -> dict[str, Any]:
    """Verify a folder against its manifest and return the manifest.

    Raises one :class:`InputError` that lists every file that is missing, unknown, truncated or changed.
    """
    manifest = read_json(folder / "manifest.json")
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, dict):
        raise InputError(f"{folder / 'manifest.json'}: it lists no files, so it is not a manifest. Restore it from a good copy.")
    problems = []
    for name, entry in files.items():
        if Path(name).name != name or name in (".", ".."):
            problems.append(f"{folder}: the manifest names {name!r}, which is not a plain file name.")
        else:
            problems += _file_problems(folder / name, entry)
    drafts = {f".{name}.tmp" for name in (*files, "manifest.json")}  # left by a crash during a write; never read
    unknown = {file.name for file in folder.iterdir()} - set(files) - {"manifest.json"} - drafts
    problems += [f"{folder / name}: not in the manifest. Remove it, or restore the manifest." for name in sorted(unknown)]
    if problems:
        raise InputError(problems)
    return dict(manifest)


def put_file(folder: Path, name: str, content: str | None) -> None:
    """Add, replace or (``content`` None) remove one file of a folder with a manifest.

    A crash at any moment leaves a valid folder with the old or the new file. During the change, the manifest lists both states of
    the file, the old and the new. A state without the file is null. :func:`check_manifest` accepts both states.
    """
    manifest, path = check_manifest(folder), folder / name
    data = None if content is None else content.encode("utf-8")
    old = {"bytes": path.stat().st_size, "sha256": sha256(path)} if path.is_file() else None
    new = None if data is None else {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    others = {listed: entry for listed, entry in manifest["files"].items() if listed != name}

    def list_files(files: Mapping[str, object]) -> None:
        write_text(folder / "manifest.json", to_json({**manifest, "files": dict(sorted(files.items()))}))

    if old != new:
        list_files({**others, name: [old, new]})
        if data is not None:
            write_bytes(path, data)
    if data is None:
        with writing(path):
            path.with_name(f".{name}.tmp").unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            sync(folder)
    settled = others if new is None else {**others, name: new}
    if manifest["files"] != settled:
        list_files(settled)


def _file_problems(path: Path, entry: Any) -> list[str]:
    if isinstance(entry, list):  # both states of a file during a change
        if None in entry and not path.exists():
            return []
        problems = [_file_problems(path, state) for state in entry if state is not None]
        return min(problems, key=len, default=[f"{path}: in the manifest without a size and a sha256. Restore the manifest."])
    if path.is_symlink() or not path.is_file():
        return [f"{path}: in the manifest, but missing. Restore it from a good copy."]
    expected = entry if isinstance(entry, dict) else {}
    if path.stat().st_size != expected.get("bytes"):
        return [
            f"{path}: {count_of(path.stat().st_size, 'byte')}, expected {expected.get('bytes')}: truncated or changed. "
            "Restore it from a good copy."
        ]
    if sha256(path) != expected.get("sha256"):
        return [f"{path}: its sha256 is not that of the manifest: damaged or changed. Restore it from a good copy."]
    return []
