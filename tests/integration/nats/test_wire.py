"""What the wire needs of nats-py 2.16, on a real server; an upgrade that changes it fails here."""

import asyncio
import socket
from functools import partial
from importlib.metadata import version
from urllib.parse import urlsplit

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from penstock.dev.nats_server import NatsServer
from penstock.infra.nats.reader import Frame, Reader
from penstock.infra.nats.wire import UNSENT_MAX_BYTES, Wire, wire_of
from tests.integration.nats.waiting import until

Heard = list[Frame]


@pytest.fixture
def wire(nc: Client) -> Wire:
    return wire_of(nc)


async def test_it_is_the_version_that_it_was_written_for() -> None:
    assert version("nats-py") == "2.16.0"


async def test_frames_are_heard_and_others_go_to_nats_py(nc: Client, wire: Wire) -> None:
    heard: Heard = []
    ordinary: list[Msg] = []

    async def on_message(message: Msg) -> None:
        ordinary.append(message)

    await nc.subscribe("also", cb=on_message)
    await wire.listen("mine.*", heard.append)
    for number in range(100):
        assert wire.offer(f"mine.{number}", b"x" * number, "reply")
        await nc.publish("also", b"y", headers={"A": "b"})
    await wire.settled()
    await until(lambda: len(ordinary) == 100)
    assert [len(frame.data) for frame in heard] == list(range(100))
    assert heard[7] == Frame(b"mine.7", b"reply", b"", b"x" * 7)
    assert {message.headers["A"] for message in ordinary if message.headers} == {"b"}


async def test_what_is_sent_keeps_the_order_of_what_nats_py_sends(nc: Client, wire: Wire) -> None:
    heard: Heard = []
    await wire.listen("mine", heard.append)
    for number in range(0, 300, 3):
        assert wire.offer("mine", b"%d" % number)
        await nc.publish("mine", b"%d" % (number + 1))
        assert not wire.send("mine", b""), "nats-py has not sent its own yet"
        assert wire.offer("mine", b"%d" % (number + 2))
        if number % 30 == 0:
            await wire.settled()
    await wire.settled()
    assert [int(frame.data) for frame in heard] == list(range(300))


async def test_headers_are_sent(nc: Client, wire: Wire) -> None:
    heard: Heard = []
    await wire.listen("mine", heard.append)
    await wire.settled()
    assert wire.send("mine", b"body", head=b"NATS/1.0\r\nA: b\r\n\r\n")
    await wire.settled()
    assert (heard[0].headers, heard[0].data) == ({"A": "b"}, b"body")


@pytest.mark.parametrize("subject", ["", "a b", "a\r\nPUB b 0", "a\tb", "a\0b"])
async def test_an_unfit_subject_is_left_to_nats_py(nc: Client, wire: Wire, subject: str) -> None:
    await wire.settled()
    assert not wire.send(subject, b"")
    assert wire.send("fit", b"")


async def test_what_is_too_large_or_too_much_is_left_to_nats_py(nc: Client, wire: Wire) -> None:
    await wire.settled()
    assert not wire.send("mine", b"x" * (nc.max_payload + 1))
    sent = 0
    while wire.send("mine", b"x" * 500_000):
        sent += 500_000
        assert sent <= UNSENT_MAX_BYTES + 16 * 1024 * 1024, "more than any socket buffers"


async def test_what_is_large_comes_whole(nc: Client, wire: Wire) -> None:
    heard: Heard = []
    await wire.listen("mine", heard.append)
    body = bytes(range(256)) * 3000
    for _ in range(20):
        wire.offer("mine", body)
        await wire.settled()
    assert [frame.data for frame in heard] == [body] * 20


async def test_a_new_connection_has_the_subscriptions_and_the_reader(
    nc: Client, wire: Wire, nats_server: NatsServer
) -> None:
    heard: Heard = []
    await wire.listen("mine", heard.append)
    for rounds in (1, 2, 3):
        nats_server.kill()
        await until(lambda: not nc.is_connected)
        assert not wire.send("mine", b"now")
        assert wire.offer("mine", b"later")
        nats_server.start()
        await until(partial(lambda count: len(heard) == count, rounds))
        assert isinstance(nc._ps, Reader)
    assert {frame.data for frame in heard} == {b"later"}


@pytest.mark.parametrize("subject", [b"mine.\xff", b"mine.\x0b\x0c\x00", "mine.ü".encode()])
async def test_no_subject_ends_the_reading(
    nc: Client, wire: Wire, nats_server: NatsServer, subject: bytes
) -> None:
    heard: Heard = []
    ordinary: list[Msg] = []

    async def on_message(message: Msg) -> None:
        ordinary.append(message)

    await wire.listen("mine.*", heard.append)
    await nc.subscribe("mine.*", cb=on_message)
    await wire.settled()
    await asyncio.to_thread(_publish_raw, nats_server.url, subject)
    await until(lambda: len(heard) == 1 and len(ordinary) == 1)
    assert heard[0].subject == subject
    await wire.settled()


async def test_who_is_ignored_hears_nothing_and_a_drain_hears_all(nc: Client, wire: Wire) -> None:
    heard: Heard = []
    for drain in (True, False):
        heard.clear()
        subscription = await wire.listen("mine", heard.append)
        for _ in range(50):
            wire.offer("mine", b"x")
        await wire.ignore(subscription, drain=drain)
        assert len(heard) == 50 or not drain
        so_far = len(heard)
        wire.offer("mine", b"x")
        await wire.settled()
        assert len(heard) == so_far


def _publish_raw(url: str, subject: bytes) -> None:
    """As some other client might, without any care."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port or 0)) as connection:
        connection.sendall(b"CONNECT {}\r\nPUB " + subject + b" 1\r\nx\r\nPING\r\n")
        while b"PONG" not in connection.recv(4096):
            continue
