"""Starts the services anew when their source changes."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import penstock
from penstock.dev.errors import StackError

PACKAGES = ("domain", "messages", "infra", "api", "scheduler", "executor", "projector")


async def reload(restart: Callable[[], Awaitable[None]], say: Callable[[str], None]) -> None:
    """Watch for ever; source that cannot start is told of, and the next change tries again."""
    # Only here: watching takes memory that a stack without it need not have.
    from watchfiles import PythonFilter, awatch  # noqa: PLC0415

    async for changes in awatch(*sources(), watch_filter=PythonFilter()):
        names = sorted({Path(path).name for _, path in changes})
        say(f"{', '.join(names)} changed: starting the services anew")
        try:
            await restart()
        except StackError as error:
            say(f"the services do not come up: {error}")
        else:
            say("the services are ready")


def sources() -> list[Path]:
    """The folders of the packages that the services are made of."""
    roots = [Path(root) for root in penstock.__path__]
    return [root / name for root in roots for name in PACKAGES if (root / name).is_dir()]
