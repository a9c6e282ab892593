"""The keys and passwords of one stack: from the environment, else made once and kept in `keys/`."""

import base64
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from penstock.dev.kept import kept, password
from penstock.dev.options import StackSettings
from penstock.infra.nats.users import OWNER, USERS
from penstock.infra.settings import KEY_BYTES

ROLES = {
    "api": "penstock_api",
    "scheduler": "penstock_scheduler",
    "executor": "penstock_executor",
    "projector": "penstock_projector",
}
"""Each service's role in Postgres."""


@dataclass(frozen=True)
class Credentials:
    """What the stack's processes prove themselves with.

    `role_passwords` is by role in Postgres, `nats_passwords` by user of NATS, its owner among them.

    key_encryption_keys_old: those given, separated by commas.
    """

    admin_key: str = field(repr=False)
    key_encryption_key: str = field(repr=False)
    nats_passwords: dict[str, str] = field(repr=False)
    role_passwords: dict[str, str] = field(repr=False)
    key_encryption_keys_old: str = field(default="", repr=False)
    pepper_key: str = field(default="", repr=False)


def credentials(keys: Path, settings: StackSettings) -> Credentials:
    """The stack's credentials; what is made is kept in the folder `keys`, mode 0600."""
    given_admin = settings.admin_key.get_secret_value()
    given_key = settings.key_encryption_key.get_secret_value()
    key = given_key or kept(keys / "encryption.key", _encryption_key)
    given_pepper = settings.pepper_key.get_secret_value() if settings.pepper_key else ""
    return Credentials(
        admin_key=given_admin or kept(keys / "admin.key", _admin_key),
        key_encryption_key=key,
        # The first key goes on peppering when another one has taken its place.
        pepper_key=given_pepper or kept(keys / "pepper.key", lambda: key),
        key_encryption_keys_old=",".join(
            key.get_secret_value() for key in settings.key_encryption_keys_old
        ),
        nats_passwords={
            OWNER: kept(keys / "nats.password", password),
            **{name: kept(keys / f"nats-{name}.password", password) for name in USERS},
        },
        role_passwords={role: kept(keys / f"{role}.password", password) for role in ROLES.values()},
    )


def role_url(owner_url: str, role: str, role_password: str) -> str:
    """`owner_url` for another role."""
    parts = urlsplit(owner_url)
    server = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:{quote(role_password, safe='')}@{server}"))


def _admin_key() -> str:
    return f"psk_{secrets.token_hex(8)}_{secrets.token_urlsafe(32)}"


def _encryption_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode()
