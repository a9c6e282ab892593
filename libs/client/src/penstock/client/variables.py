"""Calls about variables: named values of the tenant; `variable` is a variable's name or id."""

from typing import Any
from uuid import uuid4

from msgspec.structs import replace

from penstock.client.calls import Answer, Call, delete, encoded, get, reading, segment
from penstock.client.models import Page, Variable

PATH = "/api/variables"


def create_variable(name: str, value: Any, *, description: str = "") -> Call[Variable]:
    """Make a variable; runs that begin from now on read it. value: what JSON can say.

    Raises Invalid, Conflict (the name is taken).
    """
    body, headers = encoded({"name": name, "value": value, "description": description})
    return Call(
        method="POST",
        path=PATH,
        read=read_variable,
        headers={**headers, "Idempotency-Key": uuid4().hex},
        body=body,
        repeatable=True,
    )


def get_variable(variable: str) -> Call[Variable]:
    """One variable with its `etag`. Raises NotFound."""
    path = f"{PATH}/{segment(variable)}"
    return Call(method="GET", path=path, read=read_variable, repeatable=True)


def list_variables(*, limit: int | None = None, cursor: str | None = None) -> Call[Page[Variable]]:
    """A page of variables. limit: 1 to 200."""
    return get(PATH, Page[Variable], limit=limit, cursor=cursor)


def update_variable(
    variable: str, value: Any, *, description: str = "", if_match: str | None = None
) -> Call[Variable]:
    """Give a variable another value and description; runs that have begun keep theirs.

    if_match: an etag; raises PreconditionFailed if the variable is not that any more. Raises
    Invalid, NotFound.
    """
    body, headers = encoded({"value": value, "description": description})
    if if_match is not None:
        headers["If-Match"] = if_match
    return Call(
        method="PUT",
        path=f"{PATH}/{segment(variable)}",
        read=read_variable,
        headers=headers,
        body=body,
        repeatable=if_match is None,
    )


def delete_variable(variable: str) -> Call[None]:
    """Let no run that begins from now on read the variable. Raises NotFound."""
    return delete(f"{PATH}/{segment(variable)}")


def read_variable(answer: Answer) -> Variable:
    """The variable in an answer, with the etag of its header."""
    return replace(reading(Variable)(answer), etag=answer.headers.get("etag"))
