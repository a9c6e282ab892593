"""What the log is about to lose comes along with the task; what it keeps stays where it is."""

from typing import cast

import msgspec
import pytest

from penstock.domain.payload import Payload, of_value
from penstock.domain.run.events import StepSucceeded
from penstock.infra.blobs.port import Blobs
from penstock.infra.nats.direct import Direct, Recorded
from penstock.messages.codec import encode_decision
from penstock.messages.envelope import NO_HASH, Task
from penstock.scheduler.aged import Aged
from penstock.scheduler.horizon import Horizon
from penstock.scheduler.payloads import Payloads

SAID = of_value("x" * 2_000)
HORIZON = 10


class Window:
    """A log that has lost what is older, and the archive that has all but the oldest."""

    async def by_seq(self, _stream: str, seq: int) -> Recorded | None:
        return Recorded(seq, "", decision(), {}) if seq >= 5 else None

    async def at(self, seq: int) -> bytes | None:
        return decision() if seq > 1 else None


def decision() -> bytes:
    event = StepSucceeded(
        step_id="a", attempt=1, output=SAID, started_at=1, finished_at=2, executor_id="e"
    )
    return encode_decision([event], [], decision_id="d", at=1, previous_hash=NO_HASH)


def lying(seq: int) -> Payload:
    """The payload as run state keeps it."""
    return msgspec.structs.replace(SAID, inline=msgspec.Raw(), at=f"{seq}.0/output")


@pytest.mark.parametrize(
    ("seq", "touched", "is_inline"),
    [(HORIZON, False, False), (HORIZON - 1, True, True), (2, True, True), (1, True, False)],
    ids=["stays", "leaves soon", "in the archive", "nowhere"],
)
async def test_only_what_leaves_is_brought(seq: int, touched: bool, is_inline: bool) -> None:
    window = Window()
    horizon = Horizon(cast(Direct, window), lambda: 0)
    horizon.seq = HORIZON
    aged = Aged(Payloads(cast(Blobs, None), cast(Direct, window), window), horizon)
    small = of_value(1)
    task = Task(
        run_id="r",
        step_id="b",
        attempt=1,
        definition="d",
        started_at=1,
        payloads={"nodes.a.output": lying(seq), "run.input": small},
    )
    assert aged.are_in(task) is touched
    brought = await aged.brought(task)
    assert brought.payloads["run.input"] == small
    assert (brought.payloads["nodes.a.output"] == SAID) is is_inline
    assert is_inline or brought.payloads["nodes.a.output"] == lying(seq)
