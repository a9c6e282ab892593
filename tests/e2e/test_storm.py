"""The small kill test: every kind of process is killed under load, and every promise is kept.

`make chaos` blows the same storm for longer.
"""

from pathlib import Path

import pytest

from tests.chaos.run import TARGETS, storm
from tests.chaos.storm import Plan

PLAN = Plan(
    # Its draws hit each target at least once, and both servers twice.
    seed=167,
    runs=60,
    kills=14,
    targets=TARGETS,
    pause_s=(0.2, 0.8),
    settle_s=60.0,
)

TIMEOUT_S = 240
"""The bounds inside add up to more than the usual limit of a test."""


@pytest.mark.timeout(TIMEOUT_S)
async def test_every_promise_holds_after_a_storm_of_kills(tmp_path: Path) -> None:
    blown = await storm(PLAN, tmp_path)
    assert blown.log.killed.keys() == set(TARGETS)
    assert len(blown.log.accepted) == PLAN.runs
    assert blown.receiver.keys, "the load has made no outside call"
