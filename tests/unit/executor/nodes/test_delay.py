"""`delay`: the moment it waits for."""

from typing import Any, cast

import pytest

from penstock.executor.context import StepContext
from penstock.executor.inputs import StepInput
from penstock.executor.nodes import delay
from penstock.executor.outcome import Done, Outcome, Rest, StepFault
from penstock.executor.transport import GuardedTransport

NOW = 1_700_000_000_000
NO_TRANSPORT = cast(GuardedTransport, None)


def run(**config: Any) -> Outcome:
    context = StepContext("t", "r", "d", 1, NOW, "", NO_TRANSPORT)
    return delay.run(context, config, StepInput.of_value(None))


def test_a_duration_counts_from_the_attempts_start() -> None:
    assert run(durationMs=1500) == Rest(NOW + 1500)
    assert run(durationMs="1500") == Rest(NOW + 1500)


def test_a_moment_is_taken_with_its_offset() -> None:
    assert run(until="2023-11-14T22:13:21Z") == Rest(NOW + 1000)
    assert run(until="2023-11-15T00:13:21.500+02:00") == Rest(NOW + 1500)
    assert run(until="2023-11-14T22:13:21") == Rest(NOW + 1000)


def test_what_has_passed_is_not_waited_for() -> None:
    assert run(durationMs=0) == Done()
    assert run(until="2020-01-01T00:00:00Z") == Done()


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"durationMs": "soon"},
        {"durationMs": -1},
        {"durationMs": "-5000"},
        {"durationMs": True},
        {"durationMs": [1]},
        {"durationMs": float("inf")},
        {"until": "tomorrow"},
        {"until": "9999-12-31T23:59:59Z"},
        {"durationMs": 400 * 24 * 3600 * 1000},
    ],
)
def test_what_is_no_moment_within_a_year_is_a_final_fault(config: dict[str, Any]) -> None:
    with pytest.raises(StepFault) as caught:
        run(**config)
    assert (caught.value.code, caught.value.retryable) == ("CONFIG_INVALID", False)
    assert all(member in caught.value.message for member in config)
