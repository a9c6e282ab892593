"""What can be wrong with a definition, and where in the document that was given."""

from enum import StrEnum
from typing import Final

from msgspec import Struct

PROBLEMS_MAX: Final = 1000
"""A longer list helps nobody; what is left out is found in the next round."""


class Code(StrEnum):
    """The kinds of problems; part of the HTTP contract, never renamed."""

    SCHEMA_INVALID = "SCHEMA_INVALID"
    UNKNOWN_KEY = "UNKNOWN_KEY"
    DUPLICATE_NODE_ID = "DUPLICATE_NODE_ID"
    EDGE_NODE_MISSING = "EDGE_NODE_MISSING"
    SELF_EDGE = "SELF_EDGE"
    CYCLE = "CYCLE"
    UNKNOWN_NODE_TYPE = "UNKNOWN_NODE_TYPE"
    CONFIG_INVALID = "CONFIG_INVALID"
    TEMPLATE_NOT_UPSTREAM = "TEMPLATE_NOT_UPSTREAM"
    TEMPLATE_INVALID = "TEMPLATE_INVALID"
    EXPRESSION_INVALID = "EXPRESSION_INVALID"
    SECRET_NOT_ALLOWED_HERE = "SECRET_NOT_ALLOWED_HERE"
    UNREACHABLE_NODE = "UNREACHABLE_NODE"
    BAD_JOIN = "BAD_JOIN"
    UNKNOWN_BRANCH = "UNKNOWN_BRANCH"
    EMPTY = "EMPTY"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    NOT_SUPPORTED = "NOT_SUPPORTED"


class Problem(Struct, frozen=True, rename="camel", omit_defaults=True):
    """One reason why a definition cannot run.

    pointer: JSON pointer (RFC 6901) into the document; of a missing member, where it should be.
    nodes: the way around, for a cycle.
    """

    pointer: str
    code: Code
    message: str
    nodes: list[str] | None = None


def not_yet(construct: str) -> str:
    """The message for a construct of the language that this release does not have."""
    return f"{construct} is not in this release"


class Places:
    """Where the members of the canonical document stand in the one that was given.

    Only what stands elsewhere is noted; what is inside of it moves along.
    """

    def __init__(self) -> None:
        self._moved: dict[str, str] = {}
        self._whole: set[str] = set()

    def note(self, canonical: str, given: str, *, whole: bool = False) -> None:
        """`canonical` stands at `given`; `whole` when nothing inside of it stands anywhere."""
        if canonical != given:
            self._moved[canonical] = given
        if whole:
            self._whole.add(canonical)

    def locate(self, canonical: str) -> str:
        """The pointer into the given document."""
        prefix = canonical
        while prefix:
            if prefix in self._moved:
                rest = "" if prefix in self._whole else canonical[len(prefix) :]
                return self._moved[prefix] + rest
            prefix = prefix.rpartition("/")[0]
        return canonical
