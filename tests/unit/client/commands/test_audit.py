"""`penstock audit …` against a scripted far side."""

import json
from typing import Any

from tests.unit.client.far_side import Act, FarSide, refuses, says
from tests.unit.client.test_cli import penstock

HEAD = {"events": {"position": "9", "hash": "ab"}}


def event(position: str, type_: str) -> dict[str, Any]:
    return {
        "position": position,
        "type": type_,
        "version": 1,
        "at": "2026-01-02T03:04:05Z",
        "tenantId": "t",
        "subject": {"kind": "run", "id": "r-1"},
        "actor": "key:1",
        "data": {},
        "result": "done",
        "hash": "aa",
        "previousHash": "00",
        "tenantHash": "bb",
    }


def verdict(*problems: str, events: int, through: str | None = None) -> dict[str, Any]:
    return {
        "ok": not problems,
        "events": events,
        "head": HEAD,
        "problems": [{"position": each, "detail": "is broken"} for each in problems],
        "complete": through is None,
        "through": through,
    }


def test_events_are_listed_past_pages_in_which_nothing_matched() -> None:
    empty = {"items": [], "nextCursor": "r5"}
    first = {"items": [event("7.0", "RunStarted")], "nextCursor": "7.0"}
    last = {"items": [], "nextCursor": "7.0"}
    with FarSide(says(empty), says(first), says(last)) as far:
        listed = penstock("audit", "events", "--type", "RunStarted", far=far).stdout
        asked = [seen.path for seen in far.seen]
    assert listed.splitlines()[1].split()[:2] == ["7.0", "RunStarted"]
    assert len(asked) == 3


def test_chains_are_followed_in_as_many_parts_as_it_takes() -> None:
    with FarSide(says(verdict(events=3, through="r5")), says(verdict(events=4))) as far:
        proved = penstock("audit", "prove", far=far)
    assert proved.returncode == 0
    assert proved.stdout.startswith("ok: 7 events, 0 problems\n")
    with FarSide(says(verdict("r2.0", events=3, through="r5")), says(verdict(events=4))) as far:
        broken = penstock("audit", "prove", "--json", far=far)
    assert broken.returncode == 1
    assert json.loads(broken.stdout)["problems"] == [{"position": "r2.0", "detail": "is broken"}]


def test_an_export_is_written_line_by_line() -> None:
    text = b'{"position":"r1.0"}\n{"position":"2.0"}\n'
    with FarSide(Act(body=text), refuses(403, "FORBIDDEN")) as far:
        written = penstock("audit", "export", far=far)
        refused = penstock("audit", "export", far=far)
    assert written.stdout.encode() == text
    assert refused.returncode == 1
