"""Servers that take mail and answer SQL, and repeat the secrets that opened them in every form."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import psycopg
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from psycopg import sql

from penstock.dev.ports import free_port
from tests.e2e.canaries import echoed
from tests.e2e.runs import Document


class Post:
    """Takes mail of who knows the password, tells it, and refuses what is for `never`."""

    def __init__(self, password: str) -> None:
        self.password = password
        self.said = json.dumps(echoed(password))
        self.logins: list[str] = []
        self.taken: list[Envelope] = []
        self.port = free_port()
        self.controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            authenticator=self.authenticated,
            auth_require_tls=False,
        )

    def authenticated(self, _s: Any, _session: Any, _e: Any, _m: Any, data: Any) -> AuthResult:
        """Whether the password is right."""
        assert isinstance(data, LoginPassword)
        is_right = data.password.decode() == self.password
        if is_right:
            self.logins.append(data.login.decode())
        return AuthResult(success=is_right, handled=False)

    async def handle_DATA(  # noqa: N802 - the name is aiosmtpd's
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """What it says of a message."""
        if any(address.startswith("never") for address in envelope.rcpt_tos):
            return f"554 {self.said}"
        self.taken.append(envelope)
        return f"250 {self.said}"

    async def handle_RCPT(  # noqa: N802 - the name is aiosmtpd's
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _o: list[str]
    ) -> str:
        """Whom it takes mail for."""
        if address.startswith("unknown"):
            return f"550 {self.said}"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    @property
    def config(self) -> Document:
        """Of a connection to it."""
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "security": "none",
            "username": "me",
            "password": self.password,
            "from": "me@example.org",
        }


@contextmanager
def posting(password: str) -> Iterator[Post]:
    """A server that takes mail."""
    post = Post(password)
    post.controller.start()
    yield post
    post.controller.stop()


@contextmanager
def database(server: str, password: str) -> Iterator[Document]:
    """A database whose user has a password, which it repeats; the config of a connection to it."""
    name = f"canaries_{secrets.token_hex(4)}"
    words = sql.Identifier(name), sql.Literal(password)
    with psycopg.connect(server, autocommit=True) as owner:
        owner.execute(sql.SQL("create role {} login password {}").format(*words))
        owner.execute(sql.SQL("create database {} owner {}").format(words[0], words[0]))
    said = json.dumps(echoed(password))
    place = urlsplit(server)
    own = psycopg.connect(
        host=place.hostname, port=place.port, dbname=name, user=name, password=password
    )
    with own:
        own.execute(sql.SQL("create table said as select {}::text as words").format(said))
    yield {
        "host": place.hostname,
        "port": place.port,
        "database": name,
        "username": name,
        "password": password,
        "sslMode": "disable",
    }
    with psycopg.connect(server, autocommit=True) as owner:
        owner.execute(sql.SQL("drop database {} with (force)").format(words[0]))
        owner.execute(sql.SQL("drop role {}").format(words[0]))
