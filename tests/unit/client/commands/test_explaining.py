"""`penstock explain` against a scripted far side."""

import json
from typing import Any

import pytest

from penstock.client.commands.explaining import BAR_WIDTH, WAITS_MAX, bar
from tests.unit.client.far_side import FarSide, refuses, says
from tests.unit.client.test_cli import penstock

NOON, LATER = "2026-11-21T12:00:00Z", "2026-11-21T12:05:00Z"


def wait(step: str | None, cause: str, detail: str, **more: Any) -> dict[str, Any]:
    rest = {"since": None, "until": None, "on": [], "detail": detail, **more}
    return {"stepId": step, "cause": cause, **rest}


ASKED = wait("ask", "approval", "waits for ada to approve or reject", since=NOON, until=LATER)
TOLD = {
    "runId": "r-1",
    "status": "waiting",
    "waits": [wait("last", "dependency", "waits for ask", on=["ask"]), ASKED],
    "from": NOON,
    "to": LATER,
    "totalMs": 300_000,
    "isWhole": True,
    "totals": [{"cause": "approval", "ms": 225_000}, {"cause": "running", "ms": 75_000}],
    "timeline": [
        {"from": NOON, "to": "2026-11-21T12:01:15Z", "cause": "running", "ms": 75_000},
        {"from": "2026-11-21T12:01:15Z", "to": LATER, "cause": "approval", "ms": 225_000},
    ],
}


def test_first_what_it_waits_for_then_where_the_time_went() -> None:
    with FarSide(says(TOLD), says(TOLD)) as far:
        done = penstock("explain", "r-1", far=far)
        same = penstock("runs", "explain", "r-1", far=far)
        paths = {seen.path for seen in far.seen}
    assert (done.returncode, done.stderr, done.stdout) == (0, "", same.stdout)
    assert paths == {"/api/runs/r-1/explain"}
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    assert lines[0] == "run r-1 waiting"
    ask, last = (next(i for i, x in enumerate(lines) if x.startswith(s)) for s in ("ask", "last"))
    assert ask < last, "what only depends on others comes behind what they wait for"
    assert lines[ask].endswith("waits for ada to approve or reject")
    assert "(5 min 00 s)" in lines[ask]
    went = lines.index("Where 5 min 00 s went")
    assert lines[went + 1].startswith("approval")
    assert "75.0%" in lines[went + 1]
    after = lines[lines.index("One thing after the other") + 1 :]
    assert [line.split()[1] for line in after] == ["running", "approval"]


def test_as_json_it_is_the_answer() -> None:
    with FarSide(says(TOLD)) as far:
        done = penstock("explain", "r-1", "--json", far=far)
    assert (done.returncode, json.loads(done.stdout)) == (0, TOLD)


def test_of_very_many_waits_the_first_are_shown() -> None:
    waits = [wait(f"loop.{n}.a", "timer", "waits for a moment") for n in range(WAITS_MAX + 7)]
    with FarSide(says({**TOLD, "waits": waits})) as far:
        done = penstock("explain", "r-1", far=far)
    assert "and 7 more" in done.stdout
    assert f"loop.{WAITS_MAX}.a" not in done.stdout


def test_a_run_that_has_ended_waits_for_nothing_and_no_run_is_1() -> None:
    ended = {**TOLD, "status": "succeeded", "waits": [], "totals": [], "timeline": [], "totalMs": 0}
    long = {**ended, "isWhole": False, "totalMs": 1_000}
    with FarSide(says(ended), says(long), refuses(404, "NOT_FOUND")) as far:
        assert "nothing: it has ended" in penstock("explain", "r-1", far=far).stdout
        assert "too long to tell where 1.0 s went" in penstock("explain", "r-1", far=far).stdout
        assert penstock("explain", "r-9", far=far).returncode == 1


@pytest.mark.parametrize(
    ("share", "shown"), [(0, ""), (1, "█" * BAR_WIDTH), (0.5, "█" * (BAR_WIDTH // 2)), (0.01, "▎")]
)
def test_a_bar_is_as_long_as_its_share(share: float, shown: str) -> None:
    assert bar(share) == shown
