"""`penstock usage`: each limit of the tenant with what is used of it."""

import msgspec
from rich.table import Column, Table
from rich.text import Text

from penstock.client.commands.session import Session
from penstock.client.usage import LimitUse


def show_usage(session: Session) -> int:
    """`penstock usage`."""
    found = session.client.usage()
    if session.as_json:
        session.answer(found)
        return 0
    table = Table(Column("limit", no_wrap=True), "used", "of", "", box=None)
    names = msgspec.structs.fields(found.limits)
    for name in names:
        use: LimitUse = getattr(found.limits, name.name)
        table.add_row(*(Text(cell) for cell in cells(name.encode_name, use)))
    session.say(table)
    waiting = found.waiting
    session.say(f"waiting: {waiting.runs} runs at gates, {waiting.steps} steps for executors")
    if found.stored_bytes is not None:
        session.say(f"stored: {found.stored_bytes} bytes at {found.stored_bytes_at:%H:%M} UTC")
    return 0


def cells(name: str, use: LimitUse) -> tuple[str, str, str, str]:
    """A row of the table."""
    used = "" if use.used is None else str(use.used)
    most = "no limit" if use.limit is None else str(use.limit)
    until = "" if use.resets_at is None else f"until {use.resets_at:%H:%M} UTC"
    return name, used, most, until
