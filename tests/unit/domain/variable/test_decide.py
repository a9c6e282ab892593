"""A variable's life: history, command, what it adds."""

from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.errors import Conflict, NotFound, Refused
from penstock.domain.payload import of_value
from penstock.domain.variable.commands import (
    ChangeVariable,
    CreateVariable,
    DeleteVariable,
    VariableCommand,
)
from penstock.domain.variable.decide import VARIABLE
from penstock.domain.variable.events import (
    VariableChanged,
    VariableCreated,
    VariableDeleted,
    VariableEvent,
)
from penstock.domain.variable.state import Variable

AT = 1_000
WHO = "key:1"
ONE, TWO = of_value(1), of_value({"two": 2})
CREATE = CreateVariable(name="region", value=ONE, created_by=WHO, request_hash="h")
CREATED = VariableCreated(name="region", value=ONE, created_at=AT, created_by=WHO, request_hash="h")
CHANGED = VariableChanged(value=TWO, description="d", changed_at=AT)
DELETED = VariableDeleted(deleted_at=AT)


def folded(*history: VariableEvent) -> Variable | None:
    return reduce(VARIABLE.evolve, history, VARIABLE.initial)


def decided(command: VariableCommand, *history: VariableEvent) -> list[VariableEvent]:
    return VARIABLE.decide(command, folded(*history), at=AT)


def test_a_variable_is_made_changed_and_deleted() -> None:
    assert decided(CREATE) == [CREATED]
    assert decided(ChangeVariable(value=TWO, description="d"), CREATED) == [CHANGED]
    assert decided(ChangeVariable(value=TWO, description="d"), CREATED, CHANGED) == []
    assert decided(DeleteVariable(), CREATED, CHANGED) == [DELETED]
    assert decided(DeleteVariable(), CREATED, DELETED) == []


def test_a_name_is_taken_while_its_variable_lives() -> None:
    other = CreateVariable(name="region", value=TWO, created_by=WHO)
    with pytest.raises(Conflict) as refused:
        decided(other, CREATED)
    assert refused.value.code == "NAME_TAKEN"
    (again,) = decided(other, CREATED, DELETED)
    assert isinstance(again, VariableCreated)
    variable = folded(CREATED, DELETED, again)
    assert variable is not None
    assert (variable.value, variable.revision, variable.deleted_at) == (TWO, 3, None)


def test_a_repeated_request_makes_no_second_variable() -> None:
    assert decided(CREATE, CREATED) == []
    assert decided(CREATE, CREATED, DELETED) == []


def test_what_is_not_there_cannot_be_changed() -> None:
    histories: list[list[VariableEvent]] = [[], [CREATED, DELETED]]
    for history in histories:
        with pytest.raises(NotFound):
            decided(ChangeVariable(value=TWO), *history)


def test_a_change_from_an_older_revision_lost_the_race() -> None:
    change = ChangeVariable(value=TWO, revisions=frozenset({1}))
    assert decided(change, CREATED) != []
    for lost in (change, DeleteVariable(revisions=frozenset())):
        with pytest.raises(Conflict) as refused:
            decided(lost, CREATED, CHANGED)
        assert refused.value.code == "PRECONDITION_FAILED"


VALUES = st.sampled_from([ONE, TWO])
REVISIONS = st.none() | st.frozensets(st.integers(0, 6))
COMMANDS: st.SearchStrategy[VariableCommand] = st.one_of(
    st.builds(
        CreateVariable,
        name=st.just("region"),
        value=VALUES,
        created_by=st.just(WHO),
        request_hash=st.sampled_from(["", "h", "i"]),
    ),
    st.builds(ChangeVariable, value=VALUES, revisions=REVISIONS),
    st.builds(DeleteVariable, revisions=REVISIONS),
)


@given(st.lists(COMMANDS, max_size=20))
def test_whatever_is_asked_the_history_stays_whole(commands: list[VariableCommand]) -> None:
    history: list[VariableEvent] = []
    for command in commands:
        try:
            history += decided(command, *history)
        except Refused:
            continue
        variable = folded(*history)
        assert variable is None or variable.revision == len(history)
        lives = [event for event in history if isinstance(event, VariableCreated)]
        ends = [event for event in history if isinstance(event, VariableDeleted)]
        assert len(lives) - len(ends) in {0, 1}
        if variable is not None:
            assert (variable.deleted_at is None) == (len(lives) > len(ends))
