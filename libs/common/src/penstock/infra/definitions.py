"""Definitions by tenant and content hash: kept as blobs, held in memory as graphs.

Whoever publishes a version puts its definition here before the version's event is appended, so
that everybody who reads the event finds the blob. A definition never changes, so what is held is
never stale.
"""

import asyncio
from collections import OrderedDict
from typing import NamedTuple

from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import Definition, canonical_bytes, from_bytes
from penstock.infra.blobs.port import Blobs

HELD_MAX = 512
HELD_MAX_BYTES = 16 * 1024 * 1024
"""Of canonical text; a graph in memory is several times as large."""


class Held(NamedTuple):
    """A definition in memory; size is that of its canonical text, in bytes."""

    size: int
    graph: Graph


Key = tuple[str, str]
"""Tenant and content hash."""


class Definitions:
    """The one place where definitions are stored and found again."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._held: OrderedDict[Key, Held] = OrderedDict()
        self._size = 0
        self._loading: dict[Key, asyncio.Task[Graph]] = {}

    async def put(self, tenant: str, definition: Definition) -> str:
        """Store a valid definition, for ever; its content hash. Raises `BlobsUnavailable`."""
        name = await self._blobs.put(canonical_bytes(definition), tenant=tenant)
        return name.rpartition("/")[2]

    def held(self, tenant: str, content_hash: str) -> Graph | None:
        """The graph if it is in memory: what a hot loop asks first."""
        found = self._held.get((tenant, content_hash))
        if found is None:
            return None
        self._held.move_to_end((tenant, content_hash))
        return found.graph

    async def graph(self, tenant: str, content_hash: str) -> Graph:
        """The graph of a stored definition; many who ask at once cost one read.

        Raises `BlobMissing`, `BlobCorrupt` or `BlobsUnavailable`.
        """
        found = self.held(tenant, content_hash)
        if found is not None:
            return found
        key = (tenant, content_hash)
        loading = self._loading.get(key)
        if loading is None:
            loading = self._loading[key] = asyncio.create_task(self._load(key))
            loading.add_done_callback(lambda task: self._loaded(key, task))
        return await asyncio.shield(loading)

    async def definition(self, tenant: str, content_hash: str) -> Definition:
        """A stored definition; raises as `graph` does."""
        return (await self.graph(tenant, content_hash)).definition

    async def _load(self, key: Key) -> Graph:
        tenant, content_hash = key
        body = await self._blobs.get(f"{tenant}/{content_hash}")
        graph = Graph.of(from_bytes(body))
        self._hold(key, Held(len(body), graph))
        return graph

    def _loaded(self, key: Key, task: asyncio.Task[Graph]) -> None:
        """Marks a failure as seen, for everybody who waited may have gone."""
        del self._loading[key]
        if not task.cancelled():
            task.exception()

    def _hold(self, key: Key, held: Held) -> None:
        self._held[key] = held
        self._size += held.size
        while len(self._held) > HELD_MAX or (self._size > HELD_MAX_BYTES and len(self._held) > 1):
            _, forgotten = self._held.popitem(last=False)
            self._size -= forgotten.size
