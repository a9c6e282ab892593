"""AWS Signature Version 4, as services that speak S3 check it: a request in, its headers out.

What is signed is what is sent, byte by byte: path and query leave here in their canonical form.
"""

import hashlib
import hmac
from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from msgspec import Struct

from penstock.infra.egress.urls import Url

ALGORITHM = "AWS4-HMAC-SHA256"
ENDING = "aws4_request"
UNRESERVED = "-_.~"


class Signer(Struct, frozen=True):
    """Who signs, for what. service: `s3`."""

    access_key_id: str
    secret_access_key: str
    region: str
    service: str = "s3"


class Signable(Struct, frozen=True):
    """A request. path and query are canonical; headers: names in lower case, those signed."""

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body_hash: str


def canonical_path(url: Url) -> str:
    """The path of a URL, every octet but the unreserved ones and the slash percent-encoded."""
    return quote(unquote_to_bytes(url.target.partition("?")[0]), safe="/" + UNRESERVED)


def canonical_query(pairs: Iterable[tuple[str, str]]) -> str:
    """Parameters in the order of their encoded names and values."""
    encoded = ((quote(n, safe=UNRESERVED), quote(v, safe=UNRESERVED)) for n, v in pairs)
    return "&".join(f"{name}={value}" for name, value in sorted(encoded))


def query_pairs(url: Url) -> list[tuple[str, str]]:
    """The parameters of a URL."""
    return parse_qsl(url.target.partition("?")[2], keep_blank_values=True)


def authorization(signable: Signable, signer: Signer, moment: str) -> str:
    """The `authorization` header. moment: as `x-amz-date` says it, `20150830T123600Z`."""
    headers = sorted((name, " ".join(value.split())) for name, value in signable.headers)
    names = ";".join(name for name, _ in headers)
    request = "\n".join(
        [
            *(signable.method, signable.path, signable.query),
            *(f"{name}:{value}" for name, value in headers),
            *("", names, signable.body_hash),
        ]
    )
    scope = f"{moment[:8]}/{signer.region}/{signer.service}/{ENDING}"
    said = "\n".join((ALGORITHM, moment, scope, hashlib.sha256(request.encode()).hexdigest()))
    signature = hmac.digest(signing_key(signer, moment[:8]), said.encode(), hashlib.sha256).hex()
    credential = f"{signer.access_key_id}/{scope}"
    return f"{ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"


def signing_key(signer: Signer, day: str) -> bytes:
    """The key that signs for a day, a region and a service."""
    key = f"AWS4{signer.secret_access_key}".encode()
    for part in (day, signer.region, signer.service, ENDING):
        key = hmac.digest(key, part.encode(), hashlib.sha256)
    return key


def moment_now() -> str:
    """The moment as signatures say it."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
