"""Handing a message over to a server that takes mail.

The message's id follows from the step's key, the same over all attempts, so that a mailbox
recognises a repetition.
"""

import socket
from collections.abc import Mapping
from email.headerregistry import Address
from typing import Any

import aiosmtplib
from msgspec import Raw, Struct

from penstock.executor import mail
from penstock.executor.connections import Connection
from penstock.executor.context import StepContext
from penstock.executor.dialling import connected, connection_of, dialled, unreachable
from penstock.executor.inputs import encode
from penstock.executor.nodes.http_request import typed
from penstock.executor.outcome import Done, StepFault
from penstock.infra.egress.guard import SMTP_PORTS

SUBMISSION_PORT = 587
TLS_PORT = 465
ANSWER_SECONDS_MAX = 30.0
"""For each thing that the server is told; the step's own limit is for all of them."""
CALLED = "[127.0.0.1]"
"""What we call ourselves: a literal that every server knows, and nothing about this machine."""


class EmailConfig(Struct, frozen=True, rename={"sender": "from", "reply_to": "replyTo"}):
    """The config of `email`, its templates filled in."""

    to: str | list[str]
    subject: str
    text: str | None = None
    html: str | None = None
    cc: str | list[str] | None = None
    bcc: str | list[str] | None = None
    sender: str | None = None
    reply_to: str | list[str] | None = None
    connection: str = ""


async def sent(context: StepContext, config: Mapping[str, Any]) -> Done:
    """Send what a step's config says. Raises StepFault where no recipient was accepted."""
    connection = connection_of(context, "smtp")
    wanted = mail_of(context, typed(config, EmailConfig), connection)
    data = mail.composed(wanted)
    host, port = str(connection.config["host"]), port_of(connection)
    opened = await connected(
        context, host, port, ports=SMTP_PORTS, to=lambda address: dialled(address, port)
    )
    refusals = await handed_over(context, connection, wanted, data, opened)
    output = {
        "messageId": wanted.message_id,
        "accepted": [one for one in wanted.recipients if one not in refusals],
        "rejected": [refusal(one, *why) for one, why in refusals.items()],
    }
    return Done(Raw(encode(output)))


def mail_of(context: StepContext, config: EmailConfig, connection: Connection) -> mail.Mail:
    """The message that a config asks for. Raises StepFault, final, where it asks for none."""
    if config.text is None and config.html is None:
        raise StepFault("CONFIG_INVALID", "text or html says what the message is")
    sender = sender_of(config, connection)
    made = mail.Mail(
        message_id=f"<{context.step_key}@{sender.domain}>",
        moment_ms=context.started_at,
        sender=sender,
        to=mail.mailboxes(config.to, "to"),
        cc=mail.mailboxes(config.cc, "cc"),
        bcc=mail.mailboxes(config.bcc, "bcc"),
        reply_to=mail.mailboxes(config.reply_to, "replyTo"),
        subject=mail.subject(config.subject),
        text=config.text,
        html=config.html,
    )
    if not 0 < len(made.recipients) <= mail.RECIPIENTS_MAX:
        raise StepFault("CONFIG_INVALID", f"there are 1 to {mail.RECIPIENTS_MAX} recipients")
    return made


def sender_of(config: EmailConfig, connection: Connection) -> Address:
    """Who sends: as the step says, else the connection, else the user that logs in there."""
    said = config.sender or connection.config.get("from") or connection.config.get("username")
    if not said:
        raise StepFault("CONFIG_INVALID", "neither the step nor its connection says from whom")
    return mail.mailbox(str(said), "from")


def port_of(connection: Connection) -> int:
    """The port of the server."""
    usual = TLS_PORT if connection.config.get("security") == "tls" else SUBMISSION_PORT
    return int(connection.config.get("port", usual))


async def handed_over(
    context: StepContext,
    connection: Connection,
    wanted: mail.Mail,
    data: bytes,
    opened: socket.socket,
) -> dict[str, tuple[int, str]]:
    """Whom the server refused, with its words, when it took the message for the others.

    opened: the socket; it is the loop's from now on, which closes it. Raises StepFault.
    """
    config = connection.config
    security = config.get("security", "starttls")
    client = aiosmtplib.SMTP(
        hostname=str(config["host"]),
        port=None,
        sock=opened,
        username=config.get("username"),
        password=connection.secrets.get("password"),
        use_tls=security == "tls",
        start_tls=security == "starttls",
        tls_context=context.transport.tls,
        local_hostname=CALLED,
        timeout=ANSWER_SECONDS_MAX,
    )
    try:
        await client.connect()
        sender = wanted.sender.addr_spec
        refusals, _ = await client.sendmail(sender, wanted.recipients, data)
        return {one: (said.code, said.message) for one, said in refusals.items()}
    except aiosmtplib.SMTPException as error:
        raise fault_of(error, connection) from error
    except OSError as error:
        said = f"the server of {connection.name!r} cannot be talked to: {error}"
        raise unreachable(said) from error
    finally:
        client.close()


def fault_of(error: aiosmtplib.SMTPException, connection: Connection) -> StepFault:
    """What a server's refusal means: 4xx may pass by itself, 5xx does not (RFC 5321, 4.2.1).

    Its words are told whole, at most 32 KiB: a secret that was cut in two nobody would find.
    """
    match error:
        case aiosmtplib.SMTPAuthenticationError(code=code, message=said):
            message = f"the server of {connection.name!r} refused the login: {code}"
            return StepFault("AUTHENTICATION_FAILED", message, retryable=is_transient(code))
        case aiosmtplib.SMTPRecipientsRefused(recipients=those):
            details = [refusal(one.recipient, one.code, one.message) for one in those]
            may_pass = any(is_transient(one.code) for one in those)
            message = f"no recipient was accepted: {details[0]['code']} {details[0]['message']}"
            rejected = {"rejected": details}
            return StepFault("EMAIL_REFUSED", message, retryable=may_pass, details=rejected)
        case aiosmtplib.SMTPResponseException(code=code, message=said):
            shown = {"code": code, "message": said}
            message = f"the server refused the message: {code} {shown['message']}"
            return StepFault("EMAIL_REFUSED", message, retryable=is_transient(code), details=shown)
        case aiosmtplib.SMTPConnectError() | aiosmtplib.SMTPServerDisconnected():
            why = error.__cause__ or "it broke off"
            return unreachable(f"the server of {connection.name!r} cannot be talked to: {why}")
        case aiosmtplib.SMTPTimeoutError():
            return unreachable("the server did not answer in time")
        case _:
            return StepFault("EMAIL_REFUSED", str(error))


def is_transient(code: int) -> bool:
    """Whether the same message may be taken later."""
    return 400 <= code < 500


def refusal(recipient: str, code: int, message: str) -> dict[str, Any]:
    """One recipient that was refused, and why."""
    return {"address": recipient, "code": code, "message": message}
