"""The 43 workflow control-flow patterns: what the matrix says of each is what runs do."""

import asyncio

import httpx
import pytest

from penstock.client.definition_file import read
from tests.e2e.histories import history
from tests.e2e.runs import ended, made, started
from tests.e2e.waiting import until
from tests.patterns.page import PAGE, page
from tests.patterns.pattern import DEFINITIONS, Pattern, Support
from tests.patterns.story import Refusal, Story, faults, words
from tests.patterns.table import PATTERNS

TOLD_WITHIN_S = 15.0
PATTERNS_THERE_ARE = 43
SUPPORTED_AT_LEAST = 26
SHOWN = [pytest.param(each, id=each.definition.stem) for each in PATTERNS]


@pytest.mark.parametrize("pattern", SHOWN)
async def test_a_pattern_is_what_the_matrix_says(api: httpx.AsyncClient, pattern: Pattern) -> None:
    stories = [shown for shown in pattern.shown if isinstance(shown, Story)]
    for refusal in (shown for shown in pattern.shown if isinstance(shown, Refusal)):
        assert await problems(api, pattern) == [refusal.code]
    if stories:
        workflow_id = await made(api, read(pattern.definition).document)
        await asyncio.gather(*(lived(api, workflow_id, story) for story in stories))


async def problems(api: httpx.AsyncClient, pattern: Pattern) -> list[str]:
    """The codes of what is wrong with a pattern's definition, which is refused."""
    definition = read(pattern.definition).document
    answered = await api.post("/workflows", json={"definition": definition})
    assert answered.status_code == httpx.codes.BAD_REQUEST, answered.text
    return [problem["code"] for problem in answered.json()["details"]]


async def lived(api: httpx.AsyncClient, workflow_id: str, story: Story) -> None:
    """One run, told what it is to be told; how it ends and its log are as the story says."""
    run_id = await started(api, workflow_id, story.given)
    for act in story.acts:
        await says(api, run_id, act.after)
        answered = await api.post(f"/runs/{run_id}/{act.path}", json=act.body or {})
        assert answered.status_code == httpx.codes.ACCEPTED, answered.text
    run = await ended(api, run_id)
    told = words(await history(api, run_id))
    assert run["status"] == story.status, (run["error"], told)
    assert faults(story, told) == [], told
    if story.output is not ...:
        assert run["output"] == story.output


async def says(api: httpx.AsyncClient, run_id: str, after: str) -> None:
    """Until a run's log has every one of these words."""
    awaited = set(after.split())

    async def found() -> bool:
        return awaited <= set(words(await history(api, run_id)))

    await until(found, within_s=TOLD_WITHIN_S, what=after)


# --- the matrix ----------------------------------------------------------------------------------


def test_the_page_says_what_the_table_says() -> None:
    assert PAGE.read_text() == page(), "python -m tests.patterns.page"


def test_every_pattern_is_in_the_table_once_with_a_definition_of_its_own() -> None:
    numbers = [pattern.number for pattern in PATTERNS]
    assert numbers == sorted(set(numbers) & set(range(1, PATTERNS_THERE_ARE + 1)))
    assert {pattern.definition for pattern in PATTERNS} == set(DEFINITIONS.glob("[0-9]*.yaml"))


def test_what_is_supported_is_shown_by_the_order_of_a_log() -> None:
    supported = [pattern for pattern in PATTERNS if pattern.support is Support.YES]
    assert len(supported) >= SUPPORTED_AT_LEAST
    for pattern in PATTERNS:
        assert pattern.shown
        if pattern.support is Support.YES:
            assert all(isinstance(shown, Story) for shown in pattern.shown)
        for shown in pattern.shown:
            assert isinstance(shown, Refusal) or max(len(c.split()) for c in shown.log) > 1


@pytest.mark.parametrize(
    ("log", "never", "found"),
    [
        ("a.done b.done", "", []),
        ("b.done a.done", "", ["not in this order: b.done a.done"]),
        ("a.done c.done", "", ["c.done is not there"]),
        ("signal.s signal.s#2", "b.done", ["b.done is there"]),
        ("signal.s#2 b.done", "", ["not in this order: signal.s#2 b.done"]),
    ],
)
def test_a_log_that_is_not_as_its_story_says_is_seen(
    log: str, never: str, found: list[str]
) -> None:
    told = ["signal.s", "a.done", "b.done", "signal.s#2"]
    assert faults(Story(None, (log,), never=never), told) == found
