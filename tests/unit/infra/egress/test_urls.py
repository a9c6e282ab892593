"""URLs are read once, and what is read is what browsers would read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.infra.egress.urls import EgressRefused, NoUrl, parse_url


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("http://example.com", "example.com", 80),
        ("HTTPS://EXAMPLE.com:443/", "example.com", 443),
        ("https://example.com:8443/", "example.com", 8443),
        ("  http://example.com/\n", "example.com", 80),
        ("http://exam\tple.com/", "example.com", 80),
        ("http:\\\\example.com\\a", "example.com", 80),
        ("http:example.com", "example.com", 80),
        ("http://bücher.example/", "xn--bcher-kva.example", 80),
        ("http://\uff25\uff38AMPLE.com/", "example.com", 80),
        ("http://example%2ecom/", "example.com", 80),
        ("http://example\u3002com/", "example.com", 80),
        ("http://2130706433/", "127.0.0.1", 80),
        ("http://0x7f.1/", "127.0.0.1", 80),
        ("http://0177.0.0.1/", "127.0.0.1", 80),
        ("http://%31%32%37.1/", "127.0.0.1", 80),
        ("http://0/", "0.0.0.0", 80),
        ("http://[0:0:0:0:0:ffff:127.0.0.1]/", "[::ffff:7f00:1]", 80),
    ],
)
def test_a_host_has_one_form(text: str, host: str, port: int) -> None:
    url = parse_url(text)
    assert (url.host, url.port) == (host, port)


@pytest.mark.parametrize(
    "text",
    [
        *("", "not a url", "example.com/path", "//example.com/", "/path", "http://", "http://[::1"),
        *(
            "http://a b/",
            "http://a:99999/",
            "http://256.0.0.1/",
            "http://1.2.3.4.5/",
            "http://a%00/",
        ),
        *("http://[fe80::1%25lo]/", "http://a\ud800/", "http://a/" + "x" * 8000, "http://a^b/"),
    ],
)
def test_what_is_no_url_is_said_to_be(text: str) -> None:
    with pytest.raises(NoUrl, match="is not a URL"):
        parse_url(text)


@pytest.mark.parametrize(
    "text",
    [
        *("file:///etc/passwd", "gopher://a/", "ftp://a/", "data:,x", "javascript:1", "ws://a/"),
        *(
            "localhost:80/",
            "mailto:a@b",
            "unix:/run/x",
            "http://u@a/",
            "http://u:p@a/",
            "http://:p@a",
        ),
    ],
)
def test_another_scheme_and_credentials_are_refused(text: str) -> None:
    with pytest.raises(EgressRefused) as refused:
        parse_url(text)
    assert ":p" not in str(refused.value)


def test_a_message_shows_the_text_but_no_password() -> None:
    with pytest.raises(NoUrl, match="is not a URL") as refused:
        parse_url("http://user:hunter2@[::1/" + "x" * 500)
    assert "hunter2" not in str(refused.value)
    assert len(str(refused.value)) < 300


def test_a_relative_text_is_read_against_its_base() -> None:
    base = parse_url("https://one.example/a/b?c#d")
    assert parse_url("../x", base=base).text == "https://one.example/x"
    assert parse_url("//two.example/y", base=base).host == "two.example"
    assert parse_url("\\\\two.example/y", base=base).host == "two.example"
    assert parse_url("?z", base=base).target == "/a/b?z"


def test_a_query_is_added_and_cannot_change_the_place() -> None:
    url = parse_url("http://one.example//two.example/a?x=1&y=2")
    asked = url.with_query([("x", "3"), ("q", "a b&c#d")])
    assert asked.host == "one.example"
    assert asked.target == "//two.example/a?y=2&x=3&q=a+b%26c%23d"


@given(st.text(max_size=60))
def test_any_text_is_a_url_or_a_refusal_and_a_url_reads_the_same_again(text: str) -> None:
    for each in (text, f"http://{text}", f"http://a/{text}"):
        try:
            url = parse_url(each)
        except (NoUrl, EgressRefused):
            continue
        assert parse_url(url.text) == url
        assert url.target.isascii()
        assert not set(url.target + url.host) & set(" \r\n\t\0")
