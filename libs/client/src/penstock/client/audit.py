"""Calls about the audit: who did what in the tenant, and the proof that nothing of it changed."""

from typing import Any, Final

from penstock.client.calls import Call, get, given, nothing
from penstock.client.models import Event, Model, Page

PATH: Final = "/api/audit"


class Origin(Model, frozen=True, kw_only=True):
    """From where a request came: its address, and what it said it was sent by."""

    address: str
    user_agent: str


class AuditEvent(Event, frozen=True, kw_only=True):
    """Something that happened in the tenant, and what came of it.

    origin: None where no request led to it, or where nobody can open it any more.
    hash, previous_hash: of its decision, on the chain of its subject. tenant_hash: its decision's
    link of the tenant's chain. All in hex.
    """

    result: str
    origin: Origin | None = None
    hash: str
    previous_hash: str
    tenant_hash: str


class ChainHead(Model, frozen=True, kw_only=True):
    """The end of a chain."""

    position: str
    hash: str


class ChainProblem(Model, frozen=True, kw_only=True):
    """Something that breaks a chain, and where."""

    position: str
    detail: str


class Verdict(Model, frozen=True, kw_only=True):
    """What following the chains came to. through: how far it got, None when that is everything."""

    ok: bool
    events: int
    head: dict[str, ChainHead]
    problems: list[ChainProblem]
    complete: bool
    through: str | None = None


def audit_events(
    *,
    after: str | None = None,
    type: str | None = None,  # noqa: A002 - the API's word
    actor: str | None = None,
    limit: int | None = None,
) -> Call[Page[AuditEvent]]:
    """A page of what happened in the tenant, in order. after: a position. Raises Forbidden."""
    params: dict[str, Any] = {"after": after, "type": type, "actor": actor, "limit": limit}
    return get(f"{PATH}/events", Page[AuditEvent], **params)


def verify_audit(*, after: str | None = None) -> Call[Verdict]:
    """Follow the tenant's chains for a few seconds; go on with `after=verdict.through`."""
    return get(f"{PATH}/verify", Verdict, after=after)


def open_export(*, after: str | None = None) -> Call[None]:
    """The request for all events up to now, one a line."""
    path = f"{PATH}/export"
    return Call(method="GET", path=path, read=nothing, params=given(after=after), repeatable=True)
