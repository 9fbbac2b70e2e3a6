"""The settings of the server."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from manygate.config.base import Settings
from manygate.errors import InputError, raise_all, setting

LOCAL_NAMES = ("localhost",)


class ServeConfig(Settings):
    """Settings of the server.

    >>> ServeConfig(port=9000).is_local, ServeConfig(host="::1").is_local
    (True, True)
    """

    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on. 0.0.0.0 is every address, and needs a token.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on. 0 takes a free one.")
    name: str | None = Field(None, description="Name of the model in the URLs of the V2 protocol. Default: the folder's name.")
    workers: int = Field(1, ge=1, le=256, description="Processes that answer. They share the memory of the weights.")
    threads: int | None = Field(None, ge=1, description="CPU threads of a prediction. Default: the cores, divided by the workers.")
    deadline: float = Field(
        1.0, gt=0, le=600, description="Seconds after which a request that still waits for its prediction is refused."
    )
    queue: int = Field(128, ge=1, description="Most requests of a worker that wait or run. Further ones are refused with 429.")
    batch_rows: int = Field(1024, ge=1, description="Most rows of requests that are predicted together.")
    max_rows: int = Field(10_000, ge=1, description="Most rows of a request.")
    max_body: int = Field(16_000_000, ge=1, description="Most bytes of a request's body.")
    body_seconds: float = Field(10.0, gt=0, le=3600, description="Seconds in which a client must have sent its request.")
    connections: int = Field(1000, ge=1, description="Most open connections of a worker.")
    drain: float = Field(
        1.0, ge=0, le=600, description="Seconds after SIGTERM in which requests are still accepted, while ready says no."
    )
    watch: float = Field(1.0, ge=0.05, le=3600, description="Seconds between looks for a new model, calibration or fusion.")
    calibration: Path | None = Field(
        None, description="calibration.json that replaces the model's. A change is picked up while the server runs."
    )
    fusion: Path | None = Field(None, description="fusion.json that replaces the model's. A change is picked up, too.")
    token_file: Path | None = Field(
        None, description="File with the token that a request must bring. The variable MANYGATE_TOKEN does the same."
    )
    certificate: Path | None = Field(None, description="TLS certificate (PEM), with its chain.")
    key: Path | None = Field(None, description="Private key of the certificate (PEM).")
    log_requests: Path | None = Field(None, description="Folder for Parquet files of sampled requests and their predictions.")
    log_share: float = Field(0.01, gt=0, le=1, description="Share of requests that --log-requests keeps.")
    log_level: Literal["debug", "info", "warning"] = Field("info", description="info logs each request, warning problems alone.")

    @field_validator("name")
    @classmethod
    def _name_fits_a_url(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(r"[\w.-]{1,100}", name):
            raise InputError(f"{setting('name', name)}: expected letters, digits, '.', '_' and '-' alone.")
        return name

    @model_validator(mode="after")
    def _fit_together(self) -> ServeConfig:
        problems = []
        if (self.certificate is None) != (self.key is None):
            given, other = ("certificate", "key") if self.key is None else ("key", "certificate")
            problems.append(f"{setting(given)} needs {setting(other)}, too.")
        raise_all(problems)
        return self

    @property
    def is_local(self) -> bool:
        """True if only programs of this machine can connect."""
        if self.host in LOCAL_NAMES:
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False
