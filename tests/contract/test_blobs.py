"""What every store of objects promises, asked of JetStream's and of a real one that speaks S3."""

import os
import time
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import nats
import obstore
import pytest
from nats.aio.client import Client
from pydantic import SecretStr

from penstock.dev.nats_server import NatsServer
from penstock.infra.blobs.choice import BlobsCheck, Moved, blobs_of
from penstock.infra.blobs.port import (
    BlobCorrupt,
    BlobMissing,
    Blobs,
    BlobsUnavailable,
    Owner,
    Stored,
    name_of,
    owner_of,
)
from penstock.infra.blobs.s3 import S3Blobs
from penstock.infra.nats import blobs as jetstream
from penstock.infra.nats.blobs import JetStreamBlobs
from penstock.infra.nats.bootstrap import bootstrap
from penstock.infra.nats.streams import BLOBS, BLOBS_BUCKET
from penstock.infra.settings import SharedSettings
from tests.s3_server import ACCESS_KEY, BUCKET, SECRET_KEY, STRANGER, S3Server

PREFIX = "a/prefix"
LARGE = 3_000_000


def tenant() -> str:
    return f"t-{uuid4()}"


async def found(blobs: Blobs, of: str) -> list[Stored]:
    """All of a tenant's objects that are kept as long as a run, by name."""
    return sorted([each async for each in blobs.of_runs() if each.name.startswith(f"{of}/")])


def bytes_of(folder: Path) -> bytes:
    """What all files below a folder hold."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


class BlobsContract:
    @pytest.mark.parametrize("size", [0, 1, 200_000, LARGE])
    async def test_what_is_put_is_got(self, blobs: Blobs, size: int) -> None:
        mine, data = tenant(), os.urandom(size)
        name = await blobs.put(data, tenant=mine)
        assert name == f"{mine}/{sha256(data).hexdigest()}"
        assert await blobs.get(name) == data

    async def test_a_runs_object_names_the_run(self, blobs: Blobs) -> None:
        mine = tenant()
        name = await blobs.put(b"x", tenant=mine, run_id="r-1")
        assert name == f"{mine}/runs/r-1/{sha256(b'x').hexdigest()}"
        assert await blobs.get(name) == b"x"

    async def test_putting_again_changes_nothing(self, blobs: Blobs) -> None:
        mine = tenant()
        names = [await blobs.put(b"same", tenant=mine, run_id="r-1") for _ in range(2)]
        assert names[0] == names[1]
        assert await blobs.get(names[0]) == b"same"
        assert len(await found(blobs, mine)) == 1

    async def test_tenants_and_runs_share_no_names(self, blobs: Blobs) -> None:
        one, other = tenant(), tenant()
        names = {
            await blobs.put(b"x", tenant=one),
            await blobs.put(b"x", tenant=other),
            await blobs.put(b"x", tenant=one, run_id="r-1"),
            await blobs.put(b"x", tenant=one, run_id="r-2"),
        }
        assert len(names) == 4

    async def test_what_is_not_there_is_missing(self, blobs: Blobs) -> None:
        for name in (f"{tenant()}/{'0' * 64}", f"{tenant()}/runs/r-1/{'0' * 64}"):
            with pytest.raises(BlobMissing):
                await blobs.get(name)
            assert await blobs.stat(name) is None

    async def test_only_what_is_kept_with_a_run_is_listed(self, blobs: Blobs) -> None:
        mine, before = tenant(), time.time()
        await blobs.put(b"a definition", tenant=mine)
        names = [await blobs.put(b"%d" % n, tenant=mine, run_id=f"r-{n % 3}") for n in range(7)]
        listed = await found(blobs, mine)
        assert [each.name for each in listed] == sorted(names)
        for each in listed:
            assert before - 2 <= each.modified_at / 1000 <= time.time() + 2
            assert await blobs.stat(each.name) == each

    async def test_a_tenants_objects_are_listed_and_erased_and_nobody_elses(
        self, blobs: Blobs
    ) -> None:
        mine, other = tenant(), tenant()
        names = {await blobs.put(b"definition", tenant=mine)}
        names |= {await blobs.put(os.urandom(n), tenant=mine, run_id="r-1") for n in (1, LARGE)}
        kept = await blobs.put(b"definition", tenant=other)
        listed = [each async for each in blobs.of_tenant(mine)]
        assert {each.name for each in listed} == names
        assert sorted(each.size for each in listed) == [1, 10, LARGE]
        for name in names:
            await blobs.erase(name)
            await blobs.erase(name)
        assert [each async for each in blobs.of_tenant(mine)] == []
        assert [each.name async for each in blobs.of_tenant(other)] == [kept]
        with pytest.raises(BlobMissing):
            await blobs.get(names.pop())

    async def test_what_is_deleted_is_gone_and_can_come_again(self, blobs: Blobs) -> None:
        mine = tenant()
        gone, stays = [await blobs.put(d, tenant=mine, run_id="r-1") for d in (b"gone", b"stays")]
        for _ in range(2):
            await blobs.delete(gone)
        with pytest.raises(BlobMissing):
            await blobs.get(gone)
        assert await blobs.stat(gone) is None
        assert [each.name for each in await found(blobs, mine)] == [stays]
        assert await blobs.put(b"gone", tenant=mine, run_id="r-1") == gone
        assert await blobs.get(gone) == b"gone"

    async def test_sweeping_leaves_what_is_whole(self, blobs: Blobs) -> None:
        name = await blobs.put(os.urandom(300_000), tenant=tenant(), run_id="r-1")
        await blobs.sweep(int(time.time() * 1000) + 60_000)
        await blobs.get(name)

    async def test_a_store_that_serves_us_has_no_problem(self, blobs: Blobs) -> None:
        assert await blobs.problem() == ""
        assert await BlobsCheck(blobs).answer() == {"blobs": True}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """A server of this module alone: the bucket has one name."""
    server = NatsServer(tmp_path_factory.mktemp("blobs-nats"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
async def nc(broker: NatsServer) -> AsyncIterator[Client]:
    connection = await nats.connect(broker.url)
    await bootstrap(connection)
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.stop()


def settings(server: S3Server, **other: str) -> SharedSettings:
    values = {"s3_access_key": ACCESS_KEY, "s3_secret_key": SECRET_KEY, "s3_bucket": BUCKET}
    values |= {"s3_endpoint": server.url, "s3_prefix": PREFIX} | other
    secret = {name: SecretStr(text) for name, text in values.items() if name.endswith("_key")}
    return SharedSettings.model_validate(values | secret)


class TestInJetStream(BlobsContract):
    @pytest.fixture
    def blobs(self, nc: Client) -> Blobs:
        return blobs_of(SharedSettings(), nc)

    async def test_putting_again_stores_nothing(self, blobs: Blobs, nc: Client) -> None:
        js, mine = nc.jetstream(), tenant()
        await blobs.put(b"x" * 1000, tenant=mine, run_id="r-1")
        before = (await js.stream_info(BLOBS)).state.last_seq
        await blobs.put(b"x" * 1000, tenant=mine, run_id="r-1")
        assert (await js.stream_info(BLOBS)).state.last_seq == before

    async def test_an_old_object_that_is_put_again_is_young(
        self, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name = await blobs.put(b"old", tenant=tenant(), run_id="r-1")
        before = await blobs.stat(name)
        monkeypatch.setattr(jetstream, "RENEWED_AFTER_S", 0.0)
        assert await blobs.put(b"old", tenant=name.partition("/")[0], run_id="r-1") == name
        after = await blobs.stat(name)
        assert before is not None
        assert after is not None
        assert after.modified_at > before.modified_at
        assert await blobs.get(name) == b"old"

    async def test_other_content_than_the_name_says_is_corrupt(
        self, blobs: Blobs, nc: Client
    ) -> None:
        store = await nc.jetstream().object_store(BLOBS_BUCKET)
        await store.put(f"acme/{'0' * 64}", b"forged")
        with pytest.raises(BlobCorrupt):
            await blobs.get(f"acme/{'0' * 64}")

    async def test_what_is_deleted_leaves_nothing_behind(self, blobs: Blobs, nc: Client) -> None:
        before = (await nc.jetstream().stream_info(BLOBS)).state.messages
        await blobs.delete(await blobs.put(b"x" * 300_000, tenant=tenant(), run_id="r-1"))
        assert (await nc.jetstream().stream_info(BLOBS)).state.messages == before

    async def test_what_is_erased_is_not_even_left_in_the_servers_files(
        self, nats_server: NatsServer
    ) -> None:
        connection = await nats.connect(nats_server.url)
        await bootstrap(connection)
        blobs = JetStreamBlobs(connection)
        told = [f"canary-{n}-{uuid4()}".encode() for n in range(3)]
        names = [await blobs.put(b"x" * 150_000 + word, tenant="t") for word in told]
        await blobs.put(b"something after it", tenant="other")
        assert [word in bytes_of(nats_server.directory) for word in told] == [True] * 3
        await blobs.delete(names[0])
        await blobs.erase(names[1])
        await blobs.erase(names[2])
        assert [word in bytes_of(nats_server.directory) for word in told[1:]] == [False] * 2
        await connection.close()

    async def test_what_a_dead_writer_left_is_swept(self, nats_server: NatsServer) -> None:
        connection = await nats.connect(nats_server.url)
        await bootstrap(connection)
        js, blobs = connection.jetstream(), JetStreamBlobs(connection)
        whole = [await blobs.put(data, tenant="t") for data in (b"one", os.urandom(300_000))]
        before = (await js.stream_info(BLOBS)).state.messages
        for _ in range(3):
            await js.publish(f"{jetstream.CHUNKS}unfinished", b"half of it")
        now = int(time.time() * 1000)
        assert await blobs.sweep(now - 60_000) == 0
        assert await blobs.sweep(now + 60_000) == 1
        assert (await js.stream_info(BLOBS)).state.messages == before
        assert await blobs.sweep(now + 60_000) == 0
        assert await blobs.get(whole[0]) == b"one"
        await blobs.get(whole[1])
        await connection.close()

    async def test_without_a_server_the_store_is_unavailable(self, nats_server: NatsServer) -> None:
        connection = await nats.connect(nats_server.url, allow_reconnect=False)
        blobs = JetStreamBlobs(connection)
        await connection.close()
        for attempt in (
            blobs.put(b"x", tenant="t"),
            blobs.get("t/x"),
            blobs.stat("t/x"),
            blobs.delete("t/x"),
            blobs.sweep(0),
            found(blobs, "t"),
        ):
            with pytest.raises(BlobsUnavailable):
                await attempt


class TestInS3(BlobsContract):
    @pytest.fixture
    def blobs(self, s3: S3Server) -> Blobs:
        return S3Blobs(settings(s3))

    async def test_objects_lie_under_the_prefix(self, blobs: Blobs, s3: S3Server) -> None:
        name = await blobs.put(b"here", tenant=tenant(), run_id="r-1")
        kept = await obstore.get_async(s3.store(), f"{PREFIX}/{name}")
        assert bytes(await kept.bytes_async()) == b"here"
        assert await found(S3Blobs(settings(s3, s3_prefix="another")), name.partition("/")[0]) == []

    async def test_other_content_than_the_name_says_is_corrupt(
        self, blobs: Blobs, s3: S3Server
    ) -> None:
        await obstore.put_async(s3.store(), f"{PREFIX}/acme/{'0' * 64}", b"forged")
        with pytest.raises(BlobCorrupt):
            await blobs.get(f"acme/{'0' * 64}")

    @pytest.mark.parametrize(
        ("wrong", "at_fault"),
        [
            ({"s3_bucket": "no-such-bucket"}, "PENSTOCK_S3_BUCKET"),
            ({"s3_access_key": "nobody"}, "PENSTOCK_S3_ACCESS_KEY"),
            ({"s3_secret_key": "guessed"}, "PENSTOCK_S3_SECRET_KEY"),
            ({"s3_access_key": STRANGER}, "PENSTOCK_S3_ACCESS_KEY"),
            ({"s3_endpoint": "http://127.0.0.1:1"}, "PENSTOCK_S3_ENDPOINT"),
        ],
    )
    async def test_a_wrong_setting_is_named(
        self, s3: S3Server, wrong: dict[str, str], at_fault: str
    ) -> None:
        blobs = S3Blobs(settings(s3, **wrong))
        assert at_fault in await blobs.problem()
        (check,) = (await BlobsCheck(blobs).answer()).items()
        assert at_fault in check[0]
        assert not check[1]
        for attempt in (blobs.put(b"x", tenant="t"), blobs.get(f"t/{'0' * 64}")):
            with pytest.raises(BlobsUnavailable) as caught:
                await attempt
            assert SECRET_KEY not in str(caught.value)

    async def test_a_bucket_takes_over_from_jetstream(self, nc: Client, s3: S3Server) -> None:
        mine = tenant()
        before = await JetStreamBlobs(nc).put(b"before", tenant=mine)
        blobs = blobs_of(settings(s3), nc)
        assert isinstance(blobs, Moved)
        assert await blobs.get(before) == b"before"
        after = await blobs.put(b"after", tenant=mine, run_id="r-1")
        assert await S3Blobs(settings(s3)).get(after) == b"after"
        with pytest.raises(BlobMissing):
            await JetStreamBlobs(nc).get(after)
        with pytest.raises(BlobMissing):
            await blobs.get(f"{mine}/{'0' * 64}")


@pytest.mark.parametrize(
    "name", ["t/abc", "t/runs/abc", "t/runs/r.1/abc", "t/runs/r/a/b", "", "t/gates/r/abc"]
)
def test_what_is_not_of_a_run_has_no_owner(name: str) -> None:
    assert owner_of(name) is None


def test_what_is_of_a_run_has_its_owner() -> None:
    assert owner_of(name_of(b"x", tenant="t", run_id="r-1")) == Owner("t", "r-1")
    assert owner_of(name_of(b"x", tenant="t")) is None
