"""The audit: one pass over each archived log, in one snapshot of the database.

Live runs are held in memory until the pass ends, finished ones until the next comparison.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from penstock.infra.postgres.engine import JsonText, conninfo
from penstock.messages.catalogue import RUN
from penstock.messages.chains import Head
from penstock.messages.envelope import Decision
from penstock.projector.audit.accounts import Account
from penstock.projector.audit.chains import Chains
from penstock.projector.audit.graphs import DefinitionMissing, Graphs
from penstock.projector.audit.registry import RegistryAccounts
from penstock.projector.audit.remains import find_remains
from penstock.projector.audit.report import Kind, Report
from penstock.projector.audit.rows import Rows
from penstock.projector.audit.states import StateMissing, States
from penstock.projector.audit.stream import Stream
from penstock.projector.entry import Entry, Log
from penstock.projector.ids import uuid_text

Row = dict[str, Any]
Connection = AsyncConnection[Row]
OpenStream = Callable[[Log, Report], Awaitable[Stream | None]]

PAGE = 500
"""Messages that are read at once."""

COMPARED_AT_ONCE = 200
"""Finished runs whose rows are read together."""

OPTIONS = "-c TimeZone=UTC -c default_transaction_isolation=repeatable\\ read -c jit=off"
ARCHIVE = """
select tenant_id, log, seq, kind, subject_id, body, hash, previous_hash, log_hash, tenant_hash
from penstock.event_archive where log = %(log)s {where} order by log, seq
"""
CHECKPOINT = "select seq, hash from penstock.checkpoints where log = %s"
HEADS = "select tenant_id, seq, decisions, hash from penstock.chain_heads where log = %s"
QUARANTINED = "select log, seq from penstock.quarantined"


@asynccontextmanager
async def auditing(owner_url: str) -> AsyncIterator[Connection]:
    """One snapshot, read only, as the owner. Raises psycopg's OperationalError."""
    connection = await AsyncConnection.connect(
        conninfo(owner_url),
        row_factory=dict_row,
        application_name="penstock-audit",
        options=OPTIONS,
        connect_timeout=5,
    )
    connection.adapters.register_loader("json", JsonText)
    await connection.set_read_only(True)
    try:
        yield connection
    finally:
        await connection.close()


class Audit:
    """One audit, of everything or of one tenant."""

    def __init__(
        self,
        connection: Connection,
        graphs: Graphs,
        open_stream: OpenStream,
        states: States,
        *,
        tenant: UUID | None = None,
    ) -> None:
        self.report = Report()
        self._connection = connection
        self._graphs = graphs
        self._states = states
        self._open_stream = open_stream
        self._tenant = tenant
        self._rows = Rows(connection, self.report)
        self._registry = RegistryAccounts(self.report)
        self._quarantined: set[tuple[str, int]] = set()
        self._given_up: set[str] = set()
        self._live: dict[str, Account] = {}
        self._finished: list[Account] = []

    async def run(self) -> Report:
        """Everything there is to check."""
        async for row in await self._connection.execute(QUARANTINED):
            self._quarantined.add((row["log"], row["seq"]))
        for log in (Log.REGISTRY, Log.EVENTS):
            await self._follow(log)
        await self._rows.compare([*self._finished, *self._live.values()])
        await self._rows.find_extra(self._tenant)
        await self._rows.find_emptied(self._tenant)
        await self._registry.compare(self._connection, self._tenant)
        await find_remains(self._connection, self._registry.erased, self.report)
        return self.report

    async def _follow(self, log: Log) -> None:
        """One log from its first archived message to its checkpoint."""
        chains = Chains(log, self.report, whole=self._tenant is None)
        stream = await self._open_stream(log, self.report)
        async with self._connection.cursor(name=f"archive_{log}") as cursor:
            cursor.itersize = PAGE
            where = "" if self._tenant is None else "and tenant_id = %(tenant)s"
            sql = ARCHIVE.format(where=where).encode()
            await cursor.execute(sql, {"log": str(log), "tenant": self._tenant})
            async for row in cursor:
                entry = chains.follow(row)
                self.report.decisions += 1
                if stream is not None:
                    await stream.compare(row)
                await self._absorb(entry, chains)
        self.report.stream[str(log)] = None if stream is None else stream.compared
        await self._check_ends(log, chains)

    async def _absorb(self, entry: Entry, chains: Chains) -> None:
        """One message into the account of what it is about."""
        decision = entry.decision
        if not entry.body and entry.log is Log.EVENTS and entry.kind == RUN:
            self.report.expired += 1
        elif uuid_text(entry.tenant) in self._registry.deleted and entry.kind == RUN:
            self.report.deleted += 1
        elif (str(entry.log), entry.seq) in self._quarantined:
            self.report.quarantined += 1
            if (account := self._live.get(entry.subject)) is not None:
                account.is_quarantined = True
        elif decision is None:
            self._give_up(entry, Kind.HISTORY, entry.flaw)
        elif not isinstance(decision, Decision):
            self._registry.absorb(entry, decision)
        elif entry.subject not in self._given_up:
            await self._advance(entry, decision, chains)

    def _give_up(self, entry: Entry, kind: Kind, why: str) -> None:
        """The history says nothing any more; what follows on its subject is not judged."""
        self.report.add(kind, f"{entry.log} {entry.seq}", why)
        self._given_up.add(entry.subject)
        self._live.pop(entry.subject, None)

    async def _advance(self, entry: Entry, decision: Decision, chains: Chains) -> None:
        """One more decision about a run."""
        account = self._live.get(entry.subject) or await self._begun(entry)
        if account is None or account.is_quarantined:
            return
        try:
            account.absorb(entry.seq, await self._states.opened(decision))
        except StateMissing as missing:
            self._give_up(entry, Kind.HISTORY, str(missing))
            return
        except Exception as error:  # noqa: BLE001 - a history that cannot be breaks any rule
            said = f"cannot be folded: {type(error).__name__}: {error}"
            self._give_up(entry, Kind.HISTORY, said)
            return
        if account.ended is not None:
            chains.forget(entry.subject)
            self._finished.append(self._live.pop(entry.subject))
            if len(self._finished) >= COMPARED_AT_ONCE:
                await self._rows.compare(self._finished)
                self._finished.clear()

    async def _begun(self, entry: Entry) -> Account | None:
        first = entry.beginning
        if first is None:
            self._give_up(entry, Kind.HISTORY, "the run has no beginning, or had its end before")
            return None
        try:
            graph = await self._graphs.graph(uuid_text(entry.tenant), first.definition)
        except DefinitionMissing as missing:
            self._give_up(entry, Kind.DEFINITION, str(missing))
            return None
        account = self._live[entry.subject] = Account(entry, graph)
        return account

    async def _check_ends(self, log: Log, chains: Chains) -> None:
        """Checkpoint and heads must be where the archive ends."""
        if self._tenant is None:
            row = await (await self._connection.execute(CHECKPOINT, [str(log)])).fetchone()
            head = chains.head
            if row is None or (row["seq"], row["hash"]) != (head.seq, head.hash):
                said = None if row is None else row["seq"]
                detail = f"is at {said}, the archive ends at {head.seq}"
                self.report.add(Kind.CHECKPOINT, f"checkpoints {log}", detail)
            self.report.heads[str(log)] = {"seq": head.seq, "hash": head.hash.hex()}
        heads: dict[bytes, Head] = {}
        async for row in await self._connection.execute(HEADS, [str(log)]):
            if self._tenant is None or row["tenant_id"] == self._tenant:
                head = Head(row["seq"], row["decisions"], bytes(row["hash"]))
                heads[row["tenant_id"].bytes] = head
        for tenant in sorted(heads.keys() | chains.tenants.keys()):
            if heads.get(tenant) != chains.tenants.get(tenant):
                where = f"chain_heads {uuid_text(tenant)} {log}"
                self.report.add(Kind.CHECKPOINT, where, "is not the end of the tenant's chain")
