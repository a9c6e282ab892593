"""What can have happened at the door: denials, logins, refusals, exports. Stored for ever.

Equal acts that came soon after each other are one event with their count, so that no flood of
requests is a flood of events. Who did it and from where is told by the decision's cause. Moments
are milliseconds since the epoch, UTC.
"""

from penstock.domain.message import Message


class Act(Message, frozen=True, kw_only=True):
    """What all acts tell.

    number: of the event in its history, from 1. method, route: what was asked for, the path as its
    template. status, code: what was answered; no code where nothing was wrong. count: how often it
    happened, first and last at these moments.
    """

    number: int
    method: str
    route: str
    status: int
    code: str = ""
    count: int
    first_at: int
    last_at: int


class AccessDenied(Act, frozen=True):
    """A credential that opens nothing, or not this.

    permission: the one that was missing, or asked for. presented: what the credential claimed to
    be, proven or not: `key:<id>`, `token`, or `nothing`.
    """

    permission: str = ""
    presented: str = ""


class WriteRefused(Act, frozen=True):
    """Somebody who may write asked for what cannot be; nothing was written."""

    permission: str = ""


class LoggedIn(Act, frozen=True):
    """Somebody proved who they are, and a session began."""


class LoginFailed(Act, frozen=True):
    """Nobody was logged in.

    The actor is the user whose account it is, where there is one: that says not that it was them.
    """


class LoggedOut(Act, frozen=True):
    """A session was ended by who had it."""


class SessionRevoked(Act, frozen=True):
    """A refresh token came a second time: somebody has a copy, so its session was ended."""


class DataExported(Act, frozen=True):
    """All of something was taken out of the platform."""


class ActsUnrecorded(Message, frozen=True, kw_only=True):
    """So many acts came at once that there was no room to tell these apart."""

    number: int
    count: int
    first_at: int
    last_at: int


AccessEvent = (
    AccessDenied
    | WriteRefused
    | LoggedIn
    | LoginFailed
    | LoggedOut
    | SessionRevoked
    | DataExported
    | ActsUnrecorded
)
