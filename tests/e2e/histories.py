"""A run's history as the API tells it, and the questions that tests ask of it."""

from collections.abc import Iterable
from typing import Any

import httpx

Event = dict[str, Any]
PAGE = 200
PAGES_MAX = 1_000


async def history(api: httpx.AsyncClient, run_id: str) -> list[Event]:
    """All events of a run, in order."""
    events: list[Event] = []
    after = None
    for _ in range(PAGES_MAX):
        asked = {"limit": PAGE} | ({"after": after} if after else {})
        answered = await api.get(f"/runs/{run_id}/events", params=asked)
        answered.raise_for_status()
        page = answered.json()
        events += page["items"]
        after = page["nextCursor"]
        if len(page["items"]) < PAGE:
            return events
    raise AssertionError(f"the history of {run_id} has no end")


def of_type(events: Iterable[Event], *types: str) -> list[Event]:
    """The events of some types, in order."""
    return [event for event in events if event["type"] in types]


def place_of_each(events: list[Event], event_type: str) -> dict[str, int]:
    """Where in the history each step's event of a type stands; a step with two is an error."""
    found: dict[str, int] = {}
    for place, event in enumerate(events):
        if event["type"] == event_type:
            step_id = event["data"]["stepId"]
            assert step_id not in found, f"{step_id} has two {event_type}"
            found[step_id] = place
    return found
