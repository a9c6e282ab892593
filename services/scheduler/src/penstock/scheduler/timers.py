"""Timers by the broker's scheduled messages.

A timer is an event; the scheduled message is a hint that makes it fire on time without anybody
holding it in memory. A hint that is lost is noticed by the reconciler.
"""

import asyncio
from datetime import UTC, datetime

from penstock.domain.run.state import Timer
from penstock.infra.nats import subjects
from penstock.infra.nats.publish import Publisher
from penstock.infra.telemetry import metrics

DUE_TTL = "24h"
"""How long a message that came due stays for a scheduler to read it."""


class Timers:
    """Sets timers."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    def set(self, tenant: str, run_id: str, timer_id: str, timer: Timer) -> asyncio.Future[int]:
        """Have the broker say when `timer` is due; setting it again changes nothing."""
        metrics.scheduler_timers_set.inc()
        target = subjects.timer_due(tenant, run_id, timer_id)
        headers = {
            "Nats-Schedule": f"@at {moment(timer.due_at)}",
            "Nats-Schedule-Target": target,
            "Nats-Schedule-TTL": DUE_TTL,
        }
        subject = subjects.timer_set(tenant, run_id, timer_id)
        return self._publisher.publish(subject, timer.kind.encode(), headers=headers)


def moment(at: int) -> str:
    """A moment in milliseconds as the broker reads it, rounded up to a whole second's part."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")
