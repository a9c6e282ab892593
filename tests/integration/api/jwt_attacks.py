"""Tokens that must open nothing: every known way to talk a verifier into believing one (RFC 8725).

Each attack is the good token's claims and header with one thing wrong, so that nothing else can be
what refused it.
"""

import base64
import hashlib
import hmac
import json
import zlib
from collections.abc import Iterator
from time import time
from typing import Any, NamedTuple
from uuid import uuid4

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, RSAKey

from penstock.api.identity.jwt_keys import KeySet

Members = dict[str, Any]
Attack = tuple[str, str]


OTHERS = (
    *("none", "None", "NONE", "nOnE", "", "null", "HS256", "RS256", "PS256", "ES384", "ES512"),
    *("EdDSA", "Ed25519", "ES256K", "es256", "ES256 ", "A128KW", "dir"),
)
"""Names of algorithms that are not our key's."""


class Good(NamedTuple):
    """What a good token is made of."""

    header: Members
    claims: Members
    keys: KeySet

    @property
    def key(self) -> ECKey:
        """The key that signs."""
        key = self.keys.keys[self.keys.signing].key
        assert isinstance(key, ECKey)
        return key


def segment(value: object) -> str:
    """JSON, or bytes, as a segment."""
    raw = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def parsed(segment_text: str) -> Members:
    """A segment's object."""
    found: Members = json.loads(base64.urlsafe_b64decode(segment_text + "=="))
    return found


def es256(signed: str, key: ECKey) -> str:
    """A true signature over whatever stands before the last dot."""
    private = key.private_key
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    r, s = decode_dss_signature(private.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return segment(r.to_bytes(32) + s.to_bytes(32))


def signed(good: Good, header: object = None, claims: object = None) -> str:
    """A token that our own key truly signed, whatever it says."""
    parts = (good.header if header is None else header, good.claims if claims is None else claims)
    text = ".".join(map(segment, parts))
    return f"{text}.{es256(text, good.key)}"


def hmacked(text: str, secret: bytes, digest: str = "sha256") -> str:
    """A token with an HMAC for a signature."""
    return f"{text}.{segment(hmac.digest(secret, text.encode(), digest))}"


def attacks(token: str, good: Good) -> Iterator[Attack]:
    """Name and token of every attack."""
    yield from algorithms(token, good)
    yield from confusions(good)
    yield from headers(good)
    yield from moments(good)
    yield from claims(good)
    yield from signatures(token)
    yield from encodings(token, good)
    yield from shapes(token, good)


def algorithms(token: str, good: Good) -> Iterator[Attack]:
    """Tokens that name another algorithm than the key's, with and without their signature."""
    _, body, signature = token.split(".")
    for name in OTHERS:
        head = segment(good.header | {"alg": name})
        yield f"alg {name!r} unsigned", f"{head}.{body}."
        yield f"alg {name!r} with another's signature", f"{head}.{body}.{signature}"
    for value in (None, 1, True, ["ES256"], {"ES256": 1}):
        yield f"alg {value!r}", signed(good, good.header | {"alg": value})
    yield "no alg", signed(good, {k: v for k, v in good.header.items() if k != "alg"})


def confusions(good: Good) -> Iterator[Attack]:
    """HMACs whose secret everybody knows, and other people's keys."""
    public = good.key.public_key
    text = f"{segment(good.header | {'alg': 'HS256'})}.{segment(good.claims)}"
    pem = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    der = public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    jwk = json.dumps(good.key.as_dict(private=False)).encode()
    for name, secret in (
        ("PEM", pem),
        ("stripped PEM", pem.strip()),
        ("DER", der),
        ("JWK", jwk),
        ("kid", good.keys.signing.encode()),
        ("nothing", b""),
        ("a zero", b"\0"),
        ("secret", b"secret"),
    ):
        yield f"HS256 with {name}", hmacked(text, secret)
    yield (
        "HS512 with PEM",
        hmacked(f"{segment(good.header | {'alg': 'HS512'})}.{segment(good.claims)}", pem, "sha512"),
    )
    payload = json.dumps(good.claims).encode()
    other = ECKey.generate_key("P-256")
    yield "another key", jws.serialize_compact(good.header, payload, other, algorithms=["ES256"])
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    header = good.header | {"alg": "RS256"}
    key = RSAKey.import_key(private)
    yield "an RSA key", jws.serialize_compact(header, payload, key, algorithms=["RS256"])
    oct_key = OctKey.import_key(hashlib.sha256(b"known").digest())
    header = good.header | {"alg": "HS256"}
    yield "an oct key", jws.serialize_compact(header, payload, oct_key, algorithms=["HS256"])


def headers(good: Good) -> Iterator[Attack]:
    """Headers that bring a key, name one that is elsewhere, or demand something."""
    thief = ECKey.generate_key("P-256")
    stolen = good._replace(
        keys=KeySet("k", {"k": good.keys.keys[good.keys.signing]._replace(key=thief)})
    )
    jwk = thief.as_dict(private=False)
    certificate = base64.b64encode(b"certificate").decode()
    keys: tuple[tuple[str, Members], ...] = (
        ("jwk", {"jwk": jwk}),
        ("jku", {"jku": "https://example.org/keys"}),
        ("jku of ours", {"jku": "http://127.0.0.1/keys"}),
        ("x5u", {"x5u": "https://example.org/chain"}),
        ("x5c", {"x5c": [certificate]}),
        ("x5t", {"x5t": certificate}),
    )
    for name, more in keys:
        yield f"{name} with its key", signed(stolen, good.header | more)
        yield f"{name} with our key", signed(good, good.header | more)
    demands: tuple[tuple[str, Members], ...] = (
        ("crit", {"crit": ["exp"]}),
        ("empty crit", {"crit": []}),
        ("crit b64", {"crit": ["b64"], "b64": False}),
        ("b64", {"b64": False}),
        ("zip", {"zip": "DEF"}),
        ("enc", {"enc": "A256GCM"}),
        ("cty", {"cty": "JWT"}),
        ("iss in the header", {"iss": "penstock"}),
        ("an unknown header", {"x": 1}),
        ("typ JWE", {"typ": "JWE"}),
        ("typ of an id token", {"typ": "logout+jwt"}),
        ("typ a number", {"typ": 1}),
    )
    for name, more in demands:
        yield name, signed(good, good.header | more)
    for kid in ("", "nobody", "../../dev/null", "/dev/null", "' or '1'='1", "0", "null", "*",
                good.keys.signing + " ", good.keys.signing.swapcase(), "k" * 500,
                None, 0, True, [good.keys.signing], {"kid": good.keys.signing}):  # fmt: skip
        yield f"kid {kid!r:.40}", signed(good, good.header | {"kid": kid})
    yield "no kid", signed(good, {k: v for k, v in good.header.items() if k != "kid"})


def moments(good: Good) -> Iterator[Attack]:
    """Tokens of another time."""
    now = int(time())
    yield "expired", signed(good, None, good.claims | {"iat": now - 900, "exp": now - 60})
    yield "expired long ago", signed(good, None, good.claims | {"iat": 1, "nbf": 1, "exp": 2})
    yield "not yet", signed(good, None, good.claims | {"nbf": now + 120})
    yield "from the future", signed(good, None, good.claims | {"iat": now + 120})
    yield "for ever", signed(good, None, good.claims | {"exp": now + 10**9})
    yield "for an hour", signed(good, None, good.claims | {"exp": now + 3600})
    yield "backwards", signed(good, None, good.claims | {"iat": now, "exp": now - 120})
    for name in ("exp", "nbf", "iat"):
        yield f"no {name}", signed(good, None, {k: v for k, v in good.claims.items() if k != name})
        for value in (None, "soon", str(now), True, [now], {"at": now}):
            yield f"{name} {value!r}", signed(good, None, good.claims | {name: value})
    text = json.dumps(good.claims)
    for value in ("NaN", "Infinity", "1e999"):
        body = text.replace(f'"exp": {good.claims["exp"]}', f'"exp": {value}').encode()
        assert body != text.encode()
        yield f"exp {value}", signed(good, None, body)


def claims(good: Good) -> Iterator[Attack]:
    """Tokens for somebody else, by somebody else, or about nobody."""
    for name, values in (
        ("iss", ("", "other", "penstock ", "Penstock", ["penstock"], None, 1)),
        ("aud", ("", "other", "penstock", [], ["other"], ["penstock-api", "other"], None)),
        ("sub", ("", "nobody", str(uuid4()), None, 1, [good.claims["sub"]], "0" * 300)),
        ("tid", ("", str(uuid4()), None, "*", [good.claims["tid"]])),
        ("sid", ("", str(uuid4()), None, "*")),
    ):
        yield f"no {name}", signed(good, None, {k: v for k, v in good.claims.items() if k != name})
        for value in values:
            yield f"{name} {value!r:.40}", signed(good, None, good.claims | {name: value})
    text = json.dumps(good.claims)
    twice = text.replace("{", f'{{"sub": "{uuid4()}", ', 1).encode()
    yield "sub twice", signed(good, None, twice)
    yield "exp twice", signed(good, None, text.replace("{", '{"exp": 9999999999, ', 1).encode())
    head = json.dumps(good.header).replace("{", '{"alg": "none", ', 1).encode()
    yield "alg twice", signed(good, head)


def signatures(token: str) -> Iterator[Attack]:
    """Signatures that are not the one."""
    text, _, signature = token.rpartition(".")
    raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
    yield "no signature", f"{text}."
    yield "no signature and no dot", text
    for name, changed in (
        ("zeros", bytes(64)),
        ("r zero", bytes(32) + raw[32:]),
        ("s zero", raw[:32] + bytes(32)),
        ("ones", b"\xff" * 64),
        ("truncated", raw[:-1]),
        ("halved", raw[:32]),
        ("longer", raw + b"\0"),
        ("turned round", bytes(reversed(raw))),
        ("swapped halves", raw[32:] + raw[:32]),
        ("one bit", bytes([raw[0] ^ 1]) + raw[1:]),
        ("the order as r", bytes.fromhex("ffffffff00000000ffffffffffffffff"
                                         "bce6faada7179e84f3b9cac2fc632551") + raw[32:]),
    ):  # fmt: skip
        yield f"signature {name}", f"{text}.{segment(bytes(changed))}"


def encodings(token: str, good: Good) -> Iterator[Attack]:
    """The same bytes, written another way."""
    head, body, signature = token.split(".")
    yield "padded", f"{head}.{body}.{signature}=="
    yield "padded header", f"{head}=.{body}.{signature}"
    yield (
        "standard base64",
        ".".join(
            base64.b64encode(base64.urlsafe_b64decode(each + "==")).decode()
            for each in (head, body, signature)
        ),
    )
    last = signature[-1]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    sibling = alphabet[alphabet.index(last) ^ 1]
    yield "loose last bits", f"{head}.{body}.{signature[:-1]}{sibling}"
    yield "a space within", f"{head}.{body[:5]} {body[5:]}.{signature}"
    yield "a tab within", f"{head}.{body[:5]}\t{body[5:]}.{signature}"
    yield "percent-encoded", token.replace(".", "%2E")
    yield "upper case", token.upper()
    yield "hex", ".".join(each.encode().hex() for each in (head, body, signature))
    packed = zlib.compress(json.dumps(good.claims).encode())
    yield "compressed", signed(good, good.header | {"zip": "DEF"}, packed)
    yield (
        "with a byte order mark",
        signed(good, None, b"\xef\xbb\xbf" + json.dumps(good.claims).encode()),
    )
    yield "UTF-16", signed(good, None, json.dumps(good.claims).encode("utf-16"))


def shapes(token: str, good: Good) -> Iterator[Attack]:
    """What is no token, or more than one."""
    head, body, signature = token.split(".")
    yield "two segments", f"{head}.{body}"
    yield "four segments", f"{token}.{signature}"
    yield "five segments, as if encrypted", f"{head}.{body}.{signature}.{body}.{signature}"
    yield "nothing but dots", ".."
    yield "a dot before", f".{token}"
    yield "a dot behind", f"{token}."
    yield "no header", f".{body}.{signature}"
    yield "no claims", f"{head}..{signature}"
    yield "two tokens", f"{token},{token}"
    yield "huge", signed(good, None, good.claims | {"pad": "x" * 9000})
    yield "a huge header", signed(good, good.header | {"kid": "x" * 3000})
    yield "deep", signed(good, None, b'{"a":' * 3000 + b"1" + b"}" * 3000)
    yield "a token within", signed(good, good.header | {"cty": "JWT"}, token.encode())
    yield "JSON form", json.dumps({"protected": head, "payload": body, "signature": signature})
    for name, value in (("a list", [good.claims]), ("a text", "claims"), ("null", None), ("1", 1)):
        yield f"claims {name}", signed(good, None, json.dumps(value).encode())
        yield f"header {name}", signed(good, json.dumps(value).encode())
    yield "claims that are no JSON", signed(good, None, b"{'sub': 1}")
    yield "empty claims", signed(good, None, {})
    yield "claims twice", signed(good, None, json.dumps(good.claims).encode() * 2)
