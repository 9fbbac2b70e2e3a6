"""The model that answers, and how a new one on disk takes its place.

A version is a folder's manifest, named by the first characters of its sha256. It is loaded and warmed up beside the one that
answers, and takes its place in one step, so that each answer comes from exactly one version. If a new version is broken, the old
one goes on. The version before the present one stays in memory, so that the way back is immediate.

A folder must be replaced, and not written into: ONNX Runtime maps its weights into memory. ``manygate export`` replaces it, and so
does a symbolic link that points to another folder.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from manygate.config.serve_settings import ServeConfig
from manygate.errors import InputError
from manygate.files import reading_file
from manygate.scoring.exported_model import ExportedModel
from manygate.serving.corrections import Corrections, read_corrections
from manygate.serving.feeds import Feed, Inputs, blank
from manygate.serving.memory import give_back

WARM_UP = (1, 64, 500)
"""The numbers of rows of the predictions that warm a model up."""
LARGEST_WARM_UP = 4096
"""The most rows of a batch whose memory is taken beforehand. Larger batches may never come."""
ATTEMPTS = 3
"""How often a folder is read that is replaced meanwhile."""


@dataclass(frozen=True)
class Version:
    """A model with its corrections. ``model_version``, ``calibration_version`` and ``fusion_version`` name what is on disk."""

    model: ExportedModel
    model_version: str
    corrections: Corrections = field(default_factory=Corrections)
    calibration_version: str | None = None
    fusion_version: str | None = None

    @cached_property
    def inputs(self) -> Inputs:
        """What the model reads."""
        return Inputs(self.model.manifest)

    @cached_property
    def outputs(self) -> list[str]:
        """The columns of :meth:`predict`."""
        return self.corrections.outputs(self.model.manifest)

    @cached_property
    def score(self) -> str | None:
        """The column of the fused score, if there is one."""
        return self.corrections.score(self.model.manifest)

    @property
    def names(self) -> dict[str, str]:
        """The versions, as an answer has them."""
        named = {
            "model_version": self.model_version,
            "calibration_version": self.calibration_version,
            "fusion_version": self.fusion_version,
        }
        return {name: version for name, version in named.items() if version is not None}

    def predict(self, feed: Feed, more: tuple[str, ...] = ()) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Return the columns of the predictions (B,), and the outputs ``more`` of the graph."""
        manifest = self.model.manifest
        names = [*self.corrections.fetched(manifest), *more]
        values = dict(zip(names, self.model.session.run(names, dict(feed.arrays)), strict=True))
        columns = self.corrections.apply(manifest, values, feed, self.inputs)
        return columns, {name: values[name] for name in more}

    def warm_up(self, batch_rows: int) -> None:
        """Predict rows without a known value, and a batch of ``batch_rows``, whose memory is then there at once.

        Raises :class:`InputError` if the model cannot.
        """
        for rows in (*WARM_UP, min(batch_rows, LARGEST_WARM_UP)):
            feed = blank(self.inputs, rows)
            try:
                self.predict(feed)
            except Exception as error:  # ONNX Runtime has errors of many kinds, without a common class of its own
                raise InputError(f"{self.model.folder}: the model cannot predict ({type(error).__name__}).") from error


class Versions:
    """Loads versions of a folder, and knows the one that answers.

    Args:
        folder: An exported model, or a symbolic link to one.
        settings: Settings of the server.
        threads: CPU threads of a prediction.
    """

    def __init__(self, folder: Path, settings: ServeConfig, threads: int | None = None):
        self.folder, self.settings, self.threads = folder, settings, threads
        self.paths = [path for path in (folder / "manifest.json", settings.calibration, settings.fusion) if path is not None]
        self._loaded: dict[str, ExportedModel] = {}
        self._seen = self.marks()
        self.current = self.read()

    def marks(self) -> tuple[Any, ...]:
        """Return what tells that a file changed. A file that is missing has no mark."""
        return tuple(_mark(path) for path in self.paths)

    def refresh(self) -> bool:
        """Load what changed on disk, and let it answer. Return whether another version answers now.

        Raises :class:`InputError` if what is there cannot be loaded. The present version then goes on, and the next call does
        nothing until the files change again.
        """
        marks = self.marks()
        if marks == self._seen or None in marks:  # while a folder is replaced, it is missing for a moment
            return False
        self._seen = marks
        version = self.read()
        if version.names == self.current.names:
            return False
        self.current = version
        return True

    def read(self) -> Version:
        """Return what is on disk, warmed up. Raises :class:`InputError` if it cannot be loaded."""
        settings = self.settings
        corrections = read_corrections(settings.calibration, settings.fusion)
        model, model_version = self._model()
        corrections.check(model.manifest)
        version = Version(
            model,
            model_version,
            corrections,
            None if settings.calibration is None else digest(settings.calibration),
            None if settings.fusion is None else digest(settings.fusion),
        )
        version.warm_up(settings.batch_rows)
        before = getattr(self, "current", None)
        keep = {model_version} | ({before.model_version} if before else set())
        self._loaded = {name: loaded for name, loaded in {**self._loaded, model_version: model}.items() if name in keep}
        give_back()
        return version

    def _model(self) -> tuple[ExportedModel, str]:
        """Return the model of the folder, from memory if it is there, and its version."""
        for _ in range(ATTEMPTS):
            folder = self.folder.resolve()
            if not (folder / "manifest.json").is_file():
                ExportedModel.load(folder)  # raises the error that says what is missing
            version = digest(folder / "manifest.json")
            if version in self._loaded:
                return self._loaded[version], version
            model = ExportedModel.load(folder, self.threads)
            if (folder / "manifest.json").is_file() and digest(folder / "manifest.json") == version:
                return model, version
        raise InputError(f"{self.folder}: it changed while it was read, {ATTEMPTS} times. Replace the folder in one step.")


def digest(path: Path) -> str:
    """Return the name of a file's version: the first 12 characters of its sha256."""
    with reading_file(path):
        return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def _mark(path: Path) -> tuple[int, int, int] | None:
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size, state.st_ino
