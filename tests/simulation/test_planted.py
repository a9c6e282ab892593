"""Each planted bug is caught, and nothing objects to the same life without it."""

import pytest

from tests.simulation import planted_flow
from tests.simulation.life import Ended, life
from tests.simulation.planted import BUGS, planted
from tests.simulation.run import main

SEEDS_MAX = 400
"""Within so many seeds each bug is caught; most within five."""

assert planted_flow.__doc__, "its bugs are on the list by being imported"


def caught(name: str) -> Ended:
    """The first life that objects to the bug."""
    with planted(name):
        lives = (life(seed) for seed in range(1, SEEDS_MAX + 1))
        return next(ended for ended in lives if ended.problem)


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(name: str) -> None:
    ended = caught(name)
    invariant, _, _ = ended.problem.partition(":")
    assert invariant in BUGS[name].caught_by, ended.problem
    assert life(ended.seed).problem == ""


def test_a_failing_seed_says_what_fails(capsys: pytest.CaptureFixture[str]) -> None:
    ended = caught("retries_know_no_bound")
    with planted("retries_know_no_bound"):
        assert main(["--seed", str(ended.seed)]) == 1
    assert "S17" in capsys.readouterr().out
