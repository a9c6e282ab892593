"""Definitions that clients send: judged, and made into versions."""

from typing import Any, NamedTuple

from msgspec import Struct, to_builtins
from uuid_utils import uuid7

from penstock.api.errors import Detail, detail, invalid
from penstock.api.limits import Met, too_large
from penstock.api.parts import Parts
from penstock.domain.payload import INLINE_MAX_BYTES, Payload
from penstock.domain.workflow.commands import NewVersion
from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import Definition, canonical_bytes
from penstock.domain.workflow.validate import Checks, check
from penstock.infra.expressions import Expressions
from penstock.infra.postgres.engine import Row
from penstock.infra.schemas import check_config, check_schema

POINTER = "/definition"
"""Where a definition stands in the bodies of requests."""

KEY_MISMATCH = "KEY_MISMATCH"

CHECKS = Checks(expression=Expressions().check, config=check_config, schema=check_schema)


class Judged(Struct, frozen=True):
    """What was found of a document. definition: None when it has problems.

    key, name: what the document calls its workflow, None where it does not say.
    """

    definition: Definition | None
    key: str | None
    name: str | None
    problems: tuple[Detail, ...]

    @property
    def plan(self) -> list[list[str]]:
        """Layers of node ids, none of an invalid definition."""
        return [] if self.definition is None else Graph.of(self.definition).layers()


class Accepted(NamedTuple):
    """A valid definition. key, name: what its document calls the workflow, None for nothing."""

    definition: Definition
    key: str | None
    name: str | None


def judged(document: Any, *, name: str | None = None) -> Judged:
    """Every problem of a document. name: what the definition is called if it does not say."""
    checked = check(document, CHECKS, name=name)
    problems = tuple(to_builtins(problem) for problem in checked.problems)
    said = checked.definition.name if checked.definition and names_itself(document) else None
    return Judged(checked.definition, checked.key, said, problems)


def names_itself(document: Any) -> bool:
    """Whether the document says its name, and so has not got it from elsewhere."""
    return isinstance(document, dict) and "name" in document


def accepted(document: Any, *, name: str | None = None, at: str = POINTER) -> Accepted:
    """A valid definition. at: where the document stands in the body.

    Raises Problem 400 with all that is wrong, pointers from the root of the body.
    """
    verdict = judged(document, name=name)
    if verdict.definition is None:
        placed = [{**each, "pointer": at + each["pointer"]} for each in verdict.problems]
        raise invalid("the definition is not valid", *placed)
    return Accepted(verdict.definition, verdict.key, verdict.name)


def accepted_for(document: Any, workflow: Row) -> Accepted:
    """A valid definition of a workflow that exists.

    Raises Problem 400 as `accepted` does, and where the definition says that it is of another.
    """
    found = accepted(document, name=workflow["name"])
    if found.key not in {None, workflow["key"], str(workflow["id"])}:
        said = f"names {found.key}, but the workflow's key is {workflow['key']}"
        fault = detail(f"{POINTER}/id", KEY_MISMATCH, said)
        raise invalid("the definition is of another workflow", fault)
    return found


async def stored(
    parts: Parts, tenant_id: str, definition: Definition, *, version_id: str | None = None
) -> NewVersion:
    """The definition as a version to be recorded; its blob is there from here on.

    version_id: None for a new one. Raises Problem 413 for one larger than the tenant's may be.
    """
    parts.require_broker()
    body = canonical_bytes(definition)
    most = (await parts.limits.of(tenant_id)).max_definition_bytes
    if most is not None and len(body) > most:
        which = Met("maxDefinitionBytes", most, len(body))
        raise too_large(which, what="the definition", pointer=POINTER)
    content_hash = await parts.definitions.put(tenant_id, definition)
    if len(body) <= INLINE_MAX_BYTES:
        payload = await parts.seals.sealed(tenant_id, body)
    else:
        payload = Payload(size=len(body), sha256=content_hash, blob=f"{tenant_id}/{content_hash}")
    return NewVersion(
        version_id=version_id or str(uuid7()), content_hash=content_hash, definition=payload
    )
