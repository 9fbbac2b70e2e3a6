"""This module prepares the settings that a comparison tuned, as the template and the terminal print them."""

from __future__ import annotations

from manygate import text
from manygate.report.tuning.words import setting_value
from manygate.results.comparison import ComparisonDocument

View = dict[str, object]
"""The values that a template prints, by name."""


def tuned(document: ComparisonDocument) -> View | None:
    """Prepare a row for each model: its settings, its score on validation rows and that of the defaults. None without tuning."""
    if not document.tuned:
        return None
    form = ".2f" if document.config["monitor"] == "mean" else ".4f"
    rows = [
        {
            "name": name,
            "trial": found.trial,
            "default": text.UNDEFINED if found.valid_default is None else format(found.valid_default, form),
            "tuned": format(found.valid, form),
            "settings": [(setting, setting_value(value)) for setting, value in found.settings.items()],
            "failed": found.failed,
            "seconds": text.duration(found.seconds),
        }
        for name, found in document.tuned.items()
    ]
    return {"rows": rows, "trials": document.config["tune"]}
