"""Reads and writes files so that nothing is half written, nothing changed is read, and nothing hangs.

A file is written under a temporary name, then synced, then renamed: a crash leaves the old or the new content. A manifest lists
the size and the sha256 of files that are read again, and has a seal of its own content. A pipe or a device in place of a file is an
error: reading it may never end.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from glob import glob, has_magic
from pathlib import Path
from typing import Any, NoReturn

from manygate.errors import InputError, os_reason, setting
from manygate.text import count_of, cut

RECORD = "run.json"
"""The manifest of a run's folder. It also marks the folder as one that manygate wrote, which it may overwrite."""
OWN_LOGITS = "own-logits.safetensors"
"""The test logits of each task at the best epoch of its own clock."""
RECORDED = ("schema.yaml", "state.json", "metrics.jsonl", "evaluation.json", "comparison.json", "tuning.json", OWN_LOGITS)
"""The files of a run that are read again. A person may edit config.yaml; the fingerprint of the run judges it."""
LARGEST_TEXT = 1 << 28
"""The most bytes of a JSON or YAML file that are read."""
SEAL, SEAL_VERSION = "seal", "seal_version"
_NO_SEAL = "0" * 64


@contextmanager
def writing(path: Path, *drafts: Path) -> Iterator[None]:
    """Turn an error of the disk into an :class:`InputError` that names the file. On any error, ``drafts`` are removed."""
    try:
        yield
    except BaseException as error:
        for draft in drafts:
            with suppress(OSError):
                shutil.rmtree(draft) if draft.is_dir() else draft.unlink(missing_ok=True)
        if isinstance(error, OSError) or type(error).__name__ == "SafetensorError":  # importing safetensors here costs --help
            raise InputError(f"{path}: cannot be written {os_reason(error)}") from None
        raise


@contextmanager
def reading_file(path: Path) -> Iterator[None]:
    """Turn an error of the disk into an :class:`InputError` that names the file."""
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"file {str(path)!r} does not exist.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read {os_reason(error)}") from None


def check_regular(path: Path, purpose: str = "read") -> None:
    """Raise an :class:`InputError` if a path leads to a pipe, a socket or a device, which can make a program wait for ever.

    >>> check_regular(Path("/dev/null"))
    Traceback (most recent call last):
    manygate.errors.InputError: /dev/null: a device and not a file, so it is not read. Name a file.
    """
    kinds = {stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}
    with reading_file(path):
        kind = kinds.get(stat.S_IFMT(path.stat().st_mode))
    if kind is not None:
        raise InputError(f"{path}: a {kind} and not a file, so it is not {purpose}. Name a file.")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file completely or not at all. Missing folders are made; a symbolic link stays, and its target is written."""
    with writing(path):
        path = path.resolve() if path.is_symlink() else path
        if path.exists():
            check_regular(path, "overwritten")
    temporary = path.with_name(f".{path.name}.tmp")
    with writing(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        sync(path.parent)


def check_not_read(out: Path, sources: Iterable[str | Path]) -> None:
    """Raise an :class:`InputError` if a file that is overwritten is one of the files, folders or globs that are read."""
    at = setting("out", out)
    for source in sources:
        files = map(Path, glob(str(source), recursive=True)) if has_magic(str(source)) else [Path(source)]  # noqa: PTH207
        for file in files:
            if not (out.exists() and file.exists()):
                continue
            if out.samefile(file) or (file.is_dir() and out.resolve().is_relative_to(file.resolve())):
                raise InputError(f"{at}: belongs to {str(source)!r}, which is read. Choose another {setting('out')}.")


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file completely or not at all."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def read_text(path: Path) -> str:
    """Return the content of a UTF-8 file. Every line ends with a newline. Raises an :class:`InputError` that names the file."""
    return _decoded(path, _read_bytes(path))


def _read_bytes(path: Path) -> bytes:
    check_regular(path)
    with reading_file(path):
        if path.stat().st_size > LARGEST_TEXT:
            raise InputError(f"{path}: {path.stat().st_size:,} bytes, and at most {LARGEST_TEXT:,} are read. Name another file.")
        return path.read_bytes()


def _decoded(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise InputError(f"file {str(path)!r} cannot be read as text: {error}. Write it in UTF-8.") from None


def to_json(tree: Any) -> str:
    """Return JSON with a stable layout. NaN and infinity raise :class:`ValueError`."""
    return json.dumps(tree, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(path: Path) -> Any:
    """Return the content of a JSON file. Raises an :class:`InputError` that names the file."""
    return _parsed(path, read_text(path))


def _parsed(path: Path, text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_number)
    except ValueError as error:
        raise InputError(f"file {str(path)!r} is not valid JSON: {error}.") from None
    except RecursionError:
        raise InputError(f"file {str(path)!r} is not valid JSON: its lists are nested too deeply.") from None


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


def draft_of(path: Path) -> Path:
    """Return the hidden sibling in which :func:`write_folder` makes a folder.

    >>> draft_of(Path("runs/step-1")).as_posix()
    'runs/.step-1.tmp'
    """
    return path.with_name(f".{path.name}.tmp")


def write_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Make a folder completely or not at all. ``fill`` writes into a hidden sibling, which is synced and renamed."""
    temporary = draft_of(path)
    with writing(path, temporary):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        fill(temporary)
        give_usual_mode(temporary)
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


def give_usual_mode(folder: Path) -> None:
    """Give the files of a folder the permissions that the umask leaves. safetensors writes files that only their owner may read."""
    probe = folder / ".mode"
    probe.touch()
    mode = stat.S_IMODE(probe.stat().st_mode)
    probe.unlink()
    for file in folder.iterdir():
        if file.is_file() and stat.S_IMODE(file.stat().st_mode) != mode:
            file.chmod(mode)


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


def file_entry(path: Path) -> dict[str, int | str]:
    """Return the size and the sha256 of a file, as a manifest lists them."""
    return {"bytes": path.stat().st_size, "sha256": sha256(path)}


def write_manifest(folder: Path, about: Mapping[str, object], name: str = "manifest.json", only: Iterable[str] = ()) -> None:
    """Write a manifest with the entries of ``about``, and the size and sha256 of files of the folder.

    The files are those of ``only`` that exist, or every file but the manifest.
    """
    with writing(folder / name):
        listed = [folder / file for file in only] or sorted(folder.iterdir())
        files = {file.name: file_entry(file) for file in listed if file.name != name and file.exists()}
        write_text(folder / name, sealed_text({**about, "files": files}))


def sealed_text(manifest: Mapping[str, object]) -> str:
    """Return the JSON of a manifest with a seal as its last entry: the sha256 of the text with 64 zeros in place of the seal.

    ``seal_version`` says that a seal follows, so that a damaged name of the seal does not pass for a manifest without one.

    >>> print(sealed_text({"files": {}}), end="")  # doctest: +ELLIPSIS
    {
     "files": {},
     "seal_version": 1,
     "seal": "85d5877b..."
    }
    """
    unsealed = {name: value for name, value in manifest.items() if name not in (SEAL, SEAL_VERSION)}
    text = to_json({**unsealed, SEAL_VERSION: 1, SEAL: _NO_SEAL})
    return hashlib.sha256(text.encode()).hexdigest().join(text.rsplit(_NO_SEAL, 1))


def read_manifest(path: Path) -> dict[str, Any]:
    """Return the content of a manifest, without its seal.

    Raises :class:`InputError` if it lists no files, or is not as it was written. A manifest of an earlier version has no seal. Then
    the files that it lists are checked, and its other entries are not.
    """
    content = _read_bytes(path)
    manifest = _parsed(path, _decoded(path, content))
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise InputError(f"{path}: it lists no files, so it is not a manifest. Restore it from a good copy.")
    seal, version = manifest.pop(SEAL, None), manifest.pop(SEAL_VERSION, None)
    if (seal, version) != (None, None) and not _is_sealed(content, seal):
        raise InputError(f"{path}: its seal is not that of its content: damaged or changed. Restore it from a good copy.")
    return manifest


def _is_sealed(content: bytes, seal: object) -> bool:
    """Return whether a manifest's text has the seal that was made for it."""
    if not isinstance(seal, str) or len(seal) != len(_NO_SEAL):
        return False
    unsealed = _NO_SEAL.encode().join(content.rsplit(seal.encode(), 1))
    return hashlib.sha256(unsealed).hexdigest() == seal


def check_manifest(folder: Path) -> dict[str, Any]:
    """Verify a folder against its manifest and return the manifest.

    Raises one :class:`InputError` that lists every file that is missing, unknown, truncated or changed.
    """
    manifest = read_manifest(folder / "manifest.json")
    files = manifest["files"]
    problems = []
    for name, entry in files.items():
        if Path(name).name != name or name in (".", ".."):
            problems.append(f"{folder}: the manifest names {cut(name)}, which is not a plain file name.")
        else:
            problems += file_problems(folder / name, entry)
    drafts = {f".{name}.tmp" for name in (*files, "manifest.json")}  # left by a crash during a write; never read
    with reading_file(folder):
        unknown = {file.name for file in folder.iterdir()} - set(files) - {"manifest.json"} - drafts
    problems += [f"{folder / name}: not in the manifest. Remove it, or restore the manifest." for name in sorted(unknown)]
    if problems:
        raise InputError(problems)
    return manifest


def check_recorded(path: Path) -> None:
    """Raise an :class:`InputError` unless a file is as the run wrote it that its folder belongs to.

    A folder without a record, which no run wrote, says nothing. A run that is done has a record.
    """
    record = path.parent / RECORD
    if not record.exists():
        if (path.parent / "DONE").exists():
            raise InputError(f"{record}: missing, so that {path.name} cannot be checked. Restore it from a good copy.")
        return
    entry = read_manifest(record)["files"].get(path.name)
    if entry is not None:
        problems = file_problems(path, entry, RECORD)
        if problems:
            raise InputError(problems)
    elif path.name in RECORDED:
        raise InputError(f"{path}: not in {RECORD}, so this run is not done. Continue it, or restore {RECORD} from a good copy.")


def put_file(folder: Path, name: str, content: str | None) -> None:
    """Add, replace or (``content`` None) remove one file of a folder with a manifest.

    A crash at any moment leaves a valid folder with the old or the new file. During the change, the manifest lists both states of
    the file, the old and the new. A state without the file is null. :func:`check_manifest` accepts both states.
    """
    with locked(folder, wait=10):
        manifest, path = check_manifest(folder), folder / name
        data = None if content is None else content.encode("utf-8")
        old = file_entry(path) if path.is_file() else None
        new = None if data is None else {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        others = {listed: entry for listed, entry in manifest["files"].items() if listed != name}

        def list_files(files: Mapping[str, object]) -> None:
            write_text(folder / "manifest.json", sealed_text({**manifest, "files": dict(sorted(files.items()))}))

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


@contextmanager
def locked(folder: Path, wait: float = 0, shared: bool = False) -> Iterator[None]:
    """Hold a folder alone. Another process that holds it is an :class:`InputError`, after ``wait`` seconds.

    With ``shared`` it is held together with others that share it, and none holds it alone meanwhile.
    The system gives the lock back when the process ends, even if it is killed. Disks that have no locks are used without one.
    """
    with reading_file(folder):
        handle = os.open(folder, os.O_RDONLY)
    try:
        until = time.monotonic() + wait
        while not _lock(handle, shared):
            if time.monotonic() >= until:
                raise InputError(f"{folder}: another process is working in this folder. Wait until it ends, or stop it.")
            time.sleep(0.05)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, shared: bool) -> bool:
    """Lock an open folder. Return false if another process holds it."""
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EINTR)
    return True


def file_problems(path: Path, entry: Any, manifest: str = "the manifest") -> list[str]:
    """Return why a file is not the one that a manifest lists."""
    if isinstance(entry, list):  # both states of a file during a change
        if None in entry and not path.exists():
            return []
        problems = [file_problems(path, state, manifest) for state in entry if state is not None]
        return min(problems, key=len, default=[f"{path}: in {manifest} without a size and a sha256. Restore the manifest."])
    if path.is_symlink() or not path.is_file():
        return [f"{path}: in {manifest}, but missing. Restore it from a good copy."]
    expected = entry if isinstance(entry, dict) else {}
    with reading_file(path):
        size = path.stat().st_size
        if size != expected.get("bytes"):
            wanted = cut(expected.get("bytes"))
            return [f"{path}: {count_of(size, 'byte')}, expected {wanted}: truncated or changed. Restore it from a good copy."]
        if sha256(path) != expected.get("sha256"):
            return [f"{path}: its sha256 is not that of {manifest}: damaged or changed. Restore it from a good copy."]
    return []
