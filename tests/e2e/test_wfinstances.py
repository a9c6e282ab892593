"""Real scientific workflows: each task exactly once, none before its parents had succeeded."""

from pathlib import Path

import httpx
import pytest

from tests.e2e.histories import history, place_of_each
from tests.wfinstances import definition_of, folder, instances

pytestmark = pytest.mark.skipif(
    not instances(), reason=f"no workflow instances in {folder()} (PENSTOCK_WFINSTANCES names them)"
)


@pytest.mark.parametrize("path", instances(), ids=lambda path: path.stem)
async def test_each_task_runs_once_and_after_its_parents(
    api: httpx.AsyncClient, path: Path
) -> None:
    definition = definition_of(path)
    made = await api.post("/workflows", json={"definition": definition})
    assert made.status_code == httpx.codes.CREATED, made.text
    executed = await api.post(
        f"/workflows/{made.json()['id']}/execute?mode=sync&timeoutMs=60000", json={"input": {}}
    )
    assert executed.status_code == httpx.codes.OK, executed.text
    run = executed.json()
    assert run["status"] == "succeeded"
    assert run["progress"]["succeeded"] == len(definition["nodes"])

    events = await history(api, run["id"])
    ready, succeeded = place_of_each(events, "StepReady"), place_of_each(events, "StepSucceeded")
    assert succeeded.keys() == {node["id"] for node in definition["nodes"]}
    for edge in definition["edges"]:
        assert succeeded[edge["from"]] < ready[edge["to"]], edge
