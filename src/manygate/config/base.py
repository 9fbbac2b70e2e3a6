"""The base of settings: what is refused for each of them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

from manygate.config.values import is_misused_bool
from manygate.errors import InputError, setting


class Settings(BaseModel):
    """Settings that are frozen. An unknown setting is an error, and so is a number that is not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: object, info: ValidationInfo) -> object:
        """Refuse true and false where numbers are expected: pydantic would take them for 1 and 0."""
        name = str(info.field_name)
        if is_misused_bool(cls.model_fields[name].annotation, value):
            raise InputError(f"{setting(name)}: expected a number; found {value!r}.")
        return value
