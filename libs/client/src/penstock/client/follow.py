"""What a client keeps of a run's stream, so that a broken connection loses and repeats nothing."""

from time import monotonic
from typing import Final

import msgspec

from penstock.client.calls import Answer, Call, NoAnswer, failed
from penstock.client.errors import BadAnswer, RunUnsuccessful, WaitTimeout
from penstock.client.models import Event, Run, RunStatus
from penstock.client.retry import Retries, rest_before_next
from penstock.client.runs import open_stream
from penstock.client.sse import Frames, FrameTooLarge

SILENCE_S_MAX: Final = 60.0
"""A server sends a comment now and then; one that is silent for longer is gone."""
SILENCE_S_MIN: Final = 0.001
END: Final = "end"
DECODER: Final = msgspec.json.Decoder(Event)


class Follow:
    """One run's events over as many connections as it takes.

    The caller opens `call()`, feeds what comes, tells what `broke` it, waits `rest_s()` and opens
    again, until `ended`. `position` is that of the last event. timeout_s: of the whole;
    WaitTimeout when it is over.
    """

    def __init__(
        self,
        run_id: str,
        *,
        after: str | None = None,
        retries: Retries,
        timeout_s: float | None = None,
    ) -> None:
        self._run_id = run_id
        self._deadline = None if timeout_s is None else monotonic() + timeout_s
        self.position = after
        self._retries = retries
        self._tried = 0
        self._frames = Frames()
        self._broken: Answer | NoAnswer
        self.ended = False

    def call(self) -> Call[None]:
        """The request that opens the stream behind the last event that was seen."""
        self._frames = Frames()
        self._broken = NoAnswer("the stream ended before the run", sent=True)
        return open_stream(self._run_id, after=self.position)

    def silence_s(self) -> float:
        """How long the stream may be silent from now on. Raises WaitTimeout."""
        self.refuse_when_late()
        if self._deadline is None:
            return SILENCE_S_MAX
        return max(SILENCE_S_MIN, min(self._deadline - monotonic(), SILENCE_S_MAX))

    def refuse_when_late(self) -> None:
        """Raises WaitTimeout when the time of the whole is over."""
        if self._deadline is not None and monotonic() >= self._deadline:
            raise WaitTimeout(self._run_id)

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that `chunk` completes. Raises BadAnswer for what is no event, WaitTimeout."""
        self._tried = 0
        self.refuse_when_late()
        try:
            return [
                event
                for frame in self._frames.feed(chunk)
                if (event := self._event(frame.event, frame.data)) is not None
            ]
        except (FrameTooLarge, msgspec.DecodeError) as error:
            raise BadAnswer(f"the stream of run {self._run_id} cannot be read: {error}") from None

    def _event(self, name: str, data: str) -> Event | None:
        if self.ended:
            return None
        if name == END:
            self.ended = True
            return None
        event = DECODER.decode(data)
        self.position = event.position
        return event

    def broke(self, outcome: Answer | NoAnswer) -> None:
        """The connection was refused, or broke off."""
        self._broken = outcome

    def rest_s(self) -> float:
        """The seconds to wait before opening again. Raises what stands in the way for good."""
        self.refuse_when_late()
        self._tried += 1
        broken = self._broken
        pause_s = rest_before_next(
            open_stream(self._run_id), broken, self._retries, tried=self._tried
        )
        if pause_s is None or self._tried >= self._retries.tries_max:
            raise failed(broken) or AssertionError("a broken stream is not a success")
        return pause_s


def ended_well(run: Run) -> Run:
    """The run, if it succeeded. Raises RunUnsuccessful."""
    if run.status is not RunStatus.SUCCEEDED:
        raise RunUnsuccessful(run)
    return run
