"""What histories of before say in the clear is read on, and closed by whatever follows from it."""

from typing import Any
from uuid import UUID, uuid4

from httpx import AsyncClient

from penstock.api import queries_runs
from penstock.api.commands import Sender
from penstock.api.registry import now_ms
from penstock.domain.payload import NULL
from penstock.domain.run.commands import StartRun
from penstock.domain.workflow.commands import ChangeWorkflow
from penstock.infra.keyring.texts import CLOSED
from tests.integration.api.houses import House
from tests.integration.api.test_runs import drawn, ended

SENDER = Sender(actor="key:of-before", request_id="r", traceparent="")
FAILING: dict[str, Any] = {
    "name": "new",
    "nodes": [{"id": "t", "type": "transform", "config": {"output": "{{ input.nope }}"}}],
    "edges": [],
}


async def test_words_in_the_clear_are_read_and_closed_by_what_follows(
    house: House, tenant: AsyncClient
) -> None:
    parts = house.api.parts
    tenant_id = (await tenant.get("/api/auth/me")).json()["tenant"]["id"]
    workflow_id = await drawn(tenant, FAILING)
    path = f"/api/workflows/{workflow_id}"
    rename = ChangeWorkflow(changed_by="key:x", name="of before")
    renamed = await parts.registry.workflow(tenant_id, workflow_id, rename, SENDER)
    parts.runnables.changed(workflow_id, renamed.seq)
    headers = {"X-Read-After": renamed.position}
    assert (await tenant.get(path, headers=headers)).json()["name"] == "of before"
    version = (await tenant.get(f"{path}/versions/1")).json()
    old = uuid4()
    command = StartRun(
        workflow_id=workflow_id,
        workflow_name="of before",
        version=1,
        definition=version["contentHash"],
        input=NULL,
        created_at=now_ms(),
        tags=("red",),
    )
    await parts.commands.send(tenant_id, str(old), command, id=str(old), sender=SENDER)
    shown = await ended(tenant, str(old))
    assert (shown["workflowName"], shown["tags"]) == ("of before", ["red"])
    retried = (await tenant.post(f"/api/runs/{old}/retry")).json()["id"]
    asked = {"tags": ["red"]}
    begun = (await tenant.post(f"{path}/execute?mode=async", json=asked)).json()["runId"]
    for run_id in (retried, begun):
        run = await ended(tenant, run_id)
        assert (run["workflowName"], run["tags"]) == ("of before", ["red"])
    found = (await tenant.get("/api/runs?tag=red")).json()["items"]
    assert [each["id"] for each in found] == [begun, retried, str(old)]
    page = (await tenant.get("/api/runs?tag=red&limit=2")).json()
    rest = (await tenant.get(f"/api/runs?tag=red&limit=2&cursor={page['nextCursor']}")).json()
    assert [each["id"] for each in page["items"] + rest["items"]] == [begun, retried, str(old)]
    kept = {}
    for run_id in (str(old), retried, begun):
        row = await queries_runs.find(parts.engine, tenant_id, UUID(run_id))
        assert row is not None
        kept[run_id] = (row["workflow_name"], *row["tags"])
    assert kept[str(old)] == ("of before", "red")
    assert kept[retried] == kept[begun]
    assert all(CLOSED.fullmatch(each) for each in kept[begun])
