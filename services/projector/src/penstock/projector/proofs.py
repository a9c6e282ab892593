"""Appends to a deleted tenant's history that nothing is left of it, and what was removed.

It is the one decision that the projector adds to the log: nobody else knows.
"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from penstock.domain.tenant.commands import RecordErasure, TenantCommand
from penstock.domain.tenant.decide import TENANT
from penstock.infra.eventlog.cache import Cache
from penstock.infra.eventlog.log import EventLog
from penstock.infra.eventlog.transact import Addressed, Ledger
from penstock.infra.nats import subjects
from penstock.messages import catalogue
from penstock.messages.codec import codec_for

ACTOR = "projector:erasure"
HELD_MAX = 1
"""A tenant is erased once: nothing is worth holding."""


class Removed(NamedTuple):
    """What was removed of a tenant. rows: as JSON, how many by table. keys_destroyed_at: ms."""

    rows: str
    objects: int
    object_bytes: int
    data_keys: int
    keys_destroyed_at: int


class Proofs:
    """Writes to the registry. now: ms since the epoch."""

    def __init__(self, log: EventLog, now: Callable[[], int]) -> None:
        self._ledger = Ledger(
            log=log,
            cache=Cache(HELD_MAX),
            decider=TENANT,
            codec=codec_for(catalogue.TENANT),
            now=now,
        )

    async def record(self, tenant: str, removed: Removed) -> None:
        """Say it once; a repeat adds nothing. Raises Refused, or as `Ledger.transact`."""
        command = RecordErasure(
            keys_destroyed_at=removed.keys_destroyed_at,
            data_keys=removed.data_keys,
            rows=msgspec.json.decode(removed.rows, type=dict[str, int]),
            objects=removed.objects,
            object_bytes=removed.object_bytes,
        )
        addressed = Addressed[TenantCommand](command, id=f"{tenant}/erased", actor=ACTOR)
        subject = subjects.registry(tenant, catalogue.TENANT, tenant)
        outcome = await self._ledger.transact(subject, [addressed])
        if (refusal := outcome.answers[0].refusal) is not None:
            raise refusal
