"""What tenants say in words: names, tags, reasons, messages; closed where they are made.

    message = texts.at_hand(tenant_id, "no such order") or await texts.closed(tenant_id, …)
    name = (await texts.marks(tenant_id)).closed("Month end")     # equal texts are equal closed
    shown = await texts.opened(tenant_id, f"the child failed: {message}")

A closed text is text: `{sealed:<data key>:<base64url>}`. So it travels wherever its words would
have travelled, and whoever puts a sentence together may put closed parts into it; each opens by
itself. Rules, rows and hashes are about the closed form and need no key. What is empty stays so.

Messages and reasons are closed with the tenant's present key, differently every time. What is
compared (names, tags, keys of concurrency) is closed by marks: with the tenant's first key and a
nonce that follows from the text. They last as long as the tenant's keys and tell nothing after.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from uuid import UUID

import msgspec

from penstock.infra.keyring.data_keys import DataKeys, KeyGone
from penstock.infra.keyring.keks import Unopenable
from penstock.infra.keyring.sealing import Sealer

ABOUT: Final = b"text"
BEGIN: Final = "{sealed:"
BEGIN_BYTES: Final = BEGIN.encode()
CLOSED: Final = re.compile(
    r"\{sealed:([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}):([A-Za-z0-9_-]+)\}"
)
NESTED_MAX: Final = 64
"""How deep a value that is shown may hold texts: as deep as bodies of requests may be."""

Openers = Mapping[str, Sealer]
"""Keys that open, by their names."""


class Marks:
    """Closes one tenant's texts so that they can be compared, without waiting."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def closed(self, text: str) -> str:
        """The text, closed; always the same for the same text."""
        if not text:
            return text
        return written(self._sealer, self._sealer.seal_same(bytes_of(text), about=ABOUT))

    def kept(self, recorded: str) -> str:
        """What history says, closed: histories of before say such things in the clear."""
        return recorded if CLOSED.fullmatch(recorded) else self.closed(recorded)

    def forms(self, text: str) -> list[str]:
        """What the text may stand as in rows: closed, and in the clear in those of before."""
        return [self.closed(text), text]

    def digest(self, text: str) -> str:
        """What tells the text from others and nothing else about it; hex."""
        return self._sealer.digest(bytes_of(text), about=ABOUT).hex()


class Texts:
    """Closes and opens what tenants say in words."""

    def __init__(self, keys: DataKeys) -> None:
        self._keys = keys

    # --- closing ---------------------------------------------------------------------------------

    def at_hand(self, tenant_id: str, text: str) -> str | None:
        """The text, closed, without waiting; None when a key is missing."""
        if not text:
            return text
        sealer = self._keys.at_hand(tenant_id)
        return None if sealer is None else written(sealer, sealer.seal(bytes_of(text), about=ABOUT))

    async def closed(self, tenant_id: str, text: str) -> str:
        """The same, waiting for the key. Raises as `DataKeys.sealer`."""
        if not text:
            return text
        sealer = await self._keys.sealer(tenant_id)
        return written(sealer, sealer.seal(bytes_of(text), about=ABOUT))

    async def marks(self, tenant_id: str) -> Marks:
        """What closes texts that are compared. Raises as `DataKeys.sealer`."""
        return Marks(self._keys.first_at_hand(tenant_id) or await self._keys.first(tenant_id))

    async def kept(self, tenant_id: str, recorded: str) -> str:
        """What history says, closed, as `Marks.kept`; costs nothing where it is. Raises so too."""
        if not recorded or CLOSED.fullmatch(recorded):
            return recorded
        return (await self.marks(tenant_id)).closed(recorded)

    # --- opening: what no key opens any more stays closed -----------------------------------------

    async def opened(self, tenant_id: str, text: str) -> str:
        """The text with its closed parts opened. Raises DatabaseUnavailable, KekUnknown."""
        return text if BEGIN not in text else opened(text, await self._openers(tenant_id, [text]))

    async def shown(self, tenant_id: str, value: Any) -> Any:
        """A value of strings, lists and dicts with all that is closed in it opened; as `opened`."""
        found = list(closed_in(value, NESTED_MAX))
        return within(value, await self._openers(tenant_id, found), NESTED_MAX) if found else value

    async def json(self, tenant_id: str, data: bytes) -> bytes:
        """JSON text with its closed parts opened; as `opened`."""
        if BEGIN_BYTES not in data:
            return data
        text = data.decode()
        return opened(text, await self._openers(tenant_id, [text]), escaped=True).encode()

    def json_at_hand(self, tenant_id: str, data: bytes) -> bytes | None:
        """The same without waiting; None when a key is missing."""
        if BEGIN_BYTES not in data:
            return data
        text, openers = data.decode(), {}
        for name in names_in([text]):
            sealer = self._keys.opener_at_hand(tenant_id, UUID(name))
            if sealer is None:
                return None
            openers[name] = sealer
        return opened(text, openers, escaped=True).encode()

    async def _openers(self, tenant_id: str, texts: Iterable[str]) -> Openers:
        found = {}
        for name in names_in(texts):
            key_id = UUID(name)
            try:
                found[name] = self._keys.opener_at_hand(
                    tenant_id, key_id
                ) or await self._keys.opener(tenant_id, key_id)
            except KeyGone:
                continue
        return found


def bytes_of(text: str) -> bytes:
    """A text as what is sealed; half a character, as some errors quote it, becomes a `?`."""
    return text.encode(errors="replace")


def written(sealer: Sealer, sealed: bytes) -> str:
    """What was sealed, as text."""
    return f"{BEGIN}{sealer.name}:{urlsafe_b64encode(sealed).rstrip(b'=').decode()}}}"


def names_in(texts: Iterable[str]) -> list[str]:
    """The names of the keys that close something in texts, each once."""
    return list(dict.fromkeys(found[1] for text in texts for found in CLOSED.finditer(text)))


def opened(text: str, openers: Openers, *, escaped: bool = False) -> str:
    """A text with its closed parts opened. escaped: as JSON has them in its strings."""

    def said(found: re.Match[str]) -> str:
        sealer = openers.get(found[1])
        words = None if sealer is None else words_of(sealer, found[2])
        if words is None:
            return found[0]
        return msgspec.json.encode(words).decode()[1:-1] if escaped else words

    return CLOSED.sub(said, text)


def words_of(sealer: Sealer, code: str) -> str | None:
    """What was closed; None for what the key does not open."""
    try:
        sealed = urlsafe_b64decode(code + "=" * (-len(code) % 4))
        return sealer.open(sealed, about=ABOUT).decode()
    except (Unopenable, ValueError):
        return None


def closed_in(value: Any, deep: int) -> Iterator[str]:
    """The strings in a value that have closed parts."""
    if isinstance(value, str):
        if BEGIN in value:
            yield value
    elif deep and isinstance(value, dict | list | tuple):
        for each in value.values() if isinstance(value, dict) else value:
            yield from closed_in(each, deep - 1)


def within(value: Any, openers: Openers, deep: int) -> Any:
    """A value whose strings have their closed parts opened."""
    if isinstance(value, str):
        return opened(value, openers)
    if deep and isinstance(value, dict):
        return {name: within(each, openers, deep - 1) for name, each in value.items()}
    if deep and isinstance(value, list | tuple):
        return [within(each, openers, deep - 1) for each in value]
    return value
