"""The little HTTP that the supervisor itself speaks, to processes on this machine.

The standard library's client: the supervisor lives as long as the stack, so it stays small. No
proxy from the environment is ever asked.
"""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_S = 5.0
BODY_BYTES_MAX = 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """A status and the body as JSON; None when there is none."""

    status: int
    body: Any


def is_ok(url: str) -> bool:
    """Whether a GET of `url` is answered with 200."""
    try:
        return call("GET", url).status == http.client.OK
    except OSError:
        return False


def call(
    method: str, url: str, *, headers: Mapping[str, str] | None = None, body: Any = None
) -> Answer:
    """One request; OSError when nobody answers."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    sent = None if body is None else json.dumps(body)
    typed = {} if body is None else {"Content-Type": "application/json"}
    try:
        connection.request(method, parts.path, sent, {**typed, **(headers or {})})
        response = connection.getresponse()
        content = response.read(BODY_BYTES_MAX)
        return Answer(response.status, _parsed(content))
    except http.client.HTTPException as error:
        raise ConnectionError(repr(error)) from error
    finally:
        connection.close()


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None
