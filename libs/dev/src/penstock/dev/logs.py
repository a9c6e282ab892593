"""Shows on the terminal what the processes write to their logs."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

POLL_S = 0.2
CHUNK_BYTES_MAX = 256 * 1024
HIDDEN = frozenset({"at", "timestamp", "level", "event", "service", "instance"})


@dataclass
class Tail:
    """How far one log has been shown; `rest` is the beginning of a line not yet ended."""

    path: Path
    offset: int
    rest: bytes = b""

    def lines(self) -> Iterator[str]:
        """The whole lines written since the last call; from the start after a rotation."""
        if self.path.stat().st_size < self.offset:
            self.offset, self.rest = 0, b""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            chunk = file.read(CHUNK_BYTES_MAX)
        self.offset += len(chunk)
        *whole, self.rest = (self.rest + chunk).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole if line)


async def follow(directory: Path, say: Callable[[str], None]) -> None:
    """Show new lines of every log in `directory`, for ever, each after its process's name."""
    tails = {path: Tail(path, path.stat().st_size) for path in _logs(directory)}
    while True:
        for path in _logs(directory):
            for line in tails.setdefault(path, Tail(path, 0)).lines():
                say(f"{path.stem:<12} {pretty(line)}")
        await asyncio.sleep(POLL_S)


def _logs(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.log"))


def pretty(line: str) -> str:
    """A JSON log line for the eye; every other line as it is."""
    try:
        entry = json.loads(line)
    except ValueError:
        return line
    if not isinstance(entry, dict) or "event" not in entry:
        return line
    rest = " ".join(f"{key}={value}" for key, value in entry.items() if key not in HIDDEN)
    return f"{entry.get('level', ''):<8} {entry['event']} {rest}".rstrip()
