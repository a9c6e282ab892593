"""Which store of objects a process uses, as its settings say."""

from collections.abc import AsyncIterator
from time import monotonic

from nats.aio.client import Client

from penstock.infra.blobs.port import BlobMissing, Blobs, Stored
from penstock.infra.blobs.s3 import S3Blobs
from penstock.infra.nats.blobs import JetStreamBlobs
from penstock.infra.settings import SharedSettings
from penstock.infra.telemetry import logs

BELIEVED_S = 15.0
"""A store that served us is not looked at again so soon, for probes are often."""

_log = logs.logger(__name__)


def blobs_of(settings: SharedSettings, nc: Client) -> Blobs:
    """The store of a process: the bucket that is named, else JetStream's."""
    kept_here = JetStreamBlobs(nc)
    return Moved(kept_here, S3Blobs(settings)) if settings.s3_bucket else kept_here


class Moved:
    """Objects go to a new store; those that only the old one has are still read there.

    So a stack may be given a bucket when it has been at work for a while. What the old store has
    goes with its tenant only.
    """

    def __init__(self, old: Blobs, new: Blobs) -> None:
        self._old = old
        self._new = new

    async def put(self, data: bytes, *, tenant: str, run_id: str | None = None) -> str:
        """The name of an object that holds `data`, in the new store."""
        return await self._new.put(data, tenant=tenant, run_id=run_id)

    async def get(self, name: str) -> bytes:
        """What the object holds, wherever it is."""
        try:
            return await self._new.get(name)
        except BlobMissing:
            return await self._old.get(name)

    async def stat(self, name: str) -> Stored | None:
        """The object of the new store as it is now, None where there is none."""
        return await self._new.stat(name)

    def of_runs(self) -> AsyncIterator[Stored]:
        """All objects of the new store that are kept as long as a run."""
        return self._new.of_runs()

    async def everything(self) -> AsyncIterator[Stored]:
        """All objects there are, in both stores."""
        for store in (self._old, self._new):
            async for each in store.everything():
                yield each

    async def of_tenant(self, tenant: str) -> AsyncIterator[Stored]:
        """All objects of a tenant, in both stores."""
        for store in (self._old, self._new):
            async for each in store.of_tenant(tenant):
                yield each

    async def erase(self, name: str) -> None:
        """Removes an object from both stores."""
        await self._old.erase(name)
        await self._new.erase(name)

    async def delete(self, name: str) -> None:
        """Removes an object of the new store."""
        await self._new.delete(name)

    async def sweep(self, before: int) -> int:
        """Removes what writers left unfinished, in both stores."""
        return await self._old.sweep(before) + await self._new.sweep(before)

    async def problem(self) -> str:
        """What keeps the new store from serving us; empty for nothing."""
        return await self._new.problem()


class BlobsCheck:
    """Whether the store serves us, as a process that is asked whether it is ready wants it."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._good_until = 0.0
        self._said = ""

    async def answer(self) -> dict[str, bool]:
        """`{"blobs": True}`, else the problem in the name of the check."""
        if self._good_until > monotonic():
            return {"blobs": True}
        problem = await self._blobs.problem()
        if problem != self._said:
            self._said = problem
            _log.warning("object store", problem=problem or "none any more")
        if problem:
            return {f"blobs: {problem}": False}
        self._good_until = monotonic() + BELIEVED_S
        return {"blobs": True}
