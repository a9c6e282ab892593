"""From nothing to finished workflows: `python -m penstock.dev.demo`, or `make demo`.

Starts a whole Penstock and a small shop on free ports of this machine, runs two workflows, shows
each step as it happens, then the results and one run's history, and stops everything.
"""

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.json import JSON
from rich.rule import Rule
from rich.table import Table

from penstock.client.async_client import AsyncClient
from penstock.client.commands.applying import canonical
from penstock.client.definition_file import read
from penstock.client.display import display_for
from penstock.client.errors import NotFound, PenstockError
from penstock.client.models import Event, Run
from penstock.client.progress import shown_ms
from penstock.client.runs import events
from penstock.dev.demo_shop import Shop
from penstock.dev.demo_sky import definition as sky
from penstock.dev.errors import StackError
from penstock.dev.options import StackOptions
from penstock.dev.stack import Stack

DATA_DIR: Final = Path(".penstock-demo")
EXAMPLE: Final = Path(__file__).parents[5] / "examples/order-enrichment.yaml"
EGRESS_ALLOW: Final = "PENSTOCK_EGRESS_ALLOW"
RUN_TIMEOUT_S: Final = 60.0
INTERRUPTED: Final = 130
MS_PER_S: Final = 1000

console: Final = Console(highlight=False)


def main() -> int:
    """Run the demo; the exit code: 0, 1 when something failed, 130 after Ctrl-C."""
    try:
        asyncio.run(demo())
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("\nstopped; nothing is left running")
        return INTERRUPTED
    except (StackError, PenstockError, DemoFailed) as error:
        Console(stderr=True).print(f"the demo failed: {error}", style="red", markup=False)
        return 1
    return 0


class DemoFailed(Exception):
    """A run did not do what the demo shows."""


async def demo() -> None:
    """The whole demo."""
    begun = time.monotonic()
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with Shop() as shop, data_directory() as directory:
        allowed = ",".join(filter(None, (os.environ.get(EGRESS_ALLOW), shop.address)))
        explain_shop(shop, allowed)
        say("Starting NATS, Postgres and the services …")
        options = StackOptions(data_dir=directory, port=0, env={EGRESS_ALLOW: allowed})
        async with Stack(options, say) as stack:
            say(f"ready after {shown_ms((time.monotonic() - begun) * MS_PER_S)}: {stack.api_url}")
            async with AsyncClient(stack.api_url, stack.api_key) as penstock:
                await show(penstock, shop)
            explain_places(stack)
            say("Stopping …")
    say(f"Done in {shown_ms((time.monotonic() - begun) * MS_PER_S)}; everything is stopped.")


async def show(penstock: AsyncClient, shop: Shop) -> None:
    """Both workflows, and the history of the first one's run."""
    title("1  Order enrichment: HTTP calls, a retry, fan-out, join, a decision")
    order = {"shop": shop.url, "orderId": "o-1001"}
    first = await run(penstock, read(EXAMPLE).document, order)
    result(first)
    say(
        f"The shop's stock service was called {shop.calls['stock']} times "
        f"with {len(shop.keys['stock'])} Idempotency-Key: a retry is the same call again."
    )
    title("2  Sky mosaic: 100 nodes in the shape of a scientific workflow")
    result(await run(penstock, sky(), {"field": "M31"}))
    title(f"3  The history of run {first.id}")
    await history(penstock, first.id)


async def run(penstock: AsyncClient, definition: dict[str, Any], given: Any) -> Run:
    """A run of a definition, shown step by step until it has succeeded."""
    key = await published(penstock, definition)
    accepted = await penstock.runs.start(key, given, tags=["demo"])
    with display_for(console, len(definition["nodes"])) as display:
        async with asyncio.timeout(RUN_TIMEOUT_S):
            async for event in penstock.runs.stream(accepted.run_id):
                display.show(event)
    return await penstock.runs.result(accepted.run_id, timeout_s=RUN_TIMEOUT_S)


async def published(penstock: AsyncClient, definition: dict[str, Any]) -> str:
    """The key of the workflow whose newest version is this definition."""
    key = str(definition["id"])
    try:
        found = await penstock.workflows.get(key)
    except NotFound:
        await penstock.workflows.create(definition=definition)
        return key
    if found.definition != canonical(definition):
        await penstock.workflows.update(key, definition=definition)
    return key


async def history(penstock: AsyncClient, run_id: str) -> None:
    """Every event of a run, from the log."""
    table = Table("position", "event", "step", "attempt", box=None)
    async for event in penstock.pages(events(run_id)):
        table.add_row(*row(event))
    console.print(table)


def row(event: Event) -> tuple[str, ...]:
    """An event in a table."""
    data = event.data
    return event.position, event.type, str(data.get("stepId", "")), str(data.get("attempt", ""))


def result(finished: Run) -> None:
    """What a run came to."""
    took = "" if finished.duration_ms is None else f" in {shown_ms(finished.duration_ms)}"
    progress = finished.progress
    counts = f"{progress.succeeded} of {progress.total} steps succeeded, {progress.skipped} skipped"
    text = f"run {finished.id} {finished.status}{took}: {counts}"
    console.print(text, style="bold green", soft_wrap=True)
    console.print(JSON.from_data(finished.output))


def explain_shop(shop: Shop, allowed: str) -> None:
    """Where the shop is, and why steps may call it."""
    say(f"A small shop answers at {shop.url}, in this process.")
    say(f"Steps may not call private addresses; {EGRESS_ALLOW}={allowed} lets these call the shop.")


def explain_places(stack: Stack) -> None:
    """Where to look."""
    title("Where things are")
    say(f"API pages  {stack.api_url}/docs (while it runs)")
    say(f"Data       {stack.data_dir} (kept; keys in penstock.json, logs in log/)")
    say(f"Again      penstock up --data-dir {stack.options.data_dir}, with these runs in it")


@contextmanager
def data_directory() -> Iterator[Path]:
    """`./.penstock-demo`, or where that cannot be made, a new folder that is said."""
    try:
        DATA_DIR.mkdir(exist_ok=True)
        writable = os.access(DATA_DIR, os.W_OK | os.X_OK)
    except OSError:
        writable = False
    if writable:
        yield DATA_DIR
        return
    say(f"{DATA_DIR} cannot be written; a temporary folder is used instead.")
    with tempfile.TemporaryDirectory(prefix="penstock-demo-") as directory:
        yield Path(directory)


def title(text: str) -> None:
    """The beginning of a part."""
    console.print()
    console.print(Rule(text, align="left", style="cyan"))


def say(text: str) -> None:
    """A line for people."""
    console.print(text, markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
