"""Nobody fills a window: whoever has had their share is counted, and all counts add up."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.audit.window import ANONYMOUS, KIND_MAX, RESTS_MAX, SHARE_MAX, Seen, Window
from penstock.domain.access.events import AccessDenied, DataExported, LoginFailed, WriteRefused

KINDS = [AccessDenied, DataExported, LoginFailed, WriteRefused]
FLOOD = 1_000


def window() -> Window:
    return Window(0.0, 0.5)


def denied(
    actor: str, *, address: str = "203.0.113.9", agent: str = "a", route: str = "/", key: str = ""
) -> Seen:
    presented = f"key:{key}" if key else actor
    extra = (("presented", presented),)
    origin = f"{address}\n{agent}"
    return Seen(AccessDenied, actor, origin, "GET", route, 403, "FORBIDDEN", extra)


def total(found: Window) -> int:
    return sum(each.count for each in (*found.seen.values(), *found.rests.values()))


def test_another_program_or_address_of_a_network_is_no_other_act() -> None:
    found = window()
    for number in range(FLOOD):
        address = f"2001:db8::{number + 1:x}"
        assert found.take(denied("key:1", address=address, agent=f"a/{number}"), number)
    (one,) = found.seen.values()
    assert (one.count, one.first_at, one.last_at) == (FLOOD, 0, FLOOD - 1)
    assert one.origin == "2001:db8::1\na/0"


@pytest.mark.parametrize(
    "flooded",
    [
        lambda number: denied("key:1", route=f"/{number}"),
        lambda number: denied("key:1", address=f"2001:db8:{number:x}::1"),
        lambda number: denied(ANONYMOUS, route=f"/{number}"),
        lambda number: denied(ANONYMOUS, key=str(number)),
        lambda number: denied(ANONYMOUS, key="2", address=f"2001:db8:{number:x}::1"),
        lambda number: denied(ANONYMOUS, key=str(number), address=f"2001:db8:{number:x}::1"),
    ],
    ids=["routes", "networks", "nobody", "keys", "a key", "keys from everywhere"],
)
def test_no_flood_takes_the_places_of_others(flooded: object) -> None:
    assert callable(flooded)
    found = window()
    for number in range(FLOOD):
        found.take(flooded(number), number)
    assert found.take(denied("key:2"), FLOOD)
    assert found.take(denied("key:3"), FLOOD)
    assert total(found) == FLOOD + 2
    assert sum(each.count for each in found.rests.values()) >= FLOOD - KIND_MAX


def test_what_has_no_place_is_counted_for_who_did_it() -> None:
    found = window()
    for number in range(FLOOD):
        found.take(denied("key:1", route=f"/{number}"), number)
        found.take(denied(ANONYMOUS, route=f"/{number}"), number)
    assert {actor: rest.count for actor, rest in found.rests.items()} == {
        "key:1": FLOOD - SHARE_MAX,
        ANONYMOUS: FLOOD - SHARE_MAX,
    }


acts = st.builds(
    Seen,
    kind=st.sampled_from(KINDS),
    actor=st.one_of(st.just(ANONYMOUS), st.integers(0, 40).map("key:{}".format)),
    origin=st.one_of(st.just(""), st.integers(0, 200).map("192.0.2.{}\na".format)),
    method=st.just("GET"),
    route=st.integers(0, 200).map("/{}".format),
    status=st.sampled_from([400, 403]),
    code=st.just(""),
)


@given(st.lists(acts, max_size=400))
def test_counts_add_up_and_room_is_bounded(done: list[Seen]) -> None:
    found = window()
    placed = sum(found.take(each, number) for number, each in enumerate(done))
    assert total(found) == len(done)
    assert sum(each.count for each in found.seen.values()) == placed
    assert all(count <= 2 * KIND_MAX for count in Counter(s.kind for s in found.seen).values())
    proven = Counter((s.kind, s.actor) for s in found.seen if s.actor != ANONYMOUS)
    assert all(count <= SHARE_MAX for count in proven.values())
    assert len(found.rests) <= RESTS_MAX + 1
    found.clear()
    assert total(found) == 0
