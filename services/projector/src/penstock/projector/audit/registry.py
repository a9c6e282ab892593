"""What lives in the registry, from tenants to workflows: the folds against their rows."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from penstock.domain.access.decide import ACCESS as ACCESS_RULES
from penstock.domain.connection.decide import CONNECTION as CONNECTION_RULES
from penstock.domain.connection.state import Connection
from penstock.domain.event.decide import EVENT as EVENT_RULES
from penstock.domain.gate.decide import GATE as GATE_RULES
from penstock.domain.idempotency import IDEMPOTENCY as IDEMPOTENCY_RULES
from penstock.domain.secret.decide import SECRET as SECRET_RULES
from penstock.domain.secret.state import Secret
from penstock.domain.tenant.decide import KEY as KEY_RULES
from penstock.domain.tenant.decide import TENANT as TENANT_RULES
from penstock.domain.tenant.events import TenantConfig
from penstock.domain.tenant.state import ApiKey, Tenant
from penstock.domain.user.decide import USERS as USER_RULES
from penstock.domain.user.state import Users
from penstock.domain.variable.decide import VARIABLE as VARIABLE_RULES
from penstock.domain.variable.state import Variable
from penstock.domain.workflow.decide import WORKFLOW as WORKFLOW_RULES
from penstock.domain.workflow.state import Workflow, newest_published
from penstock.messages.catalogue import (
    ACCESS,
    CONNECTION,
    EVENT,
    GATE,
    IDEMPOTENCY,
    KEY,
    SECRET,
    TENANT,
    USERS,
    VARIABLE,
    WORKFLOW,
)
from penstock.messages.codec import Recorded
from penstock.projector.audit.expected import stored_moment
from penstock.projector.audit.report import Kind, Report
from penstock.projector.entry import Entry
from penstock.projector.ids import uuid_text

Columns = dict[str, Any]

EVOLVES: dict[str, Any] = {
    TENANT: TENANT_RULES.evolve,
    KEY: KEY_RULES.evolve,
    WORKFLOW: WORKFLOW_RULES.evolve,
    VARIABLE: VARIABLE_RULES.evolve,
    USERS: USER_RULES.evolve,
    SECRET: SECRET_RULES.evolve,
    CONNECTION: CONNECTION_RULES.evolve,
    IDEMPOTENCY: IDEMPOTENCY_RULES.evolve,
    ACCESS: ACCESS_RULES.evolve,
    EVENT: EVENT_RULES.evolve,
    GATE: lambda gate, event: GATE_RULES.evolve(gate or GATE_RULES.initial, event),
}
"""Of every kind but the run; not every one has a row."""


class Place(NamedTuple):
    """A row: its table and its key, as text."""

    table: str
    key: tuple[str, ...]


KEYS = {
    "tenants": ("tenant_id",),
    "erasures": ("tenant_id",),
    "api_keys": ("tenant_id", "id"),
    "workflows": ("tenant_id", "id"),
    "variables": ("tenant_id", "id"),
    "users": ("tenant_id", "id"),
    "secrets": ("tenant_id", "id"),
    "connections": ("tenant_id", "id"),
    "workflow_versions": ("tenant_id", "workflow_id", "number"),
}

LEFT_OF_TENANTS = {"tenants", "erasures"}
"""What stays of a deleted tenant: when it came and went, and what was removed."""


class RegistryAccounts:
    """The folds of all of the registry's histories.

    deleted, erased: tenants whose rows are going, and those that have none any more.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._states: dict[tuple[str, str, str], Any] = {}
        self.deleted: set[str] = set()
        self.erased: set[str] = set()

    def absorb(self, entry: Entry, decision: Recorded[Any]) -> None:
        """One more decision about something that lives in the registry."""
        name = (entry.kind, uuid_text(entry.tenant), entry.subject_id)
        state = self._states.get(name)
        try:
            for event in decision.events:
                state = EVOLVES[entry.kind](state, event)
        except Exception as error:  # noqa: BLE001 - a history that cannot be breaks any rule
            said = f"cannot be folded: {type(error).__name__}: {error}"
            self._report.add(Kind.HISTORY, f"{entry.log} {entry.seq}", said)
            return
        self._states[name] = state
        if isinstance(state, Tenant):
            if state.deleted_at is not None:
                self.deleted.add(entry.subject_id)
            if state.erased_at is not None:
                self.erased.add(entry.subject_id)

    async def compare(
        self, connection: AsyncConnection[dict[str, Any]], tenant: UUID | None
    ) -> None:
        """Every row of the registry's tables with the fold, both ways."""
        expected = dict(self._expected())
        for table, key in KEYS.items():
            where, parameters = ("", []) if tenant is None else (" where tenant_id = %s", [tenant])
            sql = f"select * from penstock.{table}{where}"
            found: dict[Place, Columns] = {}
            async for row in await connection.execute(sql.encode(), parameters):
                if table in LEFT_OF_TENANTS or str(row["tenant_id"]) not in self.deleted:
                    found[Place(table, tuple(str(row[name]) for name in key))] = row
            ours = {place: columns for place, columns in expected.items() if place.table == table}
            self._tell(ours, found)

    def _tell(self, expected: dict[Place, Columns], found: dict[Place, Columns]) -> None:
        for place in sorted(expected.keys() | found.keys()):
            where = f"{place.table} {' '.join(place.key)}"
            columns, row = expected.get(place), found.get(place)
            if row is None:
                self._report.add(Kind.MISSING_ROW, where, "the log has this")
            elif columns is None:
                self._report.add(Kind.EXTRA_ROW, where, "the log knows of no such thing")
            else:
                plain = {name: _plain(value) for name, value in row.items()}
                self._report.compare(where, columns, plain)

    def _expected(self) -> Iterator[tuple[Place, Columns]]:
        for (_, tenant, id_), state in self._states.items():
            if tenant in self.deleted and not isinstance(state, Tenant):
                continue
            match state:
                case Tenant():
                    yield Place("tenants", (id_,)), _tenant(state)
                    if state.erased_at is not None:
                        yield Place("erasures", (id_,)), {"erased_at": state.erased_at}
                case ApiKey():
                    yield Place("api_keys", (tenant, id_)), _key(state)
                case Variable():
                    yield Place("variables", (tenant, id_)), _variable(state)
                case Users():
                    yield from _users(tenant, state)
                case Secret():
                    yield Place("secrets", (tenant, id_)), _secret(state)
                case Connection():
                    config = msgspec.json.encode(state.config)
                    about = {"type": state.kind, "config": config}
                    yield Place("connections", (tenant, id_)), _secret(state) | about
                case Workflow():
                    yield Place("workflows", (tenant, id_)), _workflow(state)
                    yield from _versions(tenant, id_, state)


def _tenant(state: Tenant) -> Columns:
    is_gone = state.deleted_at is not None
    return {
        "name": "" if is_gone else state.name,
        "config": msgspec.json.encode(TenantConfig() if is_gone else state.config),
        "created_at": state.created_at,
        "deleted_at": state.deleted_at,
    }


def _key(state: ApiKey) -> Columns:
    return {
        "name": state.name,
        "role": str(state.role),
        "created_by": state.created_by,
        "created_at": state.created_at,
        "expires_at": stored_moment(state.expires_at),
        "revoked_at": state.revoked_at,
    }


def _variable(state: Variable) -> Columns:
    return {
        "name": state.name,
        "value": msgspec.json.encode(state.value),
        "description": state.description,
        "created_by": state.created_by,
        "created_at": state.created_at,
        "updated_at": state.updated_at,
        "deleted_at": state.deleted_at,
        "revision": state.revision,
    }


def _users(tenant: str, state: Users) -> Iterator[tuple[Place, Columns]]:
    for id_, user in state.by_id.items():
        yield (
            Place("users", (tenant, id_)),
            {
                "role": str(user.role),
                "status": str(user.status),
                "profile": msgspec.json.encode(user.profile),
                "created_by": user.created_by,
                "created_at": user.created_at,
                "accepted_at": user.accepted_at,
                "removed_at": user.removed_at,
            },
        )


def _secret(state: Secret | Connection) -> Columns:
    return {
        "name": state.name,
        "created_by": state.created_by,
        "created_at": state.created_at,
        "updated_by": state.updated_by,
        "updated_at": state.updated_at,
        "deleted_at": state.deleted_at,
        "revision": state.revision,
    }


def _workflow(state: Workflow) -> Columns:
    return {
        "key": state.key,
        "name": state.name,
        "visibility": str(state.visibility),
        "created_by": state.created_by,
        "created_at": state.created_at,
        "deleted_at": state.deleted_at,
        "latest_number": len(state.versions) or None,
        "published_number": newest_published(state),
        "pinned_number": state.pinned,
        "revision": state.revision,
    }


def _versions(tenant: str, id_: str, state: Workflow) -> Iterator[tuple[Place, Columns]]:
    for number, version in enumerate(state.versions, 1):
        yield (
            Place("workflow_versions", (tenant, id_, str(number))),
            {
                "id": version.version_id,
                "content_hash": version.content_hash,
                "status": "published" if version.published else "draft",
            },
        )


def _plain(value: object) -> object:
    """A column's value as a fold would have it: ids as text, moments in ms."""
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return round(value.timestamp() * 1000)
    return value
