"""Stores the results of a finished baseline in the folder of a comparison, so that a comparison that was stopped can continue."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from manygate.errors import InputError, setting
from manygate.files import check_manifest, read_json, to_json, write_folder, write_manifest, write_text, writing
from manygate.results.baselines import BaselineResult

RESULT_FILE, LOGIT_FILE = "baseline.json", "logits.safetensors"


def write_baseline(folder: Path, result: BaselineResult, test_logit_RNT: np.ndarray, fingerprint: str) -> None:
    """Write the results and the logits of the test rows, with checksums. The folder is complete or is not there."""

    def fill(path: Path) -> None:
        write_text(path / RESULT_FILE, to_json({"fingerprint": fingerprint, "result": result.to_tree()}))
        save_file({"test_logit_RNT": np.ascontiguousarray(test_logit_RNT)}, path / LOGIT_FILE)
        write_manifest(path, {"baseline_version": 1})

    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    write_folder(folder, fill)


def read_baseline(folder: Path, fingerprint: str) -> tuple[BaselineResult, np.ndarray]:
    """Read the results and the logits of the test rows.

    Raises :class:`InputError` if a file is not as it was written, or if the log or the settings have changed since.
    """
    check_manifest(folder)
    try:
        saved = read_json(folder / RESULT_FILE)
        if saved["fingerprint"] != fingerprint:
            raise InputError(
                f"{folder}: the log or the settings have changed since this baseline was fitted, so the comparison cannot "
                f"continue. Start a new one with another {setting('out')}."
            )
        return BaselineResult.model_validate(saved["result"]), load_file(folder / LOGIT_FILE)["test_logit_RNT"]
    except (KeyError, TypeError, ValidationError, SafetensorError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(
            f"{folder}: not the results of a baseline ({reason}). Remove this folder; the baseline is fitted again."
        ) from None
