"""Why a run is where it is, and where its time went: its history, told by cause."""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from penstock.api import folding, past
from penstock.api.answers import MS
from penstock.api.auth import Caller
from penstock.api.histories import RunKey
from penstock.api.parts import Parts
from penstock.api.registry import now_ms
from penstock.domain.run.events import RunEvent
from penstock.domain.run.explain import Waiting, changed, explained
from penstock.domain.run.timeline import Cause, Sweep, Timeline
from penstock.infra.postgres.engine import Row

SPANS_MAX = 1_000
"""Spans that are told one by one; the totals are of all."""

AT_EXECUTORS = (Cause.ADMISSION, Cause.EXECUTOR)
"""What only somebody who serves a queue can end."""

NOBODY = "no executor takes work from the queue"


class Heard:
    """What is kept of a history while it is folded: when things changed, and where time went."""

    def __init__(self) -> None:
        self.since: dict[str, int] = {}
        self.sweep = Sweep()

    def hear(self, at: int, event: RunEvent) -> None:
        """One more event, decided at `at`."""
        self.since[changed(event)] = at
        self.sweep.take(at, event)


async def explanation(parts: Parts, caller: Caller, row: Row) -> dict[str, Any]:
    """The answer to `GET /runs/{id}/explain`.

    Of a history that is too long to be folded whole, what waits is told all the same.
    """
    key = RunKey(
        caller.tenant_id, str(row["id"]), row["created_at"], row["correlation_id"] or str(row["id"])
    )
    graph = await parts.definitions.graph(caller.tenant_id, row["definition"])
    payloads = parts.payloads(key.tenant_id, partial(parts.histories.decision_of, key))
    source = folding.Source(parts.histories, payloads, key, graph)
    heard = Heard()
    try:
        then = await folding.folded(source, past.Until(), heard.hear)
        spent = timeline_shown(heard.sweep.timeline(now_ms()))
    except folding.TooLong:
        heard = Heard()
        then = await folding.stood(source, past.Until(), heard.hear)
        spent = untold(row)
    waits = [
        await parts.doors.explained(key.tenant_id, key.run_id, each, now_ms())
        for each in explained(then.run, heard.since)
    ]
    served = await parts.crew.queues() if any(w.cause in AT_EXECUTORS for w in waits) else None
    return {
        "runId": then.run.id,
        "status": past.standing(then.run),
        "waits": await payloads.words([waiting_shown(each, served) for each in waits]),
        **spent,
    }


def untold(row: Row) -> dict[str, Any]:
    """The time of a run whose history is too long for its causes to be told."""
    begin = round(row["created_at"].timestamp() * MS)
    end = round(row["finished_at"].timestamp() * MS) if row["finished_at"] else now_ms()
    return {**timeline_shown(Timeline(begin=begin, end=end, spans=(), totals={})), "isWhole": False}


def waiting_shown(waiting: Waiting, served: frozenset[str] | None) -> dict[str, Any]:
    """One thing that waits, as clients see it. served: queues with executors, if that is known."""
    detail = waiting.detail
    if waiting.cause in AT_EXECUTORS and served is not None and not served & set(waiting.on):
        detail = f"{NOBODY} {', '.join(waiting.on)}"
    return {
        "stepId": waiting.step_id or None,
        "cause": str(waiting.cause),
        "since": moment(waiting.since),
        "until": moment(waiting.until),
        "on": list(waiting.on),
        "detail": detail,
    }


def timeline_shown(spent: Timeline) -> dict[str, Any]:
    """Where the time went, as clients see it."""
    return {
        "from": moment(spent.begin),
        "to": moment(spent.end),
        "totalMs": spent.end - spent.begin,
        "isWhole": True,
        "totals": [{"cause": str(cause), "ms": ms} for cause, ms in spent.totals.items()],
        "timeline": [
            {
                "from": moment(span.begin),
                "to": moment(span.end),
                "cause": str(span.cause),
                "ms": span.end - span.begin,
            }
            for span in longest(spent)
        ],
    }


def longest(spent: Timeline) -> Iterable[Any]:
    """All spans where they are few, else the longest ones, in order."""
    if len(spent.spans) <= SPANS_MAX:
        return spent.spans
    kept = sorted(spent.spans, key=lambda span: span.end - span.begin, reverse=True)[:SPANS_MAX]
    return sorted(kept)


def moment(at_ms: int) -> str | None:
    """Milliseconds since the epoch as RFC 3339; None for 0."""
    if not at_ms:
        return None
    text = datetime.fromtimestamp(at_ms / MS, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
