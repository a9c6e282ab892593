"""A tenant's `maxPayloadBytes` binds what steps say, and nothing is asked about what is small."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from penstock.domain.run.commands import CompleteStep, FailStep, SuspendStep
from penstock.domain.tenant.events import (
    Limits,
    TenantConfig,
    TenantConfigured,
    TenantCreated,
)
from penstock.executor.allowances import GOOD_FOR_S, Allowances
from penstock.executor.payloads import UNASKED_MAX_BYTES
from penstock.infra.eventlog.memory import MemoryLog
from penstock.infra.nats import subjects
from tests.integration.executor.bench import TENANT, Bench, Web
from tests.integration.executor.test_allowances import Clock, decision, without_keys

MOST = 4_000
INLINE = 70_000
"""Over 64 KiB, so that it would be an object."""


def limited(most: int | None) -> TenantConfig:
    return TenantConfig(limits=Limits(max_payload_bytes=most))


async def limit(bench: Bench, most: int | None) -> None:
    made = TenantCreated(name="acme", config=limited(most), created_at=1, created_by="a")
    await bench.js.publish(subjects.registry(TENANT, "tenant", TENANT), decision(made))


@pytest.fixture
async def strict(bench: Bench) -> AsyncIterator[Bench]:
    """A tenant whose payloads have at most `MOST` bytes; the log outlives the test."""
    await limit(bench, MOST)
    yield bench
    await limit(bench, None)


def says(count: int) -> dict[str, Any]:
    """A node whose output has `count` + 2 bytes as JSON."""
    return {"id": "say", "type": "transform", "config": {"output": "x" * count}}


def told(report: object) -> tuple[str, str, bool]:
    assert isinstance(report, FailStep), report
    return report.error.code, report.error.message, report.error.retryable


@pytest.mark.parametrize("size", [MOST + 1, INLINE])
async def test_an_output_over_the_limit_fails_its_step_for_good(strict: Bench, size: int) -> None:
    said = f"the step's output has {size} bytes as JSON, maxPayloadBytes of the tenant is {MOST}"
    for _ in range(2):
        found = await strict.run(says(size - 2))
        assert told(found) == ("PAYLOAD_TOO_LARGE", said, False)
    assert isinstance(await strict.run(says(MOST - 2)), CompleteStep)


async def test_without_a_limit_an_output_may_be_an_object(bench: Bench) -> None:
    assert isinstance(await bench.run(says(INLINE)), CompleteStep)


async def test_what_a_call_answers_is_measured_and_what_is_passed_on_is_not(
    strict: Bench, web: Web
) -> None:
    url = web.answer("/much", b'"' + b"x" * MOST + b'"', content_type="application/json")
    call = {"id": "call", "type": "http_request", "config": {"url": url}}
    assert told(await strict.run(call))[0] == "PAYLOAD_TOO_LARGE"
    noop = {"id": "pass", "type": "noop"}
    assert isinstance(await strict.run(noop, input="x" * MOST), CompleteStep)


async def test_the_input_of_a_child_is_a_payload_like_any_other(strict: Bench) -> None:
    child = {"id": "child", "type": "sub_workflow", "config": {"workflowId": "other"}}
    assert told(await strict.run({**child, "input": "x" * MOST}))[0] == "PAYLOAD_TOO_LARGE"
    assert isinstance(await strict.run({**child, "input": "x"}), SuspendStep)


async def test_a_changed_limit_counts_after_a_moment_and_small_things_need_none() -> None:
    log, clock = MemoryLog(), Clock()
    allowances = Allowances(log, without_keys(), clock)
    subject = subjects.registry("acme", "tenant", "acme")
    made = TenantCreated(name="acme", config=limited(MOST), created_at=1, created_by="a")
    last = await log.append(subject, decision(made), expected=0)
    assert allowances.payload_bytes_max_at_hand("acme") is None
    assert await allowances.payload_bytes_max("acme") == MOST
    assert allowances.payload_bytes_max_at_hand("acme") == MOST
    changed = decision(TenantConfigured(config=limited(MOST + 1)))
    await log.append(subject, changed, expected=last)
    assert await allowances.payload_bytes_max("acme") == MOST
    clock.seconds += GOOD_FOR_S
    assert allowances.payload_bytes_max_at_hand("acme") is None
    assert await allowances.payload_bytes_max("acme") == MOST + 1


async def test_what_is_small_leaves_at_once(bench: Bench) -> None:
    """Nothing is known of the tenant here, and nothing has to be."""
    payloads = bench.executor.worker._payloads
    small = Raw(msgspec.json.encode("x" * (UNASKED_MAX_BYTES - 2)))
    assert payloads.fits_at_once(small, "nobody")
    assert not payloads.fits_at_once(Raw(msgspec.json.encode("x" * UNASKED_MAX_BYTES)), "nobody")
