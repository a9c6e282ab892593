"""Definitions for the fold: from the read model where their bytes have their hash, else blobs."""

from collections import OrderedDict
from hashlib import sha256
from typing import Any, Protocol

import msgspec
from psycopg import AsyncConnection

from penstock.domain.payload import Payload
from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import from_bytes

HELD_MAX = 256

DEFINITION = """
select definition from penstock.workflow_versions where tenant_id = %s and content_hash = %s limit 1
"""


class DefinitionMissing(Exception):
    """Neither the read model nor the store of payloads has the definition."""


class GraphStore(Protocol):
    """Where all definitions are."""

    async def graph(self, tenant: str, content_hash: str) -> Graph:
        """Raises an exception where there is none, or it cannot be reached."""


class Graphs:
    """By tenant and content hash; `store` is None where NATS is not reachable."""

    def __init__(
        self, connection: AsyncConnection[dict[str, Any]], store: GraphStore | None
    ) -> None:
        self._connection = connection
        self._store = store
        self._held: OrderedDict[tuple[str, str], Graph] = OrderedDict()

    async def graph(self, tenant: str, content_hash: str) -> Graph:
        """The graph. Raises DefinitionMissing."""
        key = (tenant, content_hash)
        found = self._held.get(key)
        if found is None:
            found = await self._from_rows(tenant, content_hash)
            if found is None:
                found = await self._from_store(tenant, content_hash)
            self._held[key] = found
            if len(self._held) > HELD_MAX:
                self._held.popitem(last=False)
        return found

    async def _from_rows(self, tenant: str, content_hash: str) -> Graph | None:
        row = await (await self._connection.execute(DEFINITION, [tenant, content_hash])).fetchone()
        if row is None:
            return None
        body = bytes(msgspec.json.decode(row["definition"], type=Payload).inline)
        if sha256(body).hexdigest() != content_hash:
            return None
        return Graph.of(from_bytes(body))

    async def _from_store(self, tenant: str, content_hash: str) -> Graph:
        if self._store is None:
            raise DefinitionMissing(f"definition {content_hash}: not in Postgres, NATS is away")
        try:
            return await self._store.graph(tenant, content_hash)
        except Exception as error:
            raise DefinitionMissing(f"definition {content_hash}: {error}") from error
