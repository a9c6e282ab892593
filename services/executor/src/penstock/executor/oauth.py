"""Tokens by the OAuth 2.0 client credentials grant (RFC 6749, 4.4), kept until shortly before their
end.

They are kept by tenant and by all that the connection says: one that was changed gets a new token.
"""

import asyncio
import hashlib
import hmac
import os
import time
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Annotated
from urllib.parse import quote, urlencode
from weakref import WeakValueDictionary

import msgspec
from msgspec import Meta, Struct

from penstock.executor.connections import Connection
from penstock.executor.outbound import Answer, Call
from penstock.executor.outcome import StepFault

TOKENS_MAX = 1_000
"""Tokens at hand; those longest not used make room."""
EARLY_S = 30.0
"""A token is renewed so long before its end, or in the middle of a shorter life."""
LIFE_DEFAULT_S = 300.0
"""Of a token that does not say when it ends."""
LIFE_MAX_S = 24 * 3600.0
TOKEN_TIMEOUT_MS = 10_000
ANSWER_BYTES_MAX = 64 * 1024

Send = Callable[[Call], Awaitable[Answer]]


class Granted(Struct):
    """A token server's answer."""

    access_token: Annotated[str, Meta(min_length=1, max_length=16 * 1024)]
    token_type: str = "bearer"
    expires_in: float | str | None = None


class Token(Struct, frozen=True):
    """A token in use. until: when it is asked for anew."""

    text: str
    until: float


class Tokens:
    """Gets and keeps tokens. clock: seconds, monotonic."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[bytes, Token] = OrderedDict()
        self._locks: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()
        self._mark = os.urandom(32)

    async def token(self, tenant: str, connection: Connection, send: Send) -> str:
        """A token for the connection. Raises StepFault, and what `send` does."""
        key = self._key(tenant, connection)
        async with self._locks.setdefault(key, asyncio.Lock()):
            kept = self._kept.get(key)
            if kept is None or kept.until <= self._clock():
                granted = await granted_to(tenant, connection, send)
                kept = Token(granted.access_token, self._clock() + life_s(granted))
                self._kept[key] = kept
            self._kept.move_to_end(key)
            if len(self._kept) > TOKENS_MAX:
                self._kept.popitem(last=False)
            return kept.text

    def drop(self, tenant: str, connection: Connection, text: str) -> None:
        """Forget a token that was refused."""
        key = self._key(tenant, connection)
        kept = self._kept.get(key)
        if kept is not None and kept.text == text:
            del self._kept[key]

    def _key(self, tenant: str, connection: Connection) -> bytes:
        about = msgspec.json.encode([tenant, connection], order="deterministic")
        return hmac.digest(self._mark, about, hashlib.sha256)


def life_s(granted: Granted) -> float:
    """How long a token is used."""
    try:
        life = float(granted.expires_in or LIFE_DEFAULT_S)
    except ValueError:
        life = LIFE_DEFAULT_S
    return min(max(life - EARLY_S, life / 2, 0.0), LIFE_MAX_S)


async def granted_to(tenant: str, connection: Connection, send: Send) -> Granted:
    """A new token."""
    answer = await send(call_of(tenant, connection))
    if answer.status != 200:
        retryable = answer.status >= 500 or answer.status == 429
        said = f"the token server of {connection.name!r} answered {answer.status}"
        raise StepFault("OAUTH2_REFUSED", said, retryable=retryable)
    try:
        granted = msgspec.json.decode(answer.body, type=Granted)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        said = f"the token server of {connection.name!r} gave no token"
        raise StepFault("OAUTH2_REFUSED", said) from None
    if granted.token_type.lower() != "bearer":
        said = f"the token of {connection.name!r} is of a type that nobody here knows"
        raise StepFault("OAUTH2_REFUSED", said)
    return granted


def call_of(tenant: str, connection: Connection) -> Call:
    """The request for a token; it follows no redirects, for it is a credential itself."""
    config, secret = connection.config, connection.secrets["clientSecret"]
    asked = {"grant_type": "client_credentials"}
    asked |= {name: config[name] for name in ("scope", "audience") if name in config}
    headers = {
        "accept": "application/json",
        "content-type": "application/x-www-form-urlencoded",
    }
    if config.get("authentication", "basic") == "basic":
        pair = f"{quote(config['clientId'], safe='')}:{quote(secret, safe='')}"
        headers["authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    else:
        asked |= {"client_id": config["clientId"], "client_secret": secret}
    return Call(
        tenant=tenant,
        method="POST",
        url=config["tokenUrl"],
        headers=tuple(headers.items()),
        body=urlencode(asked).encode(),
        timeout_ms=TOKEN_TIMEOUT_MS,
        redirects_max=0,
        body_max=ANSWER_BYTES_MAX,
    )
