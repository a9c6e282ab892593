"""What of a request history has to tell that no event of its own tells: who tried what in vain,
who logged in, who took data out.

    acts.noted(request, LoggedIn, tenant_id, actor)     # a route knows more than its answer says
    acts.seen(scope, status, proxies)                   # the door asks, once it is answered
"""

from typing import Final, NamedTuple
from uuid import UUID

from starlette.requests import HTTPConnection, Request
from starlette.types import Scope

from penstock.api.audit.origin import origin_of
from penstock.api.audit.window import ANONYMOUS, Seen
from penstock.api.auth import PRESENTED, guard_of
from penstock.api.errors import CODE
from penstock.api.identity.addresses import Networks
from penstock.domain.access.events import AccessDenied, Act, LoginFailed, WriteRefused
from penstock.domain.identity import Permission

NOTED: Final = "noted"
DENIED: Final = frozenset({401, 403})
FAILED: Final = frozenset({401, 429})
PROVING: Final = frozenset(f"/api/auth/{name}" for name in ("login", "refresh", "accept"))
"""Where somebody says who they are: a refusal there is a failed login."""
READING: Final = ":read"
"""The end of permissions whose routes change nothing, also where they have a body; but whoever may
read who they are may change their password."""


class Noted(NamedTuple):
    """What a route says of its request."""

    kind: type[Act]
    tenant_id: str
    actor: str


def noted(request: Request, kind: type[Act], tenant_id: UUID | str, actor: str) -> None:
    """Let the act be told, whatever the request is answered."""
    request.scope[NOTED] = Noted(kind, str(tenant_id), actor)


def seen(scope: Scope, status: int, trusted: Networks) -> tuple[str | None, Seen] | None:
    """The act that a request was, and whose; None where there is nothing to tell.

    trusted: proxies.
    """
    route = scope.get("route")
    template = getattr(route, "path", scope["path"] if scope["type"] == "websocket" else "")
    if not template:
        return None
    method = scope.get("method", "GET")
    guard = None if route is None else guard_of(route)
    permission = str(getattr(guard, "permission", None) or "")
    said = scope.get(NOTED)
    kind = said.kind if said else kind_of(method, template, status, permission)
    if kind is None:
        return None
    known = {"permission": permission, "presented": scope.get(PRESENTED, "")}
    extra = [(name, known[name]) for name in known if name in kind.__struct_fields__]
    act = Seen(
        kind=kind,
        actor=said.actor if said else scope.get("actor") or ANONYMOUS,
        origin=origin_of(HTTPConnection(scope), trusted),
        method=method,
        route=template,
        status=status,
        code=scope.get(CODE, ""),
        extra=tuple(extra),
    )
    return (said.tenant_id if said else scope.get("tenant")), act


def kind_of(method: str, template: str, status: int, permission: str) -> type[Act] | None:
    """What an answer is that says no; None for one that needs not be told."""
    if template in PROVING and status in FAILED:
        return LoginFailed
    if status in DENIED:
        return AccessDenied
    only_reads = permission.endswith(READING) and permission != Permission.SELF_READ
    is_write = method != "GET" and not only_reads
    return WriteRefused if is_write and 400 <= status < 500 else None
