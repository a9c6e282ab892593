"""`penstock workflows …` against a scripted far side: what is asked, shown, and exited with."""

import json
from pathlib import Path
from typing import Any

from tests.unit.client.far_side import Act, FarSide, refuses, says
from tests.unit.client.test_cli import penstock

WORKFLOW = {"id": "w-1", "key": "etl", "name": "ETL", "version": 2, "pinnedVersion": 1}
VERSION = {"id": "v-1", "number": 1, "status": "published", "contentHash": "c" * 64}
NOTHING: dict[str, Any] = {"added": [], "removed": [], "changed": [], "reordered": False}
SAME = {
    "from": VERSION,
    "to": VERSION,
    "identical": True,
    "settings": [],
    "nodes": NOTHING,
    "edges": NOTHING,
}
EDGE = {"from": "a", "to": "b"}
FAILING = {**EDGE, "condition": {"type": "ON_FAILURE"}}
OTHER = {
    **SAME,
    "identical": False,
    "settings": [{"pointer": "/timeoutMs", "kind": "changed", "before": 1, "after": 2}],
    "nodes": {
        "added": [{"id": "n", "pointer": "/nodes/1", "node": {"id": "n", "type": "noop"}}],
        "removed": [],
        "changed": [
            {
                "id": "a",
                "pointer": "/nodes/0",
                "changes": [{"pointer": "/nodes/0/config/url", "kind": "added", "after": "u"}],
            }
        ],
        "reordered": False,
    },
    "edges": {
        **NOTHING,
        "changed": [{"pointer": "/edges/0", "before": EDGE, "after": FAILING}],
        "reordered": True,
    },
}


def test_a_version_is_pinned_published_and_unpinned() -> None:
    with FarSide(*[says(WORKFLOW)] * 3) as far:
        told = [
            penstock("workflows", "pin", "etl", "1", far=far).stdout,
            penstock("workflows", "publish", "etl", "2", far=far).stdout,
            penstock("workflows", "unpin", "etl", far=far).stdout,
        ]
        asked = [(seen.method, seen.path) for seen in far.seen]
    assert told == ["workflow etl runs version 1, pinned\n"] * 3
    assert asked == [
        ("PUT", "/api/workflows/etl/versions/1/pin"),
        ("POST", "/api/workflows/etl/versions/2/publish"),
        ("DELETE", "/api/workflows/etl/pin"),
    ]


def test_a_difference_is_told_line_by_line_and_exits_with_1() -> None:
    with FarSide(says(OTHER), says(SAME), says(OTHER)) as far:
        differs = penstock("workflows", "diff", "etl", "1", "2", far=far)
        same = penstock("workflows", "diff", "etl", "1", far=far)
        as_json = penstock("workflows", "diff", "etl", "1", "2", "--json", far=far)
        asked = [seen.path for seen in far.seen]
    assert (differs.returncode, same.returncode, as_json.returncode) == (1, 0, 1)
    assert differs.stdout.splitlines()[1:] == [
        "~ /timeoutMs  1 → 2",
        "+ /nodes/1  node n (noop)",
        '+ /nodes/0/config/url  node a: "u"',
        "~ /edges/0  edge a → b is a → b (ON_FAILURE)",
        "~ /edges  edges come in another order",
    ]
    assert same.stdout.splitlines()[1:] == ["no difference"]
    assert json.loads(as_json.stdout)["from"]["number"] == 1
    assert asked[:2] == ["/api/workflows/etl/diff?from=1&to=2", "/api/workflows/etl/diff?from=1"]


def test_an_export_goes_to_a_file_or_to_standard_output(tmp_path: Path) -> None:
    yaml, text = Act(body=b"name: w\n"), Act(body=b'{"name": "w"}\n')
    with FarSide(yaml, text, text) as far:
        shown = penstock("workflows", "export", "etl", far=far)
        kept = penstock("workflows", "export", "etl", "-o", "w.json", far=far, folder=tmp_path)
        as_json = penstock("workflows", "export", "etl", "--json", "--version", "3", far=far)
        wrong = penstock("workflows", "export", "etl", "-o", "no/w.yaml", far=far, folder=tmp_path)
        asked = [seen.path.partition("?")[2] for seen in far.seen]
    assert (shown.stdout, kept.returncode) == ("name: w\n", 0)
    assert (tmp_path / "w.json").read_text() == '{"name": "w"}\n'
    assert json.loads(as_json.stdout) == {"name": "w"}
    assert wrong.returncode != 0
    assert asked[:3] == ["format=yaml", "format=json", "format=json&version=3"]


def test_an_import_says_what_it_came_to_or_where_it_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text("id: w\nnodes: []\n")
    fault = {"pointer": "/nodes", "code": "EMPTY", "message": "a workflow has at least one node"}
    script = [says({**WORKFLOW, "change": "updated"}), refuses(400, "VALIDATION_ERROR", fault)]
    with FarSide(*script) as far:
        done = penstock("workflows", "import", "w.yaml", far=far, folder=tmp_path)
        refused = penstock("workflows", "import", "w.yaml", far=far, folder=tmp_path)
    assert done.stdout == "workflow etl updated, version 2\n"
    assert refused.returncode == 1
    assert "w.yaml:2:8 /nodes  EMPTY" in refused.stderr


def test_a_public_workflow_is_copied_and_ones_own_is_shown_to_others() -> None:
    copy = says({**WORKFLOW, "change": "created"})
    shown, hidden = (says({**WORKFLOW, "visibility": it}) for it in ("public-read", "tenant"))
    with FarSide(says({"name": "ETL"}), copy, shown, hidden) as far:
        copied = penstock("workflows", "import", "w-1", far=far)
        public = penstock("workflows", "visibility", "etl", "public-read", far=far)
        private = penstock("workflows", "visibility", "etl", "tenant", far=far)
        wrong = penstock("workflows", "visibility", "etl", "everybody", far=far)
        asked = [(seen.method, seen.path.partition("?")[0]) for seen in far.seen]
    assert copied.stdout == "workflow etl created, version 2\n", copied.stderr
    assert asked[0] == ("GET", "/api/workflows/w-1/export")
    assert [method for method, _ in asked] == ["GET", "POST", "PUT", "PUT"]
    assert "w-1" in public.stdout
    assert "its own tenant alone" in private.stdout
    assert wrong.returncode == 2


def test_workflows_and_versions_are_listed_and_deleted() -> None:
    page = {"items": [WORKFLOW], "nextCursor": None}
    versions = {"items": [{**VERSION, "number": 2, "status": "draft"}, VERSION], "nextCursor": None}
    shown = {**WORKFLOW, "definition": {"name": "ETL", "nodes": []}}
    gone = Act(status=204)
    with FarSide(says(page), says(shown), says(versions), says(WORKFLOW), gone, gone) as far:
        listed = penstock("workflows", "list", far=far).stdout
        got = penstock("workflows", "get", "etl", far=far).stdout
        told = penstock("workflows", "versions", "etl", far=far).stdout
        deleted = penstock("workflows", "delete", "etl", far=far)
        as_json = penstock("workflows", "delete", "etl", "--json", far=far).stdout
    assert "etl" in listed
    assert got.splitlines() == [
        "etl  ETL",
        "workflow etl runs version 1, pinned",
        "name: ETL",
        "nodes: []",
    ]
    assert [line.split()[:3] for line in told.splitlines()[1:]] == [
        ["2", "draft", "cccccccccccc"],
        ["▶", "1", "published"],
    ]
    assert (deleted.returncode, json.loads(as_json)) == (0, {"workflow": "etl", "deleted": True})
