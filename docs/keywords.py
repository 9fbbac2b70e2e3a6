"""Write src/manygate/ranker/keywords.py: the settings as explicit keyword parameters of mg.Ranker and mg.compare."""

from __future__ import annotations

import textwrap
import types
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BeforeValidator
from pydantic.fields import FieldInfo

from manygate.config import DataConfig, ModelConfig, RunConfig, TrainConfig

WIDTH = 132
SHORT_FORMS = {
    "_specs": "Tasks",
    "_names": "Names",
    "_widths": "Widths",
    "_rows": "Rows",
    "_numbers": "Numbers",
    "_number_rows": "NumberRows",
    "schemes": "Scheme",
    "scheme_names": "Schemes",
    "weighting_names": "Names",
}
"""The alias that stands for what a short form of :mod:`manygate.config.values` accepts."""
NOT_ARGUMENTS = ("config_version", "log")
COMPARISON = ("architectures", "weightings", "weight_sweep")
HEAD = '''"""The settings as keyword parameters of mg.Ranker and mg.compare. Written by ``make docs``; do not edit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from manygate.ranker.comparison import Comparison, compare_log
from manygate.schema import Schema, Task
from manygate.training.callback import OnEpoch
from manygate.training.progress import ProgressMode

if TYPE_CHECKING:
    from manygate.architecture import Architecture

Tasks: TypeAlias = str | Task | Mapping[str, Any] | Sequence[str | Task | Mapping[str, Any]]
Names: TypeAlias = str | Sequence[str]
Widths: TypeAlias = int | str | Sequence[int]
Rows: TypeAlias = int | str | Sequence[int] | Sequence[Sequence[int]]
Numbers: TypeAlias = float | str | Sequence[float]
NumberRows: TypeAlias = str | Sequence[float] | Sequence[Sequence[float]]
Scheme: TypeAlias = "str | type[Architecture]"
Schemes: TypeAlias = "str | type[Architecture] | Sequence[str | type[Architecture]]"
RUN = ("log", "valid", "test", "out", "resume", "overwrite", "progress", "on_epoch")
'''
RANDOM_STATE = ("random_state", "int | None", "None", "Another name of ``seed``, as in scikit-learn.")
SCHEMA = ("schema", "Schema | str | Path | None", "None", "A schema, or the YAML file of one. Default: inferred from the log.")


def keywords_module() -> str:
    """The source of the module."""
    ranker = [SCHEMA, *_parameters(without=COMPARISON), RANDOM_STATE]
    compare = [SCHEMA, *_parameters(without=("architecture", "valid", "test", "schema_file")), RANDOM_STATE]
    compare = [(name, kind, "8" if name == "replicas" else default, text) for name, kind, default, text in compare]
    return "\n".join(
        [
            HEAD,
            f'RANKER_PARAMETERS = """\n{_described(ranker)}"""',
            f'COMPARE_PARAMETERS = """\n{_described(compare)}"""',
            "\n\nclass RankerKeywords:",
            '    """The constructor of :class:`manygate.Ranker`."""\n',
            "    # fmt: off",
            f"    def __init__(\n        self, *,\n{_signature(ranker)}\n        **unknown: Any,\n    ) -> None:",
            "        keywords = dict(locals())",
            "        self._set_keywords({name: keywords[name] for name in keywords if name not in ('self', 'unknown')} | unknown)",
            "    # fmt: on\n",
            "    def _set_keywords(self, keywords: dict[str, Any]) -> None:",
            "        raise NotImplementedError",
            "\n\n# fmt: off",
            "def compare(\n    log: Any, valid: Any = None, test: Any = None, *,",
            "    out: str | Path | None = None, resume: bool = False, overwrite: bool = False,",
            '    progress: ProgressMode | bool = "auto", on_epoch: OnEpoch | None = None,',
            f"{_signature(compare, 4)}\n    **unknown: Any,\n) -> Comparison:",
            "    settings = dict(locals())",
            '    settings |= settings.pop("unknown")',
            "    return compare_log(settings, **{name: settings.pop(name) for name in RUN})",
            "# fmt: on",
            "",
        ]
    )


def _parameters(without: tuple[str, ...]) -> Iterator[tuple[str, str, str, str]]:
    """Each setting as (name, type, default, description)."""
    names = dict.fromkeys(name for group in (DataConfig, ModelConfig, TrainConfig, RunConfig) for name in group.model_fields)
    for name in sorted(names, key=lambda name: name != "task"):
        field = RunConfig.model_fields[name]
        if name not in (*NOT_ARGUMENTS, *without):
            yield name, _kind(field.annotation, field), repr(field.default), field.description or ""


def _kind(annotation: Any, field: FieldInfo | None = None) -> str:
    """The type of a setting as source text."""
    metadata = list(field.metadata) if field else list(getattr(annotation, "__metadata__", ()))
    for entry in metadata:
        if isinstance(entry, BeforeValidator):
            return SHORT_FORMS[entry.func.__name__]  # type: ignore[union-attr]
    if get_origin(annotation) is Literal:
        return f"Literal[{', '.join(repr(choice) for choice in get_args(annotation))}]"
    if get_origin(annotation) in (Union, types.UnionType):
        return " | ".join("None" if part is type(None) else _kind(part) for part in get_args(annotation))
    if get_origin(annotation) is tuple:
        return "Sequence[float]"
    return str(annotation.__name__)


def _signature(parameters: list[tuple[str, str, str, str]], indent: int = 8) -> str:
    """The parameters in as few lines as they fill."""
    words = [f"{name}: {kind} = {default},".replace("'", '"').replace(" ", "\0") for name, kind, default, _ in parameters]
    margin = " " * indent
    text = textwrap.fill(" ".join(words), WIDTH, initial_indent=margin, subsequent_indent=margin, break_long_words=False)
    return text.replace("\0", " ")


def _described(parameters: list[tuple[str, str, str, str]]) -> str:
    """Each parameter with its type, default and meaning, as help() shows it."""
    lines = ["Parameters", "----------"]
    for name, kind, default, text in parameters:
        meaning = text.replace("--", "").replace("\\", "\\\\")
        lines.append(f"{name} : {kind}, default {default}")
        lines += textwrap.wrap(meaning, WIDTH - 8, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines) + "\n"
