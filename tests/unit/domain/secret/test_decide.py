"""The rules of a secret's life."""

from functools import reduce
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.errors import Conflict, NotFound, Refused
from penstock.domain.secret.commands import (
    CreateSecret,
    RemoveSecret,
    ReplaceSecret,
    SecretCommand,
)
from penstock.domain.secret.decide import SECRET, decide
from penstock.domain.secret.events import SecretEvent, SecretRemoved, SecretSet
from penstock.domain.secret.state import Secret

MADE = SecretSet(name="token", set_at=1, set_by="a", request_hash="h")
AGAIN = SecretSet(name="token", set_at=2, set_by="b")
GONE = SecretRemoved(removed_at=3, removed_by="c")


def after(*events: SecretEvent) -> Secret | None:
    return reduce(SECRET.evolve, events, SECRET.initial)


def test_it_begins_is_replaced_and_goes() -> None:
    assert decide(CreateSecret(name="token", by="a", request_hash="h"), None, at=1) == [MADE]
    assert decide(ReplaceSecret(by="b"), after(MADE), at=2) == [AGAIN]
    assert decide(ReplaceSecret(by="b"), after(MADE, AGAIN), at=2) == [AGAIN]
    assert decide(RemoveSecret(by="c"), after(MADE, AGAIN), at=3) == [GONE]
    assert decide(RemoveSecret(by="c"), after(MADE, GONE), at=4) == []


def test_a_repeated_request_makes_it_once_and_another_finds_the_name_taken() -> None:
    repeated = CreateSecret(name="token", by="a", request_hash="h")
    assert decide(repeated, after(MADE, AGAIN), at=5) == []
    for request_hash in ("", "other"):
        with pytest.raises(Conflict) as taken:
            decide(CreateSecret(name="token", by="a", request_hash=request_hash), after(MADE), at=5)
        assert taken.value.code == "NAME_TAKEN"


def test_what_is_not_there_cannot_be_changed() -> None:
    for state in (None, after(MADE, GONE)):
        with pytest.raises(NotFound):
            decide(ReplaceSecret(by="b"), state, at=5)
    with pytest.raises(NotFound):
        decide(RemoveSecret(by="b"), None, at=5)


def test_a_lost_race_is_told() -> None:
    for command in (ReplaceSecret, RemoveSecret):
        with pytest.raises(Conflict) as lost:
            decide(command(by="b", revisions=frozenset({1})), after(MADE, AGAIN), at=5)
        assert lost.value.code == "PRECONDITION_FAILED"
        assert decide(command(by="b", revisions=frozenset({2})), after(MADE, AGAIN), at=5)


def test_it_tells_of_its_present_life() -> None:
    found = after(MADE, AGAIN, GONE, SecretSet(name="token", set_at=9, set_by="d"))
    assert found is not None
    assert (found.created_at, found.created_by, found.deleted_at) == (9, "d", None)
    assert (found.revision, found.request_hashes) == (4, ("h",))
    kept = after(MADE, AGAIN)
    assert kept is not None
    assert (kept.created_at, kept.created_by, kept.updated_at, kept.updated_by) == (1, "a", 2, "b")


COMMANDS = st.one_of(
    st.builds(
        CreateSecret, name=st.just("token"), by=st.just("a"), request_hash=st.sampled_from("xy")
    ),
    st.builds(ReplaceSecret, by=st.just("b")),
    st.builds(RemoveSecret, by=st.just("c")),
)


@given(st.lists(COMMANDS, max_size=12))
def test_whatever_is_asked_there_is_one_life_at_a_time(asked: list[SecretCommand]) -> None:
    state, events = None, list[SecretEvent]()
    for at, command in enumerate(asked, 1):
        try:
            made = decide(command, state, at=at)
        except Refused:
            continue
        state = reduce(SECRET.evolve, made, state)
        events += made
    assert state is None or state.revision == len(events)
    ends = [isinstance(event, SecretRemoved) for event in events]
    assert not any(one and other for one, other in pairwise(ends))
