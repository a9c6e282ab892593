"""`penstock usage` against a scripted far side."""

import json

from tests.unit.client.far_side import FarSide, says
from tests.unit.client.test_cli import penstock

USE = {"limit": 7, "used": 3}
USAGE = {
    "tenantId": "t-1",
    "at": "2026-11-21T10:00:00Z",
    "limits": {
        "maxWorkflows": USE,
        "maxExecutionsPerDay": {**USE, "resetsAt": "2026-11-22T00:00:00Z"},
        "maxConcurrentRuns": {"limit": None, "used": 1},
        "maxInFlightSteps": USE,
        "requestsPerMinute": USE,
        "retentionDays": {"limit": 30},
        "maxPayloadBytes": {"limit": 100},
        "maxDefinitionBytes": {"limit": 200},
    },
    "waiting": {"runs": 4, "steps": 5},
    "storedBytes": 4096,
    "storedBytesAt": "2026-11-21T09:30:00Z",
}


def test_each_limit_is_shown_with_what_is_used_of_it() -> None:
    with FarSide(says(USAGE), says(USAGE)) as far:
        shown = penstock("usage", far=far).stdout.splitlines()
        as_json = penstock("usage", "--json", far=far).stdout
    rows = [line.split() for line in shown]
    assert rows[1] == ["maxWorkflows", "3", "7"]
    assert rows[2] == ["maxExecutionsPerDay", "3", "7", "until", "00:00", "UTC"]
    assert rows[3] == ["maxConcurrentRuns", "1", "no", "limit"]
    assert rows[6] == ["retentionDays", "30"]
    assert shown[-2] == "waiting: 4 runs at gates, 5 steps for executors"
    assert shown[-1] == "stored: 4096 bytes at 09:30 UTC"
    assert json.loads(as_json)["waiting"] == USAGE["waiting"]
