"""Calls about secrets: values of the tenant that some fields of steps read and nobody is shown.

`secret` is a secret's name or id.
"""

from datetime import datetime
from uuid import uuid4

from penstock.client.calls import Call, delete, encoded, get, reading, segment
from penstock.client.models import Model, Page

PATH = "/api/secrets"


class Secret(Model, frozen=True, kw_only=True):
    """That there is a secret, which some fields of steps read as `secrets.<name>`."""

    id: str
    name: str
    created_by: str | None = None
    created_at: datetime | None = None
    updated_by: str | None = None
    updated_at: datetime | None = None


def create_secret(name: str, value: str) -> Call[Secret]:
    """Make a secret; steps that begin a few seconds from now read it as `secrets.<name>`.

    Raises Invalid, Conflict (the name is taken).
    """
    body, headers = encoded({"name": name, "value": value})
    return Call(
        method="POST",
        path=PATH,
        read=reading(Secret),
        headers={**headers, "Idempotency-Key": uuid4().hex},
        body=body,
        repeatable=True,
    )


def list_secrets(*, limit: int | None = None, cursor: str | None = None) -> Call[Page[Secret]]:
    """A page of names, with who set them when. limit: 1 to 200."""
    return get(PATH, Page[Secret], limit=limit, cursor=cursor)


def update_secret(secret: str, value: str) -> Call[Secret]:
    """Give a secret another value. Raises Invalid, NotFound."""
    body, headers = encoded({"value": value})
    path = f"{PATH}/{segment(secret)}"
    read = reading(Secret)
    return Call(method="PUT", path=path, read=read, headers=headers, body=body, repeatable=True)


def remove_secret(secret: str) -> Call[None]:
    """Let no step read the secret any more. Raises NotFound."""
    return delete(f"{PATH}/{segment(secret)}")
