"""A scheduler may die after any decision; `make sim` does that in more definitions than this."""

import pytest

from penstock.domain.run.events import WaitKind
from tests.simulation.blocks import BLOCKS
from tests.simulation.crashes import crashes, lived
from tests.simulation.run import main

FEW = range(1, 9)

SPOKEN = {
    *(f"StepWaiting {kind}" for kind in WaitKind),
    *("RunPaused", "RunResumed", "SignalReceived", "ApprovalDecided"),
    *("StepRetryScheduled", "StepFailed", "StepSkipped", "StepCancelled", "RunSucceeded"),
}
"""What has to happen in these runs, or they prove little."""


@pytest.mark.parametrize("number", FEW)
def test_the_end_is_the_same_after_whatever_decision_a_scheduler_dies(number: int) -> None:
    found = crashes(number)
    assert found.problems == ()
    assert found.decisions > len(BLOCKS)


def test_the_definitions_have_every_construct() -> None:
    kinds = {kind for number in FEW for kind in lived(number).kinds}
    assert kinds >= SPOKEN


def test_a_crash_can_be_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--definition", "1", "--dies-after", "3"]) == 0
    assert "the same end" in capsys.readouterr().out
