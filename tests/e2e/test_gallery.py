"""Every example does what its first lines say, word by word, and comes to what is told here."""

import shlex
from pathlib import Path
from typing import Any

import httpx
import pytest

from penstock.client.definition_file import read
from penstock.dev.demo_shop import Shop
from penstock.dev.stack import Stack
from tests.e2e.command import EXAMPLES, penstock
from tests.e2e.histories import history, of_type
from tests.e2e.runs import Document, ended, step
from tests.patterns.story import placed, words

COMMAND = "#   penstock "
LINES_MAX = 70
README = EXAMPLES.parent / "README.md"
CONFIRMED = {"orderId": "o-1002", "customer": "Noether Pipes", "inStock": True, "total": 30}
OUTPUTS: dict[str, list[Any]] = {
    "ai-triage": [{"by_hand": "a person reads: My order never came"}],
    "approval": ["paid 40", "paid 250", "not paid"],
    "concurrency-key": ["10 from a-1", "20 from a-1", "30 from b-2"],
    "error-handler": [
        {"price": 150},
        {"price": 100},
        {"sorry": "price failed: EXPRESSION_ERROR"},
    ],
    "fan-out-in": [{"double": 6, "square": 9, "sum": 18}],
    "first-answer": ["left was first"],
    "hello": [{"greeting": "Hello, Ada!", "letters": 3}],
    "long-wait": ["received 80", "reminded of 2026-115"],
    "loop": [{"lines": [{"number": 1, "sku": "nut", "cost": 2}, None], "good": 1}],
    "order-enrichment": [CONFIRMED],
    "retry-and-dead-letter": [{"order": "o-17", "step": "deliver", "why": "CONNECTION_ERROR"}],
    "saga": [
        {"booked": ["seat 12A", "room 7", "car C-3"], "undone": ["", ""]},
        {"booked": [], "undone": ["gave up room 7", "gave up seat 12A"]},
        {"booked": [], "undone": ["", "gave up seat 12A"]},
    ],
    "sub-workflow": ["HELLO, GRACE!"],
}
"""By example: what each run of its first lines comes to, in their order."""


async def shown(stack: Stack, api: httpx.AsyncClient, name: str, **places: str) -> list[Document]:
    """The ended runs of what an example says how to run; places: what its words stand for."""
    runs: list[str] = []
    for line in (EXAMPLES / f"{name}.yaml").read_text().splitlines():
        if line.startswith(COMMAND):
            known = places | ({"RUN": runs[-1]} if runs else {})
            told = await carried_out(stack, line, known)
            if "runId" in told and " run " in line:
                runs.append(told["runId"])
            elif " run " in line:
                runs.append(told["id"])
    return [await ended(api, run_id) for run_id in runs]


async def carried_out(stack: Stack, line: str, places: dict[str, str]) -> Document:
    """What the command of one line says, in JSON."""
    for word, meant in places.items():
        line = line.replace(word, meant)
    done = await penstock(stack, *shlex.split(line.removeprefix(COMMAND)), "--json")
    assert done.code == 0, (line, done.err)
    document: Document = done.document()
    return document


@pytest.mark.parametrize("name", sorted(OUTPUTS))
async def test_an_example_comes_to_what_it_says(
    stack: Stack, api: httpx.AsyncClient, name: str
) -> None:
    with Shop() as shop:
        runs = await shown(stack, api, name, SHOP=shop.url)
    assert [run["status"] for run in runs] == ["succeeded"] * len(runs), runs[-1]["error"]
    outputs = [run["output"] for run in runs]
    if name == "order-enrichment":
        outputs = [output["body"]["of"] for output in outputs]
    assert outputs == OUTPUTS[name]


async def test_a_dead_letter_is_written_after_the_last_try(
    stack: Stack, api: httpx.AsyncClient
) -> None:
    (run,) = await shown(stack, api, "retry-and-dead-letter")
    events = await history(api, run["id"])
    assert [event["data"]["attempt"] for event in of_type(events, "StepRetryScheduled")] == [1, 2]
    assert step(run, "deliver")["status"] == "failed"
    told = words(events)
    assert told.index("deliver.failed") < told.index("dead_letter.done")


async def test_a_saga_undoes_the_last_booking_first(stack: Stack, api: httpx.AsyncClient) -> None:
    _, without_car, _ = await shown(stack, api, "saga")
    told = words(await history(api, without_car["id"]))
    order = ["flight.done", "hotel.done", "car.failed", "cancel_hotel.done", "cancel_flight.ready"]
    assert [word for word in told if word in order] == order


async def test_runs_of_one_key_go_one_after_the_other(stack: Stack, api: httpx.AsyncClient) -> None:
    first, second, _ = await shown(stack, api, "concurrency-key")
    before, after = [placed(await history(api, run["id"])) for run in (first, second)]
    assert [word for _, word in after[:2]] == ["run.queued", "run.started"]
    (end, _), (_, (begin, _)) = before[-1], after[:2]
    assert end < begin


def examples() -> list[Path]:
    """The files of the gallery."""
    return [path for path in EXAMPLES.iterdir() if path.suffix in {".yaml", ".json"}]


def test_every_example_is_run_here_and_listed_in_the_readme() -> None:
    assert {path.stem for path in examples()} == OUTPUTS.keys()
    readme = README.read_text()
    assert [path.name for path in examples() if f"(examples/{path.name})" not in readme] == []


@pytest.mark.parametrize("path", sorted(examples()), ids=lambda path: path.stem)
def test_an_example_is_short_and_called_like_its_file(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LINES_MAX
    assert read(path).document["id"] == path.stem
