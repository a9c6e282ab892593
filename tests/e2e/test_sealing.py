"""What a tenant says stands nowhere as it was said: not in the log, the store or the database."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import httpx
import psycopg
from psycopg import sql

from penstock.dev.stack import Stack
from tests.e2e.runs import Document, drawn, edge, ended, made, node, started, step

LARGE = 70_000
TABLES = """
select table_schema, table_name from information_schema.tables
where table_schema in ('penstock', 'vault') and table_type = 'BASE TABLE'
"""


def canaries(*names: str) -> dict[str, str]:
    """A word for each that stands nowhere else."""
    return {name: f"{name}{token_hex(12)}" for name in names}


def found_in_files(directory: Path, words: list[str]) -> set[str]:
    """Which of the words stand in any file below a directory."""
    bodies = (file.read_bytes() for file in directory.rglob("*") if file.is_file())
    return {word for body in bodies for word in words if word.encode() in body}


def found_in_rows(database_url: str, words: list[str]) -> set[str]:
    """Which of the words stand in any row of any table."""
    return {word for row in rows(database_url) for word in words if word in row}


def rows(database_url: str) -> Iterator[str]:
    """Every row of every table as text."""
    with psycopg.connect(database_url) as connection:
        for schema, table in connection.execute(TABLES).fetchall():
            name = sql.Identifier(schema, table)
            whole = sql.SQL("select t::text from {} t").format(name)
            for (row,) in connection.execute(whole):
                yield row


def said(child: str, variable: str) -> Document:
    """A workflow that says what it is given in every way there is."""
    nodes = [
        node("kept", "transform", config={"output": f"{{{{ vars.{variable} }}}}"}),
        node("large", "transform", config={"output": f"{{{{ input.large }}}}{'.' * LARGE}"}),
        node("emit", "emit_event", config={"type": "said", "data": "{{ input.emitted }}"}),
        node("loop", "loop", config={"items": "{{ input.items }}", "body": EACH}),
        node("wait", "wait_for_signal", config={"name": "go"}),
        node("ask", "approval"),
        node(
            "child",
            "sub_workflow",
            config={"workflowId": child},
            input="{{ run.input.child }}",
        ),
    ]
    return drawn("said", nodes, edge("wait", "ask"), edge("ask", "child"))


EACH = {"nodes": [node("one", "transform", config={"output": "{{ item }}"})], "edges": []}


async def test_what_is_said_is_shown_to_its_tenant_and_stored_for_nobody_else(
    stack: Stack, api: httpx.AsyncClient
) -> None:
    words = canaries("large", "emitted", "child", "item", "kept", "signalled", "comment")
    variable = f"v{token_hex(4)}"
    assert (
        await api.post("/variables", json={"name": variable, "value": words["kept"]})
    ).status_code == httpx.codes.CREATED
    echo = drawn("echo", [node("say", "transform", config={"output": "{{ input }}"})])
    workflow = await made(api, said(await made(api, echo), variable))
    given = {name: words[name] for name in ("large", "emitted", "child")}
    run_id = await started(api, workflow, given | {"items": [words["item"]]})
    for path, body in (
        ("signals/go", {"payload": words["signalled"]}),
        ("approvals/ask", {"decision": "approve", "comment": words["comment"]}),
    ):
        answered = await api.post(f"/runs/{run_id}/{path}", json=body)
        assert answered.status_code == httpx.codes.ACCEPTED, answered.text
    run = await ended(api, run_id)
    assert run["status"] == "succeeded", run
    assert run["input"]["emitted"] == words["emitted"]
    assert step(run, "kept")["output"] == words["kept"]
    assert step(run, "large")["output"].startswith(words["large"])
    assert step(run, "loop")["output"] == [words["item"]]
    assert step(run, "wait")["output"] == words["signalled"]
    assert step(run, "ask")["output"]["comment"] == words["comment"]
    assert step(run, "child")["output"] == words["child"]
    events = (await api.get(f"/runs/{run_id}/events")).json()["items"]
    (first,) = [event["data"] for event in events if event["type"] == "RunStarted"]
    assert first["input"]["inline"]["child"] == words["child"]
    wanted = [*words.values(), run_id]
    store = await asyncio.to_thread(found_in_files, stack.data_dir / "nats", wanted)
    tables = await asyncio.to_thread(found_in_rows, stack.database_url, wanted)
    assert store == tables == {run_id}, "nothing but the run's own id is to be found"
