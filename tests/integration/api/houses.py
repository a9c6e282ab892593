"""A running API as tests use it, and the definitions that they draw."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from httpx import AsyncClient, Response

from penstock.api.app import Api
from penstock.infra.settings import ApiSettings

ADMIN_KEY = "the-admin-of-the-tests"
ORIGIN = "https://app.example"
"""The one other origin that browsers may call from."""


@dataclass(frozen=True)
class House:
    """`client` has no credential of its own."""

    url: str
    client: AsyncClient
    api: Api
    settings: ApiSettings

    async def admin(self, method: str, path: str, **more: Any) -> Response:
        """A request of the platform admin."""
        headers = {"X-API-Key": ADMIN_KEY, **more.pop("headers", {})}
        return await self.client.request(method, path, headers=headers, **more)

    def caller(self, key: str, **headers: str) -> AsyncClient:
        """A client that presents `key`."""
        sent = {"Authorization": f"Bearer {key}", **headers}
        return AsyncClient(base_url=self.url, headers=sent, timeout=20)


def chain(*ids: str, name: str = "a chain", **more: Any) -> dict[str, Any]:
    """A definition of no-op nodes, one after the other."""
    return {
        "name": name,
        "nodes": [{"id": each, "type": "noop"} for each in ids],
        "edges": [{"from": first, "to": second} for first, second in pairwise(ids)],
        **more,
    }


def waiting(duration_ms: int = 60_000) -> dict[str, Any]:
    """A definition that waits."""
    node = {"id": "wait", "type": "delay", "config": {"durationMs": duration_ms}}
    return {"name": "a wait", "nodes": [node], "edges": []}
