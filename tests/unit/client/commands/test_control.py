"""`penstock runs pause` and the like against a scripted far side."""

import json

import pytest

from tests.unit.client.far_side import FarSide, refuses, says
from tests.unit.client.test_cli import penstock

TAKEN = {"runId": "r-1", "status": "running", "links": {}}

CONTROLS = [
    (("pause", "r-1", "--reason", "lunch"), "pause", {"reason": "lunch"}),
    (("resume", "r-1"), "resume", None),
    (("signal", "r-1", "paid", "--payload", '{"n": 1}'), "signals/paid", {"payload": {"n": 1}}),
    (("signal", "r-1", "paid"), "signals/paid", {"payload": None}),
    (
        ("approve", "r-1", "loop.3.ask", "--comment", "fine"),
        "approvals/loop.3.ask",
        {"decision": "approve", "comment": "fine"},
    ),
    (("reject", "r-1", "ask"), "approvals/ask", {"decision": "reject"}),
]


@pytest.mark.parametrize(("words", "path", "body"), CONTROLS)
def test_each_control_is_one_request(
    words: tuple[str, ...], path: str, body: dict[str, object] | None
) -> None:
    with FarSide(says(TAKEN, 202)) as far:
        done = penstock("runs", *words, far=far)
        (seen,) = far.seen
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("run r-1")
    assert (seen.method, seen.path) == ("POST", f"/api/runs/r-1/{path}")
    assert (json.loads(seen.body) if seen.body else None) == body


def test_a_refused_control_is_1_and_says_why() -> None:
    with FarSide(refuses(409, "NOT_PAUSED")) as far:
        done = penstock("runs", "resume", "r-1", far=far)
    assert done.returncode == 1
    assert "NOT_PAUSED" in done.stderr


def test_a_payload_that_is_not_json_is_wrong_use() -> None:
    with FarSide() as far:
        assert penstock("runs", "signal", "r-1", "paid", "--payload", "{", far=far).returncode == 2
