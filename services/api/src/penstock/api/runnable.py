"""What execute needs of a workflow, remembered for a moment.

What is remembered is dropped when the registry says that the workflow changed. A row that was read
before the read models had passed that change is used, but not remembered.
"""

from collections import OrderedDict
from time import monotonic
from typing import NamedTuple
from uuid import UUID

from penstock.api.checkpoint import Checkpoint
from penstock.api.errors import Problem
from penstock.api.positions import REGISTRY
from penstock.infra.keyring.texts import Texts
from penstock.infra.postgres.engine import Engine, Row
from penstock.infra.postgres.tenant import tenant_session

REMEMBERED_S = 5.0
REMEMBERED_MAX = 2_000
CHANGED_MAX = 10_000
"""The changes of many seconds; the read models are never so far behind and well."""

WORKFLOW = """
select w.id, w.key, w.name, w.published_number, w.pinned_number, w.revision
from penstock.workflows w
where w.tenant_id = %(tenant)s and w.deleted_at is null and (w.key = %(ref)s or w.id = %(id)s)
order by w.key = %(ref)s desc limit 1
"""
VERSION = """
select number, id, status, content_hash from penstock.workflow_versions
where tenant_id = %(tenant)s and workflow_id = %(workflow)s
  and (number = %(number)s or id = %(id)s)
"""


class Runnable(NamedTuple):
    """One published version, ready to be run. workflow_name: closed, as history has it."""

    workflow_id: str
    workflow_name: str
    version: int
    content_hash: str


class Remembered(NamedTuple):
    """A runnable until a moment of the monotonic clock."""

    until: float
    runnable: Runnable


Key = tuple[str, str, int | str | None]
"""Tenant, workflow as the client names it, version as the client names it."""


class Runnables:
    """Finds the version that an execute means."""

    def __init__(self, engine: Engine, checkpoint: Checkpoint, texts: Texts) -> None:
        self._engine = engine
        self._checkpoint = checkpoint
        self._texts = texts
        self._remembered: OrderedDict[Key, Remembered] = OrderedDict()
        self._changed: OrderedDict[str, int] = OrderedDict()

    async def find(self, tenant_id: str, workflow: str, version: int | str | None) -> Runnable:
        """The version. Raises Problem 404 for no such workflow or version, 409 for none to run."""
        key = (tenant_id, workflow, version)
        remembered = self._remembered.get(key)
        if remembered is not None and remembered.until > monotonic():
            return remembered.runnable
        passed = self._checkpoint.passed(REGISTRY)
        found = await self._found(tenant_id, workflow, version)
        if passed >= self._changed.get(found.workflow_id, 0):
            self._remember(key, found)
        return found

    async def is_known(self, tenant_id: str, workflow: str) -> bool:
        """Whether there is such a workflow, whatever can be run of it."""
        remembered = self._remembered.get((tenant_id, workflow, None))
        if remembered is not None and remembered.until > monotonic():
            return True
        async with tenant_session(self._engine, tenant_id) as session:
            wanted = {"tenant": tenant_id, "ref": workflow, "id": uuid_or_none(workflow)}
            return await session.one(WORKFLOW, wanted) is not None

    def changed(self, workflow_id: str, seq: int) -> None:
        """Forget the workflow; `seq` is the registry's sequence of what happened to it."""
        self._changed[workflow_id] = max(seq, self._changed.get(workflow_id, 0))
        self._changed.move_to_end(workflow_id)
        if len(self._changed) > CHANGED_MAX:
            self._changed.popitem(last=False)
        stale = [k for k, r in self._remembered.items() if r.runnable.workflow_id == workflow_id]
        for key in stale:
            del self._remembered[key]

    def _remember(self, key: Key, found: Runnable) -> None:
        self._remembered[key] = Remembered(monotonic() + REMEMBERED_S, found)
        self._remembered.move_to_end(key)
        if len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)

    async def _found(self, tenant_id: str, workflow: str, version: int | str | None) -> Runnable:
        async with tenant_session(self._engine, tenant_id) as session:
            wanted = {"tenant": tenant_id, "ref": workflow, "id": uuid_or_none(workflow)}
            row = await session.one(WORKFLOW, wanted)
            if row is None:
                raise Problem(404, "there is no such workflow")
            number = chosen(row, version)
            by_id = uuid_or_none(str(version)) if number is None else None
            chosen_one = {"workflow": row["id"], "number": number, "id": by_id}
            found = await session.one(VERSION, {"tenant": tenant_id, **chosen_one})
        if found is None:
            raise Problem(404, f"the workflow has no version {version}")
        if found["status"] != "published":
            raise Problem(409, f"version {found['number']} is a draft", code="NOT_PUBLISHED")
        name = await self._texts.kept(tenant_id, row["name"])
        return Runnable(str(row["id"]), name, found["number"], found["content_hash"])


def chosen(workflow: Row, version: int | str | None) -> int | None:
    """The number of the version to run, None where `version` is an id to be looked for."""
    if version is None:
        number: int | None = workflow["pinned_number"] or workflow["published_number"]
        if number is None:
            raise Problem(409, "the workflow has no published version", code="NO_VERSION")
        return number
    if isinstance(version, int):
        return version
    return int(version) if version.isascii() and version.isdigit() and len(version) < 9 else None


def uuid_or_none(text: str) -> UUID | None:
    """`text` as a UUID if it is one."""
    try:
        return UUID(text)
    except ValueError:
        return None
