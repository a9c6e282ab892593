"""`penstock audit events`, `export`, `prove`: through the API, as the tenant sees it."""

from itertools import islice
from typing import Final

import msgspec
from rich.table import Column, Table
from rich.text import Text

from penstock.client.audit import AuditEvent, Verdict, audit_events
from penstock.client.commands.session import Session

MOMENT: Final = "%Y-%m-%d %H:%M:%S"
PARTS_MAX: Final = 100_000
"""Requests that one proof may take, each of some seconds."""


def list_events(
    session: Session, *, after: str | None, type_: str | None, actor: str | None, limit: int
) -> int:
    """`penstock audit events`."""
    asked = audit_events(after=after, type=type_, actor=actor)
    found = islice(session.client.pages(asked), limit)
    if session.as_json:
        for event in found:
            session.answer(event)
        return 0
    columns = ("at", "result", "actor", "from", "about")
    table = Table(Column("position", no_wrap=True), "type", *columns, box=None)
    for event in found:
        table.add_row(*(Text(cell) for cell in cells(event)))
    session.say(table if table.row_count else "no events")
    return 0


def cells(event: AuditEvent) -> tuple[str, ...]:
    """A row of the table."""
    at = event.at.astimezone().strftime(MOMENT)
    about = f"{event.subject.kind} {event.subject.id}"
    address = "" if event.origin is None else event.origin.address
    return event.position, event.type, at, event.result, event.actor or "", address, about


def export(session: Session, *, after: str | None) -> int:
    """`penstock audit export`."""
    for line in session.client.audit.export(after=after):
        session.write(line.decode() + "\n")
    return 0


def prove(session: Session) -> int:
    """`penstock audit prove`: as many requests as it takes."""
    verdict = session.client.audit.verify()
    for _ in range(PARTS_MAX):
        if verdict.through is None:
            break
        verdict = joined(verdict, session.client.audit.verify(after=verdict.through))
    if session.as_json:
        session.answer(verdict)
    else:
        for problem in verdict.problems:
            session.say(f"{problem.position}: {problem.detail}")
        said = "ok" if verdict.ok else "NOT OK"
        session.say(f"{said}: {verdict.events} events, {len(verdict.problems)} problems")
        for log, head in sorted(verdict.head.items()):
            session.say(f"{log} ends at {head.position} with {head.hash}")
    return 0 if verdict.ok and verdict.complete else 1


def joined(first: Verdict, then: Verdict) -> Verdict:
    """Two parts of one proof."""
    return msgspec.structs.replace(
        then,
        ok=first.ok and then.ok,
        events=first.events + then.events,
        problems=[*first.problems, *then.problems],
    )
