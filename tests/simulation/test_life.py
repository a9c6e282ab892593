"""A small size of `make sim`: what it takes to trust the large one."""

import hashlib
import os
import subprocess
import sys
from typing import get_args

import pytest

from penstock.domain.run.events import RunEvent, WaitKind
from tests.architecture.tree import ROOT
from tests.simulation.life import life
from tests.simulation.run import main

SEEDS = range(1, 101)
TROUBLE = (
    "killed",
    "asleep",
    "conflict",
    "redelivered",
    "published twice",
    "publish unacknowledged",
    "stale read",
    "timer lost",
    "broker down",
    "forged",
    "forked",
    "step begun",
    "step stopped",
    "committed",
)
"""What has to happen somewhere, or the simulation proves nothing."""

NEVER = {"RunCarriedForward", "StepWaiting"}
"""What no life is long enough for, and what is told by its kind."""

KINDS = {kind.__name__ for kind in get_args(RunEvent)} - NEVER
KINDS |= {f"StepWaiting {kind}" for kind in WaitKind}
"""What has to be in some log, so that the whole language is spoken."""

DIGESTS = """
from tests.simulation.test_life import tape_digest
print([tape_digest(seed) for seed in (3, 14, 15)])
"""


def tape_digest(seed: int) -> str:
    """Of everything that happens in a life, to the last word."""
    digest = hashlib.sha256()
    ended = life(seed, lambda line: digest.update(line.encode()))
    return f"{digest.hexdigest()[:12]} {ended.digest}"


def test_every_invariant_holds_and_trouble_happens() -> None:
    lives = [life(seed) for seed in SEEDS]
    assert [ended.problem for ended in lives if ended.problem] == []
    assert [kind for kind in TROUBLE if not any(e.happened[kind] for e in lives)] == []
    assert [kind for kind in sorted(KINDS) if not any(e.kinds[kind] for e in lives)] == []


def test_a_seed_is_the_same_life_again() -> None:
    assert tape_digest(14) == tape_digest(14)
    assert tape_digest(14) != tape_digest(15)


def test_no_life_depends_on_the_order_of_a_set() -> None:
    asked = [
        subprocess.Popen(
            [sys.executable, "-c", DIGESTS],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for hash_seed in ("1", "2", "3")
    ]
    said = {process.communicate()[0] for process in asked}
    assert [process.returncode for process in asked] == [0, 0, 0]
    assert len(said) == 1


def test_one_seed_can_be_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "14", "--verbose"]) == 0
    said = capsys.readouterr().out
    assert "appended" in said
    assert "seed 14: every invariant holds" in said
