"""What schedulers read in the registry: which version of a workflow a child run is, variables.

The API has read models for this; a scheduler asks the log itself, so that the database may be
away. What was read stays good for a moment.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from penstock.domain.ids import derived
from penstock.domain.tenant.state import Tenant, evolve_tenant
from penstock.domain.variable.state import Variable
from penstock.domain.variable.state import evolve as evolve_variable
from penstock.domain.workflow.state import Workflow, newest_published
from penstock.domain.workflow.state import evolve as evolve_workflow
from penstock.domain.workflow.state import version as version_of
from penstock.infra.eventlog.log import EventLog
from penstock.infra.nats import subjects
from penstock.infra.nats.subjects import BadToken
from penstock.messages import catalogue
from penstock.messages.codec import codec_for
from penstock.scheduler.configs import Standing

GOOD_FOR_S = 2.0
HELD_MAX = 1_000

EVOLVES: Mapping[str, Callable[[Any, Any], Any]] = {
    catalogue.WORKFLOW: evolve_workflow,
    catalogue.VARIABLE: evolve_variable,
    catalogue.TENANT: evolve_tenant,
}


class Unrunnable(Exception):
    """There is nothing to run under this name; the message says why."""


class Runnable(NamedTuple):
    """One published version."""

    workflow_id: str
    workflow_name: str
    version: int
    content_hash: str


class Seen(NamedTuple):
    """An aggregate as of a message of its history; good until a moment of the monotonic clock."""

    until: float
    seq: int
    state: Any


class Registry:
    """Reads aggregates, the most recently asked for. now: seconds, monotonic."""

    def __init__(self, log: EventLog, now: Callable[[], float]) -> None:
        self._log = log
        self._now = now
        self._seen: OrderedDict[str, Seen] = OrderedDict()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def runnable(self, tenant: str, workflow: str, number: int | None) -> Runnable:
        """The version of a workflow, named by key or id, that a run of it is of.

        number: of the version; None for the pinned one, else the newest published one. Raises
        `Unrunnable`, or `LogUnavailable`.
        """
        workflow_id, found = derived(tenant, workflow), None
        for workflow_id in (derived(tenant, workflow), workflow):
            found = await self._workflow(tenant, workflow_id)
            if found is not None:
                break
        if found is None:
            raise Unrunnable(f"there is no workflow {workflow[:80]!r}")
        chosen = number or found.pinned or newest_published(found)
        if chosen is None:
            raise Unrunnable(f"the workflow {found.name} has no published version")
        version = version_of(found, chosen)
        if version is None:
            raise Unrunnable(f"the workflow {found.name} has no version {chosen}")
        if not version.published:
            raise Unrunnable(f"version {chosen} of the workflow {found.name} is a draft")
        return Runnable(workflow_id, found.name, chosen, version.content_hash)

    async def variable(self, tenant: str, name: str) -> Variable | None:
        """A tenant's variable as it is now, None where there is none. `LogUnavailable`."""
        variable_id = derived(tenant, catalogue.VARIABLE, name)
        found: Variable | None = await self._state(tenant, catalogue.VARIABLE, variable_id)
        return None if found is None or found.deleted_at is not None else found

    async def standing(self, tenant: str) -> Standing:
        """How a tenant stands; as if nothing were set without a history. `LogUnavailable`."""
        found: Tenant | None = await self._state(tenant, catalogue.TENANT, tenant, anew=True)
        if found is None:
            return Standing()
        is_deleted, is_erased = found.deleted_at is not None, found.erased_at is not None
        return Standing(found.config, is_deleted, is_erased)

    async def _workflow(self, tenant: str, workflow_id: str) -> Workflow | None:
        """A workflow that lives, None for any other id."""
        found: Workflow | None = await self._state(tenant, catalogue.WORKFLOW, workflow_id)
        return None if found is None or found.deleted_at is not None else found

    async def _state(
        self,
        tenant: str,
        kind: str,
        id: str,  # noqa: A002
        *,
        anew: bool = False,
    ) -> Any:
        """An aggregate's state, None for one without history; many who ask cost one read.

        anew: what was seen a moment ago does not count.
        """
        try:
            subject = subjects.registry(tenant, kind, id)
        except BadToken:
            return None
        async with self._locks.setdefault(subject, asyncio.Lock()):
            seen = self._seen.get(subject) or Seen(0.0, 0, None)
            if anew or seen.until <= self._now():
                seen = await self._read(subject, kind, seen)
                self._seen[subject] = seen
            self._seen.move_to_end(subject)
            if len(self._seen) > HELD_MAX:
                self._seen.popitem(last=False)
            return seen.state

    async def _read(self, subject: str, kind: str, seen: Seen) -> Seen:
        """The aggregate with what has happened to it since it was seen."""
        _, seq, state = seen
        for stored in await self._log.read(subject, after=seq):
            for event in codec_for(kind).decode(stored.body).events:
                state = EVOLVES[kind](state, event)
            seq = stored.seq
        return Seen(self._now() + GOOD_FOR_S, seq, state)
