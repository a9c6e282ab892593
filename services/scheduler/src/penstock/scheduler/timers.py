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
from penstock.scheduler.keys import GateKey

DUE_TTL = "24h"
"""How long a message that came due stays for a scheduler to read it."""


GATE_TIMER = "gate-opens"
"""The timer of every gate: there is but one, and none of a run is named like that."""


class Timers:
    """Sets timers."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    def set(self, tenant: str, run_id: str, timer_id: str, timer: Timer) -> asyncio.Future[int]:
        """Have the broker say when `timer` is due; setting it again changes nothing."""
        names = (tenant, run_id, timer_id)
        return self._set(names, timer.due_at, timer.kind.encode())

    def open_gate(self, key: GateKey, at: int) -> asyncio.Future[int]:
        """Have the broker say when a gate opens; what was said of it before is void."""
        return self._set((key.tenant, key.gate_id, GATE_TIMER), at, b"gate")

    def _set(self, names: tuple[str, str, str], at: int, body: bytes) -> asyncio.Future[int]:
        metrics.scheduler_timers_set.inc()
        headers = {
            "Nats-Schedule": f"@at {moment(at)}",
            "Nats-Schedule-Target": subjects.timer_due(*names),
            "Nats-Schedule-TTL": DUE_TTL,
        }
        return self._publisher.publish(subjects.timer_set(*names), body, headers=headers)


def moment(at: int) -> str:
    """A moment in milliseconds as the broker reads it, rounded up to a whole second's part."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")
