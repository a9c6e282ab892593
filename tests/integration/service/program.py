"""A service of next to nothing, run as a process by the tests; BEHAVIOUR says how it misbehaves."""

import asyncio
import os
import time
from collections.abc import Mapping

from faststream.nats import NatsMessage, NatsRouter

from penstock.domain.errors import NotFound
from penstock.infra.service import Context, StartRefused, run
from penstock.infra.settings import ExecutorSettings
from penstock.infra.telemetry import logs

BEHAVIOUR = os.environ.get("BEHAVIOUR", "")
ATTEMPTS_BEFORE_BUILT = 3

log = logs.logger("program")


class Plain:
    """Starts, stops, is ready."""

    def __init__(self, context: Context[ExecutorSettings]) -> None:
        self.context = context
        self.starts = 0
        self.closing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Fails once when it is to."""
        self.starts += 1
        if BEHAVIOUR == "start fails once" and self.starts == 1:
            raise ConnectionError("the database is away")
        log.info("begun")

    async def stop(self) -> None:
        """Hangs when it is to, with or without the event loop."""
        log.info("finishing")
        if BEHAVIOUR == "stop hangs":
            await asyncio.sleep(60)
        if BEHAVIOUR == "stop blocks":
            time.sleep(60)  # noqa: ASYNC251  a loop that is taken hold of
        log.info("finished")

    async def ready(self) -> Mapping[str, bool]:
        """Ready unless it is not to be."""
        if BEHAVIOUR == "check hangs":
            await asyncio.sleep(60)
        if BEHAVIOUR == "check fails":
            raise ConnectionError("the database is away")
        return {"streams": True}


class Builder:
    """Builds, after as many failures as it is to have."""

    def __init__(self) -> None:
        self.attempts = 0

    async def build(self, context: Context[ExecutorSettings]) -> Plain:
        """The service."""
        self.attempts += 1
        if BEHAVIOUR == "build refused":
            raise StartRefused("the log is lost: restore it from the archive")
        if BEHAVIOUR == "build fails" and self.attempts < ATTEMPTS_BEFORE_BUILT:
            raise ConnectionError("streams are missing")
        log.info("built", attempts=self.attempts)
        return Plain(context)


def subscribers(service: Plain) -> NatsRouter:
    """One subscriber that does what the message says."""
    router = NatsRouter()

    @router.subscriber("penstock.ctl.cancel.>")
    async def on_cancel(message: NatsMessage) -> bytes:
        match bytes(message.body):
            case b"refuse":
                raise NotFound
            case b"fail":
                raise RuntimeError("a fault of ours")
            case b"close":
                service.closing = asyncio.create_task(service.context.nc.close())
            case b"end":
                service.context.end("told so")
            case _:
                log.info("heard")
        return b"heard"

    return router


if __name__ == "__main__":
    run("executor", ExecutorSettings, Builder().build, subscribers)
