"""The tenant `default` of a stack, made through the HTTP API at the first start."""

import json
import secrets
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from penstock.dev.errors import ServerFailed
from penstock.dev.kept import write_private
from penstock.dev.loopback import Answer, call

NAME = "default"
UNLIMITED = {"limits": {"maxWorkflows": None, "maxExecutionsPerDay": None}}
"""Whoever starts a stack on their own machine shares it with nobody."""
WITHIN_S = 20.0
PAUSE_S = 0.1
LATER = frozenset({HTTPStatus.ACCEPTED, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.CONFLICT})
"""Accepted but not decided yet, not able to, or the same request still under way."""


@dataclass(frozen=True)
class DefaultTenant:
    """The tenant's id and the key of its first admin."""

    id: str
    api_key: str = field(repr=False)


def default_tenant(file: Path, api_url: str, admin_key: str) -> DefaultTenant:
    """The tenant that `file` remembers, made and remembered when there is none."""
    headers = {"Authorization": f"Bearer {admin_key}"}
    remembered = _remembered(file)
    if remembered is not None and not _is_unknown(remembered, api_url, headers):
        return remembered
    made = _made(api_url, headers)
    write_private(file, json.dumps({"id": made.id, "apiKey": made.api_key}))
    return made


def _remembered(file: Path) -> DefaultTenant | None:
    try:
        kept = json.loads(file.read_text())
        return DefaultTenant(kept["id"], kept["apiKey"])
    except (FileNotFoundError, ValueError, KeyError):
        return None


def _is_unknown(tenant: DefaultTenant, api_url: str, headers: dict[str, str]) -> bool:
    """Whether the API says for sure that it has no such tenant: another database, then."""
    try:
        answer = call("GET", f"{api_url}/api/tenants/{tenant.id}", headers=headers)
    except OSError:
        return False
    return answer.status == HTTPStatus.NOT_FOUND


def _made(api_url: str, headers: dict[str, str]) -> DefaultTenant:
    """Make it; the key of the request lets a repetition get the first one's answer."""
    repeatable = headers | {"Idempotency-Key": secrets.token_hex(16)}
    deadline = time.monotonic() + WITHIN_S
    while True:
        try:
            url = f"{api_url}/api/tenants"
            answer = call("POST", url, headers=repeatable, body={"name": NAME, "config": UNLIMITED})
        except OSError as error:
            answer = Answer(HTTPStatus.SERVICE_UNAVAILABLE, {"detail": str(error)})
        if answer.status in {HTTPStatus.OK, HTTPStatus.CREATED}:
            return DefaultTenant(answer.body["id"], answer.body["adminApiKey"])
        if answer.status not in LATER or time.monotonic() > deadline:
            told = answer.body.get("detail") if isinstance(answer.body, dict) else answer.body
            raise ServerFailed(f"the tenant {NAME!r} was not made: {answer.status} {told}")
        time.sleep(PAUSE_S)
