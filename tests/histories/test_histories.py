"""What was recorded of earlier releases is read by this one, and comes to the same."""

import msgspec
import pytest

from penstock.messages.catalogue import EVENT_TYPES
from tests.histories.histories import EVOLVES, kept, outcome_of, types_in

KEPT = kept()


@pytest.mark.parametrize("name", KEPT)
def test_a_recorded_history_comes_to_what_it_came_to(name: str) -> None:
    history = KEPT[name]
    found = msgspec.json.decode(msgspec.json.encode(outcome_of(history)))
    assert found == history.outcome


def test_every_event_of_the_registry_was_recorded() -> None:
    known = {each for history in KEPT.values() for each in types_in(history)}
    assert {key for key in EVENT_TYPES.types if key[0] in EVOLVES} - known == set()
