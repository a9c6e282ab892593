"""What the projector needs that neither a log nor a table has: it lies in the store of objects."""

from typing import Protocol

from penstock.infra.blobs.port import BlobCorrupt, BlobMissing, Blobs
from penstock.infra.definitions import Definitions
from penstock.projector.sizes import Sizes, sizes_of


class Sources(Protocol):
    """Where that is found. Raises `BlobsUnavailable` while it cannot be asked for."""

    async def sizes(self, tenant: str, content_hash: str) -> Sizes | None:
        """Of a tenant's definition; None where there is none that can be read."""

    async def state(self, name: str) -> bytes:
        """The state that a run goes on from; empty where there is no such object."""


class StoredSources:
    """The store of objects, with the definitions in it."""

    def __init__(self, blobs: Blobs, definitions: Definitions) -> None:
        self._blobs = blobs
        self._definitions = definitions

    async def sizes(self, tenant: str, content_hash: str) -> Sizes | None:
        """None: whoever started the run saw a definition that nobody can read."""
        try:
            return sizes_of(await self._definitions.graph(tenant, content_hash))
        except (BlobMissing, BlobCorrupt, ValueError, KeyError):
            return None

    async def state(self, name: str) -> bytes:
        """Empty where it is gone: nothing is known of what the run begins with."""
        try:
            return await self._blobs.get(name)
        except (BlobMissing, BlobCorrupt):
            return b""
