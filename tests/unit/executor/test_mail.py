"""Messages are made of texts from anywhere, and none of them adds a header or a recipient."""

from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.headerregistry import Address
from email.utils import getaddresses

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.executor.mail import (
    MESSAGE_BYTES_MAX,
    RECIPIENTS_MAX,
    Mail,
    composed,
    mailbox,
    mailboxes,
    subject,
)
from penstock.executor.outcome import StepFault

SENDER = Address("Shop", "shop", "example.org")
ADA = Address("", "ada", "example.org")
HEADERS = {
    *("From", "To", "Subject", "Message-ID", "Date", "Auto-Submitted", "MIME-Version"),
    *("Content-Type", "Content-Transfer-Encoding"),
}


def mail(**members: object) -> Mail:
    values: dict[str, object] = {
        "message_id": "<key@example.org>",
        "moment_ms": 1_700_000_000_000,
        "sender": SENDER,
        "to": (ADA,),
        "subject": "Hello",
        "text": "Hi",
    }
    return Mail(**{**values, **members})  # type: ignore[arg-type]


def read(data: bytes):  # type: ignore[no-untyped-def]
    return message_from_bytes(data, policy=policy.SMTP)


def names_and_addresses(data: bytes, field: str) -> list[tuple[str, str]]:
    """A header's mailboxes; the newer reader puts spaces between encoded words of a name."""
    said = message_from_bytes(data)[field].replace("\r\n", "")
    pairs = getaddresses([said])
    return [(str(make_header(decode_header(name))), address) for name, address in pairs]


def test_a_message_says_what_it_was_made_of() -> None:
    bob = Address("Bob, jr.", "bob", "example.org")
    data = composed(mail(cc=(bob,), bcc=(Address("", "x", "secret.org"),), html="<p>Hü</p>"))
    message = read(data)
    assert message["From"] == "Shop <shop@example.org>"
    assert (message["To"], message["Cc"]) == ("ada@example.org", '"Bob, jr." <bob@example.org>')
    assert message["Message-ID"] == "<key@example.org>"
    assert message["Date"] == "Tue, 14 Nov 2023 22:13:20 +0000"
    assert b"secret.org" not in data
    assert message.get_body(["plain"]).get_content() == "Hi\r\n"
    assert message.get_body(["html"]).get_content() == "<p>Hü</p>\r\n"
    assert read(composed(mail(text=None, html="<b>"))).get_content_type() == "text/html"


@pytest.mark.parametrize(
    "text",
    [
        *("", "ada", "@example.org", "ada@", "ada@example.org, eve@evil.test", "a b@example.org"),
        *("ada@example.org\r\nBcc: eve@evil.test", "ada@example.org\n", "ada@example.org eve@x.y"),
        *("Ada\r\nBcc: e@x.y <ada@example.org>", "Ada <ada@example.org>, <eve@evil.test>"),
        *("Ada <ada@example.org> <eve@evil.test>", "ada@example.org>", "<ada@example.org\0>"),
        *("ada@-example.org", "ada@example..org", ".ada@example.org", "ada..b@example.org"),
        *(
            "ada@[127.0.0.1]",
            '"a b"@example.org',
            "ädä@example.org",
            "ada@exämple.org",
            "a@b\u2028",
        ),
        *(f"{'a' * 65}@example.org", f"a@{'b.' * 130}org", f"{'n' * 600} <ada@example.org>"),
        *("=?utf-8?q?a=0D=0ABcc:_e@x.y?=@example.org", "ada=?@example.org"),
        *("group:ada@example.org;", "ada@example.org(comment)", "a@b@c"),
    ],
)
def test_what_is_no_address_of_one_mailbox_is_refused(text: str) -> None:
    with pytest.raises(StepFault, match="to: ") as fault:
        mailbox(text, "to")
    assert (fault.value.code, fault.value.retryable) == ("CONFIG_INVALID", False)


def test_addresses_are_read_with_and_without_names() -> None:
    assert mailbox("ada@example.org", "to") == ADA
    for text in (
        "Ada L. <ada@example.org>",
        '"Ada L." <ada@example.org>',
        " Ada L.<ada@example.org> ",
    ):
        assert mailbox(text, "to") == Address("Ada L.", "ada", "example.org")
    assert mailboxes(None, "cc") == ()
    assert mailboxes(["ada@example.org"] * 2, "cc") == (ADA, ADA)
    assert mail(to=(ADA, ADA), cc=(ADA,)).recipients == ["ada@example.org"]
    with pytest.raises(StepFault, match="more than 100"):
        mailboxes(["ada@example.org"] * (RECIPIENTS_MAX + 1), "to")


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)


INJECTION = "=?utf-8?q?x=0D=0ABcc:_eve=40evil.test=0D=0A=0D=0Abody?="
WORDS = st.lists(
    st.sampled_from(["=?", "?=", "=?utf-8?q?", "=?utf-8?b?DQpCY2M6IGVAeC55DQo=?=", "=0D=0A"])
    | st.sampled_from(
        [INJECTION, "Bcc: e@x.y", " ", ", ", ";", "\\", "'", "_", "ü", "語", "\u202e"]
    )
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    max_size=20,
).map("".join)


@settings(max_examples=300)
@example(INJECTION, INJECTION, "Hi")
@example(f"a {INJECTION}", f"Order {INJECTION} of today", "Hi")
@example("x" * 500, "x" * 500, "")
@given(TEXTS | WORDS, TEXTS | WORDS, TEXTS)
def test_no_text_becomes_a_header(name: str, line: str, text: str) -> None:
    try:
        ada, said = mailbox(f"{name} <ada@example.org>", "from"), subject(line)
    except StepFault:
        return
    data = composed(
        mail(sender=ada, to=(ada, ada), cc=(ada,), reply_to=(ada,), subject=said, text=text)
    )
    head = data.partition(b"\r\n\r\n")[0].decode("ascii")
    fields = [field for field in head.split("\r\n") if not field.startswith((" ", "\t"))]
    assert len(head.splitlines()) == len(head.split("\r\n"))
    assert sorted(field.partition(":")[0] for field in fields) == sorted(
        {*HEADERS, "Cc", "Reply-To"}
    )
    assert max(map(len, data.split(b"\r\n"))) <= 998
    message = read(data)
    assert sorted(message.keys()) == sorted({*HEADERS, "Cc", "Reply-To"})
    assert message["Subject"].rstrip() == line.rstrip()
    expected = (ada.display_name, "ada@example.org")
    for field, count in (("From", 1), ("To", 2), ("Cc", 1), ("Reply-To", 1)):
        assert names_and_addresses(data, field) == [expected] * count
    # A text without a line is sent as an empty one.
    assert message.get_content().encode().splitlines() == (text or "\n").encode().splitlines()


def test_an_encoded_word_is_sent_as_the_text_that_it_is() -> None:
    sender = mailbox(f"{INJECTION} <a@b.c>", "from")
    data = composed(mail(subject=f"Order {INJECTION}", sender=sender))
    message = read(data)
    assert message["Subject"] == f"Order {INJECTION}"
    assert names_and_addresses(data, "From") == [(INJECTION, "a@b.c")]
    assert message["Bcc"] is None


@pytest.mark.parametrize(
    "folded", ["x\r\nBcc: e@x.y", "x\r\n\r\nbody", "x\nBcc: e@x.y", "x\r\nTo: e@x.y"]
)
def test_a_head_that_says_more_than_it_should_is_not_sent(folded: str) -> None:
    """The texts of a message have been looked at when it is made; its head is all the same."""
    with pytest.raises(StepFault, match="head") as fault:
        composed(mail(message_id=folded))
    assert (fault.value.code, fault.value.retryable) == ("CONFIG_INVALID", False)


@pytest.mark.parametrize("line", ["a\r\nBcc: e@x.y", "a\nb", "a\rb", "a\0b", "a\u2028b", "x" * 501])
def test_a_subject_is_one_line(line: str) -> None:
    with pytest.raises(StepFault, match="subject"):
        subject(line)


def test_a_message_has_a_size() -> None:
    with pytest.raises(StepFault, match="over"):
        composed(mail(text="x" * MESSAGE_BYTES_MAX))
