"""ETags of workflows: the revision, in quotes. If-Match guards a write, If-None-Match a read.

Lists, weak tags and `*` as RFC 9110 (8.8.3, 13.1) has them: If-Match compares strongly, so a weak
tag never matches there; If-None-Match compares weakly.
"""

import re
from typing import NamedTuple

from starlette.requests import Request

from penstock.api.errors import detail, invalid

IF_MATCH = "If-Match"
IF_NONE_MATCH = "If-None-Match"
ANY = "*"
TAGS_MAX = 64
TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
BETWEEN = re.compile(r"[ \t,]*")
BETWEEN_TAGS = re.compile(r"[ \t]*(?:,[ \t]*)+|[ \t]*$")
REVISION = re.compile(r"[0-9]{1,9}")


class Tag(NamedTuple):
    """One entity tag: what stands between its quotes, and whether a `W/` stands before."""

    text: str
    is_weak: bool


def etag(revision: int) -> str:
    """The tag of a revision."""
    return f'"{revision}"'


def may_change(request: Request) -> frozenset[int] | None:
    """The revisions that If-Match names, None when any will do.

    A tag that is none of ours names no revision. Raises Problem 400 for what is no list of tags.
    """
    found = tags(request, IF_MATCH)
    if found is None:
        return None
    strong = (tag.text for tag in found if not tag.is_weak)
    return frozenset(int(text) for text in strong if REVISION.fullmatch(text))


def is_known(request: Request, revision: int) -> bool:
    """Whether the client has this revision already. Raises as `may_change` does."""
    if IF_NONE_MATCH.lower() not in request.headers:
        return False
    found = tags(request, IF_NONE_MATCH)
    return found is None or str(revision) in {tag.text for tag in found}


def tags(request: Request, header: str) -> list[Tag] | None:
    """The tags that a header lists; None for no such header, and for `*`."""
    given = request.headers.getlist(header)
    text = ", ".join(given).strip()
    if not given or text == ANY:
        return None
    found = listed(text)
    if found is None:
        said = f'must be * or a list of at most {TAGS_MAX} tags, each in quotes: "3"'
        fault = detail(f"/header/{header}", "SCHEMA_INVALID", said)
        raise invalid(f"{header} is not valid", fault)
    return found


def listed(text: str) -> list[Tag] | None:
    """The tags of a list, whose elements may be empty; None for what is no list of tags."""
    found: list[Tag] = []
    leading = BETWEEN.match(text)
    at = leading.end() if leading else 0
    while at < len(text):
        tag = TAG.match(text, at)
        end = None if tag is None else BETWEEN_TAGS.match(text, tag.end())
        if tag is None or end is None or len(found) == TAGS_MAX:
            return None
        found.append(Tag(tag[2], tag[1] is not None))
        at = end.end()
    return found or None
