"""Runs the preparation (migrations, streams, consumers) in a process of its own, and waits."""

import asyncio
import json
import sys
from pathlib import Path

from penstock.dev.errors import ServerFailed, log_tail
from penstock.dev.exits import exited
from penstock.dev.process import Launch, set_aside, spawn
from penstock.dev.services import Surroundings, inherited

WITHIN_S = 60.0


async def prepare(around: Surroundings) -> None:
    """Bring database and streams to this release; `ServerFailed` says why that did not work."""
    log = around.logs / "preparation.log"
    set_aside(log)
    since = log.stat().st_size if log.exists() else 0
    process = spawn(_launch(around, log))
    try:
        async with asyncio.timeout(WITHIN_S):
            code = await exited(process)
    except TimeoutError:
        raise ServerFailed(f"preparation took longer than {WITHIN_S:.0f} s: {log}") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if code != 0:
        raise ServerFailed(f"preparation failed:\n{log_tail(log, since)}")


def _launch(around: Surroundings, log: Path) -> Launch:
    own = {
        "PENSTOCK_NATS_URL": around.nats_url,
        "PENSTOCK_DATABASE_URL": around.database_url,
        "PENSTOCK_ROLE_PASSWORDS": json.dumps(around.credentials.role_passwords),
    }
    return Launch(
        name="preparation",
        argv=(sys.executable, "-P", "-m", "penstock.dev.preparation"),
        log=log,
        env=inherited() | around.options.queue_variables() | own,
        cwd=Path.cwd(),
    )
