"""Payloads and definitions too large for a message, by tenant and content hash.

A name says what the content is, so storing it again changes nothing, and what is read is checked
against it. The tenant is part of the name: no tenant can tell whether another has the same bytes.
"""

import asyncio
from base64 import urlsafe_b64encode
from hashlib import sha256

from nats import errors
from nats.js import JetStreamContext
from nats.js.errors import Error as JetStreamError
from nats.js.errors import ObjectNotFoundError
from nats.js.object_store import ObjectStore

from penstock.infra.nats.streams import BLOBS_BUCKET
from penstock.infra.nats.subjects import token

TRANSFER_TIMEOUT_S = 30.0
"""For one object of up to 64 MiB."""
ATTEMPTS_MAX = 3
"""A reader can meet a writer of the same object that replaces its chunks."""
RETRY_S = 0.1


class BlobMissing(Exception):
    """There is no object of this name."""


class BlobCorrupt(Exception):
    """The object's content is not what its name says."""


class BlobsUnavailable(Exception):
    """The store did not answer in time."""


class Blobs:
    """The object store."""

    def __init__(self, js: JetStreamContext) -> None:
        self._js = js
        self._store: ObjectStore | None = None

    async def put(self, data: bytes, *, tenant: str) -> str:
        """The name of an object that holds `data`: `<tenant>/<SHA-256 of data, hex>`."""
        name = f"{token(tenant)}/{sha256(data).hexdigest()}"
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
        if sha256(data).hexdigest() != name.rpartition("/")[2]:
            raise BlobCorrupt(name)
        return data

    async def _bucket(self) -> ObjectStore:
        if self._store is None:
            self._store = await self._js.object_store(BLOBS_BUCKET)
        return self._store


async def _holds(store: ObjectStore, name: str) -> bool:
    """Whether the object is there and whole, by the digest that the store has made of it."""
    try:
        digest = (await store.get_info(name)).digest or ""
    except ObjectNotFoundError:
        return False
    encoded = urlsafe_b64encode(bytes.fromhex(name.rpartition("/")[2])).decode()
    return digest.partition("=")[2] == encoded
