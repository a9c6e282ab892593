"""Server-sent events: bytes in, frames out, as the HTML standard cuts them. No I/O."""

import re
from dataclasses import dataclass
from typing import Final

FRAME_BYTES_MAX: Final = 80 * 1024 * 1024
"""An event holds one payload at most, and a payload has at most 64 MiB."""

_END_OF_LINE: Final = re.compile(rb"\r\n|\n|\r")


class FrameTooLarge(ValueError):
    """The stream sends a frame without end."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One dispatched event; `id` is the last one that the stream has named."""

    id: str
    event: str
    data: str


class Frames:
    """What is kept of a stream between two chunks of it."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._id = ""
        self._event = ""
        self._data: list[str] = []
        self._held = 0
        self._size = 0

    def feed(self, chunk: bytes) -> list[Frame]:
        """The frames that `chunk` completes. Raises FrameTooLarge."""
        return [frame for line in self._lines(chunk) if (frame := self._line(line)) is not None]

    def _lines(self, chunk: bytes) -> list[bytes]:
        """The lines that `chunk` completes; a last CR waits, for a LF may belong to it."""
        self._pieces.append(chunk)
        if not _END_OF_LINE.search(chunk) and not self._pieces[0].endswith(b"\r"):
            self._held += len(chunk)
            if self._held > FRAME_BYTES_MAX:
                raise FrameTooLarge(f"a line of more than {FRAME_BYTES_MAX} bytes")
            return []
        text = b"".join(self._pieces)
        kept = b"\r" if text.endswith(b"\r") else b""
        lines = _END_OF_LINE.split(text.removesuffix(kept))
        rest = lines.pop() + kept
        self._pieces, self._held = [rest], len(rest)
        return lines

    def _line(self, line: bytes) -> Frame | None:
        """The frame that a line ends, None if it does not end one."""
        if not line:
            return self._dispatch()
        name, _, value = line.decode(errors="replace").partition(":")
        value = value.removeprefix(" ")
        match name:
            case "data":
                self._keep(value)
            case "event":
                self._event = value
            case "id" if "\0" not in value:
                self._id = value
            case _:
                pass
        return None

    def _keep(self, value: str) -> None:
        self._size += len(value)
        if self._size > FRAME_BYTES_MAX:
            raise FrameTooLarge(f"a frame of more than {FRAME_BYTES_MAX} characters")
        self._data.append(value)

    def _dispatch(self) -> Frame | None:
        data, event = "\n".join(self._data), self._event or "message"
        empty = not self._data and not self._event
        self._data, self._event, self._size = [], "", 0
        return None if empty else Frame(self._id, event, data)
