"""One outgoing HTTP call: redirects, size limits, decoding. All of a step's requests go here.

No cookies are kept. Each redirect is a new request behind the same guard; one that changes the
origin, or leaves what its connection is for, takes along only headers that cannot be credentials.
"""

import asyncio
import re
import zlib
from collections.abc import Callable, Iterator

import httpcore
import httpx
from msgspec import Struct

from penstock.domain.workflow.config_schemas import REDIRECTS_MAX
from penstock.executor.transport import GuardedTransport, Request
from penstock.infra.egress.urls import EgressRefused, NoUrl, Url, parse_url

BODY_BYTES_MAX = 10 * 1024 * 1024
"""Of a response, after decompression."""
RATIO_MAX = 100
RATIO_FREE_BYTES = 1024 * 1024
"""Below this a high compression ratio is no bomb."""
HEADER_BYTES_MAX = 32 * 1024
USER_AGENT = "penstock"

HARMLESS_HEADERS = frozenset(
    {"accept", "accept-encoding", "accept-language", "content-type", "idempotency-key"}
    | {"traceparent", "user-agent"}
)
"""What follows a redirect to another origin; any other header may be a credential."""

OWN_HEADERS = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "te", "trailer"}
    | {"proxy-authorization", "proxy-connection", "transfer-encoding", "upgrade"}
)
"""Headers that frame the message; whoever sets them could smuggle a second one."""


class CallInvalid(Exception):
    """The call cannot be made as it is written: its URL, method or headers are not valid."""


class Unreachable(Exception):
    """The far side could not be reached, or broke off."""


class CallTimedOut(Exception):
    """The far side did not answer within the call's limit."""


class AnswerTooLarge(Exception):
    """The answer is over a size limit."""


class RedirectsExceeded(Exception):
    """More redirects than a call may follow."""


class Call(Struct, frozen=True, kw_only=True):
    """A request to make for a tenant.

    timeout_ms: of all of it, redirects included. redirects_max: with 0 a redirect is the answer.
    body_max: bytes of the answer. verify: whether the far side's certificate must be valid.
    is_ours: whether credentials may follow a redirect to a place of the same origin.
    """

    tenant: str
    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    timeout_ms: int
    redirects_max: int = REDIRECTS_MAX
    body_max: int = BODY_BYTES_MAX
    verify: bool = True
    is_ours: Callable[[Url], bool] = lambda _: True


class Answer(Struct, frozen=True):
    """What came back. headers: names in lower case, repeated ones joined by a comma."""

    status: int
    headers: dict[str, str]
    body: bytes


async def send(transport: GuardedTransport, call: Call) -> Answer:
    """Make `call` and read its whole answer.

    Raises CallInvalid, EgressRefused, Unreachable, CallTimedOut, AnswerTooLarge,
    RedirectsExceeded.
    """
    try:
        async with asyncio.timeout(call.timeout_ms / 1000):
            return await _follow(transport, call)
    except httpcore.TimeoutException as error:
        raise Unreachable(str(error) or "no connection in time") from error
    except TimeoutError as error:
        raise CallTimedOut(f"no answer within {call.timeout_ms} ms") from error
    except httpcore.LocalProtocolError as error:
        # The library's words quote what was sent, or what came back: a secret maybe.
        raise CallInvalid("the request is not valid HTTP") from error
    except httpcore.ProtocolError as error:
        raise Unreachable("the answer broke off, or is not valid HTTP") from error
    except httpcore.NetworkError as error:
        raise Unreachable(str(error) or "the connection was lost") from error


async def _follow(transport: GuardedTransport, call: Call) -> Answer:
    request = _request(call)
    for _ in range(call.redirects_max + 1):
        arriving = transport.response(request, tenant=call.tenant, verify=call.verify)
        async with arriving as response:
            headers = _headers(response)
            location = headers.get("location")
            if not (call.redirects_max and location and response.status in REDIRECTS):
                return Answer(response.status, headers, await _body(response, headers, call))
        request = _redirected(request, response.status, location, call.is_ours)
    raise RedirectsExceeded(f"more than {call.redirects_max} redirects")


HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
VISIBLE = r"!-~\x80-\ud7ff\ue000-\U0010ffff"
HEADER_VALUE = re.compile(rf"(?:[{VISIBLE}](?:[ \t{VISIBLE}]*[{VISIBLE}])?)?")
"""Visible characters, sent as UTF-8, with spaces and tabs between them (RFC 9110, 5.5)."""
METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Z-]{1,40}")
REDIRECTS = frozenset({301, 302, 303, 307, 308})
BODY_KEEPING_REDIRECTS = frozenset({307, 308})


def _request(call: Call) -> Request:
    url = url_of(call)
    headers = httpx.Headers({"user-agent": USER_AGENT, "accept": "*/*"})
    for name, value in call.headers:
        if name.lower() in OWN_HEADERS:
            raise CallInvalid(f"the header {name} is not a step's to set")
        if HEADER_NAME.fullmatch(name) is None:
            raise CallInvalid(f"the header {name} has a name that is none")
        if HEADER_VALUE.fullmatch(value) is None:
            # Its name is said and not its value, which may be a secret.
            said = "holds a control character, or begins or ends with a space or a line end"
            raise CallInvalid(f"the value of the header {name} {said}")
        headers[name] = value
    headers.setdefault("accept-encoding", "gzip, deflate")
    return Request(method=_method(call), url=url, headers=headers, body=call.body)


def url_of(call: Call) -> Url:
    """Where a call goes, read as it will be when it is sent. Raises CallInvalid, EgressRefused."""
    try:
        url = parse_url(call.url)
        return url.with_query(list(call.query)) if call.query else url
    except NoUrl as error:
        raise CallInvalid(str(error)) from error


def _method(call: Call) -> str:
    method = call.method.upper()
    if METHOD.fullmatch(method) is None:
        raise CallInvalid("the method is not a word")
    return method


def _redirected(
    request: Request, status: int, location: str, is_ours: Callable[[Url], bool]
) -> Request:
    try:
        url = parse_url(_as_sent(location), base=request.url)
    except NoUrl as error:
        raise EgressRefused(f"redirected to a place that is no URL: {error}") from error
    same = url.origin == request.url.origin and is_ours(url)
    keeps_body = status in BODY_KEEPING_REDIRECTS or request.method in {"GET", "HEAD"}
    headers = [
        (name, value)
        for name, value in request.headers.multi_items()
        if (same or name in HARMLESS_HEADERS) and (keeps_body or name != "content-type")
    ]
    return Request(
        method=request.method if keeps_body else "GET",
        url=url,
        headers=httpx.Headers(headers),
        body=request.body if keeps_body else None,
    )


def _as_sent(location: str) -> str:
    """A header's text, read as Latin-1, as the UTF-8 that it was meant as, where it was."""
    try:
        return location.encode("latin-1").decode()
    except UnicodeDecodeError:
        return location


def _headers(response: httpcore.Response) -> dict[str, str]:
    if sum(len(name) + len(value) for name, value in response.headers) > HEADER_BYTES_MAX:
        raise AnswerTooLarge(f"the answer's headers are over {HEADER_BYTES_MAX} bytes")
    headers: dict[str, str] = {}
    for raw_name, raw_value in response.headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


async def _body(response: httpcore.Response, headers: dict[str, str], call: Call) -> bytes:
    declared = headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > call.body_max:
        raise AnswerTooLarge(f"the answer is over {call.body_max} bytes")
    inflate = _Inflate(headers.get("content-encoding", "").strip().lower())
    parts: list[bytes] = []
    size = wire_size = 0
    async for part in response.aiter_stream():
        wire_size += len(part)
        for piece in inflate.pieces(part):
            parts.append(piece)
            size += len(piece)
            if size > call.body_max:
                raise AnswerTooLarge(f"the answer is over {call.body_max} bytes")
            if size > RATIO_FREE_BYTES and size > wire_size * RATIO_MAX:
                raise AnswerTooLarge(f"the answer is compressed by more than {RATIO_MAX}")
    return b"".join(parts)


PIECE_BYTES = 256 * 1024
WINDOW_BITS = {
    "gzip": zlib.MAX_WBITS | 16,
    "x-gzip": zlib.MAX_WBITS | 16,
    "deflate": zlib.MAX_WBITS,
}


class _Inflate:
    """Decompresses in pieces of bounded size, so that a bomb is noticed before it is in memory.

    An encoding that it does not know passes unchanged.
    """

    def __init__(self, encoding: str) -> None:
        self._bits = WINDOW_BITS.get(encoding, 0)
        self._known = encoding in WINDOW_BITS
        self._stream = zlib.decompressobj(self._bits)
        self._begun = False

    def pieces(self, part: bytes) -> Iterator[bytes]:
        """The bytes that `part` holds. Raises Unreachable when they are corrupt."""
        if not self._known:
            yield part
            return
        while True:
            piece = self._piece(part)
            yield piece
            part = self._stream.unconsumed_tail
            if self._stream.eof and self._stream.unused_data:
                part = self._stream.unused_data
                self._stream = zlib.decompressobj(self._bits)
            # A full piece may have more behind it although all input is consumed.
            if not part and len(piece) < PIECE_BYTES:
                return

    def _piece(self, part: bytes) -> bytes:
        try:
            return self._inflated(part)
        except zlib.error as error:
            raise Unreachable(f"the answer's compression is corrupt: {error}") from error

    def _inflated(self, part: bytes) -> bytes:
        begun, self._begun = self._begun, True
        try:
            return self._stream.decompress(part, PIECE_BYTES)
        except zlib.error:
            if begun or self._bits != zlib.MAX_WBITS:
                raise
            # Some servers say deflate and mean it without zlib's frame.
            self._bits = -zlib.MAX_WBITS
            self._stream = zlib.decompressobj(self._bits)
            return self._stream.decompress(part, PIECE_BYTES)
