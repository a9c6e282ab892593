"""`penstock variables …`: named values of the tenant."""

import json
from typing import Any, Final

import msgspec
from rich.table import Column, Table
from rich.text import Text

from penstock.client.commands.session import Session
from penstock.client.errors import NotFound

VALUE_CHARACTERS_MAX: Final = 80


def list_variables(session: Session, *, limit: int) -> int:
    """`penstock variables list`: the newest ones."""
    page = session.client.variables.list(limit=limit)
    if session.as_json:
        session.answer(page)
        return 0
    table = Table(Column("name", no_wrap=True), "value", "description", box=None)
    for each in page.items:
        cells = [each.name, shortened(as_text(each.value)), each.description]
        table.add_row(*(Text(cell) for cell in cells))
    session.say(table if page.items else "no variables")
    return 0


def get_variable(session: Session, name: str) -> int:
    """`penstock variables get`: the value alone, or with `--json` all that is known of it."""
    found = session.client.variables.get(name)
    if session.as_json:
        session.answer(found)
    else:
        session.say(as_text(found.value))
    return 0


def set_variable(session: Session, name: str, text: str, *, description: str) -> int:
    """`penstock variables set`: changed, or made where there is none."""
    value = value_of(text)
    try:
        found = session.client.variables.update(name, value, description=description)
        change = "changed"
    except NotFound:
        found = session.client.variables.create(name, value, description=description)
        change = "created"
    if session.as_json:
        session.answer(found)
    else:
        session.say(f"variable {found.name} {change}")
    return 0


def delete_variable(session: Session, name: str) -> int:
    """`penstock variables delete`."""
    session.client.variables.delete(name)
    if session.as_json:
        session.answer({"variable": name, "deleted": True})
    else:
        session.say(f"variable {name} is deleted")
    return 0


def value_of(text: str) -> Any:
    """A value as the command line writes it: JSON, else the text itself."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def as_text(value: Any) -> str:
    """A value as JSON."""
    return json.dumps(value, ensure_ascii=False)


def shortened(text: str) -> str:
    """A text that fits into a table."""
    return text if len(text) <= VALUE_CHARACTERS_MAX else text[: VALUE_CHARACTERS_MAX - 1] + "…"
