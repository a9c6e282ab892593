"""ETags of workflows: the revision, in quotes. If-Match guards a write, If-None-Match a read."""

from starlette.requests import Request

from penstock.api.errors import Problem

ANY = "*"
TAGS_MAX = 16


def etag(revision: int) -> str:
    """The tag of a revision."""
    return f'"{revision}"'


def expected_revision(request: Request, present: int) -> int | None:
    """The revision that the client has seen, None when any will do.

    Raises Problem 412 when what it has seen is not `present`.
    """
    sent = tags(request, "if-match")
    if not sent or ANY in sent:
        return None
    if etag(present) not in sent:
        said = f"the workflow is at revision {present}, not at the one that If-Match names"
        raise Problem(412, said)
    return present


def is_known(request: Request, revision: int) -> bool:
    """Whether the client has this revision already."""
    sent = tags(request, "if-none-match")
    return ANY in sent or etag(revision) in [tag.removeprefix("W/") for tag in sent]


def tags(request: Request, header: str) -> list[str]:
    """The tags that a header lists."""
    listed = request.headers.get(header, "").split(",")[:TAGS_MAX]
    return [tag.strip() for tag in listed if tag.strip()]
