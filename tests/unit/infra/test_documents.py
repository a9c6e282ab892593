"""Definitions as text: what is written is read again, what JSON cannot say is refused."""

import json
from typing import Any

import pytest
from hypothesis import given

from penstock.domain.workflow.model import Definition, canonical_bytes, from_wire, to_wire
from penstock.infra.documents import DocumentInvalid, json_text, yaml_text, yaml_value
from tests.unit.domain.workflow.drawings import VALUES, definitions


@given(definitions())
def test_a_definition_comes_back_as_it_was_written(definition: Definition) -> None:
    wire = to_wire(definition)
    for read in (yaml_value(yaml_text(wire)), json.loads(json_text(wire))):
        assert canonical_bytes(from_wire(read)) == canonical_bytes(definition)


@given(VALUES)
def test_every_value_comes_back(value: Any) -> None:
    assert json.dumps(yaml_value(yaml_text({"v": value}))) == json.dumps({"v": value})


def test_a_date_is_a_text_and_a_shared_value_is_written_twice() -> None:
    assert yaml_value("day: 2026-11-21") == {"day": "2026-11-21"}
    shared = {"a": [1]}
    assert "&" not in yaml_text({"x": shared, "y": shared})
    assert yaml_value("x: &s {a: 1}\ny: {<<: *s, b: 2}")["y"] == {"a": 1, "b": 2}


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("a: 1\na: 2", "line 2, column 1: the key 'a' stands twice"),
        ("1: x", "a key is a text"),
        ("a: b: c", "line 1, column 5"),
        ("a: .nan", "more than JSON can say"),
        ("a: !!binary aGk=", "more than JSON can say"),
        ("a: !!python/object:os.system {}", "could not determine a constructor"),
        ("a: &a [*a]", "nest at most"),
        ("[" * 900_000, "nest at most"),
        ("- " * 400_000, "nest at most"),
        ("[" * 100 + "]" * 100, "nest at most"),
        (BOMB, "at most"),
        ("a: \x00", ""),
        ("a: 1\n---\nb: 2", "another document"),
    ],
)
def test_what_is_no_document_is_refused(text: str, said: str) -> None:
    with pytest.raises(DocumentInvalid) as refused:
        yaml_value(text)
    assert said in str(refused.value)
