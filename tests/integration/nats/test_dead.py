"""A letter is stored before the message is given up."""

import pytest
from nats.aio.client import Client

from penstock.infra.nats import dead, streams
from penstock.infra.nats.dead import DeadLetters
from penstock.infra.nats.direct import Direct
from penstock.infra.nats.publish import Publisher, PublishError
from penstock.infra.nats.pull import Delivery, Pull
from tests.integration.nats.waiting import until

CONSUMER = streams.scheduler_consumer(streams.COMMANDS, 1)


async def delivered(nc: Client, publisher: Publisher) -> tuple[Pull, Delivery]:
    held: list[Delivery] = []
    await publisher.publish("penstock.cmd.acme.1.run.r-1", b"\xff not a command")
    pull = Pull(nc, streams.COMMANDS, CONSUMER, held.append)
    await pull.start()
    await until(lambda: len(held) == 1)
    return pull, held[0]


async def test_a_buried_message_is_kept_with_its_story(
    nc: Client, publisher: Publisher, direct: Direct
) -> None:
    pull, delivery = await delivered(nc, publisher)
    await DeadLetters(publisher).bury(delivery, streams.COMMANDS, "undecodable:\r\nnoise")
    letter = await direct.last(streams.DEAD_LETTERS, "penstock.dead.COMMANDS")
    assert letter is not None
    assert letter.body == b"\xff not a command"
    assert letter.headers[dead.SUBJECT] == "penstock.cmd.acme.1.run.r-1"
    assert "undecodable:" in letter.headers[dead.REASON]
    assert (letter.headers[dead.SEQUENCE], letter.headers[dead.DELIVERED]) == ("1", "1")
    await nc.flush()
    info = await nc.jetstream().consumer_info(streams.COMMANDS, CONSUMER)
    assert info.num_ack_pending == 0
    await pull.stop()


async def test_a_letter_that_is_not_stored_keeps_the_message_alive(
    nc: Client, publisher: Publisher
) -> None:
    pull, delivery = await delivered(nc, publisher)
    await nc.jetstream().delete_stream(streams.DEAD_LETTERS)
    with pytest.raises(PublishError):
        await DeadLetters(publisher).bury(delivery, streams.COMMANDS, "undecodable")
    assert pull.outstanding == 1
    await pull.stop()
