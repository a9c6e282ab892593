"""Waiting for a child process to end without asking all the time."""

import asyncio
import os
import sys

from penstock.dev.process import Process

POLL_S = 0.2
"""How often we ask where the kernel cannot tell us."""


async def exited(process: Process) -> int:
    """The exit code, as soon as there is one."""
    if sys.platform == "linux" and process.poll() is None:
        await _told(process.pid)
    while True:
        code = process.poll()
        if code is not None:
            return code
        await asyncio.sleep(POLL_S)


async def _told(pid: int) -> None:
    """Return when the kernel says that our child has ended."""
    handle = os.pidfd_open(pid)
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    try:
        loop.add_reader(handle, ended.set)
        await ended.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)
