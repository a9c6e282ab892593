"""URLs of tenants, read once and by the rules that browsers have (WHATWG).

Whatever spelling a host comes in (hex, octal or short numbers, percent signs, full-width digits,
capital letters, tabs within), what comes out is the one form that is judged and connected to, so
no second reader can see another host. Only http and https are open.
"""

from urllib.parse import parse_qsl, urlencode

from ada_url import URL
from msgspec import Struct

URL_CHARACTERS_MAX = 8_000
"""What servers commonly take in a request line."""
SHOWN_MAX = 200
DEFAULT_PORTS = {"http": 80, "https": 443}


class EgressRefused(Exception):
    """The destination is closed; it stays closed, so nothing is gained by trying again."""


class NoUrl(ValueError):
    """The text is no URL that can be called; the message shows it."""


class Url(Struct, frozen=True, kw_only=True):
    """An absolute URL of http or https.

    host: canonical, an IPv6 address in brackets. port: the scheme's own where none is named.
    authority: as the `Host` header says it. target: path and query, ASCII. text: without fragment.
    """

    scheme: str
    host: str
    port: int
    authority: str
    target: str
    text: str

    @property
    def origin(self) -> tuple[str, str, int]:
        """What credentials belong to."""
        return self.scheme, self.host, self.port

    def with_query(self, pairs: list[tuple[str, str]]) -> "Url":
        """The same place, asked with `pairs`; they go before pairs of the same names."""
        path, _, query = self.target.partition("?")
        names = {name for name, _ in pairs}
        kept = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] not in names]
        return parse_url(f"{self.scheme}://{self.authority}{path}?{urlencode(kept + pairs)}")


def parse_url(text: str, *, base: Url | None = None) -> Url:
    """`text` as a URL, relative to `base` where one is given.

    Raises NoUrl; EgressRefused for another scheme and for one that holds credentials.
    """
    found = _read(text, base)
    if found is None or found.port == "0" or len(found.href) > URL_CHARACTERS_MAX:
        raise NoUrl(f"{shown(text)} is not a URL")
    scheme = found.protocol.removesuffix(":")
    if scheme not in DEFAULT_PORTS:
        raise EgressRefused(f"only http and https are open, not {scheme}")
    if found.username or found.password:
        raise EgressRefused("a URL that holds credentials is not open")
    found.hash = ""
    return Url(
        scheme=scheme,
        host=found.hostname,
        port=int(found.port) if found.port else DEFAULT_PORTS[scheme],
        authority=found.host,
        target=found.pathname + found.search,
        text=found.href,
    )


def _read(text: str, base: Url | None) -> URL | None:
    # Beyond this even a text that shrinks by being read is none that anybody wrote.
    if len(text) > 2 * URL_CHARACTERS_MAX:
        return None
    try:
        return URL(text, base=None if base is None else base.text)
    except (ValueError, UnicodeError):
        return None


def shown(text: str) -> str:
    """What a message says of a text that is no URL: its beginning, nothing that may be a password.

    All before an `@` may be one, wherever a URL would have it.
    """
    rest = text.rpartition("@")
    cut = f"***@{rest[2]}" if rest[1] else text
    return repr(cut if len(cut) <= SHOWN_MAX else f"{cut[:SHOWN_MAX]}…")
