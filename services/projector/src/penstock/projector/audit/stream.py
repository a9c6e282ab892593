"""The archive against the stream, as far back as the stream goes."""

from typing import Any

from penstock.infra.nats.direct import Direct, Recorded
from penstock.messages.chains import message_hash
from penstock.projector.audit.chains import subject_of
from penstock.projector.audit.report import Kind, Report
from penstock.projector.entry import STREAMS, Log

Row = dict[str, Any]

PAGE = 1_000


class Stream:
    """One log's stream, read along with the archive. `compared`: how many messages."""

    def __init__(self, direct: Direct, log: Log, report: Report, *, first: int, last: int) -> None:
        self._direct = direct
        self._log = log
        self._report = report
        self._first = first
        self._last = last
        self._page: dict[int, Recorded] = {}
        self._read_to = 0
        self.compared = 0

    async def compare(self, row: Row) -> None:
        """The archived message with the stored one; what has aged out is not compared."""
        seq = row["seq"]
        if not self._first <= seq <= self._last:
            return
        if seq > self._read_to:
            await self._turn(seq)
        stored = self._page.get(seq)
        where = f"{self._log} {seq}"
        if stored is None:
            self._report.add(Kind.STREAM, where, "the stream does not have this message")
        elif not is_same(stored, row) or stored.subject != subject_of(row):
            self._report.add(Kind.STREAM, where, "the stream has another message here")
        self.compared += 1

    async def _turn(self, seq: int) -> None:
        page = await self._direct.read_from(STREAMS[self._log], seq, batch=PAGE)
        self._page = {message.seq: message for message in page}
        self._read_to = page[-1].seq if page else self._last


def is_same(stored: Recorded, row: Row) -> bool:
    """Whether the archive has this message, or has its hash where the body is kept no more."""
    if row["body"]:
        return bool(stored.body == row["body"])
    return message_hash(row["previous_hash"].hex(), stored.body) == bytes(row["hash"])
