"""Who `penstock login` has logged in: tokens in a file of their own, 0600, renewed as they run out.

The file is beside a local stack's data, or in the user's folder of settings for any other server.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import time
from typing import Final

import msgspec
from msgspec import Struct

from penstock.client.errors import NotConfigured
from penstock.client.users import Tokens

FILE: Final = "session.json"
RENEW_S: Final = 60
"""A token with less time left is renewed before it is used."""

Renew = Callable[[str, str], Tokens]
"""The next tokens of a session, by the server's URL and the refresh token."""


class SignedIn(Struct, frozen=True, kw_only=True, rename="camel"):
    """A session at a server. expires_at: of `token`, seconds since the epoch."""

    url: str
    token: str
    refresh_token: str
    expires_at: int


def of_tokens(url: str, tokens: Tokens) -> SignedIn:
    """A session as it is kept."""
    return SignedIn(
        url=url,
        token=tokens.token,
        refresh_token=tokens.refresh_token,
        expires_at=int(time()) + tokens.expires_in,
    )


def user_file() -> Path:
    """Where the session of a server that is not a local stack is kept."""
    folder = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(folder) / "penstock" / FILE


def kept(path: Path) -> SignedIn | None:
    """The session in a file; None where there is none. Raises NotConfigured."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=SignedIn)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise NotConfigured(f"{path} cannot be read: {error}: log in again") from None


def keep(path: Path, session: SignedIn) -> None:
    """Write a session that nobody else can read, at once or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(session))
    fresh.replace(path)


def current(path: Path, renew: Renew) -> SignedIn | None:
    """The session in a file, its token renewed where that is due. Raises what `renew` raises.

    One command at a time renews: a refresh token is good once.
    """
    if kept(path) is None:
        return None
    with _locked(path):
        session = kept(path)
        if session is None or session.expires_at - RENEW_S > time():
            return session
        session = of_tokens(session.url, renew(session.url, session.refresh_token))
        keep(path, session)
        return session


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = path.with_name(f"{path.name}.lock")
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
