"""A tenant's own allow list reaches its steps, and nobody else's."""

from typing import Any

import pytest

from penstock.domain.run.commands import CompleteStep, FailStep
from penstock.domain.tenant.events import TenantConfig, TenantConfigured, TenantCreated
from penstock.executor.allowances import GOOD_FOR_S, Allowances
from penstock.infra.egress.guard import AllowListUnknown
from penstock.infra.eventlog.memory import Faults, MemoryLog
from penstock.infra.keyring.data_keys import DataKeys
from penstock.infra.keyring.keks import Keks
from penstock.infra.keyring.texts import Texts
from penstock.infra.nats import subjects
from penstock.messages.codec import codec_for
from penstock.messages.envelope import NO_HASH, Cause
from tests.integration.executor.bench import TENANT, Bench, Web


def configured(*entries: str) -> TenantConfig:
    return TenantConfig(egress_allow=entries)


def decision(event: TenantCreated | TenantConfigured) -> bytes:
    """A message of a tenant's history."""
    cause = Cause(id="c", actor="admin:platform", events=1)
    return codec_for("tenant").encode(
        [event], [cause], decision_id="d", at=1, previous_hash=NO_HASH
    )


def created(*entries: str) -> bytes:
    return decision(
        TenantCreated(name="acme", config=configured(*entries), created_at=1, created_by="a")
    )


def without_keys() -> Texts:
    """What opens nothing, for lists in the clear."""
    nowhere: Any = None
    return Texts(DataKeys(nowhere, Keks(bytes(32))))


@pytest.mark.parametrize("is_closed", [True, False])
async def test_a_step_may_call_what_its_tenants_list_opens(
    bench: Bench, web: Web, is_closed: bool
) -> None:
    await web.also("127.0.0.3")
    url = web.answer("/a", b"private").replace("127.0.0.1", "127.0.0.3")
    entry = "127.0.0.3"
    if is_closed:
        entry = (await bench.seals.texts.marks(TENANT)).closed(entry)
    await bench.js.publish(subjects.registry(TENANT, "tenant", TENANT), created(entry))
    node = {"id": "call", "type": "http_request", "config": {"url": url}}
    assert isinstance(await bench.run(node), CompleteStep)


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


async def test_a_changed_list_counts_after_a_moment() -> None:
    log, clock = MemoryLog(), Clock()
    allowances = Allowances(log, without_keys(), clock)
    subject = subjects.registry("acme", "tenant", "acme")
    assert not (await allowances.of("acme")).host("one", 1)
    last = await log.append(subject, created("one"), expected=0)
    assert not (await allowances.of("acme")).host("one", 1)
    clock.seconds += GOOD_FOR_S
    assert (await allowances.of("acme")).host("one", 1)
    assert not (await allowances.of("other")).host("one", 1)
    changed = decision(TenantConfigured(config=configured("two")))
    await log.append(subject, changed, expected=last)
    clock.seconds += GOOD_FOR_S
    allowed = await allowances.of("acme")
    assert (allowed.host("one", 1), allowed.host("two", 1)) == (False, True)


async def test_a_list_that_cannot_be_read_is_not_taken_for_an_empty_one() -> None:
    allowances = Allowances(MemoryLog(faults=Faults(unavailable=1.0)), without_keys(), Clock())
    with pytest.raises(AllowListUnknown):
        await allowances.of("acme")


async def test_a_history_that_cannot_be_understood_opens_nothing() -> None:
    log = MemoryLog()
    await log.append(subjects.registry("acme", "tenant", "acme"), created("a b"), expected=0)
    with pytest.raises(AllowListUnknown):
        await Allowances(log, without_keys(), Clock()).of("acme")


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("not a url", "CONFIG_INVALID", "'not a url' is not a URL"),
        ("example.com/a", "CONFIG_INVALID", "'example.com/a' is not a URL"),
        ("http://me:hunter2@[::1/", "CONFIG_INVALID", "'***@[::1/' is not a URL"),
        ("ftp://example.com/", "EGRESS_REFUSED", "only http and https are open, not ftp"),
        ("http://127.0.0.9/", "EGRESS_REFUSED", "127.0.0.9 is not a public address"),
        ("http://8.8.8.8:25/", "EGRESS_REFUSED", "the port 25 of 8.8.8.8 is not open"),
    ],
)
async def test_a_step_says_why_its_url_was_not_called(
    bench: Bench, url: str, code: str, said: str
) -> None:
    told = await bench.run({"id": "call", "type": "http_request", "config": {"url": url}})
    assert isinstance(told, FailStep)
    assert (told.error.code, told.error.message) == (code, said)
    assert not told.error.retryable
