"""A stack in the foreground of a terminal: until a signal stops it, a second one at once."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from penstock.dev.logs import follow
from penstock.dev.reload import reload
from penstock.dev.stack import Stack

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Say = Callable[[str], None]


async def serve(stack: Stack, say: Say, ready: Callable[[Stack], None]) -> None:
    """Start, call `ready`, wait for a signal, stop. Raises what the start raises."""
    asked = asyncio.Event()
    _on_signals(stack, asked, say)
    starting = asyncio.create_task(stack.start())
    asking = asyncio.create_task(asked.wait())
    await asyncio.wait({starting, asking}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
        return
    starting.result()
    ready(stack)
    beside = [asyncio.create_task(work) for work in _beside(stack, say)]
    await asking
    for task in beside:
        task.cancel()
    await asyncio.gather(*beside, return_exceptions=True)
    await stack.stop()


def _beside(stack: Stack, say: Say) -> list[Coroutine[Any, Any, None]]:
    """What goes on while the stack runs."""
    work: list[Coroutine[Any, Any, None]] = []
    if stack.options.verbose:
        work.append(follow(stack.data_dir / "log", say))
    if stack.options.reload:
        work.append(reload(stack.restart_services, say))
    return work


def _on_signals(stack: Stack, asked: asyncio.Event, say: Say) -> None:
    def told(number: signal.Signals) -> None:
        if asked.is_set():
            stack.kill()
            sys.stderr.flush()
            os._exit(128 + number)
        asked.set()
        say("stopping; once more ends everything at once")

    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, told, number)
