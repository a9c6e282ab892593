"""Takes secrets out of what a step says: the values that its attempt has used, in every usual form.

    scrubber = Scrubber(["hunter2-hunter2"])
    scrubber.value({"echo": "Bearer hunter2-hunter2"})     # {"echo": "Bearer ***"}

Looked for are the value as it is, in base64 and base64url at each of the three places where it can
begin within a longer text, in hex, percent-encoded, as JSON writes it, also within JSON within
JSON, and as Python shows texts and bytes, as errors of libraries do. What somebody computes of a
value, its digest or its half, is not found.
"""

import json
import re
from base64 import b64encode
from collections.abc import Awaitable, Iterable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec
from msgspec import Raw

from penstock.domain.connection.types import SECRET_BYTES_MIN
from penstock.executor.inputs import decode, encode
from penstock.executor.outcome import Done, Outcome, StepFault
from penstock.infra.telemetry.logs import logger

HIDDEN = "***"
LOOSE_MAX = 1024
"""Characters of a value whose escapes are looked for in any mixture; a longer one is looked for in
each of its spellings, but not in a mixture of them."""
NESTING = 16
"""Backslashes before an escaped character: each JSON within JSON doubles them, and adds one."""
LATIN_1_END = 0x100

_ESCAPES = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f"}
_log = logger(__name__)


class Scrubber:
    """The secrets of one attempt, and what is hidden of its words because of them."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values: list[str] = []
        self._forms: tuple[str, ...] = ()
        self._loose: re.Pattern[str] | None = None
        self.hide(*values)

    def hide(self, *values: str) -> None:
        """Take these out as well. One that is too short to be told from other words is left."""
        # Whoever takes a header apart takes away the space around it.
        both = (one for value in values for one in dict.fromkeys((value, value.strip())))
        self._values += [one for one in both if len(one.encode()) >= SECRET_BYTES_MIN]
        found = {form for value in self._values for form in forms(value)}
        self._forms = tuple(sorted(found, key=len, reverse=True))
        self._loose = None

    async def guarding(self, running: Awaitable[Outcome]) -> Outcome:
        """What an attempt comes to, without secrets, and without them what it raises.

        Raises StepFault; a fault of ours is one too, for its own words may hold anything.
        """
        try:
            return self.outcome(await running)
        except StepFault as fault:
            self._clean(fault)
            raise fault from None
        except Exception as error:  # noqa: BLE001 - its text and its causes may hold a secret
            said = self.text(f"{type(error).__name__}: {error}")
            where = places(error)
        _log.error("step failed by our fault", error=said, where=where)
        raise StepFault("INTERNAL_ERROR", "the executor failed; its log says why")

    def outcome(self, found: Outcome) -> Outcome:
        """An outcome without secrets; the same one where there are none in it."""
        if not isinstance(found, Done) or found.output is None:
            return found
        said = decode(found.output)
        cleaned = self.value(said)
        if cleaned == said:
            return found
        return msgspec.structs.replace(found, output=Raw(encode(cleaned)))

    def value(self, value: Any) -> Any:
        """A JSON-able value without secrets, in the names of members too."""
        match value:
            case str():
                return self.text(value)
            case dict():
                return {self.text(name): self.value(inner) for name, inner in value.items()}
            case list():
                return [self.value(inner) for inner in value]
            case bool() | None:
                return value
            case int() | float():
                text = str(value)
                return value if self.text(text) == text else HIDDEN
            case _:
                return value

    def text(self, text: str) -> str:
        """A text without secrets."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, HIDDEN)
        if self._values and ("%" in text or "\\" in text):
            text = self._mixed().sub(HIDDEN, text)
        return text

    def _clean(self, fault: StepFault) -> None:
        fault.message = self.text(fault.message)
        fault.details = self.value(fault.details)
        fault.args = (fault.message,)
        fault.__cause__ = fault.__context__ = None

    def _mixed(self) -> re.Pattern[str]:
        """Made when it is first needed: most texts have no escapes."""
        if self._loose is None:
            short = (value for value in self._values if len(value) <= LOOSE_MAX)
            # A value that none has: an empty pattern would be found everywhere.
            self._loose = re.compile("|".join(map(loose, short)) or r"(?!)")
        return self._loose


NOTHING_HIDDEN = Scrubber()


def places(error: BaseException) -> list[str]:
    """Where an error came from, without a word of what it says."""
    found = []
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        found.append(f"{code.co_qualname}:{traceback.tb_lineno}")
        traceback = traceback.tb_next
    return found


def forms(value: str) -> Iterator[str]:
    """The spellings of a value that are looked for as they stand."""
    raw = value.encode()
    yield value
    if not value.isascii():
        yield raw.decode("latin-1")
    for written in (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]):
        yield written
        yield written.replace("/", "\\/")
    yield from shown_forms(value)
    for encoded in (quote(value), quote(value, safe=""), quote_plus(value)):
        yield encoded
        yield lower_escapes(encoded)
    for digits in (raw.hex(), raw.hex().upper()):
        yield digits
        yield "".join(f"%{digits[at : at + 2]}" for at in range(0, len(digits), 2))
    yield from base64_forms(raw)


def shown_forms(value: str) -> Iterator[str]:
    """A value as Python shows a text or bytes that it is in.

    An apostrophe is escaped only where a quotation mark is there as well, maybe outside the value.
    """
    raw = value.encode()
    for shown in (repr, ascii):
        yield shown(value)[1:-1]
        yield shown('"' + value)[2:-1]
    yield repr(raw)[2:-1]
    yield repr(b'"' + raw)[3:-1]


def lower_escapes(encoded: str) -> str:
    """Percent-encoding with small digits."""
    return re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), encoded)


def base64_forms(raw: bytes) -> Iterator[str]:
    """What is certain of a value in base64, wherever it begins: nothing of its neighbours.

    A character at either end that holds bits of a neighbour as well is left out.
    """
    for before in range(3):
        text = b64encode(bytes(before) + raw).decode().rstrip("=")
        first = (before * 8 + 5) // 6
        last = (before + len(raw)) * 8 // 6
        certain = text[first:last]
        yield certain
        yield certain.replace("+", "-").replace("/", "_")


def loose(value: str) -> str:
    """A pattern of a value, each character of it as it is or escaped in any usual way.

    Repetitions are bounded and give nothing back, so that no text makes the search slow.
    """
    found, after_backslash = [], False
    for run in re.finditer(r"\\+|[^\\]", value, re.DOTALL):
        is_backslash = run[0][0] == "\\"
        found.append(
            backslashes(len(run[0]))
            if is_backslash
            else character(run[0], after_backslash=after_backslash)
        )
        after_backslash = is_backslash
    return "".join(found)


def backslashes(count: int) -> str:
    """A run of them: JSON within JSON has more, and those that escape what follows as well."""
    spelled = f"%5[cC]|\\\\{{1,{NESTING}}}+(?:u00|x)5[cC]"
    return f"(?:\\\\{{{count},{count * NESTING + NESTING}}}+|(?:{spelled}){{{count}}})"


def escapes_of(letters: list[str], least: int) -> str:
    """Escapes that follow each other, each behind backslashes; the first behind `least` or more."""
    return "".join(
        f"\\\\{{{least if at == 0 else 1},{NESTING}}}+{each}" for at, each in enumerate(letters)
    )


def character(one: str, *, after_backslash: bool = False) -> str:
    """Anything but a backslash; behind one, what would escape it may have been taken already."""
    least = 0 if after_backslash else 1
    if one.isascii() and one.isalnum():
        return one
    percent = "".join(f"%{byte:02x}" for byte in one.encode())
    units = one.encode("utf-16-be").hex()
    by_unit = [f"u{units[at : at + 4]}" for at in range(0, len(units), 4)]
    by_byte = [f"x{byte:02x}" for byte in one.encode()]
    by_point = [f"U{ord(one):08x}"]
    escapes = [by_unit, by_byte, by_point]
    if not one.isascii() and ord(one) < LATIN_1_END:
        escapes.append([f"x{ord(one):02x}"])
    escaped = "|".join(escapes_of(each, least) for each in escapes)
    spellings = [re.escape(one), f"(?i:{percent}|{escaped})"]
    if one == " ":
        spellings.append(r"\+")
    if one in "\"'/":
        spellings.append(f"\\\\{{1,{NESTING}}}+{one}")
    if one in _ESCAPES:
        spellings.append(f"\\\\{{0,{NESTING}}}+{_ESCAPES[one]}")
    return f"(?:{'|'.join(spellings)})"
