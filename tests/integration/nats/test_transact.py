"""Transactions while the server is killed and comes back."""

import asyncio
from itertools import pairwise

from penstock.dev.nats_server import NatsServer
from penstock.domain.errors import Contention
from penstock.infra.eventlog.jetstream import JetStreamLog
from penstock.infra.eventlog.log import LogUnavailable
from penstock.infra.eventlog.transact import Ledger
from penstock.infra.nats.direct import Direct
from penstock.infra.nats.publish import Publisher
from penstock.messages.envelope import chain_hash
from tests.contract.account import CODEC, Account, Command, Event, Open, Paid, Pay, ledger, sent
from tests.integration.nats.waiting import until_it_works

WRITERS = 3
PAYMENTS = 40
KILLS = 3


async def test_killing_the_server_neither_loses_nor_repeats_a_command(
    publisher: Publisher, direct: Direct, nats_server: NatsServer
) -> None:
    log = JetStreamLog(publisher, direct)
    subject = "penstock.evt.acme.account.a"

    async def sure(book: Ledger[Command, Event, Account], command: Command) -> None:
        async def transact() -> None:
            try:
                await book.transact(subject, [sent(command)])
            except Contention as error:
                raise LogUnavailable("try again") from error

        await until_it_works(transact, unless=LogUnavailable)

    async def write(writer: int) -> None:
        book = ledger(log)
        await sure(book, Open("ann"))
        for number in range(PAYMENTS):
            await sure(book, Pay(f"{writer}-{number}", 1))

    async def kill() -> None:
        for _ in range(KILLS):
            await asyncio.sleep(0.1)
            await asyncio.to_thread(nats_server.kill)
            await asyncio.to_thread(nats_server.start)

    await asyncio.gather(*(write(n) for n in range(WRITERS)), kill())
    history = await until_it_works(lambda: log.read(subject), unless=LogUnavailable)
    decisions = [CODEC.decode(stored.body) for stored in history]
    paid = [event.payment for d in decisions for event in d.events if isinstance(event, Paid)]
    assert len(paid) == len(set(paid)) == WRITERS * PAYMENTS
    for before, after in pairwise(history):
        previous_hash = CODEC.decode(before.body).previous_hash
        assert CODEC.decode(after.body).previous_hash == chain_hash(previous_hash, before.body)
