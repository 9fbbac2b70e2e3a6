"""The reasons for which a request gets no prediction. Each has a status of HTTP."""

from __future__ import annotations

from manygate.errors import InputError


class Refusal(Exception):  # noqa: N818
    """A request that is not answered. The text goes to the client, so it holds no value of a feature and no path."""

    status = 500

    def __init__(self, problems: str | list[str], headers: dict[str, str] | None = None):
        self.problems = [problems] if isinstance(problems, str) else problems
        self.headers = headers or {}
        super().__init__(InputError(self.problems).args[0])


class BadRequest(Refusal):
    """The request cannot be read."""

    status = 400


class TooLarge(Refusal):
    """The request is larger than a limit."""

    status = 413


class TooSlow(Refusal):
    """The client did not send its request in time."""

    status = 408


class Full(Refusal):
    """Too many requests wait already."""

    status = 429


class Late(Refusal):
    """The deadline passed before the model could run."""

    status = 504


class NoAccess(Refusal):
    """The request brings no token, or a wrong one."""

    status = 401


class Unknown(Refusal):
    """There is no model or version of that name."""

    status = 404


class Packed(Refusal):
    """The body is packed."""

    status = 415
