"""A workflow's life through the command: applied, changed, compared, pinned, moved, begun anew."""

import json
from pathlib import Path
from typing import Any

import httpx
import yaml

from penstock.dev.stack import Stack
from tests.e2e.command import Done, penstock
from tests.e2e.conftest import client

KEY = "versions-story"
DRAWN: dict[str, Any] = {
    "id": KEY,
    "name": "Versions",
    "inputSchema": {"type": "object", "required": ["n"]},
    "nodes": [
        {
            "id": "sum",
            "type": "transform",
            "config": {"output": {"sum": "{{ input.n + vars.story_step }}"}},
        }
    ],
    "edges": [],
}


def written(path: Path, **changes: Any) -> str:
    """A file with the definition."""
    path.write_text(yaml.safe_dump({**DRAWN, **changes}))
    return str(path)


def changed(output: dict[str, Any]) -> dict[str, Any]:
    """The members of a definition whose node answers this."""
    return {"nodes": [{**DRAWN["nodes"][0], "config": {"output": output}}]}


async def ran(stack: Stack, **given: Any) -> dict[str, Any]:
    """The finished run of the workflow."""
    done = await penstock(stack, "run", KEY, "--input", json.dumps(given), "--wait", "--json")
    assert done.code == 0, done.err
    found: dict[str, Any] = done.document()
    return found


async def test_a_workflow_is_versioned_through_the_command(stack: Stack, tmp_path: Path) -> None:
    async def told(*words: str, code: int = 0) -> Done:
        done = await penstock(stack, *words)
        assert done.code == code, (words, done.out, done.err)
        return done

    file = written(tmp_path / "w.yaml")
    await told("variables", "set", "story_step", "2")
    assert "created, version 1" in (await told("apply", file)).out
    assert (await ran(stack, n=1))["output"] == {"sum": 3}
    wrong = await told("run", KEY, "--input", "{}", "--json", code=1)
    (fault,) = json.loads(wrong.err)["error"]["problems"]
    assert fault["pointer"] == "/input/n"

    newer = changed({"sum": "{{ input.n * vars.story_step }}"})
    written(tmp_path / "w.yaml", name="Renamed", **newer)
    assert "updated, version 2" in (await told("apply", file)).out
    shown = (await told("workflows", "get", KEY, "--json")).document()
    assert (shown["name"], shown["version"]) == ("Renamed", 2)
    await told("variables", "set", "story_step", "5")
    assert (await ran(stack, n=3))["output"] == {"sum": 15}

    found = (await told("workflows", "diff", KEY, "1", "2", "--json", code=1)).document()
    assert [each["pointer"] for each in found["settings"]] == ["/name"]
    (node,) = found["nodes"]["changed"]
    assert [each["pointer"] for each in node["changes"]] == ["/nodes/0/config/output/sum"]
    await told("workflows", "diff", KEY, "2")

    assert "version 1, pinned" in (await told("workflows", "pin", KEY, "1")).out
    assert (await ran(stack, n=3))["output"] == {"sum": 8}
    assert "version 2" in (await told("workflows", "unpin", KEY)).out
    await told("workflows", "pin", KEY, "9", code=1)

    kept = tmp_path / "kept.json"
    await told("workflows", "export", KEY, "-o", str(kept))
    again = await told("workflows", "import", str(kept), "--json")
    assert (again.document()["change"], again.document()["version"]) == ("unchanged", 2)
    exported = (await told("workflows", "export", KEY)).out
    await told("workflows", "delete", KEY)
    await told("workflows", "get", KEY, code=1)
    await told("run", KEY, "--input", '{"n": 1}', code=1)
    (tmp_path / "kept.yaml").write_text(exported)
    reborn = await told("workflows", "import", str(tmp_path / "kept.yaml"), "--json")
    assert (reborn.document()["change"], reborn.document()["version"]) == ("created", 3)
    assert (await told("workflows", "export", KEY)).out == exported
    listed = (await told("workflows", "versions", KEY, "--json")).document()["items"]
    assert [(each["number"], each["status"]) for each in listed] == [
        (3, "published"),
        (2, "draft"),
        (1, "draft"),
    ]
    assert (await ran(stack, n=4))["version"] == 3
    runs = (await told("runs", "list", "--workflow", KEY, "--json")).document()["items"]
    assert [run["version"] for run in runs] == [3, 1, 2, 1]


async def test_what_was_told_is_what_the_log_has(stack: Stack, api: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "versions-story"}
    body = {"name": "story_other", "value": {"a": [1, None]}}
    first = await api.post("/variables", json=body, headers=headers)
    assert first.status_code == httpx.codes.CREATED
    again = await api.post("/variables", json=body, headers=headers)
    assert again.json() == first.json()
    assert (await api.delete("/variables/story_other")).status_code == httpx.codes.NO_CONTENT
    verified = await penstock(stack, "audit", "verify", "--json")
    assert verified.code == 0, verified.out + verified.err


async def test_a_template_is_shown_copied_and_hidden_again(stack: Stack, tmp_path: Path) -> None:
    """Another tenant reads by id alone, runs only its own copy, and then nothing at all."""
    async with client(stack.api_url, stack.admin_key) as admin:
        other = (await admin.post("/tenants", json={"name": "reader"})).json()["id"]
    file = written(tmp_path / "template.yaml", id="template")
    made = (await penstock(stack, "apply", file, "--json")).document()
    shared = await penstock(stack, "workflows", "visibility", "template", "public-read", "--json")
    assert shared.code == 0, shared.err
    workflow = shared.document()["id"]

    async def told(*words: str, code: int = 0) -> Done:
        done = await penstock(stack, *words, "--tenant", other)
        assert done.code == code, (words, made, done.out, done.err)
        return done

    found = (await told("workflows", "get", workflow, "--json")).document()
    assert (found["name"], found.get("createdBy")) == ("Versions", None)
    await told("workflows", "get", "template", code=1)
    await told("run", workflow, "--input", '{"n": 1}', code=1)
    own = (await penstock(stack, "workflows", "export", "template")).out
    assert (await told("workflows", "export", workflow)).out == own
    copied = (await told("workflows", "import", workflow, "--json")).document()
    assert (copied["change"], copied["visibility"]) == ("created", "tenant")
    assert copied["id"] != workflow
    assert (await told("workflows", "export", "template")).out == own
    hidden = await penstock(stack, "workflows", "visibility", "template", "tenant")
    assert hidden.code == 0, hidden.err
    await told("workflows", "get", workflow, code=1)
    await told("workflows", "get", copied["id"])
