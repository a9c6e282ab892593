"""Scrubbing: no form of a used secret leaves, and all else stays as it was."""

import json
from base64 import b64encode, urlsafe_b64encode
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Raw

from penstock.executor.inputs import encode
from penstock.executor.outcome import Done, Rest, StepFault
from penstock.executor.scrub import HIDDEN, Scrubber, base64_forms

CANARY = "kX9/\"q\\w+é '7_Zt%\n8€𝄞"
SECRETS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=6, max_size=40)
AROUND = st.text(max_size=5)


def spellings(value: str) -> dict[str, str]:
    """A secret as somebody else might write it."""
    raw = value.encode()
    text = json.dumps(value)[1:-1]
    return {
        "raw": value,
        "json": text,
        "json with its characters": json.dumps(value, ensure_ascii=False)[1:-1],
        "json within json": json.dumps(text)[1:-1],
        "json within json within json": json.dumps(json.dumps(text)[1:-1])[1:-1],
        "json as some write it": text.replace("/", "\\/"),
        "hex": raw.hex(),
        "HEX": raw.hex().upper(),
        "url": quote(value, safe=""),
        "url path": quote(value),
        "form": quote_plus(value),
        "url in small digits": quote(value, safe="").lower() if value.islower() else quote(value),
        "all percent": "".join(f"%{byte:02x}" for byte in raw),
        "base64": b64encode(raw).decode(),
        "base64url": urlsafe_b64encode(raw).decode(),
        "latin-1": raw.decode("latin-1"),
        "shown": repr(value)[1:-1],
        "shown in ASCII": ascii(value)[1:-1],
        "shown beside a quotation mark": repr(value + '"')[1:-2],
        "shown bytes": repr(raw)[2:-1],
        "shown bytes beside a quotation mark": repr(raw + b'"')[2:-2],
        "shown bytes within json": json.dumps(repr(raw)[2:-1])[1:-1],
        "shown within shown": ascii(ascii(value)[1:-1])[1:-1],
    }


@pytest.mark.parametrize("form", spellings(CANARY))
def test_every_form_is_found_within_other_words(form: str) -> None:
    said = f"before {spellings(CANARY)[form]} after"
    cleaned = Scrubber([CANARY]).text(said)
    assert cleaned.startswith("before ***")
    assert len(cleaned) < len("before *** after") + 4


@example(value="0000\\\x1f", before="", after="", pick=3)
@given(value=SECRETS, before=AROUND, after=AROUND, pick=st.integers(0, 22))
def test_no_form_of_any_secret_is_left(value: str, before: str, after: str, pick: int) -> None:
    form = list(spellings(value).values())[pick]
    cleaned = Scrubber([value]).text(f"{before}{form}{after}")
    assert HIDDEN in cleaned
    assert value not in cleaned.replace(HIDDEN, "") or value in before + after


@given(value=SECRETS, before=st.binary(max_size=4), after=st.binary(max_size=4))
def test_base64_is_found_wherever_the_secret_begins(
    value: str, before: bytes, after: bytes
) -> None:
    whole = before + value.encode() + after
    for encoded in (b64encode(whole).decode(), urlsafe_b64encode(whole).decode()):
        cleaned = Scrubber([value]).text(encoded)
        assert HIDDEN in cleaned
        # At either end a character may be left that holds bits of a neighbour.
        assert len(cleaned.replace(HIDDEN, "")) <= len(encoded) - len(value.encode()) * 8 // 6 + 3


def test_what_is_certain_in_base64_is_as_much_as_can_be() -> None:
    found = list(base64_forms(b"secret-x"))
    assert [len(each) for each in found[::2]] == [10, 10, 10]


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=9))
def test_what_holds_no_secret_stays_as_it_was(value: Any) -> None:
    assert Scrubber(["\N{SNOWMAN} a secret that is nowhere"]).value(value) == value
    done = Done(Raw(encode(value)))
    assert Scrubber(["\N{SNOWMAN} a secret that is nowhere"]).outcome(done) is done


def test_names_numbers_and_nested_members_are_looked_at() -> None:
    scrubber = Scrubber(["12345678", "hunter2hunter2"])
    said = {"pin": 12345678, "hunter2hunter2": [{"a": "x12345678y"}, True, None, 1.5, 1234567]}
    assert scrubber.value(said) == {
        "pin": HIDDEN,
        HIDDEN: [{"a": "x***y"}, True, None, 1.5, 1234567],
    }


def test_a_secret_within_another_leaves_nothing_of_the_longer_one() -> None:
    assert Scrubber(["abcdef", "abcdefghij"]).text("abcdefghij") == HIDDEN


def test_a_mixture_of_escapes_is_found() -> None:
    assert Scrubber(["a b/c&déf"]).text("%x a%20b/c&d%C3%A9f") == "%x ***"
    assert Scrubber(["a b/c&déf"]).text(r"\x a b\/c&d\u00E9f") == r"\x ***"


def test_what_an_error_shows_of_a_secret_is_found() -> None:
    """As errors of libraries quote a header; a stored file ends with a line end."""
    for secret in ("Pässword\n", "it's €1 𝄞", "hunter2\\hunter", "\tPäss'word "):
        for text in (secret, secret.strip()):
            for shown in (repr(text), ascii(text), repr(text.encode()), repr([text, '"'])):
                said = Scrubber([secret]).text(f"Illegal header value {shown} there")
                assert said.replace("\\n", "").replace("\\t", "").count(HIDDEN) == 1, shown
                assert not {"ss", "€", "hunter"} & {*said.split()}
                assert len(said) < len("Illegal header value [b'***', '\"'] there") + 6, said


@pytest.mark.parametrize(
    "secret", ['\\\\\\"\\\\"\n"', "\\" * 40, '"' * 40, "\n\n\n\n\n\n", "%" * 9]
)
def test_no_text_makes_the_search_slow(secret: str) -> None:
    scrubber = Scrubber([secret])
    for hostile in ("\\" * 100_000, "\\" * 100_000 + '"', '\\"' * 50_000, "%" * 100_000):
        scrubber.text(hostile + "x")


def test_a_long_secret_is_found_in_its_spellings() -> None:
    key = "-----BEGIN KEY-----\n" + "aB3/+" * 1000 + "\n-----END KEY-----"
    for form in (key, json.dumps(key)[1:-1], quote(key, safe=""), b64encode(key.encode()).decode()):
        assert len(Scrubber([key]).text(f"a {form} z")) < 12


async def test_what_is_raised_is_cleaned_with_all_that_led_to_it() -> None:
    async def failing() -> Done:
        try:
            raise ValueError("hunter2hunter2")
        except ValueError as error:
            raise StepFault("X", "said hunter2hunter2", details={"a": "hunter2hunter2"}) from error

    with pytest.raises(StepFault) as raised:
        await Scrubber(["hunter2hunter2"]).guarding(failing())
    fault = raised.value
    assert (fault.message, str(fault), fault.details) == ("said ***", "said ***", {"a": "***"})
    assert fault.__cause__ is None
    assert fault.__context__ is None


async def test_a_fault_of_ours_says_nothing() -> None:
    async def failing() -> Done:
        raise KeyError("hunter2hunter2")

    with pytest.raises(StepFault, match="its log says why") as raised:
        await Scrubber(["hunter2hunter2"]).guarding(failing())
    assert raised.value.code == "INTERNAL_ERROR"
    assert raised.value.__context__ is None


async def test_an_outcome_is_cleaned() -> None:
    async def done() -> Done:
        return Done(Raw(b'{"a":"hunter2hunter2"}'), branch="x")

    async def rest() -> Rest:
        return Rest(until=7)

    scrubber = Scrubber(["hunter2hunter2"])
    assert await scrubber.guarding(done()) == Done(Raw(b'{"a":"***"}'), branch="x")
    assert await scrubber.guarding(rest()) == Rest(until=7)


def test_what_comes_to_be_known_later_is_hidden_too() -> None:
    scrubber = Scrubber()
    assert scrubber.text("a-token-of-ours") == "a-token-of-ours"
    scrubber.hide("a-token-of-ours", "short")
    assert scrubber.text("a-token-of-ours is short") == "*** is short"
