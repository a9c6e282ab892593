"""People in the HTTP contract: users, what they log in with, and what they get for it."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field

from penstock.api.identity.addresses import EMAIL_MAX_CHARACTERS, normal_email
from penstock.api.identity.passwords import PASSWORD_MAX_CHARACTERS, PASSWORD_MIN_CHARACTERS
from penstock.api.schemas import NAME_MAX, Name, TenantRole, Wire, printable
from penstock.domain.identity import Role
from penstock.domain.user.state import Status

TOKEN_MAX = 256


def email_address(text: str) -> str:
    """An address that a user can have, in lower case."""
    found = normal_email(text)
    if found is None:
        raise ValueError("must be an email address")
    return found


Email = Annotated[str, Field(max_length=EMAIL_MAX_CHARACTERS), AfterValidator(email_address)]
Password = Annotated[
    str, Field(min_length=PASSWORD_MIN_CHARACTERS, max_length=PASSWORD_MAX_CHARACTERS)
]
Token = Annotated[str, Field(min_length=1, max_length=TOKEN_MAX)]
PersonName = Annotated[str, Field(max_length=NAME_MAX), AfterValidator(printable)]


class Registration(Wire):
    """A tenant to be made, with its first admin."""

    tenant_name: Name
    email: Email
    password: Password
    name: PersonName = ""


class Login(Wire):
    """What a user proves themselves with; any text may be tried."""

    email: Annotated[str, Field(max_length=1024)]
    password: Annotated[str, Field(max_length=1024)]


class RefreshToken(Wire):
    """A refresh token, good once."""

    refresh_token: Token


class Acceptance(Wire):
    """An invitation, and the password from now on."""

    token: Token
    password: Password


class PasswordChange(Wire):
    """The password until now, any text may be tried, and the one from now on."""

    password: Annotated[str, Field(max_length=1024)]
    new_password: Password


class NewUser(Wire):
    """A user to be added, or invited where there is no password."""

    email: Email
    role: TenantRole
    name: PersonName = ""
    password: Password | None = None


class UserChange(Wire):
    """JSON merge patch of a user."""

    role: TenantRole | None = None
    name: PersonName | None = None


class UserShown(Wire):
    """A user; `inviteToken` only in the answer that made it."""

    id: str
    email: str
    name: str
    role: Role
    status: Status
    created_by: str
    created_at: datetime
    accepted_at: datetime | None
    invite_token: str | None = None


class TokensShown(Wire):
    """Somebody is logged in. expiresIn: seconds that `token` is good for."""

    token: str
    refresh_token: str
    expires_in: int


class OwnTenant(Wire):
    """The tenant that a caller belongs to."""

    id: str
    name: str


class RegisteredShown(TokensShown):
    """A new tenant and its first admin, who is logged in."""

    tenant: OwnTenant
    user: UserShown


class MeShown(Wire):
    """Who calls. user: None for an API key; tenant: None for a platform admin who names none."""

    actor: str
    role: Role
    permissions: list[str]
    tenant: OwnTenant | None
    user: UserShown | None
