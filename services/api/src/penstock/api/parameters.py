"""The query of a request: a name that its route does not know is refused, not passed over.

A misspelled filter would else list everything, and a misspelled `dryRun` do it.
"""

from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import Request

from penstock.api.errors import detail, invalid, pointer


def refuse_unknown(request: Request) -> None:
    """Raises Problem 400 with every unknown name in the query."""
    if not request.scope["query_string"]:
        return
    known = known_to(request.scope["route"])
    unknown = sorted(set(request.query_params) - known)
    if unknown:
        said = f"known here: {', '.join(sorted(known)) or 'none'}"
        details = [detail(pointer(("query", name)), "UNKNOWN_KEY", said) for name in unknown]
        raise invalid("the query names what this route does not know", *details)


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
