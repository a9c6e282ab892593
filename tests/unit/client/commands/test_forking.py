"""`penstock runs retry`, `fork` and `retry-all` against a scripted far side."""

import json
from pathlib import Path

import pytest

from tests.unit.client.far_side import FarSide, refuses, says
from tests.unit.client.test_cli import penstock

ORIGIN = {"runId": "r-1", "position": "17.2"}
BEGUN = {"id": "r-2", "status": "queued", "forkedFrom": ORIGIN, "links": {}}
PLAN = {
    "forkedFrom": ORIGIN,
    "kept": ["first"],
    "runsAgain": ["call", "last"],
    "goesOn": [],
    "repeatsEffects": ["call"],
}


def test_a_retry_is_one_request_and_says_which_run_goes_on() -> None:
    with FarSide(says(BEGUN, 202)) as far:
        done = penstock("runs", "retry", "r-1", far=far)
        (seen,) = far.seen
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("run r-2 goes on from run r-1 at 17.2")
    assert (seen.method, seen.path, seen.body) == ("POST", "/api/runs/r-1/retry", b"")
    assert seen.headers["idempotency-key"]


def test_a_dry_run_tells_what_would_run_again() -> None:
    with FarSide(says(PLAN), says(PLAN)) as far:
        told = penstock("runs", "retry", "r-1", "--dry-run", far=far)
        as_json = penstock("runs", "fork", "r-1", "--dry-run", "--json", far=far)
        paths = [seen.path for seen in far.seen]
    assert told.stdout.splitlines() == [
        "a new run would go on from run r-1 at 17.2",
        "keeps           first",
        "runs again      call, last",
        "repeats effects call",
    ]
    assert json.loads(as_json.stdout) == PLAN
    assert paths == ["/api/runs/r-1/retry?dryRun=true", "/api/runs/r-1/fork?dryRun=true"]


@pytest.mark.parametrize(
    ("words", "body"),
    [
        ((), {}),
        (("--from-step", "loop.3.inner"), {"fromStep": "loop.3.inner"}),
        (
            ("--at", "17.2", "-i", "n=2", "-i", "who=Ada"),
            {"at": "17.2", "input": {"n": 2, "who": "Ada"}},
        ),
        (("--input", "null"), {"input": None}),
        (("--definition", "w.yaml"), {"definition": {"name": "w", "nodes": []}}),
    ],
)
def test_a_fork_sends_what_is_to_be_different(
    words: tuple[str, ...], body: dict[str, object], tmp_path: Path
) -> None:
    (tmp_path / "w.yaml").write_text("name: w\nnodes: []\n")
    with FarSide(says(BEGUN, 201)) as far:
        done = penstock("runs", "fork", "r-1", *words, "--json", far=far, folder=tmp_path)
        (seen,) = far.seen
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["id"] == "r-2"
    assert json.loads(seen.body) == body


def test_faults_of_a_forks_definition_have_their_places(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text("name: w\nnodes:\n  - id: a\n    type: nope\n")
    fault = {"pointer": "/definition/nodes/0/type", "code": "UNKNOWN_NODE_TYPE", "message": "no"}
    with FarSide(refuses(400, "VALIDATION_ERROR", fault)) as far:
        done = penstock("runs", "fork", "r-1", "--definition", "w.yaml", far=far, folder=tmp_path)
    assert done.returncode == 1
    assert "w.yaml:4:11 /nodes/0/type  UNKNOWN_NODE_TYPE" in done.stderr


def test_two_places_are_wrong_use_and_a_refusal_is_1() -> None:
    with FarSide(refuses(409, "RUN_SUCCEEDED")) as far:
        two = penstock("runs", "fork", "r-1", "--from-step", "a", "--at", "1.0", far=far)
        refused = penstock("runs", "retry", "r-1", far=far)
    assert (two.returncode, refused.returncode) == (2, 1)
    assert "RUN_SUCCEEDED" in refused.stderr


def test_all_that_match_are_retried_under_one_key() -> None:
    first = {"matched": 498, "skipped": 2, "more": True, "nextCursor": "c"}
    with FarSide(says(first, 202), says({"matched": 7, "skipped": 0}, 202)) as far:
        done = penstock("runs", "retry-all", "--status", "failed", "--tag", "x", far=far)
        bodies = [json.loads(seen.body) for seen in far.seen]
        keys = {seen.headers["idempotency-key"] for seen in far.seen}
    assert (done.returncode, done.stdout) == (0, "505 runs retried, 2 skipped\n")
    wanted = {"filter": {"status": "failed", "tag": "x"}, "action": "retry"}
    assert bodies == [wanted, wanted | {"cursor": "c"}]
    assert len(keys) == 1
