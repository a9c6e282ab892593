"""The shapes of what auditors see."""

from penstock.api.schemas import EventShown, Wire


class OriginShown(Wire):
    """From where a request came: its address, and what it said it was sent by."""

    address: str
    user_agent: str


class AuditEventShown(EventShown):
    """One event of a tenant, with what came of it and its place in the chains.

    origin: null where no request led to it, or where nobody can open it any more.
    hash, previous_hash: of its decision, on the chain of its subject. tenant_hash: its decision's
    link of the tenant's chain of its log. All in hex.
    """

    origin: OriginShown | None
    result: str
    hash: str
    previous_hash: str
    tenant_hash: str


class HeadShown(Wire):
    """The end of a chain: the place of its last message, and its last link in hex."""

    position: str
    hash: str


class ProblemShown(Wire):
    """Something that breaks a chain, and where."""

    position: str
    detail: str


class VerdictShown(Wire):
    """What following the chains came to. through: how far it got, null when that is everything."""

    ok: bool
    events: int
    head: dict[str, HeadShown]
    problems: list[ProblemShown]
    complete: bool
    through: str | None
