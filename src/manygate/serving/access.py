"""Who may ask: the token that requests bring."""

from __future__ import annotations

import hmac
import os

from manygate.config.serve_settings import ServeConfig
from manygate.errors import InputError, setting
from manygate.files import read_text

VARIABLE = "MANYGATE_TOKEN"
SHORTEST = 16
MAKE = "Make one with: openssl rand -hex 32"


def read_token(settings: ServeConfig) -> str | None:
    """Return the token of the server, or None if it has none.

    Raises :class:`InputError` if other machines can connect and there is no token, or if it is too easy to guess.
    """
    path = settings.token_file
    source = setting("token_file", path) if path else VARIABLE
    token = read_text(path).strip() if path else os.environ.get(VARIABLE, "").strip()
    if path and not token:
        raise InputError(f"{source}: the file is empty. {MAKE}")
    if not token and not settings.is_local:
        raise InputError(
            f"{setting('host', settings.host)}: other machines can connect, so requests must bring a token. Name its file in "
            f"{setting('token_file')}. {MAKE}"
        )
    if token and (len(token) < SHORTEST or not token.isascii() or not token.isprintable() or " " in token):
        raise InputError(f"{source}: a token has {SHORTEST} or more printable ASCII characters and no space. {MAKE}")
    return token or None


def brings(authorization: str | None, token: str | None) -> bool:
    """Return whether a request may be answered. ``authorization`` is the header of that name.

    >>> brings("Bearer abc", "abc"), brings("Bearer abd", "abc"), brings(None, "abc"), brings(None, None)
    (True, False, False, True)
    """
    if token is None:
        return True
    scheme, _, given = (authorization or "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())
