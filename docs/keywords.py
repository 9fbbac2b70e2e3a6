"""Write src/manygate/ranker/ranker_keywords.py: the settings as explicit keyword parameters of mg.Ranker and mg.compare."""

from __future__ import annotations

import textwrap
import types
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BeforeValidator
from pydantic.fields import FieldInfo

from manygate.config import DataConfig, ModelConfig, RunConfig, TrainConfig, TuneConfig
from manygate.config.tune_settings import TRIAL_REPLICAS
from manygate.text import arguments

WIDTH = 132
SHORT_FORMS = {
    "_specs": "Tasks",
    "_names": "Names",
    "_widths": "Widths",
    "_rows": "Rows",
    "_numbers": "Numbers",
    "_number_rows": "NumberRows",
    "column_types": "ColumnTypes",
    "class_name": "ClassName",
    "scheme_names": "ClassNames",
    "weighting_names": "ClassNames",
    "baseline_names": "Names | None",
}
"""The alias that stands for what a short form of :mod:`manygate.config.values` accepts."""
NOT_ARGUMENTS = ("config_version", "log")
COMPARISON = ("architectures", "weightings", "baselines", "weight_sweep", "id_dropouts", "tune")
HEAD = '''"""{subject} Written by ``make docs``; do not edit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

{imports}

Tasks: TypeAlias = str | Task | Mapping[str, Any] | Sequence[str | Task | Mapping[str, Any]]
Names: TypeAlias = str | Sequence[str]
Widths: TypeAlias = int | str | Sequence[int]
Rows: TypeAlias = int | str | Sequence[int] | Sequence[Sequence[int]]
Numbers: TypeAlias = float | str | Sequence[float]
ColumnTypes: TypeAlias = str | Mapping[str, str] | Sequence[str]
NumberRows: TypeAlias = str | Sequence[float] | Sequence[Sequence[float]]
ClassName: TypeAlias = str | type[Any]
ClassNames: TypeAlias = str | type[Any] | Sequence[str | type[Any]]
'''
COMPARE_DOC = """Compares ways of sharing on one log: what each task gains or loses, and how sure that is.

Trains every one of ``architectures`` (default: six) with the same rows, seeds and budget, ``replicas`` times, and compares each
task with its own single-task model. The arguments before the settings are those of :meth:`manygate.Ranker.fit`. Returns a
:class:`manygate.Comparison`, which holds the trained models. Raises :class:`manygate.InputError`, which lists every problem.
"""
TUNE_DOC = """Searches for settings of one architecture, and measures what they gain over the default ones.

Trials train with settings that a sampler proposes, and validation rows judge them. Then the best settings and the default ones are
trained again with fresh seeds, and judged on test rows. Without ``space`` the architecture has a default space, in which settings
that you give stay as they are; one that has the value of its default counts as not given. Returns a :class:`manygate.Tuning`.
Raises :class:`manygate.InputError`, which lists every problem.
Calls with the same ``out`` share the trials, also from several processes, and continue a search that was stopped.
"""
RANDOM_STATE = ("random_state", "int | None", "None", "Another name of ``seed``, as in scikit-learn.")
SCHEMA = ("schema", "Schema | str | Path | None", "None", "A schema, or the YAML file of one. Default: inferred from the log.")


def ranker_module() -> str:
    """The source of ranker/ranker_keywords.py."""
    parameters = [SCHEMA, *_parameters(without=COMPARISON), RANDOM_STATE]
    imports = "from manygate.schema import Schema, Task"
    return f'''{HEAD.format(subject="The settings as keyword parameters of mg.Ranker.", imports=imports)}
PARAMETERS = """
{_described(parameters)}"""


class RankerKeywords:
    """The constructor of :class:`manygate.Ranker`."""

    # fmt: off
    def __init__(
        self, *,
{_signature(parameters, 8)}
        **unknown: Any,
    ) -> None:
        keywords = dict(locals())
        self._set_keywords({{name: keywords[name] for name in keywords if name not in ("self", "unknown")}} | unknown)
    # fmt: on

    def _set_keywords(self, keywords: dict[str, Any]) -> None:
        raise NotImplementedError
'''


def compare_module() -> str:
    """The source of ranker/compare_keywords.py."""
    parameters = [SCHEMA, *_parameters(without=("architecture", "valid", "test")), RANDOM_STATE]
    parameters = [(name, kind, "8" if name == "replicas" else default, text) for name, kind, default, text in parameters]
    imports = (
        "from manygate.ranker.comparison import Comparison, compare_log\n"
        "from manygate.schema import Schema, Task\n"
        "from manygate.training.callback import OnEpoch\n"
        "from manygate.training.progress import ProgressMode"
    )
    return f'''{HEAD.format(subject="The settings as keyword parameters of mg.compare.", imports=imports)}
RUN = ("log", "valid", "test", "out", "resume", "overwrite", "progress", "on_epoch")


# fmt: off
def compare(
    log: Any, valid: Any = None, test: Any = None, *,
    out: str | Path | None = None, resume: bool = False, overwrite: bool = False,
    progress: ProgressMode | bool = "auto", on_epoch: OnEpoch | None = None,
{_signature(parameters, 4)}
    **unknown: Any,
) -> Comparison:
    settings = dict(locals())
    settings |= settings.pop("unknown")
    return compare_log(settings, **{{name: settings.pop(name) for name in RUN}})
# fmt: on


compare.__doc__ = """{COMPARE_DOC}
{_described(parameters)}"""
'''


def tune_module() -> str:
    """The source of ranker/tune_keywords.py."""
    parameters = [SCHEMA, *_parameters(without=(*COMPARISON, "valid", "test")), RANDOM_STATE]
    own = {"replicas": str(TRIAL_REPLICAS)}
    parameters = [(name, kind, own.get(name, default), text) for name, kind, default, text in parameters]
    imports = (
        "from manygate.ranker.tuning import Tuning, tune_log\n"
        "from manygate.schema import Schema, Task\n"
        "from manygate.training.progress import ProgressMode"
    )
    searched = [_searched(name, field) for name, field in TuneConfig.model_fields.items()]
    return f'''{HEAD.format(subject="The settings as keyword parameters of mg.tune.", imports=imports)}
RUN = ("log", "valid", "test", "out", "overwrite", "progress")


# fmt: off
def tune(
    log: Any, valid: Any = None, test: Any = None, *,
    out: str | Path | None = None, overwrite: bool = False, progress: ProgressMode | bool = "auto",
{_signature(searched, 4)}
{_signature(parameters, 4)}
    **unknown: Any,
) -> Tuning:
    settings = dict(locals())
    settings |= settings.pop("unknown")
    return tune_log(settings, **{{name: settings.pop(name) for name in RUN}})
# fmt: on


tune.__doc__ = """{TUNE_DOC}
{_described([*searched, *parameters])}"""
'''


def _searched(name: str, field: FieldInfo) -> tuple[str, str, str, str]:
    """A setting of a search as (name, type, default, description)."""
    if name == "space":
        return name, "Mapping[str, Any] | None", "None", field.description or ""
    return name, _kind(field.annotation, field), repr(field.default), field.description or ""


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


def _signature(parameters: list[tuple[str, str, str, str]], indent: int) -> str:
    """The parameters in as few lines as they fill."""
    words = [f"{name}: {kind} = {default},".replace("'", '"').replace(" ", "\0") for name, kind, default, _ in parameters]
    margin = " " * indent
    text = textwrap.fill(" ".join(words), WIDTH, initial_indent=margin, subsequent_indent=margin, break_long_words=False)
    return text.replace("\0", " ")


def _described(parameters: list[tuple[str, str, str, str]]) -> str:
    """Each parameter with its type, default and meaning, as help() shows it."""
    lines = ["Parameters", "----------"]
    for name, kind, default, text in parameters:
        meaning = arguments(text).replace("\\", "\\\\")
        lines.append(f"{name} : {kind}, default {default}")
        lines += textwrap.wrap(meaning, WIDTH - 8, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines) + "\n"
