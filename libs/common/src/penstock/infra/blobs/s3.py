"""Objects in a store that speaks S3, under a prefix of its bucket.

What is put again is written again: the content is the same, and a young object is one that a
collector leaves alone.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from penstock.infra.blobs.port import (
    BlobMissing,
    BlobsUnavailable,
    Stored,
    checked,
    name_of,
    owner_of,
)
from penstock.infra.nats.subjects import token
from penstock.infra.settings import SharedSettings

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import S3Config

TRANSFER_TIMEOUT_S = 30.0
"""For one object of up to 64 MiB."""
CONNECT_TIMEOUT_S = 5.0
RETRIES_MAX = 3
RETRY_FOR_S = 15.0
PAGE = 1000
LOOK_S = 3.0
"""What a look at the bucket may take."""
REASON_MAX = 200

NO_BUCKET = "NoSuchBucket"
AT_FAULT = {
    NO_BUCKET: "PENSTOCK_S3_BUCKET: there is no such bucket",
    "InvalidAccessKeyId": "PENSTOCK_S3_ACCESS_KEY: the store does not know it",
    "SignatureDoesNotMatch": "PENSTOCK_S3_SECRET_KEY: it is not the access key's",
    "AccessDenied": "PENSTOCK_S3_ACCESS_KEY: it may not list and read PENSTOCK_S3_BUCKET",
    "PermanentRedirect": "PENSTOCK_S3_REGION: the bucket is in another region",
    "AuthorizationHeaderMalformed": "PENSTOCK_S3_REGION: the bucket is in another region",
}
"""What the store says, in the words of whoever has set us up."""

_CODE = re.compile(r"<Code>(\w+)</Code>")


class S3Blobs:
    """One bucket, or the part of it under a prefix."""

    def __init__(self, settings: SharedSettings) -> None:
        self._store = S3Store(
            settings.s3_bucket,
            prefix=settings.s3_prefix or None,
            config=_config(settings),
            client_options={
                "allow_http": settings.s3_endpoint.startswith("http://"),
                "connect_timeout": timedelta(seconds=CONNECT_TIMEOUT_S),
                "timeout": timedelta(seconds=TRANSFER_TIMEOUT_S),
            },
            retry_config={
                "max_retries": RETRIES_MAX,
                "retry_timeout": timedelta(seconds=RETRY_FOR_S),
            },
        )

    async def put(self, data: bytes, *, tenant: str, run_id: str | None = None) -> str:
        """The name of an object that holds `data`."""
        name = name_of(data, tenant=tenant, run_id=run_id)
        try:
            await obstore.put_async(self._store, name, data, use_multipart=False)
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error
        return name

    async def get(self, name: str) -> bytes:
        """What the object holds. Raises `BlobMissing`, `BlobCorrupt` or `BlobsUnavailable`."""
        try:
            found = await obstore.get_async(self._store, name)
            return checked(name, bytes(await found.bytes_async()))
        except FileNotFoundError as error:
            raise _absent(error, name) from error
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error

    async def stat(self, name: str) -> Stored | None:
        """The object as it is now, None where there is none."""
        try:
            found = await obstore.head_async(self._store, name)
        except FileNotFoundError:
            return None
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error
        return _stored(found)

    async def of_runs(self) -> AsyncIterator[Stored]:
        """All objects that are kept as long as a run."""
        async for found in self._listed(None):
            if owner_of(found.name) is not None:
                yield found

    def everything(self) -> AsyncIterator[Stored]:
        """All objects there are."""
        return self._listed(None)

    def of_tenant(self, tenant: str) -> AsyncIterator[Stored]:
        """All objects of a tenant."""
        return self._listed(f"{token(tenant)}/")

    async def _listed(self, prefix: str | None) -> AsyncIterator[Stored]:
        try:
            async for page in obstore.list(self._store, prefix, chunk_size=PAGE):
                for found in page:
                    yield _stored(found)
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error

    async def erase(self, name: str) -> None:
        """Removes an object; a bucket that keeps versions keeps this one, too."""
        await self.delete(name)

    async def delete(self, name: str) -> None:
        """Removes an object; nothing where there is none."""
        try:
            await obstore.delete_async(self._store, name)
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error

    async def sweep(self, before: int) -> int:
        """None: an object is written whole or not at all."""
        return 0

    async def problem(self) -> str:
        """What keeps the bucket from serving us, and the setting at fault; empty for nothing."""
        try:
            async with asyncio.timeout(LOOK_S):
                async for _ in obstore.list(self._store, chunk_size=1):
                    break
        except (BaseError, OSError, TimeoutError) as error:
            return AT_FAULT.get(_code(error), f"PENSTOCK_S3_ENDPOINT: {_reason(error)}")
        return ""


def _stored(found: "ObjectMeta") -> Stored:
    return Stored(found["path"], _moment(found["last_modified"]), found["size"])


def _config(settings: SharedSettings) -> "S3Config":
    """What is not set is left out: obstore then finds what the machine it runs on may do."""
    config: S3Config = {"region": settings.s3_region, "virtual_hosted_style_request": False}
    if settings.s3_endpoint:
        config["endpoint"] = settings.s3_endpoint
    if access_key := settings.s3_access_key.get_secret_value():
        config["access_key_id"] = access_key
        config["secret_access_key"] = settings.s3_secret_key.get_secret_value()
    return config


def _absent(error: Exception, name: str) -> Exception:
    """A bucket that is not there is no missing object: nothing is known of the objects in it."""
    return _unavailable(error) if _code(error) == NO_BUCKET else BlobMissing(name)


def _unavailable(error: Exception) -> BlobsUnavailable:
    code = _code(error)
    return BlobsUnavailable(AT_FAULT.get(code, code or _reason(error)))


def _code(error: Exception) -> str:
    """The store's word for what is wrong, empty where it gave none."""
    found = _CODE.search(str(error))
    return "" if found is None else found.group(1)


def _reason(error: Exception) -> str:
    said = str(error).partition("Debug source")[0].partition("<?xml")[0].strip()
    return said[:REASON_MAX] or type(error).__name__


def _moment(at: datetime) -> int:
    return int(at.timestamp() * 1000)
