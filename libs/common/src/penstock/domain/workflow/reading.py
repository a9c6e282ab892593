"""Reading a decoded document member by member, collecting every problem on the way.

Nothing here raises: what cannot be used is reported and left out, so that the rest is still read.
"""

import re
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any, Final

from msgspec import Struct

from penstock.domain.template import DEPTH_MAX, escaped
from penstock.domain.workflow.problems import Code, Places, Problem

INTEGER_MAX: Final = 2**63 - 1
"""Larger integers do not survive every reader of JSON; the stored definition must."""

WORD_START: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
NUL: Final = "\0"


class Member(Struct, frozen=True, gc=False):
    """A value in the document and the JSON pointer to it."""

    value: Any
    at: str


Members = dict[str, Member]


class Keys:
    """The members that an object may have, under every spelling that is taken.

    `aliases` lists other spellings; every name may be written in snake_case too.
    """

    def __init__(
        self, *names: str, aliases: Mapping[str, str] | None = None, ignored: Iterable[str] = ()
    ) -> None:
        spellings = {name: name for name in names} | dict(aliases or {})
        self.names = {snake(key): name for key, name in spellings.items()} | spellings
        self.ignored = {spelling for key in ignored for spelling in (key, snake(key))}


def snake(name: str) -> str:
    """`timeoutMs` as `timeout_ms`."""
    return WORD_START.sub("_", name).lower()


def camel(name: str) -> str:
    """`timeout_ms` as `timeoutMs`."""
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


class Reader:
    """What was found so far: problems, and places of what is spelled or stands otherwise."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.places = Places()

    def report(self, at: str, code: Code, message: str) -> None:
        """Notes a problem at a pointer into the given document."""
        self.problems.append(Problem(at, code, message))

    def invalid(self, at: str, message: str) -> None:
        """Notes a wrong shape or type, or a missing member."""
        self.report(at, Code.SCHEMA_INVALID, message)

    def members(self, given: Member, canonical: str, keys: Keys) -> Members | None:
        """The members of an object by canonical name, null ones left out; None for no object."""
        if not isinstance(given.value, dict):
            self.invalid(given.at, f"this is an object, not {kind(given.value)}")
            return None
        found: Members = {}
        names = keys.names
        moved = given.at != canonical
        for key, value in given.value.items():
            name = names.get(key) if isinstance(key, str) else None
            if name is None:
                self.unknown(given, key, keys)
                continue
            at = f"{given.at}/{key}"
            if name in found:
                self.invalid(at, f"{name} is given twice; the other is {found[name].at}")
            elif value is not None or name == "input":
                if moved or name != key:
                    self.places.note(f"{canonical}/{name}", at)
                found[name] = Member(value, at)
        return found

    def unknown(self, given: Member, key: object, keys: Keys) -> None:
        """Notes a member that an object does not have, unless older definitions carry it."""
        if key not in keys.ignored:
            at = f"{given.at}/{escaped(str(key))}"
            self.report(at, Code.UNKNOWN_KEY, f"{str(key)[:64]} is not known here")

    def items(self, given: Member) -> list[Member]:
        """The items of a list; none, with a problem, when it is no list."""
        if not isinstance(given.value, list):
            self.invalid(given.at, f"this is a list, not {kind(given.value)}")
            return []
        return [Member(value, f"{given.at}/{index}") for index, value in enumerate(given.value)]

    def text(self, given: Member | None, *, longest: int, shortest: int = 0) -> str | None:
        """A text within these lengths; None when it is absent or wrong."""
        if given is None:
            return None
        if not isinstance(given.value, str):
            self.invalid(given.at, f"this is a text, not {kind(given.value)}")
        elif not shortest <= len(given.value) <= longest:
            self.invalid(given.at, f"this text has {shortest} to {longest} characters")
        elif not is_storable(given.value):
            self.invalid(given.at, "a text cannot hold U+0000 or half a character")
        else:
            return given.value
        return None

    def matching(self, given: Member | None, pattern: re.Pattern[str]) -> str | None:
        """A text of this pattern; None when it is absent or wrong."""
        if given is None:
            return None
        if not isinstance(given.value, str):
            self.invalid(given.at, f"this is a text, not {kind(given.value)}")
        elif not pattern.fullmatch(given.value):
            self.invalid(given.at, f"this does not match ^{pattern.pattern}$")
        else:
            return given.value
        return None

    def number(self, given: Member | None, *, least: float, most: float) -> float | None:
        """A number within these bounds; None when it is absent or wrong."""
        if given is None:
            return None
        value = given.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.invalid(given.at, f"this is a number, not {kind(value)}")
        elif not least <= value <= most:
            self.invalid(given.at, f"this number lies between {least:g} and {most:g}")
        else:
            return value
        return None

    def integer(self, given: Member | None, *, least: int, most: int) -> int | None:
        """A whole number within these bounds; None when it is absent or wrong."""
        number = self.number(given, least=least, most=most)
        if given is None or number is None:
            return None
        if number != int(number):
            self.invalid(given.at, "this is a whole number")
            return None
        return int(number)

    def flag(self, given: Member | None) -> bool | None:
        """A boolean; None when it is absent or wrong."""
        if given is not None and not isinstance(given.value, bool):
            self.invalid(given.at, f"this is true or false, not {kind(given.value)}")
            return None
        return None if given is None else given.value

    def is_json(self, given: Member) -> bool:
        """Whether a value is JSON through and through, reporting every place where it is not."""
        if is_sound(given.value, 0):
            return True
        found = len(self.problems)
        self._walk(given, 0)
        return len(self.problems) == found

    def _walk(self, given: Member, depth: int) -> None:
        match given.value:
            case None | bool():
                return
            case str():
                self.expect(given, is_storable(given.value), "U+0000 or half a character")
            case int():
                self.expect(given, abs(given.value) <= INTEGER_MAX, "an integer over 64 bits")
            case float():
                self.expect(given, isfinite(given.value), "a number that JSON does not have")
            case dict() | list() if depth == DEPTH_MAX:
                self.report(given.at, Code.LIMIT_EXCEEDED, f"values nest at most {DEPTH_MAX} deep")
            case list():
                for item in self.items(given):
                    self._walk(item, depth + 1)
            case dict():
                for key, value in given.value.items():
                    member = Member(value, f"{given.at}/{escaped(str(key))}")
                    self.expect(member, is_name(key), "a name that is no text")
                    self._walk(member, depth + 1)
            case _:
                self.expect(given, False, f"{kind(given.value)}, which JSON does not have")

    def expect(self, given: Member, is_well: bool, otherwise: str) -> None:
        """Notes what a definition cannot hold, unless all is well."""
        if not is_well:
            self.invalid(given.at, f"a definition cannot hold {otherwise}")


def is_sound(value: object, depth: int) -> bool:
    """Whether a value is JSON that a definition can hold: what `Reader.is_json` need not look at.

    Most values are; where one is not, the places are found in a second walk.
    """
    match value:
        case str():
            return is_storable(value)
        case None | bool():
            return True
        case int():
            return abs(value) <= INTEGER_MAX
        case float():
            return isfinite(value)
        case dict():
            return depth < DEPTH_MAX and all(
                is_name(key) and is_sound(inner, depth + 1) for key, inner in value.items()
            )
        case list():
            return depth < DEPTH_MAX and all(is_sound(inner, depth + 1) for inner in value)
        case _:
            return False


def is_name(key: object) -> bool:
    """Whether this can be the name of a JSON object's member."""
    return isinstance(key, str) and is_storable(key)


def is_storable(text: str) -> bool:
    """Whether every store takes this text: Postgres has no U+0000, UTF-8 no half characters."""
    if text.isascii():
        return NUL not in text
    return NUL not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def kind(value: object) -> str:
    """A value's kind for a message, which must not repeat a value of any size."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return "a text"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case dict():
            return "an object"
        case _:
            return f"a {type(value).__name__}"
