"""The demo as a user starts it: from nothing to finished workflows, and everything stopped."""

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from penstock.dev.demo_sky import NODES, definition

DEMO_TIMEOUT_S = 150


async def demo(folder: Path) -> asyncio.subprocess.Process:
    """Start the demo in an empty folder, from a terminal: a shell's background ignores Ctrl-C."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "penstock.dev.demo"),
        cwd=folder,
        env={**kept, "PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def left_running(folder: Path) -> list[str]:
    """The processes of the stack that are still there."""
    files = (folder / ".penstock-demo" / "run").glob("*.pid")
    return [file.name for file in files if Path(f"/proc/{file.read_text().strip()}").exists()]


@pytest.mark.timeout(2 * DEMO_TIMEOUT_S)
async def test_the_demo_finishes_its_workflows_and_stops_everything(tmp_path: Path) -> None:
    process = await demo(tmp_path)
    out, _ = await asyncio.wait_for(process.communicate(), DEMO_TIMEOUT_S)
    told = out.decode()
    assert process.returncode == 0, told
    assert re.search(r"stock +retrying", told), told
    assert re.search(r"stock +succeeded +attempt 2", told)
    assert re.search(r"express +skipped", told)
    assert "8 of 9 steps succeeded" in told
    assert f"{NODES} of {NODES} steps succeeded" in told
    assert "StepRetryScheduled" in told, "the history"
    assert "PENSTOCK_EGRESS_ALLOW" in told
    assert "/docs" in told
    assert left_running(tmp_path) == []


@pytest.mark.timeout(2 * DEMO_TIMEOUT_S)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
async def test_the_demo_can_be_stopped_at_any_time(tmp_path: Path, how: signal.Signals) -> None:
    process = await demo(tmp_path)
    assert process.stdout is not None
    async with asyncio.timeout(DEMO_TIMEOUT_S):
        async for line in process.stdout:
            if b"ready after" in line:
                break
        process.send_signal(how)
        rest = (await process.stdout.read()).decode()
        assert await process.wait() == 130, rest
    assert "Traceback" not in rest
    assert left_running(tmp_path) == []


def test_the_sky_has_a_hundred_nodes_that_all_lead_to_one() -> None:
    nodes, edges = definition()["nodes"], definition()["edges"]
    ids = [node["id"] for node in nodes]
    assert len(set(ids)) == NODES
    assert {edge[end] for edge in edges for end in ("from", "to")} == set(ids)
    assert set(ids) - {edge["from"] for edge in edges} == {"mosaic"}
