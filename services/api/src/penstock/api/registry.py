"""Writes to the registry, of all but runs, gates and events: the API decides these itself."""

import asyncio
from collections.abc import Callable
from time import time
from typing import Any, Generic, NamedTuple, TypeVar
from weakref import WeakValueDictionary

from penstock.api.audit.origin import closed
from penstock.api.commands import Sender
from penstock.api.errors import Unavailable
from penstock.domain.connection.commands import ConnectionCommand
from penstock.domain.connection.decide import CONNECTION
from penstock.domain.connection.state import Connection
from penstock.domain.decider import Decider
from penstock.domain.idempotency import IDEMPOTENCY, IdempotencyKeyUsed, UseIdempotencyKey
from penstock.domain.secret.commands import SecretCommand
from penstock.domain.secret.decide import SECRET
from penstock.domain.secret.state import Secret
from penstock.domain.tenant.commands import ApiKeyCommand, TenantCommand
from penstock.domain.tenant.decide import KEY, TENANT
from penstock.domain.tenant.state import ApiKey, Tenant
from penstock.domain.user.commands import UserCommand
from penstock.domain.user.decide import USERS
from penstock.domain.user.state import Users
from penstock.domain.variable.commands import VariableCommand
from penstock.domain.variable.decide import VARIABLE
from penstock.domain.variable.state import Variable
from penstock.domain.workflow.commands import ChangeWorkflow, DraftVersion, WorkflowCommand
from penstock.domain.workflow.decide import WORKFLOW
from penstock.domain.workflow.state import Workflow
from penstock.infra.eventlog.cache import Cache
from penstock.infra.eventlog.log import AppendUnknown, EventLog, LogUnavailable
from penstock.infra.eventlog.transact import Addressed, Ledger
from penstock.infra.keyring.payloads import Seals
from penstock.infra.nats import subjects
from penstock.messages import catalogue
from penstock.messages.codec import codec_for

HELD_MAX = 1
"""Writes are rare and other replicas write too, so each reads its history: nothing is worth
holding."""

C = TypeVar("C")
S = TypeVar("S")


class Written(NamedTuple, Generic[S]):
    """What a write led to.

    position: `r<seq>.<index>`. seq: of the history's last message. events: what the write added.
    replayed: the request had been obeyed before; then all of these are as they were that time.
    """

    state: S
    position: str
    seq: int
    replayed: bool
    events: tuple[Any, ...]


class Registry:
    """The aggregates of the registry, over one log. is_connected: whether that can be reached."""

    def __init__(self, log: EventLog, is_connected: Callable[[], bool], seals: Seals) -> None:
        self._seals = seals
        self._is_connected = is_connected
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tenants = ledger(log, TENANT, catalogue.TENANT)
        self._keys = ledger(log, KEY, catalogue.KEY)
        self._workflows = ledger(log, WORKFLOW, catalogue.WORKFLOW)
        self._users = ledger(log, USERS, catalogue.USERS)
        self._variables = ledger(log, VARIABLE, catalogue.VARIABLE)
        self._secrets = ledger(log, SECRET, catalogue.SECRET)
        self._connections = ledger(log, CONNECTION, catalogue.CONNECTION)
        self._idempotency = ledger(log, IDEMPOTENCY, catalogue.IDEMPOTENCY)

    async def tenant(
        self, tenant_id: str, command: TenantCommand, sender: Sender
    ) -> Written[Tenant]:
        """Decide about a tenant. Raises Refused, or what `errors.UNAVAILABLE` lists."""
        subject = subjects.registry(tenant_id, catalogue.TENANT, tenant_id)
        return await self._write(self._tenants, subject, command, sender)

    async def key(
        self, tenant_id: str, key_id: str, command: ApiKeyCommand, sender: Sender
    ) -> Written[ApiKey]:
        """Decide about an API key; raises as `tenant` does."""
        subject = subjects.registry(tenant_id, catalogue.KEY, key_id)
        return await self._write(self._keys, subject, command, sender)

    async def users(self, tenant_id: str, command: UserCommand, sender: Sender) -> Written[Users]:
        """Decide about the users of a tenant; raises as `tenant` does."""
        subject = subjects.registry(tenant_id, catalogue.USERS, tenant_id)
        return await self._write(self._users, subject, command, sender)

    async def workflow(
        self, tenant_id: str, workflow_id: str, command: WorkflowCommand, sender: Sender
    ) -> Written[Workflow]:
        """Decide about a workflow; raises as `tenant` does."""
        subject = subjects.registry(tenant_id, catalogue.WORKFLOW, workflow_id)
        return await self._write(self._workflows, subject, command, sender)

    async def variable(
        self, tenant_id: str, variable_id: str, command: VariableCommand, sender: Sender
    ) -> Written[Variable]:
        """Decide about a variable; raises as `tenant` does."""
        subject = subjects.registry(tenant_id, catalogue.VARIABLE, variable_id)
        return await self._write(self._variables, subject, command, sender)

    async def secret(
        self, tenant_id: str, secret_id: str, command: SecretCommand, sender: Sender
    ) -> Written[Secret]:
        """Decide about a secret; raises as `tenant` does."""
        subject = subjects.registry(tenant_id, catalogue.SECRET, secret_id)
        return await self._write(self._secrets, subject, command, sender)

    async def connection(
        self, tenant_id: str, connection_id: str, command: ConnectionCommand, sender: Sender
    ) -> Written[Connection]:
        """Decide about a connection; raises as `tenant` does."""
        subject = subjects.registry(tenant_id, catalogue.CONNECTION, connection_id)
        return await self._write(self._connections, subject, command, sender)

    async def use_key(
        self,
        tenant_id: str,
        key_id: str,
        command: UseIdempotencyKey,
        sender: Sender,
    ) -> Written[IdempotencyKeyUsed]:
        """Let an Idempotency-Key stand for one request; Conflict if it does for another."""
        subject = subjects.registry(tenant_id, catalogue.IDEMPOTENCY, key_id)
        return await self._write(self._idempotency, subject, command, sender)

    async def _write(
        self, aggregates: Ledger[C, Any, S | None], subject: str, command: C, sender: Sender
    ) -> Written[S]:
        if not self._is_connected():
            raise Unavailable
        lock = self._locks.setdefault(subject, asyncio.Lock())
        addressed = Addressed(
            command,
            sender.request_id,
            sender.actor,
            sender.request_id,
            sender.traceparent,
            await closed(self._seals, subjects.parse_events(subject).tenant, sender.origin),
        )
        async with lock:
            aggregates.cache.drop(subject)
            try:
                outcome = await aggregates.transact(subject, [addressed])
            except (LogUnavailable, AppendUnknown) as error:
                raise Unavailable from error
        (answer,) = outcome.answers
        if answer.refusal is not None:
            raise answer.refusal
        if answer.replayed:
            first = await _first(aggregates, subject, command)
            if first is not None:
                return first
        assert outcome.state is not None, "whoever is not refused has a history"
        return Written(
            outcome.state,
            f"r{answer.position}",
            outcome.seq,
            answer.replayed,
            tuple(event for _, event in outcome.events),
        )


async def _first(
    aggregates: Ledger[C, Any, S | None], subject: str, command: C
) -> Written[S] | None:
    """What a creating command led to when it came first; None for any other command."""
    member, sought = mark_of(command)
    if not sought:
        return None
    state = aggregates.decider.initial
    for stored in await aggregates.log.read(subject):
        events = aggregates.codec.decode(stored.body).events
        for event in events:
            state = aggregates.decider.evolve(state, event)
        if state is not None and any(getattr(each, member, None) == sought for each in events):
            position = f"r{stored.seq}.{len(events) - 1}"
            return Written(state, position, stored.seq, replayed=True, events=events)
    return None


def mark_of(command: object) -> tuple[str, str]:
    """The member of an event by which a repeated command finds what it made, and its value."""
    if isinstance(command, DraftVersion | ChangeWorkflow) and command.version is not None:
        return "version_id", command.version.version_id
    return "request_hash", getattr(command, "request_hash", "")


def ledger(log: EventLog, decider: Decider[C, Any, S], kind: str) -> Ledger[C, Any, S]:
    """The aggregates of one kind."""
    return Ledger(
        log=log, cache=Cache(HELD_MAX), decider=decider, codec=codec_for(kind), now=now_ms
    )


def now_ms() -> int:
    """Now, in ms since the epoch."""
    return round(time() * 1000)
