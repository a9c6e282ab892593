"""Calls about people: the tenant's users, and logging in as one."""

from datetime import datetime
from typing import Final
from uuid import uuid4

from penstock.client.calls import Call, delete, get, json_body, nothing, reading, segment
from penstock.client.models import Model, Page

PATH: Final = "/api/users"


class User(Model, frozen=True, kw_only=True):
    """A user of the tenant. `invite_token` is there once, in the answer that made them."""

    id: str
    email: str
    name: str
    role: str
    status: str
    created_by: str | None = None
    created_at: datetime | None = None
    accepted_at: datetime | None = None
    invite_token: str | None = None


class Tokens(Model, frozen=True, kw_only=True):
    """What a login gives. expires_in: seconds that `token` is good for."""

    token: str
    refresh_token: str
    expires_in: int


def create_user(
    email: str, *, role: str, name: str = "", password: str | None = None
) -> Call[User]:
    """Add a user; without a password they are invited. Raises Invalid, Conflict, Forbidden."""
    members = {"email": email, "role": role, "name": name}
    body, headers = json_body(**members, password=password)
    return Call(
        method="POST",
        path=PATH,
        read=reading(User),
        headers={**headers, "Idempotency-Key": uuid4().hex},
        body=body,
        repeatable=True,
    )


def list_users(*, limit: int | None = None, cursor: str | None = None) -> Call[Page[User]]:
    """A page of this tenant's users, newest first."""
    return get(PATH, Page[User], limit=limit, cursor=cursor)


def get_user(user_id: str) -> Call[User]:
    """One user. Raises NotFound."""
    return get(f"{PATH}/{segment(user_id)}", User)


def update_user(user_id: str, *, role: str | None = None, name: str | None = None) -> Call[User]:
    """Give a user another role or name. Raises NotFound, Conflict (LAST_ADMIN)."""
    body, headers = json_body(role=role, name=name)
    return Call(
        method="PATCH",
        path=f"{PATH}/{segment(user_id)}",
        read=reading(User),
        headers=headers,
        body=body,
        repeatable=True,
    )


def invite_again(user_id: str) -> Call[User]:
    """Invite a user once more: their password, sessions and former invitations are void.

    The answer's `invite_token` is for `/auth/accept`. Raises NotFound.
    """
    path = f"{PATH}/{segment(user_id)}/invitation"
    return Call(method="POST", path=path, read=reading(User))


def change_password(password: str, new_password: str) -> Call[None]:
    """Choose another password; one's other sessions end. Raises Forbidden (WRONG_PASSWORD)."""
    body, headers = json_body(password=password, newPassword=new_password)
    return Call(method="POST", path="/api/auth/password", read=nothing, headers=headers, body=body)


def delete_user(user_id: str) -> Call[None]:
    """Remove a user. Raises NotFound, Conflict (LAST_ADMIN)."""
    return delete(f"{PATH}/{segment(user_id)}")


def log_in(email: str, password: str) -> Call[Tokens]:
    """Begin a session. Raises Unauthorized, RateLimited."""
    body, headers = json_body(email=email, password=password)
    return Call(
        method="POST", path="/api/auth/login", read=reading(Tokens), headers=headers, body=body
    )


def refresh(refresh_token: str) -> Call[Tokens]:
    """The next tokens of a session: a refresh token is good once. Raises Unauthorized."""
    body, headers = json_body(refreshToken=refresh_token)
    return Call(
        method="POST", path="/api/auth/refresh", read=reading(Tokens), headers=headers, body=body
    )


def log_out(refresh_token: str) -> Call[None]:
    """End a session."""
    body, headers = json_body(refreshToken=refresh_token)
    return Call(
        method="POST",
        path="/api/auth/logout",
        read=nothing,
        headers=headers,
        body=body,
        repeatable=True,
    )
