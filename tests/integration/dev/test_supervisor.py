"""The supervisor with tiny programs: restarts with growing pauses, refusals, stops that hang."""

import asyncio
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.dev.errors import ServerFailed
from penstock.dev.process import Launch
from penstock.dev.supervisor import DEATHS_MAX, Supervisor, Unit, never
from tests.integration.dev.stubs import eventually, is_alive

FOREVER = "import time\nwhile True: time.sleep(1)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"


def unit(
    directory: Path,
    source: str,
    *,
    first: str = "",
    is_ready: Callable[[], bool] | None = None,
    is_refusal: Callable[[str], bool] = never,
) -> Unit:
    """A unit that runs `source` and is ready once it has written `up`, after `first`."""
    ready = directory / "up"
    launch = Launch(
        name="tiny-0",
        argv=(sys.executable, "-c", f"{first}\nopen({str(ready)!r}, 'a').write('.')\n{source}"),
        log=directory / "tiny-0.log",
    )
    return Unit(
        launch=launch,
        is_ready=is_ready or ready.exists,
        is_refusal=is_refusal,
        stop_within_s=0.5,
    )


def starts(directory: Path) -> int:
    file = directory / "up"
    return len(file.read_text()) if file.exists() else 0


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, said: list[str]) -> Supervisor:
    return Supervisor(tmp_path, said.append)


async def test_a_process_that_keeps_ending_waits_longer_each_time(
    supervisor: Supervisor, tmp_path: Path, said: list[str]
) -> None:
    await supervisor.start([unit(tmp_path, "pass")])
    await asyncio.to_thread(eventually, lambda: len(said) >= 4, "four ends")
    await supervisor.stop(["tiny-0"])
    pauses = [float(line.rpartition(" in ")[2].removesuffix(" s")) for line in said[:4]]
    assert pauses == [0.1, 0.2, 0.4, 0.8]


async def test_a_first_start_that_fails_again_and_again_is_told_with_its_words(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    failing = unit(tmp_path, "raise SystemExit('no disk')", is_ready=lambda: False)
    with pytest.raises(ServerFailed, match="no disk"):
        await supervisor.start([failing])
    assert starts(tmp_path) == DEATHS_MAX
    await supervisor.stop(["tiny-0"])


async def test_wrong_settings_are_not_tried_twice(supervisor: Supervisor, tmp_path: Path) -> None:
    with pytest.raises(ServerFailed, match="code 2"):
        await supervisor.start([unit(tmp_path, "raise SystemExit(2)", is_ready=lambda: False)])
    await supervisor.stop(["tiny-0"])
    assert starts(tmp_path) == 1


async def test_a_refused_start_is_no_crash(
    supervisor: Supervisor, tmp_path: Path, said: list[str]
) -> None:
    tries = DEATHS_MAX + 2
    refused = unit(
        tmp_path,
        "raise SystemExit('too early')",
        is_ready=lambda: starts(tmp_path) > tries,
        is_refusal=lambda text: "too early" in text,
    )
    await supervisor.start([refused])
    await supervisor.stop(["tiny-0"])
    assert said == []


async def test_what_cannot_be_started_at_all_is_an_error(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    def broken() -> None:
        raise ServerFailed("no program")

    launch = Launch(name="tiny-0", argv=("/nowhere",), log=tmp_path / "tiny-0.log")
    unprepared = Unit(launch=launch, prepare=broken, is_ready=lambda: False, stop_within_s=1.0)
    with pytest.raises(ServerFailed, match="no program"):
        await supervisor.start([unprepared])
    await supervisor.stop(["tiny-0"])


@pytest.mark.parametrize("left_s", [math.inf, 0.0, -1.0])
async def test_a_process_that_does_not_end_is_killed_when_its_time_is_over(
    supervisor: Supervisor, tmp_path: Path, said: list[str], left_s: float
) -> None:
    await supervisor.start([unit(tmp_path, FOREVER, first=DEAF)])
    pid = supervisor.pid("tiny-0")
    assert (tmp_path / "tiny-0.pid").read_text() == f"{pid}\n"
    await supervisor.stop(["tiny-0"], by=time.monotonic() + left_s)
    assert not is_alive(pid)
    assert not (tmp_path / "tiny-0.pid").exists()
    assert "killed" in said[0]


async def test_the_log_is_the_owners_alone(supervisor: Supervisor, tmp_path: Path) -> None:
    await supervisor.start([unit(tmp_path, FOREVER)])
    await supervisor.stop(["tiny-0"])
    assert (tmp_path / "tiny-0.log").stat().st_mode & 0o777 == 0o600
