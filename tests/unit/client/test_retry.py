"""What is tried again, how often, and after how long; without a network."""

from typing import Any

import pytest

from penstock.client import runs, workflows
from penstock.client.calls import Answer, Call, NoAnswer
from penstock.client.errors import BadAnswer, Conflict, PenstockError, Unavailable, Unreachable
from penstock.client.models import Accepted, RunStatus
from penstock.client.retry import Pause, Retries, attempts

START = runs.start("hello")
UPDATE = workflows.update("hello", name="Hello")
ACCEPTED = Answer(202, {}, b'{"runId": "r-1", "status": "queued"}')
RETRIES = Retries(tries_max=3, pause_s=1, pause_max_s=8, jitter=0)


def problem(status: int, code: str, **headers: str) -> Answer:
    return Answer(status, headers, f'{{"status": {status}, "code": "{code}"}}'.encode())


BUSY = problem(503, "UNAVAILABLE")


def told(call: Call[Any], *outcomes: Answer | NoAnswer) -> tuple[object, list[float]]:
    """What a call comes to after these outcomes, and the pauses in between."""
    conversation = attempts(call, RETRIES)
    left, pauses = list(outcomes), []
    said = next(conversation)
    try:
        while True:
            if isinstance(said, Pause):
                pauses.append(said.seconds)
                said = conversation.send(None)
            else:
                assert said is call, "the same request, the same Idempotency-Key"
                said = conversation.send(left.pop(0))
    except StopIteration as end:
        return end.value, pauses
    except PenstockError as error:
        return error, pauses


def test_a_success_is_read() -> None:
    assert told(START, ACCEPTED) == (Accepted(run_id="r-1", status=RunStatus.QUEUED), [])


def test_a_busy_server_is_asked_again_with_growing_rests() -> None:
    accepted, pauses = told(START, BUSY, problem(429, "RATE_LIMITED"), ACCEPTED)
    assert (isinstance(accepted, Accepted), pauses) == (True, [1, 2])


def test_tries_are_bounded() -> None:
    error, pauses = told(START, BUSY, BUSY, BUSY)
    assert (type(error), len(pauses)) == (Unavailable, 2)


def test_retry_after_is_honoured() -> None:
    assert told(START, problem(503, "UNAVAILABLE", **{"retry-after": "7"}), ACCEPTED)[1] == [7]


def test_a_retry_after_that_is_too_long_is_no_wait_but_an_error() -> None:
    error, pauses = told(START, problem(429, "QUOTA_EXCEEDED", **{"retry-after": "3600"}))
    assert isinstance(error, PenstockError)
    assert (getattr(error, "retry_after_s", None), pauses) == (3600, [])


def test_a_refusal_is_final() -> None:
    error, pauses = told(START, problem(409, "NO_VERSION"))
    assert (type(error), pauses) == (Conflict, [])


@pytest.mark.parametrize(("sent", "tries"), [(False, 2), (True, 1)])
def test_what_may_have_arrived_is_repeated_only_where_that_is_harmless(
    sent: bool, tries: int
) -> None:
    lost = NoAnswer("gone", sent=sent)
    _, pauses = told(START, lost, ACCEPTED)
    assert len(pauses) == 1, "an execute has an Idempotency-Key"
    outcome = told(UPDATE, lost, *[Answer(200, {}, b"{}")] * (tries - 1))[0]
    assert type(outcome) is (Unreachable if sent else BadAnswer)


def test_a_gateway_that_lost_the_server_counts_as_no_answer() -> None:
    gateway = Answer(502, {}, b"<html>")
    assert len(told(START, gateway, ACCEPTED)[1]) == 1
    assert isinstance(told(UPDATE, gateway)[0], BadAnswer)


def test_rests_are_bounded_and_jittered() -> None:
    retries = Retries(pause_s=1, pause_max_s=4, jitter=0.5)
    for tried in range(1, 50):
        full = min(2.0 ** (tried - 1), 4)
        assert full / 2 <= retries.rest_s(tried) <= full
