"""What each service may say and hear on NATS: allow-lists, one user a service.

    users.USERS["executor"].publish   # subjects, in the server's own notation
    users.url_of(nats_url, "executor", password)

Streams and durable consumers are made by the owner alone (`bootstrap`). No service may make,
change, delete or purge a stream of record or a queue, none reads another's answers (each has an
inbox of its own), and none can say what only another may: an executor appends no event, the API
hands out no work. The bucket of payloads is the exception that the object store's protocol asks
for: whoever writes objects replaces them, and does so by purging their chunks.
"""

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote, urlsplit, urlunsplit

from penstock.infra.nats import subjects
from penstock.infra.nats.streams import (
    BLOBS,
    BLOBS_BUCKET,
    COMMANDS,
    EVENTS,
    REGISTRY,
    REPORTS,
    TIMERS,
    WORK,
)

OWNER = "penstock"
"""Makes the streams, and audits: it may do anything."""
API, SCHEDULER, EXECUTOR, PROJECTOR = "api", "scheduler", "executor", "projector"


class User(NamedTuple):
    """Subjects that a service may publish to, and those that it may subscribe to."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def inbox(name: str) -> str:
    """The first token of the inboxes of a user."""
    return f"_INBOX_{name}"


def inboxes(*names: str) -> Iterable[str]:
    """The answers that some users wait for."""
    return (f"{inbox(name)}.>" for name in names)


LOOKS = (
    "$JS.API.INFO",
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.INFO.*",
    "$JS.API.CONSUMER.INFO.*.*",
    "$JS.API.STREAM.MSG.GET.*",
    "$JS.API.DIRECT.GET.>",
)
"""Reading what is stored, and whether everything is there."""

OBJECTS = (
    f"$O.{BLOBS_BUCKET}.>",
    f"$JS.API.STREAM.PURGE.{BLOBS}",
    f"$JS.API.CONSUMER.CREATE.{BLOBS}",
    f"$JS.API.CONSUMER.CREATE.{BLOBS}.>",
    f"$JS.API.CONSUMER.DELETE.{BLOBS}.*",
    "$JS.FC.>",
)
"""Reading and writing objects as the store's protocol does it."""

ERASES = (f"$JS.API.STREAM.MSG.DELETE.{BLOBS}",)
"""Removing objects so that the server writes over their bytes, which a purge does not."""

BURIES = ("penstock.dead.*",)
"""Putting messages aside that nobody can handle."""


def pulls(*streams: str) -> Iterable[str]:
    """Reading durable consumers, and settling what came."""
    for stream in streams:
        yield f"$JS.API.CONSUMER.MSG.NEXT.{stream}.*"
        yield f"$JS.ACK.{stream}.>"


def tails(*streams: str) -> Iterable[str]:
    """Following a log with consumers of one's own."""
    for stream in streams:
        yield f"$JS.API.CONSUMER.CREATE.{stream}.>"
        yield f"$JS.API.CONSUMER.DELETE.{stream}.*"
        yield f"$JS.API.CONSUMER.MSG.NEXT.{stream}.*"


USERS = {
    API: User(
        publish=(
            *LOOKS,
            *OBJECTS,
            *tails(EVENTS, REGISTRY),
            "penstock.cmd.>",
            subjects.ANY_REGISTRY,
            subjects.ROLL_CALL,
        ),
        subscribe=(*inboxes(API), "penstock.live.>"),
    ),
    SCHEDULER: User(
        publish=(
            *LOOKS,
            *OBJECTS,
            *pulls(COMMANDS, REPORTS, TIMERS),
            *BURIES,
            subjects.ANY_EVENTS,
            subjects.ANY_LEASE,
            "penstock.cmd.>",
            "penstock.work.>",
            "penstock.timer.set.>",
            "penstock.ctl.>",
            subjects.LOAD,
            *inboxes(API),
        ),
        subscribe=(*inboxes(SCHEDULER), subjects.live(subjects.ANY_TENANT)),
    ),
    EXECUTOR: User(
        publish=(
            *LOOKS,
            *OBJECTS,
            *pulls(WORK),
            *BURIES,
            "penstock.rep.>",
            "penstock.log.>",
            *inboxes(API, SCHEDULER),
        ),
        subscribe=(
            *inboxes(EXECUTOR),
            subjects.ROLL_CALL,
            subjects.ANY_CANCEL,
            subjects.live(subjects.ANY_TENANT),
        ),
    ),
    PROJECTOR: User(
        publish=(
            *LOOKS,
            *OBJECTS,
            *ERASES,
            *tails(EVENTS, REGISTRY),
            *BURIES,
            subjects.CHECKPOINT,
            subjects.ANY_TENANT,
        ),
        subscribe=(*inboxes(PROJECTOR),),
    ),
}
"""By service."""


def url_of(nats_url: str, name: str, password: str) -> str:
    """A server's URL for one of its users."""
    parts = urlsplit(nats_url)
    server = parts.netloc.rpartition("@")[2]
    login = f"{quote(name, safe='')}:{quote(password, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{login}@{server}"))


def name_in(nats_url: str) -> str | None:
    """The service whose user a URL logs in as; None for the owner, and for users of others."""
    name = urlsplit(nats_url.partition(",")[0].strip()).username
    return name if name in USERS else None
