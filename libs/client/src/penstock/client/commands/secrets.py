"""`penstock secrets …`: values of the tenant that nobody is shown.

A value is typed in unseen or comes on standard input: an argument would be in the shell's history
and in every list of processes.
"""

import sys
from getpass import getpass
from typing import Final

from rich.table import Column, Table
from rich.text import Text

from penstock.client.commands.session import Session
from penstock.client.errors import NotFound

READ_MAX: Final = 64 * 1024
"""Characters of standard input; the API says what is too long for a secret."""


def list_secrets(session: Session, *, limit: int) -> int:
    """`penstock secrets list`: the newest ones."""
    page = session.client.secrets.list(limit=limit)
    if session.as_json:
        session.answer(page)
        return 0
    table = Table(Column("name", no_wrap=True), "set at", "set by", box=None)
    for each in page.items:
        at = "" if each.updated_at is None else each.updated_at.isoformat(timespec="seconds")
        table.add_row(*(Text(cell) for cell in (each.name, at, each.updated_by or "")))
    session.say(table if page.items else "no secrets")
    return 0


def set_secret(session: Session, name: str) -> int:
    """`penstock secrets set`: replaced, or made where there is none."""
    value = typed_in(name)
    try:
        found = session.client.secrets.update(name, value)
        change = "replaced"
    except NotFound:
        found = session.client.secrets.create(name, value)
        change = "created"
    if session.as_json:
        session.answer(found)
    else:
        session.say(f"secret {found.name} {change}")
    return 0


def remove_secret(session: Session, name: str) -> int:
    """`penstock secrets remove`."""
    session.client.secrets.remove(name)
    if session.as_json:
        session.answer({"secret": name, "removed": True})
    else:
        session.say(f"secret {name} is removed")
    return 0


def typed_in(name: str) -> str:
    """A value from the terminal, or from standard input without the end of its last line."""
    if sys.stdin.isatty():
        return getpass(f"value of {name}: ")
    return sys.stdin.read(READ_MAX).removesuffix("\n").removesuffix("\r")
