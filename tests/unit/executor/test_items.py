"""What an iteration is about: its item, told from the list without decoding the others."""

import pytest

from penstock.domain.payload import Payload, inline, of_value
from penstock.executor import items as module
from penstock.executor.inputs import ITEMS, item_of, last_result
from penstock.executor.items import Items, with_item
from penstock.executor.outcome import StepFault


def test_an_item_is_handed_on_as_the_text_that_it_was() -> None:
    payload = inline(b'[1.0, {"b" : 2}, "x"]')
    items = Items().taken_apart("acme", payload)
    assert [bytes(item) for item in items] == [b"1.0", b'{"b" : 2}', b'"x"']
    brought = with_item("loop.1.a", {ITEMS: payload}, items)
    assert item_of(brought).payload == inline(b'{"b" : 2}')


def test_a_list_is_taken_apart_once_for_each_tenant() -> None:
    items = Items()
    payload = of_value([1, 2])
    first = items.taken_apart("acme", payload)
    assert items.taken_apart("acme", payload) is first
    assert items.held("acme", payload) is first
    assert items.held("other", payload) is None


def test_lists_are_kept_by_number_and_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LISTS_MAX", 3)
    items = Items()
    payloads = [of_value([n]) for n in range(5)]
    for payload in payloads:
        items.taken_apart("acme", payload)
    assert [items.held("acme", p) is not None for p in payloads] == [False, False, True, True, True]
    monkeypatch.setattr(module, "LISTS_BYTES_MAX", 40)
    large = of_value(["x" * 36])
    assert len(items.taken_apart("acme", large)) == 1
    assert [items.held("acme", p) is not None for p in payloads] == [False] * 5


def test_an_item_that_is_not_there_is_a_fault() -> None:
    items = Items()
    with pytest.raises(StepFault, match="no such item"):
        with_item("loop.2.a", {}, items.taken_apart("acme", of_value([1, 2])))
    with pytest.raises(StepFault, match="no such item"):
        with_item("a", {}, items.taken_apart("acme", of_value([1, 2])))
    with pytest.raises(StepFault, match="no list"):
        items.taken_apart("acme", of_value({"a": 1}))


@pytest.mark.parametrize(
    ("payloads", "value"),
    [
        ({}, None),
        ({"item": of_value(3)}, 3),
        ({"item.a": of_value(1), "item.b": of_value([2])}, {"a": 1, "b": [2]}),
    ],
)
def test_without_items_it_is_what_the_iteration_before_came_to(
    payloads: dict[str, Payload], value: object
) -> None:
    assert item_of(payloads).value == value
    assert last_result(payloads).value == value
