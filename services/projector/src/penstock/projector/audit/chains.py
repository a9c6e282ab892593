"""Follows the three chains through the archive.

After a break it goes on from what the archive says, so that one changed byte is one problem and
not one for every message after it. Of a message that is kept no more the hash is what it was.
"""

from typing import Any

from penstock.messages.chains import Head, link, message_hash
from penstock.messages.envelope import NO_HASH
from penstock.projector.audit.report import Kind, Report
from penstock.projector.entry import FAMILIES, Entry, Log, read

Row = dict[str, Any]


def subject_of(row: Row) -> str:
    """The subject that the message came on."""
    if not row["kind"]:
        return str(row["subject_id"])
    family = FAMILIES[Log(row["log"])]
    return f"penstock.{family}.{row['tenant_id']}.{row['kind']}.{row['subject_id']}"


class Chains:
    """Of one log; `whole` when all its tenants are looked at.

    ended: subjects may be dropped from memory with `forget` once nothing can follow.
    """

    def __init__(self, log: Log, report: Report, *, whole: bool) -> None:
        self.log = log
        self.head = Head()
        self.tenants: dict[bytes, Head] = {}
        self._subjects: dict[str, bytes] = {}
        self._report = report
        self._whole = whole

    def follow(self, row: Row) -> Entry:
        """Check one archived message against everything before it."""
        subject = subject_of(row)
        entry = read(self.log, row["seq"], subject, bytes(row["body"]))
        where = f"{self.log} {entry.seq}"
        if self._whole and entry.seq != self.head.seq + 1:
            self._add(Kind.GAP, where, f"follows {self.head.seq}")
        own = self._follow_subject(row, entry, where)
        name = subject.encode()
        if self._whole:
            expected = link(self.head.hash, entry.seq, own, name)
            if expected != row["log_hash"]:
                self._add(Kind.LOG_CHAIN, where, "is not the next link of the log's chain")
            self.head = Head(entry.seq, self.head.decisions + 1, bytes(row["log_hash"]))
        tenant = row["tenant_id"].bytes
        before = self.tenants.get(tenant, Head())
        if link(before.hash, entry.seq, own, name) != row["tenant_hash"]:
            self._add(Kind.TENANT_CHAIN, where, "is not the next link of the tenant's chain")
        self.tenants[tenant] = Head(entry.seq, before.decisions + 1, bytes(row["tenant_hash"]))
        return entry

    def forget(self, subject: str) -> None:
        """The subject's history has ended."""
        self._subjects.pop(subject, None)

    def _follow_subject(self, row: Row, entry: Entry, where: str) -> bytes:
        """The hash that the archive says the message has."""
        known = self._subjects.get(entry.subject)
        expected = known.hex() if known is not None else NO_HASH
        said = entry.decision.previous_hash if entry.decision is not None else expected
        kept = bytes(row["hash"])
        if said != expected:
            self._add(Kind.SUBJECT_CHAIN, where, "does not follow the message before it")
        elif row["previous_hash"].hex() != expected:
            self._add(Kind.SUBJECT_CHAIN, where, "its previous hash is not the one it was given")
        if entry.body and message_hash(row["previous_hash"].hex(), entry.body) != kept:
            self._add(Kind.SUBJECT_CHAIN, where, "its bytes do not have its hash")
        self._subjects[entry.subject] = kept
        return kept

    def _add(self, kind: Kind, where: str, detail: str) -> None:
        self._report.add(kind, where, detail)
