"""What a store of objects does, whichever it is, and how its objects are called.

A name says whose the object is and what its content is: storing it again changes nothing, and what
is read is checked against it. The tenant is part of the name, so that no tenant can tell whether
another has the same bytes; so is the run that it was made for, with which it will be collected.

    <tenant>/<SHA-256, hex>                 kept for ever: a definition
    <tenant>/runs/<run id>/<SHA-256, hex>   kept as long as its run: a payload
"""

from collections.abc import AsyncIterator
from hashlib import sha256
from typing import NamedTuple, Protocol

from penstock.infra.nats.subjects import BadToken, token

RUNS = "runs"
RENEWED_AFTER_S = 3600.0
"""An object that is older is written anew when it is put again. A collector leaves young ones
alone, and cannot know that somebody is about to refer to an old one."""


class BlobMissing(Exception):
    """There is no object of this name."""


class BlobCorrupt(Exception):
    """The object's content is not what its name says."""


class BlobsUnavailable(Exception):
    """The store did not answer in time, or refuses to serve us."""


class Stored(NamedTuple):
    """An object in the store; modified_at: ms since the epoch. size: bytes."""

    name: str
    modified_at: int
    size: int = 0


class Owner(NamedTuple):
    """The run that an object was made for."""

    tenant: str
    run_id: str


class Blobs(Protocol):
    """A store of objects. Everything it does can raise `BlobsUnavailable`."""

    async def put(self, data: bytes, *, tenant: str, run_id: str | None = None) -> str:
        """The name of an object that holds `data`; it is kept for ever where no run is named."""

    async def get(self, name: str) -> bytes:
        """What the object holds. Raises `BlobMissing` or `BlobCorrupt`."""

    async def stat(self, name: str) -> Stored | None:
        """The object as it is now, None where there is none."""

    def of_runs(self) -> AsyncIterator[Stored]:
        """All objects that are kept as long as a run."""

    def everything(self) -> AsyncIterator[Stored]:
        """All objects there are."""

    def of_tenant(self, tenant: str) -> AsyncIterator[Stored]:
        """All objects of a tenant, whatever they are kept for."""

    async def erase(self, name: str) -> None:
        """Removes an object so that its bytes are not left behind where the store can help it."""

    async def delete(self, name: str) -> None:
        """Removes an object; nothing where there is none."""

    async def sweep(self, before: int) -> int:
        """Removes what writers that died left unfinished before a moment, ms; how many of such."""

    async def problem(self) -> str:
        """What keeps the store from serving us, and the setting at fault; empty while all is well.

        Never raises.
        """


def name_of(data: bytes, *, tenant: str, run_id: str | None = None) -> str:
    """The name of an object that holds `data`."""
    digest = sha256(data).hexdigest()
    if run_id is None:
        return f"{token(tenant)}/{digest}"
    return f"{token(tenant)}/{RUNS}/{token(run_id)}/{digest}"


def owner_of(name: str) -> Owner | None:
    """The run that the object was made for, None where it is kept for ever."""
    match name.split("/"):
        case [tenant, "runs", run_id, _]:
            try:
                return Owner(token(tenant), token(run_id))
            except BadToken:
                return None
        case _:
            return None


def checked(name: str, data: bytes) -> bytes:
    """`data` itself where it is what the name says, else `BlobCorrupt`."""
    if sha256(data).hexdigest() != name.rpartition("/")[2]:
        raise BlobCorrupt(name)
    return data
