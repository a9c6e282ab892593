"""An e-mail as bytes, of texts that may come from anywhere: none of them may become a header.

Headers are written here: the standard library's messages read what they are given, and decode an
encoded word (RFC 2047) whoever has written it, line ends in it included. What it makes is the body.
"""

import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
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
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""What ends a line for somebody, and what has no bytes."""
ENCODED_BEGIN = "=?"
"""What makes a reader decode a word."""
PLAIN = re.compile(r"[!-~]+(?: [!-~]+)*")
ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
LINE_CHARACTERS = 76
"""A line with an encoded word may not be longer (RFC 2047, 2)."""
WORD_BYTES = 39
"""Of an encoded word's text, so that it fits behind the longest of our headers' names."""
HEAD_END = b"\r\n\r\n"


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
        or ENCODED_BEGIN in address
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
    """The message as it is sent.

    Raises StepFault, final, for one that is too large, or whose head says more than it should.
    """
    fields = dict(fields_of(mail))
    body = body_of(mail)
    names = [*fields, *body.keys()]
    head = "".join(folded(name, words) for name, words in fields.items())
    data = head.encode("ascii") + body.as_bytes()
    if names_in(data) != names:
        raise StepFault("CONFIG_INVALID", "the message's head says more than it should")
    if len(data) > MESSAGE_BYTES_MAX:
        raise StepFault("PAYLOAD_TOO_LARGE", f"the message is over {MESSAGE_BYTES_MAX} bytes")
    return data


def fields_of(mail: Mail) -> Iterator[tuple[str, list[str]]]:
    """The headers that are not the body's: each with its words, between which a line may end."""
    several = {"From": (mail.sender,), "To": mail.to, "Cc": mail.cc, "Reply-To": mail.reply_to}
    for name, those in several.items():
        if those:
            yield name, address_words(those)
    yield "Subject", text_words(mail.subject)
    yield "Message-ID", [mail.message_id]
    yield "Date", [format_datetime(datetime.fromtimestamp(mail.moment_ms / 1000, UTC))]
    yield "Auto-Submitted", ["auto-generated"]


def body_of(mail: Mail) -> EmailMessage:
    """The text, the HTML or both, with the headers that say which."""
    message = EmailMessage(policy=SMTP)
    if mail.text is not None:
        message.set_content(mail.text)
    if mail.html is not None and mail.text is not None:
        message.add_alternative(mail.html, subtype="html")
    elif mail.html is not None:
        message.set_content(mail.html, subtype="html")
    if "MIME-Version" not in message:
        message["MIME-Version"] = "1.0"
    return message


def text_words(text: str) -> list[str]:
    """A text of no structure, such as a subject: as it is, or encoded where it would be misread."""
    if PLAIN.fullmatch(text) and ENCODED_BEGIN not in text:
        return text.split(" ")
    return encoded_words(text)


def address_words(those: Sequence[Address]) -> list[str]:
    """Mailboxes, a comma behind each but the last."""
    words: list[str] = []
    for one in those:
        if words:
            words[-1] += ","
        name, address = one.display_name, one.addr_spec
        words += [*name_words(name), f"<{address}>"] if name else [address]
    return words


def name_words(name: str) -> list[str]:
    """A mailbox's name: words, a quoted text, or encoded where it would be misread."""
    if ENCODED_BEGIN in name or not PLAIN.fullmatch(name):
        return encoded_words(name)
    if ATOMS.fullmatch(name):
        return name.split(" ")
    return ['"' + re.sub(r'(["\\])', r"\\\1", name) + '"']


def encoded_words(text: str) -> list[str]:
    """A text as encoded words in UTF-8, none of which ends within a character."""
    parts = [b""]
    for one in text:
        if len(parts[-1]) + len(one.encode()) > WORD_BYTES:
            parts.append(b"")
        parts[-1] += one.encode()
    return [f"=?utf-8?b?{b64encode(part).decode()}?=" for part in parts if part]


def folded(name: str, words: Sequence[str]) -> str:
    """A header, its lines ended between words where they would be too long."""
    lines = [f"{name}:"]
    for number, word in enumerate(words):
        if number and len(lines[-1]) + 1 + len(word) > LINE_CHARACTERS:
            lines.append("")
        lines[-1] += f" {word}"
    return "\r\n".join(lines) + "\r\n"


def names_in(data: bytes) -> list[str]:
    """The names of the headers that a reader finds in a message; any line end ends a line."""
    head = data.partition(HEAD_END)[0].decode("ascii")
    lines = [line for line in head.splitlines() if not line.startswith((" ", "\t"))]
    return [line.partition(":")[0] for line in lines]
