"""Who asks from where, and what an email address is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import HTTPConnection

from penstock.api.audit.origin import origin_of
from penstock.api.identity.addresses import (
    client_of,
    email_digest,
    networks,
    normal_address,
    normal_email,
)

PROXIES = networks(["10.0.0.0/8", "::1"])


def asked(peer: str, *forwarded: str) -> str:
    headers = [(b"x-forwarded-for", each.encode()) for each in forwarded]
    scope = {"type": "http", "client": (peer, 1), "headers": headers}
    return client_of(HTTPConnection(scope), PROXIES)


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.1", (), "203.0.113.1"),
        ("203.0.113.1", ("198.51.100.1",), "203.0.113.1"),
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", ("198.51.100.1",), "198.51.100.1"),
        ("10.0.0.1", ("192.0.2.6, 198.51.100.1",), "198.51.100.1"),
        ("10.0.0.1", ("192.0.2.6", "198.51.100.1, 10.0.0.2"), "198.51.100.1"),
        ("10.0.0.1", ("garbage",), "10.0.0.1"),
        ("10.0.0.1", ("198.51.100.1, garbage",), "10.0.0.1"),
        ("10.0.0.1", ("10.0.0.3, 10.0.0.2",), "10.0.0.3"),
        ("2001:db8:1:2:3:4:5:6", (), "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.1", (), "203.0.113.1"),
        ("::1", ("2001:db8::1",), "2001:db8::/64"),
        ("nonsense", (), "unknown"),
    ],
)
def test_only_proxies_that_are_trusted_speak_for_others(
    peer: str, forwarded: tuple[str, ...], client: str
) -> None:
    assert asked(peer, *forwarded) == client


@given(st.emails())
def test_an_address_is_compared_without_its_case(text: str) -> None:
    found = normal_email(text)
    if found is not None:
        assert normal_email(text.upper()) == found
        assert normal_email(f" {found} ") == found


@pytest.mark.parametrize("text", ["", "a", "a@", "@b", "a@b@c", "a b@c", "a@b\0", "x" * 255 + "@b"])
def test_what_is_no_address(text: str) -> None:
    assert normal_email(text) is None


def test_a_digest_needs_the_key() -> None:
    assert email_digest("a@b", b"1") != email_digest("a@b", b"2")
    assert email_digest("a@b", b"1") == email_digest("a@b", b"1")


@pytest.mark.parametrize(
    ("claimed", "told"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("::FFFF:CB00:7109", "203.0.113.9"),
        ("::ffff:203.0.113.9%eth0", "203.0.113.9"),
        ("2001:db8::1%eth0", "2001:db8::1"),
        ("2001:0DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("unknown", "unknown"),
        ("testclient%x", "testclient%x"),
    ],
)
def test_an_address_is_told_in_one_spelling(claimed: str, told: str) -> None:
    assert normal_address(claimed) == told
    peer = HTTPConnection({"type": "http", "client": (claimed, 1), "headers": []})
    assert origin_of(peer, []) == f"{told}\n"
