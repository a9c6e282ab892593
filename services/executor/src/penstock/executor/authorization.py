"""How a connection signs a step's HTTP request: by headers, or by a parameter of the query.

Which place a request goes to is read here by the same rules as when it is sent: with two readers, a
URL could be signed for one host and sent to another.
"""

import hashlib
import re
from base64 import b64encode

from msgspec import Struct
from msgspec.structs import replace

from penstock.executor import sigv4
from penstock.executor.connections import Connection
from penstock.executor.context import StepContext
from penstock.executor.oauth import Send
from penstock.executor.outbound import Answer, Call, url_of
from penstock.executor.outcome import StepFault
from penstock.infra.egress.allowed import canonical_host
from penstock.infra.egress.urls import EgressRefused, NoUrl, Url, parse_url

UNAUTHORIZED = 401
OPENAI_URL = "https://api.openai.com/v1"
S3_URL = "https://s3.{region}.amazonaws.com"
S3_REGION = "us-east-1"
HIDDEN_STEP = re.compile(r"%(?:25)*(?:2[ef]|5c)|(?:^|/)\.{1,2}(?:;|/|$)", re.IGNORECASE)
"""What a server could read as a step up in a path, encoded once or more, or before a `;`."""


class Signature(Struct, frozen=True):
    """What is added to a request. token: that may be too old, of a connection that has tokens.

    url: what takes the place of the request's URL and query, where those are signed as well.
    """

    headers: tuple[tuple[str, str], ...] = ()
    query: tuple[tuple[str, str], ...] = ()
    token: str = ""
    url: str = ""


async def authorized(context: StepContext, call: Call, send: Send) -> Answer:
    """The answer to `call`, signed by the step's connection where it names one.

    A token that is refused is asked for anew, once. Raises StepFault, and what `send` does.
    """
    connection = context.used.connection
    if connection is None:
        return await send(call)
    refuse_other_places(connection, url_of(call))
    call = replace(call, is_ours=lambda url: is_ours(connection, url) and not has_dots(url))
    signature = await signature_of(context, connection, call, send)
    answer = await send(signed(call, signature))
    if answer.status != UNAUTHORIZED or not signature.token or context.used.tokens is None:
        return answer
    context.used.tokens.drop(context.tenant, connection, signature.token)
    return await send(signed(call, await signature_of(context, connection, call, send)))


async def signature_of(
    context: StepContext, connection: Connection, call: Call, send: Send
) -> Signature:
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
        case "openai":
            return openai_signature(connection)
        case "s3":
            return s3_signature(connection, call)
        case _:
            said = f"the connection {connection.name!r} is of the type {connection.type}"
            raise StepFault("CONFIG_INVALID", f"{said}, which signs no requests")


def openai_signature(connection: Connection) -> Signature:
    """A key, and the organisation that pays."""
    headers = [("authorization", f"Bearer {connection.secrets['apiKey']}")]
    if "organization" in connection.config:
        headers.append(("openai-organization", connection.config["organization"]))
    return Signature(headers=tuple(headers))


def s3_signature(connection: Connection, call: Call) -> Signature:
    """AWS Signature Version 4 over the method, the URL, the body and what S3 reads of headers."""
    url, config = url_of(call), connection.config
    path, query = sigv4.canonical_path(url), sigv4.canonical_query(sigv4.query_pairs(url))
    if has_dots(url):
        raise StepFault("CONFIG_INVALID", "no object with dots for a segment can be asked for")
    moment, body_hash = sigv4.moment_now(), hashlib.sha256(call.body or b"").hexdigest()
    added = (("x-amz-content-sha256", body_hash), ("x-amz-date", moment))
    own = {name for name, _ in added}
    said = ((name.lower(), text) for name, text in call.headers)
    kept = ((n, text) for n, text in said if n.startswith("x-amz-") and n not in own)
    signed_headers = (("host", url.authority), *added, *kept)
    signer = sigv4.Signer(
        config["accessKeyId"],
        connection.secrets["secretAccessKey"],
        config.get("region", S3_REGION),
    )
    signable = sigv4.Signable(call.method.upper(), path, query, signed_headers, body_hash)
    header = ("authorization", sigv4.authorization(signable, signer, moment))
    place = f"{url.scheme}://{url.authority}{path}"
    return Signature((*added, header), url=f"{place}?{query}" if query else place)


def authorization(text: str) -> Signature:
    """The header that most of them are."""
    return Signature(headers=(("authorization", text),))


def signed(call: Call, signature: Signature) -> Call:
    """`call` with what a connection adds, which goes before what the step says of the same name."""
    own = {name for name, _ in signature.headers}
    headers = tuple((name, text) for name, text in call.headers if name.lower() not in own)
    url, query = (signature.url, ()) if signature.url else (call.url, call.query)
    return replace(
        call, url=url, headers=(*headers, *signature.headers), query=(*query, *signature.query)
    )


def refuse_other_places(connection: Connection, url: Url) -> None:
    """Raise StepFault, final, for a place that the connection is not for."""
    if not is_ours(connection, url):
        said = f"the connection {connection.name!r} is not for the host of this request"
        raise StepFault("CONNECTION_REFUSED", said)


def is_ours(connection: Connection, url: Url) -> bool:
    """Whether a connection signs what goes to a place, and may follow a redirect there."""
    config = connection.config
    match connection.type:
        case "s3":
            return is_in_bucket(url, s3_place(connection), config["bucket"])
        case "openai":
            base = place_of(connection, config.get("baseUrl", OPENAI_URL))
            return is_under(url, base) and not HIDDEN_STEP.search(path_below(url, base))
        case _:
            hosts = config.get("hosts")
            known = {canonical_host(one) for one in hosts or ()}
            return hosts is None or canonical_host(url.host) in known


def s3_place(connection: Connection) -> Url:
    """The endpoint of a bucket's connection."""
    region = connection.config.get("region", S3_REGION)
    return place_of(connection, connection.config.get("endpoint", S3_URL.format(region=region)))


def place_of(connection: Connection, text: str) -> Url:
    """A URL of a connection's own config. Raises StepFault, final, where it is none."""
    try:
        return parse_url(text)
    except (NoUrl, EgressRefused) as error:
        said = f"the connection {connection.name!r} names no place: {error}"
        raise StepFault("CONFIG_INVALID", said) from error


def is_under(url: Url, base: Url) -> bool:
    """Whether a URL is `base` or within it."""
    path, root = path_of(url), path_of(base).rstrip("/")
    return url.origin == base.origin and (path == root or path.startswith(f"{root}/"))


def path_below(url: Url, base: Url) -> str:
    """What is left of the path of a URL that is under `base`."""
    return path_of(url)[len(path_of(base).rstrip("/")) :]


def has_dots(url: Url) -> bool:
    """Whether a path has dots for a segment once it is decoded, and signed for S3."""
    return not {".", ".."}.isdisjoint(sigv4.canonical_path(url).split("/"))


def path_of(url: Url) -> str:
    """A URL's path, as it is sent."""
    return url.target.partition("?")[0]


def is_in_bucket(url: Url, endpoint: Url, bucket: str) -> bool:
    """Whether a URL is in a bucket, named in the path or before the endpoint's host."""
    scheme, host, port = endpoint.origin
    if url.origin == (scheme, f"{bucket.lower()}.{host}", port):
        return True
    return is_under(url, place_in(endpoint, bucket))


def place_in(endpoint: Url, bucket: str) -> Url:
    """The bucket below its endpoint."""
    path = path_of(endpoint).rstrip("/")
    return replace(endpoint, target=f"{path}/{bucket}")
