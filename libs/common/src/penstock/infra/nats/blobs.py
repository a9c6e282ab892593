"""Objects in JetStream's object store."""

import asyncio
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec
from nats import errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import ObjectInfo
from nats.js.errors import Error as JetStreamError
from nats.js.errors import ObjectNotFoundError
from nats.js.object_store import ObjectStore

from penstock.infra.blobs.port import (
    RENEWED_AFTER_S,
    BlobCorrupt,
    BlobMissing,
    BlobsUnavailable,
    Stored,
    checked,
    name_of,
    owner_of,
)
from penstock.infra.nats.direct import Direct, ReadUnavailable
from penstock.infra.nats.streams import BLOBS, BLOBS_BUCKET
from penstock.infra.nats.subjects import token

TRANSFER_TIMEOUT_S = 30.0
"""For one object of up to 64 MiB."""
ATTEMPTS_MAX = 3
"""A reader can meet a writer of the same object that replaces its chunks."""
RETRY_S = 0.1
ENTRY = f"$O.{BLOBS_BUCKET}.M."
"""Before the encoded name: where the store keeps what it knows of an object."""
CHUNKS = f"$O.{BLOBS_BUCKET}.C."
"""Before the name of the chunks of an object."""
STORED_AT = "Nats-Time-Stamp"


class JetStreamBlobs:
    """The object store of a connection that somebody else owns."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc
        self._js: JetStreamContext = nc.jetstream()
        self._store: ObjectStore | None = None

    async def put(self, data: bytes, *, tenant: str, run_id: str | None = None) -> str:
        """The name of an object that holds `data`."""
        name = name_of(data, tenant=tenant, run_id=run_id)
        try:
            async with asyncio.timeout(TRANSFER_TIMEOUT_S):
                store = await self._bucket()
                if not await _holds(store, name):
                    await store.put(name, data)
        except (errors.Error, TimeoutError) as error:
            raise BlobsUnavailable(str(error)) from error
        return name

    async def get(self, name: str) -> bytes:
        """What the object holds. Raises `BlobMissing`, `BlobCorrupt` or `BlobsUnavailable`."""
        for attempt in range(ATTEMPTS_MAX):
            try:
                data = await self._content(name)
            except (BlobCorrupt, BlobsUnavailable):
                if attempt == ATTEMPTS_MAX - 1:
                    raise
                await asyncio.sleep(RETRY_S)
            else:
                return data
        raise AssertionError("the last attempt returns or raises")

    async def stat(self, name: str) -> Stored | None:
        """The object as it is now, None where there is none."""
        try:
            async with asyncio.timeout(TRANSFER_TIMEOUT_S / ATTEMPTS_MAX):
                info = await (await self._bucket()).get_info(name)
                return Stored(name, _moment(info.mtime), info.size or 0)
        except ObjectNotFoundError:
            return None
        except (errors.Error, TimeoutError) as error:
            raise BlobsUnavailable(f"{name}: {error}") from error

    async def of_runs(self) -> AsyncIterator[Stored]:
        """All objects that are kept as long as a run, the oldest first."""
        async for each in self.everything():
            if owner_of(each.name) is not None:
                yield each

    async def everything(self) -> AsyncIterator[Stored]:
        """All objects there are, the oldest first."""
        async with self._reader() as reader:
            async for entry in _entries(reader):
                if not entry.deleted:
                    yield Stored(entry.name, _moment(entry.mtime), entry.size)

    async def of_tenant(self, tenant: str) -> AsyncIterator[Stored]:
        """All objects of a tenant, the oldest first; all entries are read to find them."""
        async for each in self.everything():
            if each.name.startswith(f"{token(tenant)}/"):
                yield each

    async def erase(self, name: str) -> None:
        """Removes an object; the server writes over its bytes, which a purge leaves in its files.

        Its entry goes last, so that what is cut short is found again.
        """
        entry = ENTRY + urlsafe_b64encode(name.encode()).decode()
        async with self._reader() as reader:
            last = await reader.last(BLOBS, entry)
            if last is None:
                return
            chunks = CHUNKS + _decode_entry(last.body).nuid
            after = 0
            while page := await reader.read_subject(BLOBS, chunks, after=after):
                for chunk in page:
                    await self._js.delete_msg(BLOBS, chunk.seq)
                after = page[-1].seq
            await self._js.delete_msg(BLOBS, last.seq)

    async def delete(self, name: str) -> None:
        """Removes an object, and then the store's mark that it is gone: nobody needs that."""
        entry = ENTRY + urlsafe_b64encode(name.encode()).decode()
        try:
            async with asyncio.timeout(TRANSFER_TIMEOUT_S / ATTEMPTS_MAX):
                await (await self._bucket()).delete(name)
                await self._js.purge_stream(BLOBS, subject=entry)
        except ObjectNotFoundError:
            return
        except (errors.Error, TimeoutError) as error:
            raise BlobsUnavailable(f"{name}: {error}") from error

    async def sweep(self, before: int) -> int:
        """Removes the chunks of objects that have no entry: their writers died before it."""
        swept = 0
        async with self._reader() as reader:
            chunks = await self._chunks()
            kept = {CHUNKS + entry.nuid async for entry in _entries(reader) if not entry.deleted}
            for subject in chunks - kept:
                last = await reader.last(BLOBS, subject)
                if last is not None and _moment(last.headers.get(STORED_AT)) < before:
                    await self._js.purge_stream(BLOBS, subject=subject)
                    swept += 1
        return swept

    async def _chunks(self) -> set[str]:
        """The subjects of all chunks: one an object."""
        found: set[str] = set()
        while True:
            asked = msgspec.json.encode({"subjects_filter": CHUNKS + ">", "offset": len(found)})
            answer = await self._nc.request(
                f"$JS.API.STREAM.INFO.{BLOBS}", asked, timeout=TRANSFER_TIMEOUT_S
            )
            page = msgspec.json.decode(answer.data, type=_Info).state.subjects or {}
            if page.keys() <= found:
                return found
            found |= page.keys()

    @asynccontextmanager
    async def _reader(self) -> AsyncIterator[Direct]:
        """Reads the bucket's stream; what prevents it is `BlobsUnavailable`."""
        reader = Direct(self._nc)
        try:
            await reader.start()
            try:
                yield reader
            finally:
                await reader.stop()
        except (ReadUnavailable, errors.Error, TimeoutError) as error:
            raise BlobsUnavailable(str(error)) from error

    async def problem(self) -> str:
        """Empty: the bucket is one of the streams, and whoever is ready has looked for them."""
        return ""

    async def _content(self, name: str) -> bytes:
        try:
            async with asyncio.timeout(TRANSFER_TIMEOUT_S / ATTEMPTS_MAX):
                data = (await (await self._bucket()).get(name)).data or b""
        except ObjectNotFoundError as error:
            raise BlobMissing(name) from error
        except JetStreamError as error:
            raise BlobCorrupt(f"{name}: {error}") from error
        except (errors.Error, TimeoutError) as error:
            raise BlobsUnavailable(f"{name}: {error}") from error
        return checked(name, data)

    async def _bucket(self) -> ObjectStore:
        if self._store is None:
            self._store = await self._js.object_store(BLOBS_BUCKET)
        return self._store


class _Entry(msgspec.Struct):
    """What the store keeps of an object, as far as it is needed. nuid: names its chunks."""

    name: str
    nuid: str = ""
    mtime: str | None = None
    deleted: bool = False
    size: int = 0


class _State(msgspec.Struct):
    subjects: dict[str, int] | None = None


class _Info(msgspec.Struct):
    """What the broker says about the bucket's stream, as far as it is needed."""

    state: _State


_decode_entry = msgspec.json.Decoder(_Entry).decode


async def _entries(reader: Direct) -> AsyncIterator[_Entry]:
    after = 0
    while page := await reader.read_subject(BLOBS, ENTRY + ">", after=after):
        after = page[-1].seq
        for each in page:
            yield _decode_entry(each.body)


async def _holds(store: ObjectStore, name: str) -> bool:
    """Whether the object is there, whole by the digest that the store made of it, and young."""
    try:
        info: ObjectInfo = await store.get_info(name)
    except ObjectNotFoundError:
        return False
    encoded = urlsafe_b64encode(bytes.fromhex(name.rpartition("/")[2])).decode()
    if (info.digest or "").partition("=")[2] != encoded:
        return False
    return owner_of(name) is None or time.time() - _moment(info.mtime) / 1000 < RENEWED_AFTER_S


def _moment(written: str | None) -> int:
    """A moment of the store's as ms; one that cannot be read is no reason to call it old."""
    try:
        moment = datetime.fromisoformat(written or "")
    except ValueError:
        return time.time_ns() // 1_000_000
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)
