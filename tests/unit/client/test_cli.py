"""The command as a process: what it prints where, and its exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.client.far_side import END, FarSide, frame, refuses, says, streams

HELP_CPU_IMPORTS = ("httpx", "yaml", "asyncio")
"""Too slow to wait for when only help is asked for."""
ACCEPTED = says({"runId": "r-1", "status": "queued", "links": {}}, 202)
RUN = {"id": "r-1", "tenantId": "t", "workflowId": "w", "workflowName": "W", "version": 1}


def penstock(
    *words: str, far: FarSide | None = None, folder: Path | None = None, typed: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command with nothing in its environment but the far side."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
    known = {} if far is None else {"PENSTOCK_URL": far.url, "PENSTOCK_API_KEY": "k"}
    start = "import sys; from penstock.client.cli import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", start, *words],
        env={**kept, **known},
        cwd=folder,
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_lists_all_commands_and_waits_for_no_heavy_import() -> None:
    code = (
        "import sys; sys.argv[1:] = ['run', '--help']\n"
        "from penstock.client.cli import main\n"
        "try:\n    main()\nfinally:\n"
        f"    print([name for name in {HELP_CPU_IMPORTS} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.strip().endswith("[]")
    listed = penstock("--help").stdout
    assert [name for name in ("run", "apply", "runs", "events", "up") if name not in listed] == []


def test_a_run_is_answered_as_one_document() -> None:
    with FarSide(ACCEPTED) as far:
        done = penstock("run", "hello", "-i", "n=1", "--json", far=far)
        body = json.loads(far.seen[0].body)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"runId": "r-1", "status": "queued", "links": {}}
    assert body == {"input": {"n": 1}}


@pytest.mark.parametrize(("status", "code"), [("succeeded", 0), ("failed", 1), ("cancelled", 1)])
def test_the_exit_code_of_waiting_is_the_runs_end(status: str, code: int) -> None:
    told = streams(frame("1.0", "RunStarted", workflowName="W", version=1), END)
    ended = says({**RUN, "status": status, "output": {"x": 1}})
    with FarSide(ACCEPTED, says({**RUN, "status": "running"}), told, ended) as far:
        done = penstock("run", "hello", "--wait", far=far)
    assert done.returncode == code, done.stderr
    assert "started    W version 1" in done.stdout
    assert status in done.stdout


def test_waiting_with_json_is_one_document_too() -> None:
    told = streams(frame("1.0", "RunStarted"), END)
    with FarSide(ACCEPTED, told, says({**RUN, "status": "succeeded"})) as far:
        done = penstock("run", "hello", "--wait", "--json", far=far)
    assert json.loads(done.stdout)["status"] == "succeeded"


def test_watching_with_json_is_a_line_for_each_event() -> None:
    told = streams(frame("1.0", "RunStarted"), frame("1.1", "RunSucceeded"), END)
    with FarSide(told, says({**RUN, "status": "succeeded"})) as far:
        done = penstock("runs", "watch", "r-1", "--json", far=far)
    assert [json.loads(line)["position"] for line in done.stdout.splitlines()] == ["1.0", "1.1"]


def test_every_problem_is_on_standard_error_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text("id: w\nnodes:\n  - id: a\n    type: no\n")
    details = [
        {"pointer": "/definition/name", "code": "SCHEMA_INVALID", "message": "name is missing"},
        {"pointer": "/definition/nodes/0/type", "code": "UNKNOWN_NODE_TYPE", "message": "no such"},
    ]
    script = [refuses(404, "NOT_FOUND"), refuses(400, "VALIDATION_ERROR", *details)]
    with FarSide(*script * 2) as far:
        done = penstock("apply", "w.yaml", far=far, folder=tmp_path)
        as_json = penstock("apply", "w.yaml", "--json", far=far, folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[1:] == [
        "  w.yaml:1:1 /name  SCHEMA_INVALID  name is missing",
        "  w.yaml:4:11 /nodes/0/type  UNKNOWN_NODE_TYPE  no such",
    ]
    error = json.loads(as_json.stderr)["error"]
    assert (as_json.returncode, error["code"]) == (1, "VALIDATION_ERROR")
    assert [problem["pointer"] for problem in error["problems"]] == ["/name", "/nodes/0/type"]
    assert error["places"] == ["w.yaml:1:1", "w.yaml:4:11"]


@pytest.mark.parametrize(
    "words",
    [
        ["run", "hello"],
        ["run", "missing.yaml"],
        ["run", "hello", "-i", "x"],
        ["run", "hello", "--no-such-option"],
        ["run"],
        ["runs", "no-such-command"],
        ["no-such-command"],
        ["runs", "list", "--limit", "0"],
        ["runs", "list", "--data-dir", "no-such-folder"],
    ],
)
def test_wrong_use_is_2_and_says_so(words: list[str], tmp_path: Path) -> None:
    done = penstock(*words, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_what_fails_is_1(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text("a: b: c\n")
    with FarSide(refuses(404, "NOT_FOUND"), refuses(403, "FORBIDDEN")) as far:
        codes = [
            penstock("runs", "get", "r-9", far=far).returncode,
            penstock("runs", "cancel", "r-9", far=far).returncode,
            penstock("run", "w.yaml", far=far, folder=tmp_path).returncode,
        ]
    assert codes == [1, 1, 1]


def test_all_that_match_are_cancelled_however_many_requests_it_takes() -> None:
    answers = says({"matched": 10_000, "more": True}, 202), says({"matched": 7}, 202)
    words = ("runs", "cancel-all", "--tag", "x", "--workflow", "w", "--reason", "enough")
    with FarSide(*answers) as far:
        done = penstock(*words, "--json", far=far)
        bodies = [json.loads(seen.body) for seen in far.seen]
    assert (done.returncode, json.loads(done.stdout)) == (0, {"matched": 10_007})
    wanted = {"filter": {"tag": "x", "workflowId": "w"}, "action": "cancel", "reason": "enough"}
    assert bodies == [wanted, wanted]


def test_a_run_is_shown_as_it_once_stood() -> None:
    run = {**RUN, "status": "running", "progress": {"total": 1}, "steps": []}
    with FarSide(says(run)) as far:
        done = penstock("runs", "state", "r-1", "--at", "17.0", "--json", far=far)
        path = far.seen[0].path
    assert (done.returncode, json.loads(done.stdout)["status"]) == (0, "running")
    assert path == "/api/runs/r-1/state?at=17.0"
