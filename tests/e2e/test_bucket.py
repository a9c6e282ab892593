"""A stack whose large payloads and definitions are in a bucket that speaks S3."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import obstore
import pytest

from penstock.dev.options import StackOptions
from penstock.dev.stack import Stack
from tests.e2e.conftest import client
from tests.e2e.runs import drawn, edge, ended, made, node, started
from tests.e2e.waiting import until
from tests.s3_server import ACCESS_KEY, BUCKET, SECRET_KEY, S3Server

LARGE = "x" * 200_000
NOTICED_WITHIN_S = 40.0
"""A good answer of the store is believed for a while."""
WORKFLOW = drawn(
    "through the bucket",
    [
        node("pass"),
        node("grow", "transform", config={"output": {"twice": "{{ text }}{{ text }}"}}),
        node("measure", "transform", config={"output": "{{ size(nodes.grow.output.twice) }}"}),
    ],
    edge("pass", "grow"),
    edge("grow", "measure"),
)


@dataclass
class Stored:
    """A stack, its API's client, and the server that has its bucket."""

    stack: Stack
    api: httpx.AsyncClient
    server: S3Server

    def objects(self) -> list[str]:
        """The names of all that is in the bucket."""
        pages = obstore.list(self.server.store(), "here/")
        return [found["path"].removeprefix("here/") for page in pages for found in page]

    async def unready(self, process: str) -> list[str]:
        """The checks of a process that fail."""
        async with httpx.AsyncClient(trust_env=False) as asking:
            url = self.stack.metrics_urls[process].replace("/metrics", "/readyz")
            checks: dict[str, Any] = (await asking.get(url)).json()["checks"]
        return [name for name, good in checks.items() if not good]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    running = S3Server(tmp_path_factory.mktemp("s3"))
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
async def stored(
    server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stored]:
    env = {
        "PENSTOCK_S3_BUCKET": BUCKET,
        "PENSTOCK_S3_ENDPOINT": server.url,
        "PENSTOCK_S3_ACCESS_KEY": ACCESS_KEY,
        "PENSTOCK_S3_SECRET_KEY": SECRET_KEY,
        "PENSTOCK_S3_PREFIX": "here",
    }
    data_dir = tmp_path_factory.mktemp("bucket-stack")
    options = StackOptions(data_dir=data_dir, port=0, keep=False, env=env)
    async with Stack(options) as stack, client(stack.api_url, stack.api_key) as api:
        yield Stored(stack, api, server)


async def test_large_payloads_go_through_the_bucket(stored: Stored) -> None:
    workflow_id = await made(stored.api, WORKFLOW)
    run_id = await started(stored.api, workflow_id, {"text": LARGE})
    run = await ended(stored.api, run_id)
    assert run["status"] == "succeeded", run
    assert run["output"] == 2 * len(LARGE)
    of_the_run = f"{stored.stack.tenant_id}/runs/{run_id}/"
    objects = stored.objects()
    assert len([name for name in objects if name.startswith(of_the_run)]) == 2
    assert all(name.startswith(f"{stored.stack.tenant_id}/") for name in objects)
    assert [name for name in objects if "/runs/" not in name], "the definition is not there"


async def test_a_bucket_that_is_away_is_named_and_nothing_is_lost(stored: Stored) -> None:
    workflow_id = await made(stored.api, WORKFLOW)
    before = await started(stored.api, workflow_id, {"text": LARGE})
    stored.server.stop()

    async def named(process: str = "executor-0") -> bool:
        return any("PENSTOCK_S3_ENDPOINT" in each for each in await stored.unready(process))

    for process in ("api-0", "scheduler-0", "executor-0", "projector-0"):
        await until(
            lambda process=process: named(process),  # type: ignore[misc]
            within_s=NOTICED_WITHIN_S,
            what=f"{process} names the setting",
        )
    body = {"input": {"text": LARGE}}
    answered = await stored.api.post(f"/workflows/{workflow_id}/execute?mode=async", json=body)
    assert answered.status_code == httpx.codes.SERVICE_UNAVAILABLE, answered.text
    assert "retry-after" in answered.headers
    stored.server.start()
    after = await started(stored.api, workflow_id, {"text": LARGE})
    for run_id in (before, after):
        assert (await ended(stored.api, run_id))["status"] == "succeeded"
