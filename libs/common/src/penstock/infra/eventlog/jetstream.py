"""The log on JetStream: one message per decision, appended under expected-last-subject-sequence."""

from penstock.infra.eventlog.log import (
    AppendRefused,
    AppendUnknown,
    LogUnavailable,
    Stored,
    VersionConflict,
)
from penstock.infra.nats.direct import BATCH, Direct, ReadUnavailable, Recorded
from penstock.infra.nats.publish import (
    Publisher,
    PublishRefused,
    PublishTimeout,
    Unavailable,
    WrongSequence,
)
from penstock.infra.nats.streams import stream_of

HISTORY_MESSAGES_MAX = 1_000_000
"""No history is that long; a read that goes on for ever is a fault."""

_MESSAGE_TOO_LARGE = 10054
_NO_CODE = 0


class JetStreamLog:
    """EVENTS and REGISTRY, by the family in the subject."""

    def __init__(self, publisher: Publisher, direct: Direct) -> None:
        self._publisher = publisher
        self._direct = direct

    async def read(self, subject: str, *, after: int = 0) -> list[Stored]:
        """See EventLog. Reads page after page."""
        stream = stream_of(subject)
        history: list[Stored] = []
        for _ in range(HISTORY_MESSAGES_MAX):
            page = await self._page(stream, subject, after)
            if not page:
                return history
            history.extend(Stored(each.seq, each.subject, each.body) for each in page)
            if int(page[-1].headers.get("Nats-Num-Pending", "0")) == 0:
                return history
            after = page[-1].seq
        raise LogUnavailable(f"{subject} has no end")

    async def last(self, subject: str) -> Stored | None:
        """See EventLog."""
        try:
            found = await self._direct.last(stream_of(subject), subject)
        except ReadUnavailable as error:
            raise LogUnavailable(str(error)) from error
        return None if found is None else Stored(found.seq, found.subject, found.body)

    async def append(self, subject: str, body: bytes, *, expected: int) -> int:
        """See EventLog."""
        try:
            return await self._publisher.publish(subject, body, expected=expected)
        except WrongSequence as error:
            raise VersionConflict(subject) from error
        except PublishTimeout as error:
            raise AppendUnknown(subject) from error
        except Unavailable as error:
            raise LogUnavailable(str(error)) from error
        except PublishRefused as error:
            if error.code in {_MESSAGE_TOO_LARGE, _NO_CODE}:
                raise AppendRefused(f"{subject}: {error}") from error
            raise LogUnavailable(str(error)) from error

    async def _page(self, stream: str, subject: str, after: int) -> list[Recorded]:
        try:
            return await self._direct.read_subject(stream, subject, after=after, batch=BATCH)
        except ReadUnavailable as error:
            raise LogUnavailable(str(error)) from error
