"""Reading stored messages without a consumer, by JetStream's direct get, many in one answer.

Any replica may answer, so what is read can be a moment old: decide by a conditional append, never
by a read.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import msgspec
from nats import errors
from nats.aio.client import Client
from nats.aio.subscription import Subscription

from penstock.infra.nats.reader import Frame
from penstock.infra.nats.wire import wire_of

READ_TIMEOUT_S = 5.0
"""From the last message heard, not from the beginning."""
BATCH = 256
BATCH_MAX_BYTES = 8 * 1024 * 1024
"""A page ends at whichever comes first; the message that goes over it is still sent."""

_END_OF_BATCH = "204"
_NOT_FOUND = "404"


class ReadUnavailable(Exception):
    """The stream did not answer, or not whole."""


class Recorded(NamedTuple):
    """A message as its stream holds it; seq is its number there, from 1."""

    seq: int
    subject: str
    body: bytes
    headers: dict[str, str]


class _Page:
    """An answer in the making."""

    def __init__(self, single: bool) -> None:
        self.single = single
        self.messages: list[Recorded] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.heard = 0

    def take(self, frame: Frame) -> None:
        """Adds a message or ends the page."""
        if self.done.done():
            return
        self.heard += 1
        headers = frame.headers
        status = headers.get("Status")
        if status is None:
            self._add(frame, headers)
        elif status in {_END_OF_BATCH, _NOT_FOUND}:
            self.done.set_result(None)
        else:
            self.done.set_exception(ReadUnavailable(f"status {status}"))

    def _add(self, frame: Frame, headers: dict[str, str]) -> None:
        seq = int(headers["Nats-Sequence"])
        before = int(headers.get("Nats-Last-Sequence", "0"))
        if self.messages and before != self.messages[-1].seq:
            self.done.set_exception(ReadUnavailable(f"a message before {seq} did not arrive"))
            return
        self.messages.append(Recorded(seq, headers["Nats-Subject"], frame.data, headers))
        if self.single:
            self.done.set_result(None)


class Direct:
    """Direct gets on a connection that somebody else owns; all answers come on one inbox."""

    def __init__(self, nc: Client, *, timeout_s: float = READ_TIMEOUT_S) -> None:
        self._nc = nc
        self._wire = wire_of(nc)
        self._timeout_s = timeout_s
        self._inbox = ""
        self._next = 0
        self._pages: dict[bytes, _Page] = {}
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Listens for answers; call it once, before the first read."""
        self._inbox = f"{self._nc.new_inbox()}."
        self._subscription = await self._wire.listen(f"{self._inbox}*", self._on_answer)

    async def stop(self) -> None:
        """Listens no more."""
        if self._subscription is not None:
            await self._wire.ignore(self._subscription)

    async def last(self, stream: str, subject: str) -> Recorded | None:
        """The last message on a subject, None when there is none."""
        return await self._single(stream, {"last_by_subj": subject})

    async def by_seq(self, stream: str, seq: int) -> Recorded | None:
        """The message with this number, None when it is not there (any more, or yet)."""
        return await self._single(stream, {"seq": seq})

    async def read_subject(
        self, stream: str, subject: str, *, after: int = 0, batch: int = BATCH
    ) -> list[Recorded]:
        """A page of what is on a subject (or pattern) after number `after`; empty at the end."""
        request: dict[str, str | int] = {"seq": after + 1, "next_by_subj": subject}
        request.update(batch=batch, max_bytes=BATCH_MAX_BYTES)
        return await self._page(stream, request, single=False)

    async def read_from(self, stream: str, seq: int, *, batch: int = BATCH) -> list[Recorded]:
        """A page of a stream from number `seq` (at least 1) on; empty at the end."""
        request = {"seq": seq, "batch": batch, "max_bytes": BATCH_MAX_BYTES}
        return await self._page(stream, request, single=False)

    async def read_since(
        self, stream: str, moment: datetime, *, batch: int = BATCH
    ) -> list[Recorded]:
        """A page of a stream from the first message on that was stored at a moment or later."""
        request: dict[str, str | int] = {"start_time": moment.isoformat(), "batch": batch}
        return await self._page(stream, request | {"max_bytes": BATCH_MAX_BYTES}, single=False)

    async def _single(self, stream: str, request: Mapping[str, str | int]) -> Recorded | None:
        messages = await self._page(stream, request, single=True)
        return messages[0] if messages else None

    async def _page(
        self, stream: str, request: Mapping[str, str | int], *, single: bool
    ) -> list[Recorded]:
        self._next += 1
        key = str(self._next)
        page = self._pages[key.encode()] = _Page(single)
        subject = f"$JS.API.DIRECT.GET.{stream}"
        try:
            body, inbox = msgspec.json.encode(request), self._inbox + key
            if not self._wire.send(subject, body, inbox):
                await self._nc.publish(subject, body, inbox)
            await self._wait(page)
        except errors.Error as error:
            raise ReadUnavailable(str(error)) from error
        finally:
            del self._pages[key.encode()]
        return page.messages

    async def _wait(self, page: _Page) -> None:
        """Until the page is done, or nothing more of it comes."""
        heard = -1
        while not page.done.done() and page.heard > heard:
            heard = page.heard
            await asyncio.wait((page.done,), timeout=self._timeout_s)
        if not page.done.done():
            raise ReadUnavailable(f"no answer in {self._timeout_s} s")
        page.done.result()

    def _on_answer(self, frame: Frame) -> None:
        page = self._pages.get(frame.subject[len(self._inbox) :])
        if page is not None:
            page.take(frame)
