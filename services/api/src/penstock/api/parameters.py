"""The query of a request: a name that its route does not know is refused, not passed over.

A misspelled filter would else list everything, and a misspelled `dryRun` do it. So is one that
stands twice where one value is meant, of which all but the last would be passed over.
"""

from collections import Counter
from collections.abc import Iterator
from typing import get_origin

from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import Request

from penstock.api.errors import detail, invalid, pointer


def refuse_unknown(request: Request) -> None:
    """Raises Problem 400 with every name in the query that is unknown, or stands there twice."""
    if not request.scope["query_string"]:
        return
    known = known_to(request.scope["route"])
    asked = Counter(name for name, _ in request.query_params.multi_items())
    unknown = sorted(asked.keys() - known)
    if unknown:
        said = f"known here: {', '.join(sorted(known)) or 'none'}"
        details = [detail(pointer(("query", name)), "UNKNOWN_KEY", said) for name in unknown]
        raise invalid("the query names what this route does not know", *details)
    lists = set(lists_of(request.scope["route"]))
    twice = sorted(name for name, times in asked.items() if times > 1 and name not in lists)
    if twice:
        said = "stands more than once"
        details = [detail(pointer(("query", name)), "SCHEMA_INVALID", said) for name in twice]
        raise invalid("the query says more than once what has one value", *details)


def known_to(route: APIRoute) -> set[str]:
    """What the query of a route may hold."""
    names: set[str] = set()
    for field in route.dependant.query_params:
        kind = field.field_info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names |= {info.alias or name for name, info in kind.model_fields.items()}
        else:
            names.add(field.alias)
    return names


def lists_of(route: APIRoute) -> Iterator[str]:
    """What the query of a route may hold more than once."""
    for field in route.dependant.query_params:
        if get_origin(field.field_info.annotation) is list:
            yield field.alias
