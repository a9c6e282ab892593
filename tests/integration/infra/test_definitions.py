"""Definitions in the blob store and in memory."""

import asyncio
from collections.abc import AsyncIterator

import nats
import pytest

from penstock.dev.nats_server import NatsServer
from penstock.domain.workflow.model import Definition, Node, content_hash
from penstock.infra.blobs.port import BlobMissing, Blobs
from penstock.infra.definitions import HELD_MAX, Definitions
from penstock.infra.nats.blobs import JetStreamBlobs
from penstock.infra.nats.bootstrap import bootstrap


@pytest.fixture(scope="module")
async def blobs(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Blobs]:
    server = NatsServer(tmp_path_factory.mktemp("definitions-nats"))
    server.start()
    await bootstrap(server.url)
    connection = await nats.connect(server.url)
    yield JetStreamBlobs(connection)
    await connection.close()
    server.stop()


def drawn(name: str) -> Definition:
    return Definition(name=name, nodes=(Node(id="a", type="noop"), Node(id="b", type="noop")))


async def test_what_one_process_puts_another_gets(blobs: Blobs) -> None:
    definition = drawn("one")
    found = await Definitions(blobs).put("acme", definition)
    assert found == content_hash(definition)
    there = Definitions(blobs)
    assert there.held("acme", found) is None
    assert await there.definition("acme", found) == definition
    graph = await there.graph("acme", found)
    assert graph.order == ("a", "b")
    assert there.held("acme", found) is graph


async def test_many_who_ask_at_once_get_one_graph(blobs: Blobs) -> None:
    definitions = Definitions(blobs)
    found = await definitions.put("acme", drawn("many"))
    graphs = await asyncio.gather(*(definitions.graph("acme", found) for _ in range(20)))
    assert len({id(graph) for graph in graphs}) == 1


async def test_a_definition_belongs_to_its_tenant(blobs: Blobs) -> None:
    definitions = Definitions(blobs)
    found = await definitions.put("acme", drawn("private"))
    await definitions.graph("acme", found)
    with pytest.raises(BlobMissing):
        await definitions.graph("other", found)
    with pytest.raises(BlobMissing):
        await definitions.graph("acme", "0" * 64)


async def test_memory_is_bounded_by_use(blobs: Blobs) -> None:
    definitions = Definitions(blobs)
    hashes = [await definitions.put("acme", drawn(f"n{number}")) for number in range(HELD_MAX + 1)]
    for found in hashes[:-1]:
        await definitions.graph("acme", found)
    definitions.held("acme", hashes[0])
    await definitions.graph("acme", hashes[-1])
    assert definitions.held("acme", hashes[0]) is not None
    assert definitions.held("acme", hashes[1]) is None
