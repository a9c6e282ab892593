"""Another key-encryption key takes the former one's place while runs go on, and none notices."""

import asyncio
import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from pytest_httpserver import HTTPServer

from penstock.dev.options import StackOptions
from penstock.dev.stack import Stack
from penstock.infra.keyring.keks import kek_id
from tests.e2e.conftest import client
from tests.e2e.runs import drawn, ended, made, node, started, step

FIRST, SECOND = b"1" * 32, b"2" * 32
SECRET = "a-secret-that-outlives-its-key"
RUNS_AT_ONCE = 5
ROUNDS_MIN = 3


def text(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).decode()


def with_keys(environment: pytest.MonkeyPatch, newest: bytes, *older: bytes) -> None:
    """What the next stack, and the command, are given."""
    environment.setenv("PENSTOCK_KEY_ENCRYPTION_KEY", text(newest))
    environment.setenv("PENSTOCK_KEY_ENCRYPTION_KEYS_OLD", ",".join(map(text, older)))


def stack_in(folder: Path) -> Stack:
    env = {"PENSTOCK_EGRESS_ALLOW": "127.0.0.0/8"}
    return Stack(StackOptions(data_dir=folder, port=0, keep=True, env=env))


async def keys(folder: Path, *words: str) -> Any:
    """What `penstock keys …` answers."""
    start = "import sys; from penstock.client.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", start, "keys", *words, "--json", "--data-dir", str(folder)]
    done = await asyncio.to_thread(
        subprocess.run, command, env=dict(os.environ), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def run_once(api: httpx.AsyncClient, workflow_id: str) -> None:
    """A run whose step sends the secret; that is the first thing to fail without a key."""
    run = await ended(api, await started(api, workflow_id, {"n": 1}))
    assert run["status"] == "succeeded", run
    assert step(run, "call")["attempt"] == 1


@pytest.mark.timeout(400)
async def test_a_key_is_replaced_under_load_without_a_failed_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer
) -> None:
    accepted = {"X-Secret": SECRET}
    httpserver.expect_request("/in", headers=accepted).respond_with_data("ok")
    config = {"url": httpserver.url_for("/in"), "headers": {"X-Secret": "{{ secrets.kept }}"}}
    calling = drawn("rotation", [node("call", "http_request", config=config)])

    with_keys(monkeypatch, FIRST)
    async with stack_in(tmp_path) as stack, client(stack.api_url, stack.api_key) as api:
        answered = await api.post("/secrets", json={"name": "kept", "value": SECRET})
        assert answered.status_code == 201, answered.text
        workflow_id = await made(api, calling)
        await run_once(api, workflow_id)

    with_keys(monkeypatch, SECOND, FIRST)
    async with stack_in(tmp_path) as stack, client(stack.api_url, stack.api_key) as api:
        before = await keys(tmp_path, "list")
        assert {each["kek_id"]: each["newest"] for each in before} == {kek_id(FIRST): False}
        is_done, rounds = asyncio.Event(), 0

        async def load() -> None:
            nonlocal rounds
            while not is_done.is_set() or rounds < ROUNDS_MIN:
                await run_once(api, workflow_id)
                rounds += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(RUNS_AT_ONCE):
                group.create_task(load())
            after = await keys(tmp_path, "rewrap")
            is_done.set()
        assert [(each["kek_id"], each["newest"]) for each in after] == [(kek_id(SECOND), True)]
        assert rounds >= ROUNDS_MIN

    with_keys(monkeypatch, SECOND)
    async with stack_in(tmp_path) as stack, client(stack.api_url, stack.api_key) as api:
        await run_once(api, workflow_id)
