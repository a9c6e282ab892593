"""Canaries: values that must be found nowhere that anything is kept, and the search for them."""

import json
import secrets
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

import psycopg
from psycopg import sql

from tests.e2e.runs import Document

ODD = '"q\\ %+/&='
"""What has another spelling in some form; all of it may stand in a header."""
FILE_BYTES_MAX = 256 * 1024 * 1024


def canary(what: str) -> str:
    """A value that nobody else has."""
    return f"{what}.{secrets.token_hex(8)}{ODD}{secrets.token_hex(4)}"


def spelled(value: str) -> dict[str, str]:
    """Every form of a value that is looked for. Base64: at each place where it can begin."""
    raw = value.encode()
    text = json.dumps(value)[1:-1]
    forms = {
        "raw": value,
        "json": text,
        "json in json": json.dumps(text)[1:-1],
        "hex": raw.hex(),
        "HEX": raw.hex().upper(),
        "url": quote(value, safe=""),
        "url in small digits": lowered(quote(value, safe="")),
        "url path": quote(value),
        "form": quote_plus(value),
    }
    for before in range(3):
        whole = bytes(before) + raw
        first, last = (before * 8 + 5) // 6, len(whole) * 8 // 6
        forms[f"base64 at {before}"] = b64encode(whole).decode()[first:last]
        forms[f"base64url at {before}"] = urlsafe_b64encode(whole).decode()[first:last]
    return forms


def lowered(encoded: str) -> str:
    """Percent-encoding with small digits."""
    first, *rest = encoded.split("%")
    return "%".join([first, *(part[:2].lower() + part[2:] for part in rest)])


def echoed(value: str) -> Document:
    """What a server says that repeats a value in every form, alone and among other words."""
    raw = value.encode()
    return {
        "forms": [f"<{form}>" for form in spelled(value).values()],
        "whole": [b64encode(f"{'x' * n}{value}yz".encode()).decode() for n in range(3)],
        "nested": json.dumps({"said": json.dumps([value])}),
        value: {"in the name": raw.hex()},
    }


def found(canaries: Mapping[str, str], places: Iterable[tuple[str, bytes]]) -> list[str]:
    """Where which canary is in which form; nothing when all is well."""
    wanted = [
        (what, form, text.encode())
        for what, value in canaries.items()
        for form, text in spelled(value).items()
    ]
    return [
        f"{what} as {form} in {place}"
        for place, content in places
        for what, form, text in wanted
        if text in content
    ]


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of a folder, whole."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            assert path.stat().st_size <= FILE_BYTES_MAX, "the search reads whole files"
            yield str(path.relative_to(folder)), path.read_bytes()


TABLES = """
select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and n.nspname in ('penstock', 'vault', 'public') order by 1, 2
"""


def dumped(url: str) -> Iterator[tuple[str, bytes]]:
    """Every table of every schema as text, one row a line; bytes as they are and in hex."""
    with psycopg.connect(url) as owner:
        for schema, table in owner.execute(TABLES).fetchall():
            name = sql.Identifier(schema, table)
            rows = owner.execute(sql.SQL("select t.*, t::text from {} t").format(name))
            yield f"{schema}.{table}", b"\n".join(b" ".join(map(text_of, row)) for row in rows)


def text_of(value: object) -> bytes:
    """A column's value as bytes to look through."""
    return value if isinstance(value, bytes) else str(value).encode()
