"""An e-mail as bytes, of texts that may come from anywhere: none of them may become a header."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from msgspec import Struct

from penstock.executor.outcome import StepFault

MESSAGE_BYTES_MAX = 10 * 1024 * 1024
"""As sent, encoded: what servers commonly take."""
RECIPIENTS_MAX = 100
"""The number that every server must take in one message (RFC 5321, 4.5.3.1.8)."""
SUBJECT_MAX = 500
MAILBOX_MAX = 600
"""Characters of a name with its address."""

NAMED = re.compile(r'\s*(?:"(?P<quoted>[^"<>]*)"|(?P<name>[^"<>]*))\s*<(?P<address>[^<>]*)>\s*')
ADDRESS = re.compile(
    r"(?P<local>[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*)"
    r"@(?P<domain>[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*)"
)
"""One address in plain form: no comments, no quoted parts, ASCII."""
LOCAL_MAX = 64
ADDRESS_MAX = 254
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Mail(Struct, frozen=True, kw_only=True):
    """What is sent. sender, to, cc, bcc, reply_to: one mailbox each, `a@b` or `Name <a@b>`."""

    message_id: str
    moment_ms: int
    sender: Address
    to: tuple[Address, ...]
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    subject: str
    text: str | None = None
    html: str | None = None

    @property
    def recipients(self) -> list[str]:
        """Whom it goes to, each once."""
        return list(dict.fromkeys(one.addr_spec for one in (*self.to, *self.cc, *self.bcc)))


def mailbox(text: str, member: str) -> Address:
    """One mailbox. Raises StepFault, final, for anything else, lists of them included."""
    named = NAMED.fullmatch(text)
    address = (named["address"] if named else text).strip()
    found = ADDRESS.fullmatch(address)
    name = "" if named is None else (named["quoted"] or named["name"] or "").strip()
    if (
        found is None
        or len(found["local"]) > LOCAL_MAX
        or len(address) > ADDRESS_MAX
        or len(text) > MAILBOX_MAX
        or CONTROL.search(text)
    ):
        raise StepFault("CONFIG_INVALID", f"{member}: {text!r:.100} is no address of one mailbox")
    return Address(name, found["local"], found["domain"])


def mailboxes(given: str | Sequence[str] | None, member: str) -> tuple[Address, ...]:
    """One mailbox, or a list of them."""
    texts = [] if given is None else [given] if isinstance(given, str) else given
    if len(texts) > RECIPIENTS_MAX:
        raise StepFault("CONFIG_INVALID", f"{member}: more than {RECIPIENTS_MAX} recipients")
    return tuple(mailbox(text, member) for text in texts)


def subject(text: str) -> str:
    """A subject. Raises StepFault, final, for one that could end its header."""
    if CONTROL.search(text) or len(text) > SUBJECT_MAX:
        said = f"subject: a line of at most {SUBJECT_MAX} characters, without control characters"
        raise StepFault("CONFIG_INVALID", said)
    return text


def composed(mail: Mail) -> bytes:
    """The message as it is sent. Raises StepFault, final, for one that is too large."""
    message = EmailMessage(policy=SMTP)
    message["From"] = mail.sender
    for name, those in (("To", mail.to), ("Cc", mail.cc), ("Reply-To", mail.reply_to)):
        if those:
            message[name] = those
    message["Subject"] = mail.subject
    message["Message-ID"] = mail.message_id
    message["Date"] = format_datetime(datetime.fromtimestamp(mail.moment_ms / 1000, UTC))
    message["Auto-Submitted"] = "auto-generated"
    if mail.text is not None:
        message.set_content(mail.text)
    if mail.html is not None and mail.text is not None:
        message.add_alternative(mail.html, subtype="html")
    elif mail.html is not None:
        message.set_content(mail.html, subtype="html")
    data = message.as_bytes()
    if len(data) > MESSAGE_BYTES_MAX:
        raise StepFault("PAYLOAD_TOO_LARGE", f"the message is over {MESSAGE_BYTES_MAX} bytes")
    return data
