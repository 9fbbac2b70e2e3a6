"""Flags of the commands: each setting of RunConfig is a flag. Only flags that are given override a configuration file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from cyclopts import Group, Parameter
from pydantic import BaseModel, ConfigDict, Field, create_model

from manygate.config import CsvConfig, DataConfig, ModelConfig, RunConfig, TrainConfig, TuneConfig
from manygate.config.serve_settings import ServeConfig
from manygate.config.tune_settings import TRIAL_REPLICAS, SpaceConfig
from manygate.files import read_text
from manygate.schema import Task
from manygate.schema.reading import read_yaml, validated
from manygate.training.progress import ProgressMode

Json = Annotated[bool, Parameter(help="Print one JSON object on stdout; everything else goes to stderr.")]
Device = Annotated[str, Parameter(help="auto, cpu, cuda or cuda:N.")]
Imports = Annotated[
    tuple[str, ...],
    Parameter(name="--import", help="Module with a scheme or weighting of your own, which a bundle, a run or --config names."),
]
ShowProgress = Annotated[ProgressMode, Parameter(help="Bars, plain lines or nothing.")]
ConfigFile = Annotated[Path | None, Parameter(help="Settings as YAML; flags override them.")]
Out = Annotated[Path | None, Parameter(help="Folder to write. Default: runs/NAME-N.")]
Resume = Annotated[Path | None, Parameter(help="Continue the run in this folder, with its own log and settings.")]
Overwrite = Annotated[bool, Parameter(help="Replace the run in --out.")]
CSV = Parameter(name="*", group=Group("CSV files", sort_key=5))
DATA = Parameter(name="*", group=Group("Data", sort_key=2))
MODEL = Parameter(name="*", group=Group("Model", sort_key=3))
TRAINING = Parameter(name="*", group=Group("Training", sort_key=4))
SERVING = Parameter(name="*")
SCHEME_NAMES = "names separated by commas, all for every scheme, module:Class for your own."


def _flag_type(annotation: Any) -> Any:
    """A type that the command line reads without judging; RunConfig judges, so that its errors are the same everywhere."""
    if get_origin(annotation) is Literal or annotation in (str, int, float, bool):
        return annotation
    inner = [argument for argument in get_args(annotation) if argument is not type(None)]
    if get_origin(annotation) is tuple and inner[0] in (str, str | Task):
        return tuple[str, ...]
    if type(None) in get_args(annotation) and inner[0] in (str, int, float, bool):
        return inner[0] | None
    return str


def _optional(field: str, kind: Any, default: Any) -> Any:
    """The type of a flag; a switch without a default can be given either way, --header and --no-header."""
    if bool in get_args(kind):
        return Annotated[kind, Parameter(negative=f"--no-{field.replace('_', '-')}")]
    return kind if default is not None else kind | None


def _text(default: Any) -> Any:
    return ",".join(str(part) for part in default) if isinstance(default, tuple) else default


def _flags(settings: type[BaseModel], name: str, without: type[BaseModel] = BaseModel, **defaults: Any) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    chosen = {field: info for field, info in settings.model_fields.items() if field not in without.model_fields}
    for field, info in chosen.items():
        kind = _flag_type(info.annotation)
        default = defaults.get(field, info.default if kind == tuple[str, ...] else _text(info.default))
        fields[field] = (_optional(field, kind, default), Field(default, description=info.description))
    return create_model(name, __config__=ConfigDict(extra="forbid"), **fields)


CsvFlags = _flags(CsvConfig, "CsvFlags")
DataFlags = _flags(DataConfig, "DataFlags", without=CsvConfig)
ModelFlags = _flags(ModelConfig, "ModelFlags")
TrainFlags = _flags(TrainConfig, "TrainFlags")
CompareFlags = _flags(TrainConfig, "CompareFlags", replicas=8)
TrialFlags = _flags(TrainConfig, "TrialFlags", replicas=TRIAL_REPLICAS)
ServeFlags = _flags(ServeConfig, "ServeFlags")
TuneFlags = _flags(TuneConfig, "TuneFlags", without=SpaceConfig)


def settings_of(*groups: BaseModel | None) -> dict[str, Any]:
    """The flags that were given, by name."""
    given: dict[str, Any] = {}
    for group in groups:
        if group is not None:
            given |= {name: getattr(group, name) for name in group.model_fields_set}
    if isinstance(given.get("fractions"), str):
        given["fractions"] = [part.strip() for part in given["fractions"].split(",")]
    return given


def csv_settings(csv: BaseModel | None) -> CsvConfig | None:
    """The settings of CSV files that are given as flags; None where there are none."""
    given = settings_of(csv)
    return validated(CsvConfig, given, "") if given else None


def resolve(config: Path | None, given: Mapping[str, object]) -> RunConfig:
    """Defaults, overridden by a configuration file, overridden by flags."""
    if config is None:
        return RunConfig.build(given)
    tree = read_yaml(read_text(config), str(config))
    RunConfig.build(tree, str(config))
    return RunConfig.build({**tree, **given})
