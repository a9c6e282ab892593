"""The 43 workflow control-flow patterns: what the matrix says of each is what runs do."""

import asyncio

import httpx
import pytest

from penstock.client.definition_file import read
from tests.e2e.histories import Event, history, of_type
from tests.e2e.runs import ended, made, started
from tests.e2e.waiting import until
from tests.patterns.page import PAGE, page
from tests.patterns.pattern import DEFINITIONS, Pattern, Support
from tests.patterns.story import Place, Refusal, Story, faults, placed
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
    for part in pattern.parts:
        await made(api, read(DEFINITIONS / f"{part}.yaml").document)
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
        told = await child_of(api, run_id, act.to) if act.to else run_id
        answered = await api.post(f"/runs/{told}/{act.path}", json=act.body or {})
        assert answered.status_code == httpx.codes.ACCEPTED, answered.text
    run = await ended(api, run_id)
    log = await log_of(api, run_id)
    assert run["status"] == story.status, (run["error"], log)
    assert faults(story, log) == [], log
    if story.output is not ...:
        assert run["output"] == story.output


async def says(api: httpx.AsyncClient, run_id: str, after: str) -> None:
    """Until a run's log has every one of these words."""
    awaited = set(after.split())

    async def found() -> bool:
        return awaited <= set(await log_of(api, run_id))

    await until(found, within_s=TOLD_WITHIN_S, what=after)


async def log_of(api: httpx.AsyncClient, run_id: str) -> list[str]:
    """The words of a run's log and of its children's, as they stand in the log of all runs."""
    return [word for _, word in sorted(await gathered(api, run_id, ""))]


async def gathered(api: httpx.AsyncClient, run_id: str, within: str) -> list[tuple[Place, str]]:
    """The words of a run and of those below it, with their places."""
    events = await history(api, run_id)
    found = placed(events, within)
    for step_id, child_id in children(events).items():
        if (await api.get(f"/runs/{child_id}")).status_code != httpx.codes.NOT_FOUND:
            found += await gathered(api, child_id, f"{within}{step_id}/")
    return found


async def child_of(api: httpx.AsyncClient, run_id: str, step_id: str) -> str:
    """The run that a step waits for."""
    return children(await history(api, run_id))[step_id]


def children(events: list[Event]) -> dict[str, str]:
    """The runs that steps wait for, or have, by step."""
    waits = [event["data"] for event in of_type(events, "StepWaiting")]
    return {data["stepId"]: data["childId"] for data in waits if data.get("childId")}


# --- the matrix ----------------------------------------------------------------------------------


def test_the_page_says_what_the_table_says() -> None:
    assert PAGE.read_text() == page(), "python -m tests.patterns.page"


def test_every_pattern_is_in_the_table_once_with_a_definition_of_its_own() -> None:
    assert [pattern.number for pattern in PATTERNS] == list(range(1, PATTERNS_THERE_ARE + 1))
    drawn = [pattern.definition.stem for pattern in PATTERNS]
    drawn += [part for pattern in PATTERNS for part in pattern.parts]
    assert sorted(drawn) == sorted(path.stem for path in DEFINITIONS.iterdir())


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
