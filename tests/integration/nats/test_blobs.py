"""Objects by content hash."""

import os
from hashlib import sha256

import pytest
from nats.aio.client import Client

from penstock.infra.nats.blobs import BlobCorrupt, BlobMissing, Blobs
from penstock.infra.nats.streams import BLOBS, BLOBS_BUCKET


@pytest.mark.parametrize("size", [0, 1, 200_000, 1_000_000])
async def test_what_is_put_is_got(nc: Client, size: int) -> None:
    blobs, data = Blobs(nc.jetstream()), os.urandom(size)
    name = await blobs.put(data, tenant="acme")
    assert name == f"acme/{sha256(data).hexdigest()}"
    assert await blobs.get(name) == data


async def test_putting_again_stores_nothing(nc: Client) -> None:
    blobs, js = Blobs(nc.jetstream()), nc.jetstream()
    await blobs.put(b"x" * 1000, tenant="acme")
    before = (await js.stream_info(BLOBS)).state.last_seq
    await blobs.put(b"x" * 1000, tenant="acme")
    assert (await js.stream_info(BLOBS)).state.last_seq == before


async def test_tenants_do_not_share_names(nc: Client) -> None:
    blobs = Blobs(nc.jetstream())
    assert await blobs.put(b"x", tenant="a") != await blobs.put(b"x", tenant="b")


async def test_a_blob_that_is_not_there_is_missing(nc: Client) -> None:
    with pytest.raises(BlobMissing):
        await Blobs(nc.jetstream()).get(f"acme/{'0' * 64}")


async def test_other_content_than_the_name_says_is_corrupt(nc: Client) -> None:
    store = await nc.jetstream().object_store(BLOBS_BUCKET)
    await store.put(f"acme/{'0' * 64}", b"forged")
    with pytest.raises(BlobCorrupt):
        await Blobs(nc.jetstream()).get(f"acme/{'0' * 64}")
