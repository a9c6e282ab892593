"""Allow lists: which texts are entries, and which networks are too wide for a list."""

import ipaddress

import pytest

from penstock.infra.egress.allowed import parse_allowed, too_wide


def test_entries_are_hosts_with_or_without_a_port_addresses_and_networks() -> None:
    allowed = parse_allowed(
        ["Intra.Example.", "a:81", "10.0.0.0/8", "[::1]:82", "127.0.0.1", "::2"]
    )
    assert allowed.host("intra.example", 5)
    assert allowed.host("a", 81)
    assert not allowed.host("a", 82)
    assert allowed.host("::1", 82)
    for text in ("10.9.8.7", "127.0.0.1", "::2"):
        assert allowed.address(ipaddress.ip_address(text))
    for text in ("11.0.0.1", "127.0.0.2", "::1"):
        assert not allowed.address(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "entry",
    [
        *("host:", ":80", "host:0", "host:99999", "host:x", "host:٨", "a b", "http://a", "*"),
        *("*.example.com", "10.0.0.0/33", "10.0.0.0/8:80", "user@host", "a/b", "", "host:80:81"),
    ],
)
def test_an_allow_list_with_a_wrong_entry_is_not_taken(entry: str) -> None:
    with pytest.raises(ValueError, match="no host"):
        parse_allowed([entry])


def test_networks_wider_than_any_private_one_are_told() -> None:
    narrow = ["10.0.0.0/8", "fc00::/7", "169.254.169.254", "host", "127.0.0.1:1"]
    wide = ["0.0.0.0/0", "::/0", "0.0.0.0/1", "8.0.0.0/7", "2000::/3"]
    assert too_wide(parse_allowed(narrow)) == []
    assert too_wide(parse_allowed([*narrow, *wide])) == wide
