"""How the executor spends the time that a stop gives it."""

import pytest

from penstock.executor.app import farewell
from penstock.infra.service import FLUSH_S

LAPTOP_SECONDS = 7.0
"""What `penstock up` gives an executor."""


@pytest.mark.parametrize("seconds", [1.0, 1.5, 2.5, 4.0, 8.0, 60.0, 600.0])
def test_a_stop_stays_within_its_time(seconds: float) -> None:
    parts = farewell(seconds)
    assert parts.grace > 0
    assert parts.grace + parts.stop + parts.last_words < max(seconds - FLUSH_S, FLUSH_S)


@pytest.mark.parametrize("seconds", [LAPTOP_SECONDS, 8.0])
def test_running_steps_get_five_seconds_on_a_laptop_and_by_default(seconds: float) -> None:
    assert farewell(seconds).grace > 4.5
