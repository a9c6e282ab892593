"""Texts that are closed, put into sentences, compared, and opened again."""

from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.infra.keyring.sealing import Sealer
from penstock.infra.keyring.texts import ABOUT, CLOSED, Marks, closed_in, opened, within, written

TENANT = str(UUID(int=1))
texts = st.text(min_size=1)


def sealer(tenant: str = TENANT, data_key: bytes = b"k" * 32) -> Sealer:
    return Sealer(tenant, UUID(int=2), data_key)


def closed(text: str) -> str:
    key = sealer()
    return written(key, key.seal(text.encode(), about=ABOUT))


OPENERS = {str(UUID(int=2)): sealer()}


@given(texts)
def test_a_closed_text_is_text_that_says_nothing_and_opens_to_what_was_said(text: str) -> None:
    told = closed(text)
    assert CLOSED.fullmatch(told)
    assert len(text) < 8 or text not in told
    assert opened(told, OPENERS) == text
    assert closed(text) != told


@given(st.lists(texts, max_size=4), st.text(alphabet=st.characters(exclude_characters="{")))
def test_a_sentence_is_put_together_of_closed_texts(parts: list[str], between: str) -> None:
    assert opened(between.join(map(closed, parts)), OPENERS) == between.join(parts)


@given(texts)
def test_in_json_it_opens_to_json(text: str) -> None:
    written_down = msgspec.json.encode({"message": f"child: {closed(text)}"}).decode()
    shown = msgspec.json.decode(opened(written_down, OPENERS, escaped=True))
    assert shown == {"message": f"child: {text}"}


@given(texts)
def test_what_was_said_is_shown_as_it_was_said_though_it_looks_closed(text: str) -> None:
    quoted = closed(text)
    assert opened(closed(quoted), OPENERS) == quoted


@pytest.mark.parametrize(
    "openers", [{}, {str(UUID(int=2)): sealer(str(UUID(int=9)))}], ids=["no key", "another's"]
)
def test_what_no_key_opens_stays_closed(openers: dict[str, Sealer]) -> None:
    told = f"it failed: {closed('quietly')}"
    assert opened(told, openers) == told


@pytest.mark.parametrize("text", ["{sealed:x:y}", "{sealed:", f"{{sealed:{UUID(int=2)}:AAAA}}"])
def test_what_was_never_closed_stays_what_it_is(text: str) -> None:
    assert opened(text, OPENERS) == text


def test_a_value_is_shown_with_all_its_strings_opened() -> None:
    told = {"a": [closed("x"), 1, None], "b": {"c": f"- {closed('y')}"}, "d": (closed("z"),)}
    assert len(list(closed_in(told, 3))) == 3
    assert within(told, OPENERS, 3) == {"a": ["x", 1, None], "b": {"c": "- y"}, "d": ["z"]}


@given(texts, texts)
def test_marks_are_equal_where_texts_are(one: str, other: str) -> None:
    marks, again = Marks(sealer()), Marks(sealer())
    assert marks.closed(one) == again.closed(one)
    assert marks.digest(one) == again.digest(one)
    assert (marks.closed(one) == marks.closed(other)) == (one == other)
    assert (marks.digest(one) == marks.digest(other)) == (one == other)
    assert opened(marks.closed(one), OPENERS) == one


@given(texts)
def test_marks_of_another_key_or_tenant_tell_nothing(text: str) -> None:
    ours = Marks(sealer())
    for theirs in (Marks(sealer(data_key=b"l" * 32)), Marks(sealer(str(UUID(int=9))))):
        assert ours.digest(text) != theirs.digest(text)
        assert ours.closed(text) != theirs.closed(text)


def test_what_history_says_in_the_clear_is_kept_closed_and_nothing_is_closed_twice() -> None:
    marks = Marks(sealer())
    kept = marks.kept("Month end")
    assert kept == marks.closed("Month end")
    assert marks.kept(kept) == kept


def test_nothing_is_nothing() -> None:
    assert Marks(sealer()).closed("") == ""


def test_half_a_character_does_not_stop_anybody() -> None:
    assert opened(Marks(sealer()).closed("a\ud800b"), OPENERS) == "a?b"
