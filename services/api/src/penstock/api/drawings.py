"""Definitions that clients send: judged, and made into versions."""

from typing import Any

from msgspec import Struct, to_builtins
from uuid_utils import uuid7

from penstock.api.errors import Detail, invalid
from penstock.api.parts import Parts
from penstock.domain.payload import INLINE_MAX_BYTES, Payload, inline
from penstock.domain.workflow.commands import NewVersion
from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import Definition, canonical_bytes
from penstock.domain.workflow.validate import Checks, check
from penstock.infra.expressions import Expressions
from penstock.infra.schemas import check_config, check_schema

POINTER = "/definition"
"""Where a definition stands in the bodies of requests."""

CHECKS = Checks(expression=Expressions().check, config=check_config, schema=check_schema)


class Judged(Struct, frozen=True):
    """What was found of a document. definition: None when it has problems.

    key: what the document calls its workflow, None where it does not say.
    """

    definition: Definition | None
    key: str | None
    problems: tuple[Detail, ...]

    @property
    def plan(self) -> list[list[str]]:
        """Layers of node ids, none of an invalid definition."""
        return [] if self.definition is None else Graph.of(self.definition).layers()


def judged(document: Any, *, name: str | None = None) -> Judged:
    """Every problem of a document. name: what the definition is called if it does not say."""
    checked = check(document, CHECKS, name=name)
    problems = tuple(to_builtins(problem) for problem in checked.problems)
    return Judged(checked.definition, checked.key, problems)


def accepted(document: Any, *, name: str | None = None) -> tuple[Definition, str | None]:
    """A valid definition, and the key that its document names.

    Raises Problem 400 with all that is wrong, pointers from the root of the body.
    """
    verdict = judged(document, name=name)
    if verdict.definition is None:
        placed = [{**each, "pointer": POINTER + each["pointer"]} for each in verdict.problems]
        raise invalid("the definition is not valid", *placed)
    return verdict.definition, verdict.key


async def stored(parts: Parts, tenant_id: str, definition: Definition) -> NewVersion:
    """The definition as a version to be recorded; its blob is there from here on."""
    parts.require_broker()
    content_hash = await parts.definitions.put(tenant_id, definition)
    body = canonical_bytes(definition)
    if len(body) <= INLINE_MAX_BYTES:
        payload = inline(body)
    else:
        payload = Payload(size=len(body), sha256=content_hash, blob=f"{tenant_id}/{content_hash}")
    return NewVersion(version_id=str(uuid7()), content_hash=content_hash, definition=payload)
