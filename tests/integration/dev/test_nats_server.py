"""The embedded NATS server: real JetStream, restartable in place, its data kept."""

import socket
from pathlib import Path

import nats

from penstock.dev.nats_server import MAX_PAYLOAD_BYTES, NatsServer
from penstock.infra.nats.users import OWNER


async def stored(url: str) -> int:
    client = await nats.connect(url)
    try:
        return (await client.jetstream().stream_info("KEPT")).state.messages
    finally:
        await client.close()


async def store_one(url: str) -> None:
    client = await nats.connect(url)
    await client.jetstream().add_stream(name="KEPT", subjects=["kept"])
    await client.jetstream().publish("kept", b"one")
    await client.close()


async def test_it_comes_back_after_a_kill_where_it_was(nats_server: NatsServer) -> None:
    await store_one(nats_server.url)
    url, pid = nats_server.url, nats_server.pid
    nats_server.kill()
    nats_server.start()
    assert nats_server.url == url
    assert nats_server.pid != pid
    assert await stored(url) == 1


async def test_a_graceful_stop_keeps_the_streams(nats_server: NatsServer) -> None:
    await store_one(nats_server.url)
    nats_server.stop()
    assert not nats_server.is_ready()
    nats_server.start()
    assert await stored(nats_server.url) == 1


async def test_it_takes_payloads_up_to_its_limit(nats_server: NatsServer) -> None:
    client = await nats.connect(nats_server.url)
    assert client.max_payload == MAX_PAYLOAD_BYTES
    await client.close()


async def test_a_password_keeps_strangers_out(tmp_path: Path) -> None:
    server = NatsServer(tmp_path, passwords={OWNER: "opensesame"}, sync_always=True)
    server.start()
    try:
        await store_one(server.url)
        assert b"Authorization Violation" in refusal(server.port)
        assert (tmp_path / "nats.conf").stat().st_mode & 0o077 == 0
    finally:
        server.stop()


def refusal(port: int) -> bytes:
    """What the server says to a client that logs in without a password."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as connection,
        connection.makefile("rb") as stream,
    ):
        connection.sendall(b'CONNECT {"verbose":false}\r\nPING\r\n')
        stream.readline()
        return stream.readline()
