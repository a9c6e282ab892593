"""A run whose history has snapshots, on a stack whose scheduler is killed in the midst of it."""

import os
import signal
from pathlib import Path

import httpx

from penstock.dev.options import StackOptions
from penstock.dev.stack import Stack
from tests.e2e.command import penstock
from tests.e2e.conftest import client
from tests.e2e.histories import history
from tests.e2e.runs import drawn, ended, made, node, started
from tests.e2e.waiting import until

ITEMS = 4_000
"""Three events each, so that there are several snapshots."""


async def test_a_long_run_goes_on_from_its_snapshots_after_a_kill(tmp_path: Path) -> None:
    options = StackOptions(data_dir=tmp_path, port=0)
    async with Stack(options) as stack, client(stack.api_url, stack.api_key) as api:
        body = {"nodes": [node("work")], "edges": []}
        config = {
            "items": list(range(ITEMS)),
            "mode": "parallel",
            "maxConcurrency": 100,
            "body": body,
        }
        workflow_id = await made(api, drawn("long", [node("loop", "loop", config=config)]))
        run_id = await started(api, workflow_id)

        async def is_half_done() -> bool:
            run = (await api.get(f"/runs/{run_id}")).json()
            return bool(run["progress"]["succeeded"] > ITEMS // 2)

        await until(is_half_done, within_s=60, what="half of the loop")
        os.kill(stack.pid("scheduler-0"), signal.SIGKILL)
        run = await ended(api, run_id)
        assert (run["status"], run["output"]) == ("succeeded", list(range(ITEMS)))
        types = [event["type"] for event in await history(api, run_id)]
        assert types.count("RunSnapshotTaken") > 1
        assert types.count("StepSucceeded") >= ITEMS + 1
        forked = await api.post(f"/runs/{run_id}/fork", json={"at": await middle(api, run_id)})
        again = await ended(api, forked.json()["id"])
        assert (again["status"], again["output"]) == ("succeeded", run["output"])
        verified = await penstock(stack, "audit", "verify", "--json")
        assert verified.code == 0, verified.out + verified.err


async def middle(api: httpx.AsyncClient, run_id: str) -> str:
    """The position of an event in the midst of a run."""
    events = await history(api, run_id)
    return str(events[len(events) // 2]["position"])
