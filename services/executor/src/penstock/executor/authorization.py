"""How a connection signs a step's HTTP request: by a header, or by a parameter of the query."""

from base64 import b64encode
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from penstock.executor.connections import Connection
from penstock.executor.context import StepContext
from penstock.executor.oauth import Send
from penstock.executor.outbound import Answer, Call
from penstock.executor.outcome import StepFault

UNAUTHORIZED = 401


class Signature(Struct, frozen=True):
    """What is added to a request. token: that may be too old, of a connection that has tokens."""

    headers: tuple[tuple[str, str], ...] = ()
    query: tuple[tuple[str, str], ...] = ()
    token: str = ""


async def authorized(context: StepContext, call: Call, send: Send) -> Answer:
    """The answer to `call`, signed by the step's connection where it names one.

    A token that is refused is asked for anew, once. Raises StepFault, and what `send` does.
    """
    connection = context.used.connection
    if connection is None:
        return await send(call)
    refuse_other_hosts(connection, call)
    signature = await signature_of(context, connection, send)
    answer = await send(signed(call, signature))
    if answer.status != UNAUTHORIZED or not signature.token or context.used.tokens is None:
        return answer
    context.used.tokens.drop(context.tenant, connection, signature.token)
    return await send(signed(call, await signature_of(context, connection, send)))


async def signature_of(context: StepContext, connection: Connection, send: Send) -> Signature:
    """What a connection adds. Raises StepFault, final, for one that signs no requests."""
    config, secrets = connection.config, connection.secrets
    match connection.type:
        case "http_basic":
            pair = f"{config['username']}:{secrets['password']}"
            text = b64encode(pair.encode()).decode()
            context.used.scrubber.hide(text)
            return authorization(f"Basic {text}")
        case "bearer":
            return authorization(f"Bearer {secrets['token']}")
        case "api_key":
            added = ((config["name"], secrets["key"]),)
            if config.get("in", "header") == "query":
                return Signature(query=added)
            return Signature(headers=((config["name"].lower(), secrets["key"]),))
        case "oauth2_client_credentials":
            assert context.used.tokens is not None, "whoever has a connection has a place for them"
            token = await context.used.tokens.token(context.tenant, connection, send)
            context.used.scrubber.hide(token)
            return replace(authorization(f"Bearer {token}"), token=token)
        case _:
            said = f"the connection {connection.name!r} is of the type {connection.type}"
            raise StepFault("CONFIG_INVALID", f"{said}, which signs no requests")


def authorization(text: str) -> Signature:
    """The header that most of them are."""
    return Signature(headers=(("authorization", text),))


def signed(call: Call, signature: Signature) -> Call:
    """`call` with what a connection adds, which goes before what the step says of the same name."""
    own = {name for name, _ in signature.headers}
    headers = tuple((name, text) for name, text in call.headers if name.lower() not in own)
    return replace(
        call, headers=(*headers, *signature.headers), query=(*call.query, *signature.query)
    )


def refuse_other_hosts(connection: Connection, call: Call) -> None:
    """Raise StepFault, final, for a host that the connection is not for."""
    hosts = connection.config.get("hosts")
    if hosts is None:
        return
    try:
        host = urlsplit(call.url).hostname
    except ValueError:
        host = None
    if host is None or host.lower() not in {one.lower() for one in hosts}:
        said = f"the connection {connection.name!r} is not for the host of this request"
        raise StepFault("CONNECTION_REFUSED", said)
