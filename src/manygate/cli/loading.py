"""Load a trained model for a command."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from manygate.cli.streams import say

if TYPE_CHECKING:
    from manygate.config import CsvConfig
    from manygate.ranker import Ranker


def load_ranker(run: Path, device: str, modules: tuple[str, ...], csv: CsvConfig | None = None) -> Ranker:
    """The trained model at a path; ``modules`` are those of schemes of the user's own, which must be imported first.

    ``csv`` has settings of CSV files that are given over those of its training.
    """
    from manygate.ranker import Ranker
    from manygate.scoring.bundle import chosen_model, tuned_model

    import_own(modules)
    chosen = chosen_model(run)
    if chosen is not None:
        say(f"{run} is a comparison: its model with the best validation score, {chosen}, is used", error=True)
    tuned = tuned_model(run)
    if tuned is not None:
        say(f"{run} is a search for settings: its model with the tuned settings, {tuned.name}, is used", error=True)
    ranker = Ranker.load(run, device)
    if csv is not None:
        ranker.csv = csv.over(ranker.csv)
    return ranker


def import_own(modules: tuple[str, ...], flags: Mapping[str, object] | None = None) -> None:
    """Import the modules that the command line names: those of ``--import``, and those of ``module:Class`` in a flag."""
    from manygate.config.names import import_named, import_user_module

    for module in modules:
        import_user_module(module)
    import_named(flags or {})
