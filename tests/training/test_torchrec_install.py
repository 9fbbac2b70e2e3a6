"""TorchRec is loaded where its version fits, and an error says how to install it otherwise."""

from __future__ import annotations

import logging
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from manygate.errors import InputError
from manygate.training import torchrec_install
from manygate.training.torchrec_install import INSTALL, RULE, load_torchrec, mismatch
from spread import NEEDED

FIT = {"torch": "2.13.0+cpu", "fbgemm-gpu-cpu": "1.8.0", "torchrec": "1.8.0"}


@pytest.fixture
def installed(monkeypatch):
    """Give the versions that are installed. Nothing is loaded before or after."""

    def give(versions: dict[str, str]) -> None:
        def version(package: str) -> str:
            if package not in versions:
                raise PackageNotFoundError(package)
            return versions[package]

        monkeypatch.setattr(torchrec_install, "version", version)

    load_torchrec.cache_clear()
    yield give
    load_torchrec.cache_clear()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"fbgemm-gpu-cpu": None, "torchrec": None}, "fbgemm-gpu-cpu and torchrec are not installed"),
        ({"torchrec": None}, "torchrec is not installed"),
        ({"fbgemm-gpu-cpu": "1.9.0"}, r"fbgemm 1.9.0 is not for torch 2.13.0\+cpu"),
        ({"torch": "2.14.1"}, "fbgemm 1.8.0 is not for torch 2.14.1"),
        ({"torchrec": "1.7.0"}, "torchrec 1.7.0 is not for fbgemm 1.8.0"),
    ],
)
def test_a_missing_or_mismatched_trio_is_an_error_with_the_rule_and_the_commands(installed, changes, problem):
    installed({name: known for name, known in {**FIT, **changes}.items() if known is not None})
    with pytest.raises(InputError, match=problem) as caught:
        load_torchrec()
    assert RULE in str(caught.value)
    assert [line.strip() for line in str(caught.value).splitlines() if line.startswith("  pip")] == list(INSTALL)


def test_libraries_that_cannot_be_loaded_are_an_error(installed, monkeypatch):
    def fail() -> None:
        raise OSError("undefined symbol")

    installed(FIT)
    monkeypatch.setattr(torchrec_install, "_parts", fail)
    with pytest.raises(InputError, match=r"torchrec 1.8.0 cannot be loaded \(OSError: undefined symbol\)"):
        load_torchrec()


def test_the_cuda_build_of_fbgemm_fits_as_well(installed):
    installed({"torch": "2.13.0", "fbgemm-gpu": "1.8.0", "torchrec": "1.8.0"})
    assert mismatch(*(torchrec_install._version(name) for name in ("torch", "fbgemm", "torchrec"))) == ""


def test_the_page_has_the_rule_and_the_commands():
    page = (Path(__file__).parents[2] / "docs" / "questions" / "processes.md").read_text(encoding="utf-8")
    assert "\n".join(INSTALL) in page
    assert RULE in page.replace("\n", " ")


@NEEDED
def test_gradients_are_sums_over_the_processes(caplog):
    from torchrec.distributed.comm_ops import get_gradient_division

    load_torchrec()
    assert not get_gradient_division()
    log = logging.getLogger("torch.fx._symbolic_trace")
    log.warning("is_fx_tracing will return true")
    log.warning("another warning")
    assert [record.getMessage() for record in caplog.records if record.name == log.name] == ["another warning"]
