"""Partitions go to whoever is there, and the runs in them with them."""

import signal

import msgspec
from nats.aio.client import Client

from penstock.infra.nats import subjects
from penstock.infra.nats.subjects import PARTITIONS
from tests.integration.scheduler.replicas import Replicas

STARTED_WITHIN_S = 90.0
TAKEN_OVER_WITHIN_S = 10.0
"""After a kill, or a freeze."""
HANDED_OVER_WITHIN_S = 1.0
"""After a graceful stop."""
RUNS = 2 * PARTITIONS
DEAD_INSTANCES = 300


async def test_what_was_asked_before_anybody_came_is_done(replicas: Replicas) -> None:
    runs = await replicas.begin(RUNS)
    await replicas.start("first")
    await replicas.until_dispatched(runs)
    for run_id in runs:
        await replicas.report(run_id)
    await replicas.until_ended(runs)


async def test_a_killed_replicas_runs_are_brought_to_their_end_by_another(
    replicas: Replicas,
) -> None:
    victim = await replicas.start("victim")
    await replicas.start("heir")
    await replicas.until_shared("victim", "heir", within_s=STARTED_WITHIN_S)
    runs = await replicas.begin(RUNS)
    await replicas.until_dispatched(runs)
    victim.kill()
    for run_id in runs:
        await replicas.report(run_id)
    more = await replicas.begin(RUNS)
    await replicas.until_shared("heir", within_s=TAKEN_OVER_WITHIN_S)
    await replicas.until_dispatched(more)
    for run_id in more:
        await replicas.report(run_id)
    await replicas.until_ended(runs + more)


async def test_a_replica_that_leaves_hands_over_at_once(replicas: Replicas) -> None:
    leaving = await replicas.start("leaving")
    await replicas.start("staying")
    await replicas.until_shared("leaving", "staying", within_s=STARTED_WITHIN_S)
    runs = await replicas.begin(RUNS)
    await replicas.until_dispatched(runs)
    leaving.send_signal(signal.SIGTERM)
    assert await leaving.wait() == 0
    await replicas.until_shared("staying", within_s=HANDED_OVER_WITHIN_S)
    for run_id in runs:
        await replicas.report(run_id)
    await replicas.until_ended(runs)


async def test_a_replica_that_froze_is_succeeded_and_finds_out(replicas: Replicas) -> None:
    zombie = await replicas.start("zombie")
    await replicas.start("heir")
    await replicas.until_shared("zombie", "heir", within_s=STARTED_WITHIN_S)
    runs = await replicas.begin(RUNS)
    await replicas.until_dispatched(runs)
    zombie.send_signal(signal.SIGSTOP)
    try:
        # The broker hands some of these to the one that sleeps, who had asked for them.
        # With the others, no more than one scheduler gives out while no executor is there.
        more = await replicas.begin(PARTITIONS)
        await replicas.until_dispatched(more, within_s=TAKEN_OVER_WITHIN_S)
        await replicas.until_shared("heir", within_s=TAKEN_OVER_WITHIN_S)
        for run_id in runs + more:
            await replicas.report(run_id)
    finally:
        zombie.send_signal(signal.SIGCONT)
    await replicas.until_ended(runs + more)
    await replicas.until_shared("zombie", "heir", within_s=TAKEN_OVER_WITHIN_S)


async def test_leases_of_many_that_are_no_more_hide_nobody(replicas: Replicas, nc: Client) -> None:
    admin = nc.jetstream()
    for number in range(DEAD_INSTANCES):
        body = msgspec.json.encode({"owner": ""})
        await admin.publish(subjects.lease(f"member-gone-{number}"), body)
    await replicas.start("first")
    await replicas.start("second")
    await replicas.until_shared("first", "second", within_s=STARTED_WITHIN_S)
