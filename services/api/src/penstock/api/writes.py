"""How a write is answered: after the read models have passed it, or with 202."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from penstock.api.answers import POSITION_HEADER, REPLAYED_HEADER, answered
from penstock.api.checkpoint import WAIT_S
from penstock.api.errors import Unavailable
from penstock.api.parts import Parts
from penstock.api.positions import REGISTRY, parse
from penstock.api.registry import Written

READ_AFTER = "x-read-after"


async def settled(
    parts: Parts,
    written: Written[Any],
    body: object,
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Response:
    """The answer to a write to the registry."""
    headers = dict(headers or {})
    if written.replayed:
        headers[REPLAYED_HEADER] = "true"
    if await parts.checkpoint.reached(REGISTRY, written.seq):
        headers[POSITION_HEADER] = written.position
    else:
        status = 202
    if status == 204:
        return Response(status_code=status, headers=headers)
    return answered(body, status=status, headers=headers)


async def read_after(request: Request, parts: Parts) -> None:
    """Wait until the rows hold what X-Read-After names. Raises `Unavailable` when they do not."""
    text = request.headers.get(READ_AFTER)
    if text is None:
        return
    position = parse(text, "/header/X-Read-After")
    if not await parts.checkpoint.reached(position.log, position.seq, timeout_s=WAIT_S):
        raise Unavailable("the read models are behind; try again soon")
