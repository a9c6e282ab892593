"""Tenants and keys: history, command, what it adds."""

from functools import reduce

import pytest

from penstock.domain.errors import Conflict, NotFound
from penstock.domain.identity import Role
from penstock.domain.tenant.commands import (
    ApiKeyCommand,
    ChangeTenant,
    CreateApiKey,
    CreateTenant,
    DeleteTenant,
    RecordErasure,
    RevokeApiKey,
    TenantCommand,
)
from penstock.domain.tenant.decide import KEY, TENANT
from penstock.domain.tenant.events import (
    ApiKeyCreated,
    ApiKeyEvent,
    ApiKeyRevoked,
    Limits,
    TenantConfig,
    TenantConfigured,
    TenantCreated,
    TenantDeleted,
    TenantErased,
    TenantEvent,
    TenantRenamed,
)

AT = 1_000
CONFIG = TenantConfig()
TIGHT = TenantConfig(limits=Limits(max_workflows=1))
CREATE = CreateTenant(name="acme", config=CONFIG, created_by="admin:platform")
CREATED = TenantCreated(name="acme", config=CONFIG, created_at=AT, created_by="admin:platform")
DELETED = TenantDeleted(deleted_at=AT)
ROWS = {"penstock.runs": 3}
RECORD = RecordErasure(keys_destroyed_at=AT, data_keys=1, rows=ROWS, objects=2, object_bytes=9)
ERASED = TenantErased(
    erased_at=AT, keys_destroyed_at=AT, data_keys=1, rows=ROWS, objects=2, object_bytes=9
)

CREATE_KEY = CreateApiKey(name="ci", role=Role.MEMBER, created_by="key:1")
KEY_CREATED = ApiKeyCreated(name="ci", role=Role.MEMBER, created_at=AT, created_by="key:1")
KEY_REVOKED = ApiKeyRevoked(revoked_at=AT)


def tenant(command: TenantCommand, *history: TenantEvent) -> list[TenantEvent]:
    return TENANT.decide(command, reduce(TENANT.evolve, history, TENANT.initial), at=AT)


def key(command: ApiKeyCommand, *history: ApiKeyEvent) -> list[ApiKeyEvent]:
    return KEY.decide(command, reduce(KEY.evolve, history, KEY.initial), at=AT)


def test_a_tenant_begins_with_what_was_asked() -> None:
    assert tenant(CREATE) == [CREATED]


def test_what_was_removed_of_a_deleted_tenant_is_put_on_record_once() -> None:
    assert tenant(RECORD, CREATED, DELETED) == [ERASED]
    assert tenant(RECORD, CREATED, DELETED, ERASED) == []
    assert tenant(DeleteTenant(), CREATED, DELETED, ERASED) == []


def test_nothing_is_put_on_record_of_a_tenant_that_lives() -> None:
    with pytest.raises(Conflict):
        tenant(RECORD, CREATED)
    with pytest.raises(NotFound):
        tenant(RECORD)


def test_a_repeated_request_brings_no_deleted_tenant_back() -> None:
    again = CreateTenant(name="acme", config=CONFIG, created_by="a", request_hash="h")
    (first,) = tenant(again)
    with pytest.raises(Conflict) as refused:
        tenant(again, first, DELETED)
    assert refused.value.code == "TENANT_DELETED"


def test_a_repeated_request_makes_no_second_tenant() -> None:
    again = CreateTenant(name="acme", config=CONFIG, created_by="a", request_hash="h")
    (first,) = tenant(again)
    assert tenant(again, first) == []


def test_another_request_under_the_same_key_is_a_conflict() -> None:
    with pytest.raises(Conflict):
        tenant(CREATE, CREATED)


def test_only_what_differs_is_recorded() -> None:
    change = ChangeTenant(name="other", config=TIGHT)
    renamed, configured = TenantRenamed(name="other"), TenantConfigured(config=TIGHT)
    assert tenant(change, CREATED) == [renamed, configured]
    assert tenant(change, CREATED, renamed) == [configured]
    assert tenant(change, CREATED, renamed, configured) == []


@pytest.mark.parametrize("history", [(), (CREATED, DELETED)])
def test_what_does_not_live_does_not_change(history: tuple[TenantEvent, ...]) -> None:
    with pytest.raises(NotFound):
        tenant(ChangeTenant(name="x"), *history)


def test_a_tenant_is_deleted_once() -> None:
    assert tenant(DeleteTenant(), CREATED) == [DELETED]
    assert tenant(DeleteTenant(), CREATED, DELETED) == []
    with pytest.raises(NotFound):
        tenant(DeleteTenant())


def test_a_key_begins_and_ends_once() -> None:
    assert key(CREATE_KEY) == [KEY_CREATED]
    assert key(RevokeApiKey(), KEY_CREATED) == [KEY_REVOKED]
    assert key(RevokeApiKey(), KEY_CREATED, KEY_REVOKED) == []
    with pytest.raises(NotFound):
        key(RevokeApiKey())


def test_a_key_is_not_made_twice() -> None:
    with pytest.raises(Conflict):
        key(CREATE_KEY, KEY_CREATED)
