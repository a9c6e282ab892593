"""Letters wait here for the broker's word about everything that follows from them."""

import asyncio
from collections.abc import Sequence

from penstock.scheduler.letters import Settled
from penstock.scheduler.receipts import RETRY_DELAY_S


class Settlement:
    """Settles letters once all that is expected has been heard; any error makes them come again."""

    def __init__(self, letters: Sequence[Settled]) -> None:
        self._letters = letters
        self._open = 1
        self._failed = False

    def expect(self) -> None:
        """One more word is to be heard."""
        self._open += 1

    def expect_future(self, future: "asyncio.Future[int]") -> None:
        """One more word is to be heard: how `future` ends."""
        self.expect()
        future.add_done_callback(self._on_done)

    def heard(self, error: BaseException | None) -> None:
        """One word has come."""
        self._failed = self._failed or error is not None
        self._open -= 1
        if self._open:
            return
        for letter in self._letters:
            if self._failed:
                letter.failed(RETRY_DELAY_S)
            else:
                letter.done()

    def close(self) -> None:
        """Nothing more will be expected."""
        self.heard(None)

    def _on_done(self, future: "asyncio.Future[int]") -> None:
        self.heard(asyncio.CancelledError() if future.cancelled() else future.exception())
