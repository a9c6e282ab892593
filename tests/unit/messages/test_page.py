"""The messages page: what is committed is what the classes say."""

from pathlib import Path

from penstock.messages.catalogue import COMMAND_TYPES, EVENT_TYPES
from penstock.messages.page import messages_page, values

PAGE = Path(__file__).parents[3] / "docs" / "messages.md"


def test_the_committed_page_is_current() -> None:
    again = "python -m penstock.messages.page > docs/messages.md"
    assert PAGE.read_text() == messages_page(), f"write it anew: {again}"


def test_every_message_and_every_value_is_described_once() -> None:
    headings = [line for line in messages_page().splitlines() if line.startswith("### ")]
    catalogued = [*COMMAND_TYPES.types.values(), *EVENT_TYPES.types.values()]
    names = [*(each.name for each in catalogued), *(each.__name__ for each in values())]
    assert {f"### {name}" for name in names} <= set(headings)
    assert len(headings) == len(set(headings))


def test_what_decisions_and_tasks_hold_is_described() -> None:
    assert {"Payload", "Task", "Cause", "StepError"} <= {each.__name__ for each in values()}
