"""Which version a child run is of, as the registry's log tells it."""

from collections.abc import Sequence
from typing import Any

import pytest

from penstock.domain.ids import derived
from penstock.domain.payload import NULL, of_value
from penstock.domain.variable.events import VariableCreated, VariableDeleted
from penstock.domain.workflow.events import (
    WorkflowCreated,
    WorkflowDeleted,
    WorkflowVersionCreated,
    WorkflowVersionPinned,
    WorkflowVersionPublished,
)
from penstock.infra.eventlog.memory import MemoryLog
from penstock.infra.nats import subjects
from penstock.messages.codec import codec_for
from penstock.messages.envelope import NO_HASH
from penstock.scheduler.registry import GOOD_FOR_S, Registry, Unrunnable

TENANT = "acme"
CREATED = WorkflowCreated(key="inner", name="Inner", created_at=0, created_by="key:k")


class Shelf:
    """A registry, its log, and a clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.at = 0.0
        self.registry = Registry(self.log, lambda: self.at)

    async def put(self, kind: str, id: str, *events: Any) -> None:  # noqa: A002
        subject = subjects.registry(TENANT, kind, id)
        stored = await self.log.read(subject)
        body = codec_for(kind).encode(events, (), decision_id="d", at=0, previous_hash=NO_HASH)
        await self.log.append(subject, body, expected=stored[-1].seq if stored else 0)

    async def workflow(self, *events: Any) -> None:
        await self.put("workflow", derived(TENANT, "inner"), *events)

    async def hash_of(self, workflow: str, number: int | None = None) -> str:
        return (await self.registry.runnable(TENANT, workflow, number)).content_hash

    def moved_on(self) -> None:
        self.at += GOOD_FOR_S


def made(number: int, *, published: bool = True) -> Sequence[Any]:
    """The events of a version; its hash is `h` and its number."""
    kept = WorkflowVersionCreated(
        version_id=f"v{number}",
        number=number,
        content_hash=f"h{number}",
        definition=NULL,
        created_at=0,
        created_by="key:k",
    )
    said = WorkflowVersionPublished(version_id=f"v{number}", number=number, published_at=0)
    return (kept, said) if published else (kept,)


async def test_the_newest_published_version_is_run_unless_one_is_pinned_or_named() -> None:
    shelf = Shelf()
    await shelf.workflow(CREATED, *made(1), *made(2), *made(3, published=False))
    assert await shelf.hash_of("inner") == "h2"
    assert await shelf.hash_of("inner", 1) == "h1"
    await shelf.workflow(WorkflowVersionPinned(version_id="v1", number=1))
    shelf.moved_on()
    assert await shelf.hash_of("inner") == "h1"
    assert await shelf.hash_of("inner", 2) == "h2"


async def test_a_workflow_is_found_by_its_id_too() -> None:
    shelf = Shelf()
    await shelf.workflow(CREATED, *made(1))
    found = await shelf.registry.runnable(TENANT, derived(TENANT, "inner"), None)
    assert (found.workflow_name, found.version) == ("Inner", 1)


@pytest.mark.parametrize(
    ("workflow", "number", "why"),
    [
        ("other", None, "no workflow"),
        ("no token!", None, "no workflow"),
        ("inner", 3, "draft"),
        ("inner", 9, "no version 9"),
    ],
)
async def test_what_cannot_be_run_says_why(workflow: str, number: int | None, why: str) -> None:
    shelf = Shelf()
    await shelf.workflow(CREATED, *made(1), *made(2), *made(3, published=False))
    with pytest.raises(Unrunnable, match=why):
        await shelf.hash_of(workflow, number)


async def test_a_workflow_without_a_published_version_cannot_be_run() -> None:
    shelf = Shelf()
    await shelf.workflow(CREATED, *made(1, published=False))
    with pytest.raises(Unrunnable, match="no published version"):
        await shelf.hash_of("inner")


async def test_what_was_read_stays_good_for_a_moment_only() -> None:
    shelf = Shelf()
    await shelf.workflow(CREATED, *made(1))
    assert await shelf.hash_of("inner") == "h1"
    await shelf.workflow(WorkflowDeleted(deleted_at=1))
    assert await shelf.hash_of("inner") == "h1"
    shelf.moved_on()
    with pytest.raises(Unrunnable):
        await shelf.hash_of("inner")


async def test_a_variable_is_what_it_is_now() -> None:
    shelf = Shelf()
    variable_id = derived(TENANT, "variable", "region")
    created = VariableCreated(name="region", value=of_value("eu"), created_at=0, created_by="k")
    await shelf.put("variable", variable_id, created)
    found = await shelf.registry.variable(TENANT, "region")
    assert found is not None
    assert found.value == of_value("eu")
    await shelf.put("variable", variable_id, VariableDeleted(deleted_at=1))
    shelf.moved_on()
    assert await shelf.registry.variable(TENANT, "region") is None
