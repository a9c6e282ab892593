"""From what an attempt came to, to what is reported about it.

First the bytes that the report carries find their payloads, at once where they are few, through
the blob store where they are many; then the report is a plain value.
"""

import time
from collections.abc import Iterator
from typing import assert_never

from msgspec import Raw, Struct

from penstock.domain.payload import Payload
from penstock.domain.run.commands import CompleteStep, FailStep, Report, ReportLost, SuspendStep
from penstock.domain.run.events import StepError, WaitKind
from penstock.executor.edges import Told
from penstock.executor.holdings import Held
from penstock.executor.inputs import MESSAGE_MAX, StepInput, encode
from penstock.executor.outcome import Carried, Done, Outcome, Rest, StepFault, TimedOut
from penstock.executor.payloads import Payloads
from penstock.messages.envelope import Task


class Burden(Struct, frozen=True):
    """All that a report is to carry. words: what an error says.

    limited: what the tenant's limit of payloads binds. An input is told of a step and bound where
    it becomes a child's; what was accepted before and is only passed on is not measured again.
    """

    output: Carried = None
    input: Carried = None
    details: Carried = None
    items: Carried = None
    words: str = ""
    limited: tuple[str, ...] = ("output", "items")

    def said(self) -> Iterator[tuple[str, Raw]]:
        """What is new of that which is limited, by name."""
        for name in self.limited:
            carried: Carried = getattr(self, name)
            if isinstance(carried, Raw):
                yield name, carried


class Kept(Struct, frozen=True):
    """The same as payloads, and words that are closed; None for those of nobody but us."""

    words: str | None = None
    output: Payload | None = None
    input: Payload | None = None
    details: Payload | None = None
    items: Payload | None = None


NOTHING_KEPT = Kept()


def now_ms() -> int:
    """The wall clock, ms since the epoch."""
    return time.time_ns() // 1_000_000


def burden_of(held: Held, found: Outcome | StepFault) -> Burden:
    """What the report of `found` is to carry."""
    plan, given = held.plan, held.given
    if isinstance(found, Done):
        return Burden(
            output=passed_on(given) if found.output is None else found.output,
            input=passed_on(given) if plan is not None and plan.own_input else None,
        )
    tells = plan is not None and (plan.tells_input or plan.own_input)
    told = passed_on(given) if tells and given is not None else None
    if isinstance(found, StepFault):
        return Burden(
            input=told,
            details=None if found.details is None else encoded(found.details),
            words=found.message[:MESSAGE_MAX],
        )
    match found.kind:
        case WaitKind.DELAY:
            return Burden(output=passed_on(given), input=told)
        case WaitKind.CHILD:
            return Burden(output=found.output, input=passed_on(given), limited=("output", "input"))
        case WaitKind.LOOP | WaitKind.APPROVAL | WaitKind.SIGNAL:
            return Burden(output=found.output, input=told, items=found.items)
        case _:
            assert_never(found.kind)


def encoded(value: object) -> Raw:
    """A value as bytes that need a payload."""
    return Raw(encode(value))


def passed_on(given: StepInput | None) -> Carried:
    """A step's input, to be said again."""
    assert given is not None, "a step that ran was given something"
    return given.raw if given.payload is None else given.payload


def kept_at_once(burden: Burden, payloads: Payloads, held: Held) -> Kept | None:
    """The payloads of a burden; None when one is too large for a message, or a key is missing.

    Also when one is larger than the tenant's may be, or nobody knows yet whether it is.
    """
    tenant, run_id = held.pack.tenant, held.task.run_id
    if not all(payloads.fits_at_once(said, tenant) for _, said in burden.said()):
        return None
    found: list[Payload | None] = []
    for carried in (burden.output, burden.input, burden.details, burden.items):
        payload = None
        if carried is not None:
            payload = payloads.kept_at_once(carried, tenant=tenant, run_id=run_id)
            if payload is None:
                return None
        found.append(payload)
    words = burden.words and payloads.words_at_hand(burden.words, tenant=tenant)
    return None if words is None else Kept(words, *found)


async def kept(burden: Burden, payloads: Payloads, held: Held) -> Kept:
    """The payloads of an attempt's burden, large ones put into the blob store. Raises StepFault."""
    tenant, run_id = held.pack.tenant, held.task.run_id
    for name, said in burden.said():
        await payloads.refuse_large(said, tenant, name)
    return Kept(
        await payloads.words(burden.words, tenant=tenant),
        await payloads.kept(burden.output, tenant=tenant, run_id=run_id),
        await payloads.kept(burden.input, tenant=tenant, run_id=run_id),
        await payloads.kept(burden.details, tenant=tenant, run_id=run_id),
        await payloads.kept(burden.items, tenant=tenant, run_id=run_id),
    )


def report_of(
    held: Held,
    executor_id: str,
    found: Outcome | StepFault,
    kept: Kept,
    *,
    edges: Told = None,
) -> Report:
    """What is said to the scheduler about an attempt that came to `found`."""
    task, started_at = held.task, held.started_at
    match found:
        case Done():
            assert kept.output is not None
            return CompleteStep(
                step_id=task.step_id,
                attempt=task.attempt,
                output=kept.output,
                branch=found.branch,
                edges=edges if found.edges is None else found.edges,
                input=kept.input,
                started_at=started_at,
                finished_at=now_ms(),
                executor_id=executor_id,
                used=held.used,
            )
        case Rest():
            return rest_of(held, executor_id, found, kept)
        case StepFault():
            return FailStep(
                step_id=task.step_id,
                attempt=task.attempt,
                error=error_of(found, kept),
                edges=edges,
                input=kept.input,
                timed_out=isinstance(found, TimedOut),
                retry_after_ms=found.retry_after_ms,
                started_at=started_at,
                finished_at=now_ms(),
                executor_id=executor_id,
                used=held.used,
            )
        case _:
            assert_never(found)


def rest_of(held: Held, executor_id: str, found: Rest, kept: Kept) -> SuspendStep:
    """What is said about an attempt that waits."""
    return SuspendStep(
        step_id=held.task.step_id,
        attempt=held.task.attempt,
        kind=found.kind,
        until=found.until,
        exceeds=found.exceeds,
        on_timeout=found.on_timeout,
        output=kept.output,
        name=found.name,
        count=found.count,
        items=kept.items,
        width=found.width,
        most=found.most,
        tolerant=found.tolerant,
        workflow_id=found.workflow_id,
        version=found.version,
        input=kept.input,
        started_at=held.started_at,
        executor_id=executor_id,
    )


def error_of(fault: StepFault, kept: Kept) -> StepError:
    """A fault as history keeps it: what it says may quote what the step was given."""
    return StepError(
        code=fault.code,
        message=fault.message[:MESSAGE_MAX] if kept.words is None else kept.words,
        retryable=fault.retryable,
        details=kept.details,
    )


def lost(task: Task, reason: str, used: tuple[str, ...] = ()) -> ReportLost:
    """What is said of an attempt that nobody works on any more. used: as in `SecretUsed`."""
    return ReportLost(step_id=task.step_id, attempt=task.attempt, reason=reason, used=used)
