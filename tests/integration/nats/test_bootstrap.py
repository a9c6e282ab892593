"""Bootstrap makes what is missing, leaves what is there, and never hides a lost log."""

import pytest
from nats.aio.client import Client
from nats.js.errors import NoStreamResponseError

from penstock.dev.nats_server import NatsServer
from penstock.infra.nats import streams
from penstock.infra.nats.bootstrap import LostLog, bootstrap, verify
from penstock.infra.nats.pull import Delivery, Pull
from tests.integration.nats.waiting import until


async def test_bootstrap_by_url_can_be_repeated(nats_server: NatsServer) -> None:
    await bootstrap(nats_server.url)
    await bootstrap(nats_server.url, database_has_checkpoint=True)


async def test_nothing_is_missing_afterwards(nc: Client) -> None:
    assert await verify(nc) == ()


async def test_a_missing_consumer_and_stream_are_named(nc: Client) -> None:
    js = nc.jetstream()
    await js.delete_consumer(streams.REPORTS, "scheduler-REPORTS-3")
    await js.delete_stream(streams.LEASES)
    assert await verify(nc) == ("LEASES", "REPORTS/scheduler-REPORTS-3")
    await bootstrap(nc)
    assert await verify(nc) == ()


async def test_a_queue_of_its_own_has_a_consumer(nc: Client) -> None:
    queues = ["gpu"]
    assert await verify(nc, queues=queues) == ("WORK/work-shared-gpu",)
    await bootstrap(nc, queues=queues)
    assert await verify(nc, queues=queues) == ()


@pytest.mark.parametrize("log", streams.OF_RECORD)
async def test_a_lost_log_is_not_made_anew(nc: Client, log: str) -> None:
    await nc.jetstream().delete_stream(log)
    with pytest.raises(LostLog, match=log):
        await bootstrap(nc, database_has_checkpoint=True)
    assert (await verify(nc))[0] == log


async def test_messages_survive_a_second_bootstrap(nc: Client) -> None:
    js = nc.jetstream()
    await js.publish("penstock.evt.acme.run.r-1", b"kept")
    await bootstrap(nc, database_has_checkpoint=True)
    assert (await js.get_last_msg(streams.EVENTS, "penstock.evt.acme.run.r-1")).data == b"kept"


UNREAD = [
    "penstock.cmd.acme.16.run.r-1",
    "penstock.cmd.acme.3.run",
    "penstock.cmd.acme.3.run.r-1.more",
    "penstock.rep.shared.x",
    "penstock.work.shared.default",
    "penstock.work.shared.default.acme.more",
    "penstock.timer.due.3.acme.r-1",
    "penstock.timer.due.03.acme.r-1.t-1",
    "penstock.timer.done.3.acme.r-1.t-1",
    "penstock.timer.set.3.acme.r-1.t-1.more",
]


@pytest.mark.parametrize("subject", UNREAD)
async def test_what_no_consumer_would_read_is_not_taken_in(nc: Client, subject: str) -> None:
    with pytest.raises(NoStreamResponseError):
        await nc.jetstream().publish(subject, b"")


async def test_an_older_topology_is_narrowed_and_keeps_its_messages(nc: Client) -> None:
    js = nc.jetstream()
    commands = (await js.stream_info(streams.COMMANDS)).config
    await js.update_stream(commands.evolve(subjects=["penstock.cmd.>"]))
    reader = streams.scheduler_consumer(streams.COMMANDS, 3)
    wide = (await js.consumer_info(streams.COMMANDS, reader)).config
    wide = wide.evolve(filter_subject="penstock.cmd.*.3.>")
    await js.add_consumer(streams.COMMANDS, wide)
    await js.publish("penstock.cmd.acme.3.run.r-1", b"kept")
    await bootstrap(nc)
    assert (await js.stream_info(streams.COMMANDS)).config.subjects == commands.subjects
    info = await js.consumer_info(streams.COMMANDS, reader)
    assert info.config.filter_subject == streams.COMMANDS_OF.format(3)
    assert info.num_pending == 1


async def test_a_timer_comes_due_on_its_partition(nc: Client) -> None:
    """The broker takes our schedule headers on the stream as it is configured."""
    due: list[Delivery] = []
    pull = Pull(nc, streams.TIMERS, streams.scheduler_consumer(streams.TIMERS, 3), due.append)
    await pull.start()
    headers = {
        "Nats-Schedule": "@at 2026-01-01T00:00:00Z",
        "Nats-Schedule-Target": "penstock.timer.due.3.acme.r-1.t-1",
        "Nats-Schedule-TTL": "60s",
    }
    await nc.jetstream().publish("penstock.timer.set.3.acme.r-1.t-1", b"{}", headers=headers)
    await until(lambda: len(due) == 1)
    assert due[0].subject == "penstock.timer.due.3.acme.r-1.t-1"
    await pull.stop()


async def test_histories_are_heard_live(nc: Client) -> None:
    heard = await nc.subscribe("penstock.live.evt.acme.>")
    ack = await nc.jetstream().publish("penstock.evt.acme.run.r-1", b"now")
    msg = await heard.next_msg(timeout=10)
    assert msg.subject == "penstock.live.evt.acme.run.r-1"
    assert (msg.data, (msg.headers or {})["Nats-Sequence"]) == (b"now", str(ack.seq))
