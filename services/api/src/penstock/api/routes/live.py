"""The WebSocket: the handshake as an ordinary request, then frames.

A browser cannot set headers here, so the credential comes as `token`, and the tenant of a platform
admin as `tenantId`; headers are taken, too. The door has taken `token` out of the URL before
anybody could log it.
"""

from starlette.requests import Request
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from penstock.api.auth import PRESENTED, RUNS_READ
from penstock.api.errors import CODE, Problem, handle
from penstock.api.parts import parts_of
from penstock.api.sockets import Socket

PATHS = ("/ws", "/api/ws")
TOLD = ("actor", "tenant", PRESENTED, CODE)
"""What the door hears of a handshake that was refused."""


async def live(websocket: WebSocket) -> None:
    """Refuse with a problem, or accept and serve."""
    request = handshake(websocket)
    try:
        caller = await RUNS_READ(request)
        with parts_of(request).capacity.taken(caller.tenant_id):
            await websocket.accept()
            await Socket(websocket, request, caller).serve()
    except Exception as error:
        if websocket.application_state.name != "CONNECTING":
            raise
        answer = await handle(request, error)
        websocket.scope.update({name: request.scope.get(name) for name in TOLD})
        await websocket.send_denial_response(answer)


def handshake(websocket: WebSocket) -> Request:
    """The handshake as a request, with the credential and tenant of its query as headers."""
    scope = websocket.scope
    headers = list(scope["headers"])
    if scope.get("token"):
        headers.append((b"authorization", b"Bearer " + scope["token"].encode()))
    tenant_id = websocket.query_params.get("tenantId")
    if tenant_id:
        headers.append((b"x-tenant-id", tenant_id.encode()))
    return Request({**scope, "type": "http", "method": "GET", "headers": headers})


async def unknown(websocket: WebSocket) -> None:
    """There is nothing to watch at any other path."""
    problem = Problem(404, "Not Found")
    await websocket.send_denial_response(await handle(handshake(websocket), problem))


ROUTES = (
    *(WebSocketRoute(path, live) for path in PATHS),
    WebSocketRoute("/{path:path}", unknown),
)
