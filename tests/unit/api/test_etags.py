"""If-Match and If-None-Match as RFC 9110 has them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from penstock.api.errors import Problem
from penstock.api.etags import TAGS_MAX, Tag, etag, is_known, listed, may_change


def asked(**headers: str) -> Request:
    """A request; underscores in names of headers stand for hyphens."""
    named = [
        (name.replace("_", "-").encode(), text.encode("latin-1")) for name, text in headers.items()
    ]
    return Request({"type": "http", "method": "PUT", "path": "/", "headers": named})


@pytest.mark.parametrize(
    ("sent", "revisions"),
    [
        ('"3"', {3}),
        ('"3", "4"', {3, 4}),
        ('"3","4"', {3, 4}),
        (' , "3" ,, "4",', {3, 4}),
        ('W/"3"', set()),
        ('W/"3", "4"', {4}),
        ('"a,b", "4"', {4}),
        ('"x"', set()),
        ('""', set()),
    ],
)
def test_a_write_may_change_what_a_strong_tag_names(sent: str, revisions: set[int]) -> None:
    assert may_change(asked(if_match=sent)) == frozenset(revisions)


def test_any_revision_will_do_without_a_tag() -> None:
    assert may_change(asked()) is None
    assert may_change(asked(if_match="*")) is None
    assert may_change(asked(if_match=" * ")) is None


@pytest.mark.parametrize(
    "sent", ["", " ", "3", '"3', '3"', '"3" "4"', 'w/"3"', '*, "3"', '"3", *', ",", '"a b"']
)
def test_what_is_no_list_of_tags_is_refused(sent: str) -> None:
    with pytest.raises(Problem) as refused:
        may_change(asked(if_match=sent))
    assert refused.value.status == 400
    assert refused.value.details[0]["pointer"] == "/header/If-Match"


def test_a_list_has_an_end() -> None:
    assert may_change(asked(if_match=", ".join(['"1"'] * TAGS_MAX))) == frozenset({1})
    with pytest.raises(Problem):
        may_change(asked(if_match=", ".join(['"1"'] * (TAGS_MAX + 1))))


def test_lines_of_one_header_are_one_list() -> None:
    lines = [(b"if-match", b'"1"'), (b"if-match", b'"2"')]
    request = Request({"type": "http", "method": "PUT", "path": "/", "headers": lines})
    assert may_change(request) == frozenset({1, 2})


def test_a_read_compares_weakly() -> None:
    assert is_known(asked(if_none_match='"2", W/"3"'), 3)
    assert is_known(asked(if_none_match="*"), 3)
    assert not is_known(asked(if_none_match='"2"'), 3)
    assert not is_known(asked(), 3)


CHARACTERS = st.characters(min_codepoint=0x21, max_codepoint=0xFF, blacklist_characters='"\x7f')
TEXTS = st.text(CHARACTERS.filter(lambda each: each.isascii() or ord(each) >= 0x80), max_size=8)
TAGS = st.builds(Tag, TEXTS, st.booleans())


@given(st.lists(TAGS, min_size=1, max_size=8), st.sampled_from([",", ", ", " , ", ",,"]))
def test_every_list_of_tags_is_read(tags: list[Tag], between: str) -> None:
    text = between.join(f'{"W/" if tag.is_weak else ""}"{tag.text}"' for tag in tags)
    assert listed(text) == tags


@given(st.text(max_size=20))
def test_no_text_is_more_than_a_list_or_none(text: str) -> None:
    assert listed(text) is None or all(isinstance(tag, Tag) for tag in listed(text) or ())


@given(st.integers(1, 10**8))
def test_our_own_tag_names_its_revision(revision: int) -> None:
    assert may_change(asked(if_match=etag(revision))) == frozenset({revision})
    assert is_known(asked(if_none_match=etag(revision)), revision)
