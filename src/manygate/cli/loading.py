"""Load a trained model for a command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from manygate.ranker import Ranker


def load_ranker(run: Path, device: str, module: str | None) -> Ranker:
    """The trained model at a path; ``module`` is that of a scheme of the user's own, which must be imported first."""
    from manygate.ranker import Ranker
    from manygate.scoring.bundle import chosen_model

    import_own(module)
    chosen = chosen_model(run)
    if chosen is not None:
        print(f"{run} is a comparison: its model with the best validation score, {chosen}, is used", file=sys.stderr)
    return Ranker.load(run, device)


def import_own(module: str | None) -> None:
    """Import the module of a scheme of the user's own, if there is one."""
    if module is not None:
        from manygate.config.names import import_user_module

        import_user_module(module)
