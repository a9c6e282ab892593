"""E-mails are taken by a real server; what it refuses is told, and tried again where that helps."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from penstock.executor.connections import Connection
from penstock.executor.nodes import email
from penstock.executor.outcome import StepFault
from tests.integration.executor.connected import given, said, step, transport
from tests.integration.executor.test_outbound import certificate

PASSWORD = "the-password-of-mail"
CONFIG = {"to": "ada@example.org", "subject": "Hello", "text": "Hi.\n.\nBye"}
SENDER = {"from": "Shop <shop@example.org>"}


class Post:
    """Takes mail, and refuses what a test says: by recipient, or with an answer to the data."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []
        self.refusals: dict[str, str] = {}
        self.verdict = "250 taken"
        self.logins: list[str] = []

    async def handle_RCPT(  # noqa: N802 - the name is aiosmtpd's
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - the name is aiosmtpd's
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        if self.verdict.startswith("250"):
            self.taken.append(envelope)
        return self.verdict

    def authenticated(self, _s: Any, _session: Any, _e: Any, _m: Any, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append(data.login.decode())
        return AuthResult(success=data.password == PASSWORD.encode(), handled=False)


Listening = Callable[..., AbstractAsyncContextManager[int]]


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def listening(post: Post) -> Listening:
    """A server for the mails of a test; its port."""

    @asynccontextmanager
    async def listen(*, tls: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[int]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: SMTP(post, loop=loop, hostname="mail.test", **options), "127.0.0.1", 0, ssl=tls
        )
        yield server.sockets[0].getsockname()[1]
        server.close()

    return listen


def mail(port: int, password: str = PASSWORD, **config: Any) -> Connection:
    members = {"host": "127.0.0.1", "port": port, "security": "none", **SENDER, **config}
    return Connection("smtp", members, {"password": password}, "post")


async def sent(connection: Connection, config: Any = None, **more: Any) -> Any:
    way = transport("127.0.0.1", **more)
    return said(await email.run(step(connection, way), {**CONFIG, **(config or {})}, given()))


async def fault(sending: Awaitable[Any]) -> StepFault:
    with pytest.raises(StepFault) as raised:
        await sending
    return raised.value


async def test_a_message_arrives_as_it_was_written(post: Post, listening: Listening) -> None:
    config = {"cc": ["Bo <bo@example.org>"], "bcc": "x@example.org", "html": "<p>Hi</p>"}
    async with listening() as port:
        output = await sent(mail(port), config)
        again = await sent(mail(port), config)
    assert output["accepted"] == ["ada@example.org", "bo@example.org", "x@example.org"]
    assert output["rejected"] == []
    envelope = post.taken[0]
    assert envelope.mail_from == "shop@example.org"
    assert envelope.rcpt_tos == output["accepted"]
    assert isinstance(envelope.content, bytes)
    message: Any = message_from_bytes(envelope.content, policy=policy.SMTP)
    assert message["Message-ID"] == output["messageId"] == again["messageId"]
    assert message["Subject"] == "Hello"
    assert message.get_body(["plain"]).get_content() == "Hi.\r\n.\r\nBye\r\n"
    assert b"x@example.org" not in envelope.content


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_login_is_told_under_tls_to_who_can_prove_its_name(
    post: Post, listening: Listening, tmp_path: Path, security: str
) -> None:
    server, client = certificate(tmp_path)
    options: dict[str, Any] = {"tls": server, "auth_require_tls": False}
    if security == "starttls":
        options = {"tls_context": server, "auth_required": True}
    options["authenticator"] = post.authenticated
    async with listening(**options) as port:
        ours = {"host": "localhost", "security": security, "username": "me"}
        assert (await sent(mail(port, **ours), tls=client))["rejected"] == []
        assert post.logins == ["me"]
        wrong = await fault(sent(mail(port, "not-the-password", **ours), tls=client))
        assert (wrong.code, wrong.retryable) == ("AUTHENTICATION_FAILED", False)
        post.logins.clear()
        stranger = await fault(sent(mail(port, **ours | {"host": "127.0.0.1"}), tls=client))
        assert stranger.code == "CONNECTION_ERROR"
        assert post.logins == []


async def test_without_starttls_nothing_is_said(post: Post, listening: Listening) -> None:
    async with listening(authenticator=post.authenticated, auth_require_tls=False) as port:
        refused = await fault(sent(mail(port, security="starttls", username="me")))
    assert (refused.code, refused.retryable) == ("EMAIL_REFUSED", False)
    assert (post.logins, post.taken) == ([], [])


@pytest.mark.parametrize(("code", "retryable"), [(451, True), (421, True), (554, False)])
async def test_a_refused_message_is_tried_again_where_that_may_help(
    post: Post, listening: Listening, code: int, retryable: bool
) -> None:
    post.verdict = f"{code} not this one"
    async with listening() as port:
        refused = await fault(sent(mail(port)))
    assert (refused.code, refused.retryable) == ("EMAIL_REFUSED", retryable)
    assert refused.details == {"code": code, "message": "not this one"}


async def test_refused_recipients_are_named(post: Post, listening: Listening) -> None:
    post.refusals = {"no@example.org": "550 nobody", "later@example.org": "450 greylisted"}
    async with listening() as port:
        partly = await sent(mail(port), {"cc": [*post.refusals]})
        later = await fault(sent(mail(port), {"to": [*post.refusals]}))
        never = await fault(sent(mail(port), {"to": "no@example.org"}))
    assert partly["accepted"] == ["ada@example.org"]
    nobody = {"address": "no@example.org", "code": 550, "message": "nobody"}
    assert partly["rejected"][0] == nobody
    assert (later.code, later.retryable) == ("EMAIL_REFUSED", True)
    assert (never.retryable, never.details) == (False, {"rejected": [nobody]})


@pytest.mark.parametrize(
    "config",
    [
        {"subject": "a\r\nBcc: eve@evil.test"},
        {"to": "ada@example.org\r\nRCPT TO:<eve@evil.test>"},
        {"to": []},
        {"to": 7},
        {"text": None},
        {"from": "shop@example.org>\r\nDATA"},
        {"cc": ["ada@example.org"] * 101},
    ],
)
async def test_what_is_no_message_is_not_begun(
    post: Post, listening: Listening, config: Any
) -> None:
    async with listening() as port:
        wrong = await fault(sent(mail(port), config))
    assert (wrong.code, wrong.retryable) == ("CONFIG_INVALID", False)
    assert post.taken == []


async def test_a_server_that_is_not_there_or_breaks_off_is_tried_again() -> None:
    gone = await fault(sent(mail(1)))
    assert (gone.code, gone.retryable) == ("CONNECTION_ERROR", True)

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    broken = await fault(sent(mail(server.sockets[0].getsockname()[1])))
    assert (broken.code, broken.retryable) == ("CONNECTION_ERROR", True)
    server.close()


async def test_another_type_of_connection_is_refused() -> None:
    wrong = await fault(sent(Connection("bearer", {}, {"token": "a-token"}, "post")))
    assert wrong.code == "CONFIG_INVALID"
