"""What was recorded of earlier releases is read by this one, and comes to the same."""

from typing import Any

import msgspec
import pytest

from penstock.messages.catalogue import EVENT_TYPES
from tests.histories.histories import EVOLVES, kept, outcome_of, types_in

KEPT = kept()


@pytest.mark.parametrize("name", KEPT)
def test_a_recorded_history_comes_to_what_it_came_to(name: str) -> None:
    history = KEPT[name]
    found = msgspec.json.decode(msgspec.json.encode(outcome_of(history)))
    assert kept_of(found, history.outcome) == history.outcome


def kept_of(found: Any, recorded: Any) -> Any:
    """What is found, without the members that releases since then have added."""
    if isinstance(found, dict) and isinstance(recorded, dict):
        return {
            name: kept_of(value, recorded[name])
            for name, value in found.items()
            if name in recorded
        }
    if isinstance(found, list) and isinstance(recorded, list) and len(found) == len(recorded):
        return [kept_of(*pair) for pair in zip(found, recorded, strict=True)]
    return found


def test_every_event_that_is_not_a_runs_was_recorded() -> None:
    known = {each for history in KEPT.values() for each in types_in(history)}
    assert {key for key in EVENT_TYPES.types if key[0] in EVOLVES} - known == set()
