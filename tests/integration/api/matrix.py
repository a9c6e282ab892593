"""Every route asked by everybody: what to expect comes from a table that was written by hand."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from uuid import uuid4

from fastapi.routing import APIRoute

from penstock.api.app import routes
from penstock.api.auth import Guard, guard_of
from penstock.domain.identity import Role
from tests.integration.api.least_roles import LEAST, PUBLIC, SELF

RANKS = ("viewer", "member", "editor", "admin", "platform_admin")
"""Each may do all that the one before it may."""
BODILESS = frozenset({"GET", "DELETE"})


class Door(NamedTuple):
    """One method of a route, and what it asks of its callers."""

    method: str
    path: str
    guard: Guard

    def at(self, **values: str) -> str:
        """The path with its parameters filled: those that are not given are nobody's."""
        found = self.path
        for name in self.parameters():
            found = found.replace(f"{{{name}}}", values.get(name) or unknown(name))
        return found

    def parameters(self) -> tuple[str, ...]:
        """The names of its path's parameters."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))


@dataclass(frozen=True)
class Asker:
    """Who presents which credential. role: None for a credential that opens nothing."""

    name: str
    headers: Mapping[str, str]
    role: Role | None


def doors() -> Iterator[Door]:
    """All there are."""
    for route in routes():
        yield from doors_of(route)


def doors_of(route: APIRoute) -> Iterator[Door]:
    """One for each of a route's methods."""
    guard = guard_of(route)
    assert guard is not None, route.path
    for method in sorted(route.methods or ()):
        yield Door(method, route.path, guard)


def unknown(parameter: str) -> str:
    """What nothing is called."""
    return "1" if parameter == "version" else str(uuid4())


OWN, FOREIGN = "own", "foreign"


def expected(door: Door, asker: Asker, named: str | None) -> int | None:
    """The status of a refusal, None where the caller gets past the guard.

    named: which tenant the request names, if any.
    """
    least = LEAST[door.method, door.path]
    if least == PUBLIC:
        return None
    if asker.role is None:
        return 401
    if least == SELF:
        return None
    if RANKS.index(asker.role) < RANKS.index(least):
        return 403
    if least == RANKS[-1]:
        return None
    if asker.role == RANKS[-1]:
        return 400 if named is None else None
    return 403 if named == FOREIGN else None


REFUSALS = {400: "TENANT_REQUIRED", 401: "UNAUTHORIZED", 403: "FORBIDDEN"}


def is_as_expected(wanted: int | None, status: int, code: str) -> bool:
    """Whether an answer is the refusal that was expected, or none that a guard gives."""
    if wanted is None:
        return status < 500 and REFUSALS.get(status) != code
    return (status, code) == (wanted, REFUSALS[wanted])
