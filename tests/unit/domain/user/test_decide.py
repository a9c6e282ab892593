"""The users of a tenant: history, command, what it adds."""

from functools import reduce
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.errors import Conflict, NotFound, Refused
from penstock.domain.identity import Role
from penstock.domain.payload import of_value
from penstock.domain.user.commands import (
    AcceptInvitation,
    ChangePassword,
    ChangeUser,
    CreateUser,
    InviteAgain,
    RemoveUser,
    UserCommand,
)
from penstock.domain.user.decide import USERS, USERS_MAX, is_admin
from penstock.domain.user.events import (
    UserAccepted,
    UserCreated,
    UserEvent,
    UserInvited,
    UserInvitedAgain,
    UserPasswordChanged,
    UserProfileChanged,
    UserRemoved,
    UserRoleChanged,
)
from penstock.domain.user.state import Status, Users

AT = 1_000
WHO = "key:1"
ADA, BOB = of_value({"email": "ada@x", "name": "Ada"}), of_value({"email": "bob@x", "name": ""})


def making(user_id: str, role: Role = Role.ADMIN, **more: object) -> CreateUser:
    return CreateUser(user_id=user_id, role=role, profile=ADA, created_by=WHO, **more)  # type: ignore[arg-type]


def made(user_id: str, role: Role = Role.ADMIN, request_hash: str = "") -> UserCreated:
    return UserCreated(
        user_id=user_id,
        role=role,
        profile=ADA,
        created_at=AT,
        created_by=WHO,
        request_hash=request_hash,
    )


INVITED = UserInvited(user_id="i", role=Role.ADMIN, profile=ADA, created_at=AT, created_by=WHO)
ACCEPTED = UserAccepted(user_id="i", accepted_at=AT)


def folded(*history: UserEvent) -> Users | None:
    return reduce(USERS.evolve, history, USERS.initial)


def decided(command: UserCommand, *history: UserEvent) -> list[UserEvent]:
    return USERS.decide(command, folded(*history), at=AT)


def refused(command: UserCommand, *history: UserEvent) -> str:
    with pytest.raises(Conflict) as refusal:
        decided(command, *history)
    return refusal.value.code


def test_a_user_is_made_changed_and_removed() -> None:
    assert decided(making("a")) == [made("a")]
    change = ChangeUser(user_id="b", role=Role.VIEWER, profile=BOB)
    changed: list[UserEvent] = [
        UserRoleChanged(user_id="b", role=Role.VIEWER, changed_at=AT),
        UserProfileChanged(user_id="b", profile=BOB, changed_at=AT),
    ]
    history = (made("a"), made("b"))
    assert decided(change, *history) == changed
    assert decided(change, *history, *changed) == []
    gone = UserRemoved(user_id="b", removed_at=AT)
    assert decided(RemoveUser(user_id="b"), *history) == [gone]
    assert decided(RemoveUser(user_id="b"), *history, gone) == []


def test_an_invited_user_is_active_once_they_accepted() -> None:
    assert decided(making("i", is_invited=True)) == [INVITED]
    assert decided(AcceptInvitation(user_id="i"), INVITED) == [ACCEPTED]
    assert decided(AcceptInvitation(user_id="i"), INVITED, ACCEPTED) == []
    users = folded(INVITED, ACCEPTED)
    assert users is not None
    assert users.by_id["i"].status is Status.ACTIVE


def test_a_repeated_request_makes_no_second_user() -> None:
    again = making("a", request_hash="h")
    assert decided(again, made("a", request_hash="h")) == []
    assert refused(again, made("a", request_hash="other")) == "IDEMPOTENCY_CONFLICT"
    assert refused(making("a"), made("a")) == "IDEMPOTENCY_CONFLICT"


@pytest.mark.parametrize(
    "command",
    [ChangeUser(user_id="a", role=Role.VIEWER), RemoveUser(user_id="a")],
    ids=["demoted", "removed"],
)
def test_the_last_admin_stays(command: UserCommand) -> None:
    others = (made("v", Role.VIEWER), INVITED)
    assert refused(command, made("a"), *others) == "LAST_ADMIN"
    assert refused(command, made("a"), made("b"), UserRemoved(user_id="b", removed_at=AT)) == (
        "LAST_ADMIN"
    )
    assert decided(command, made("a"), made("b")) != []
    assert decided(command, made("a"), INVITED, ACCEPTED) != []


def test_an_admin_who_never_answered_can_be_removed() -> None:
    assert decided(RemoveUser(user_id="i"), made("a"), INVITED) != []


def test_who_is_not_there_cannot_be_changed() -> None:
    gone = (made("a"), made("b"), UserRemoved(user_id="b", removed_at=AT))
    for command in (ChangeUser(user_id="b", role=Role.VIEWER), AcceptInvitation(user_id="b")):
        for history in ((), gone):
            with pytest.raises(NotFound):
                decided(command, *history)
    with pytest.raises(NotFound):
        decided(RemoveUser(user_id="b"))


def test_a_tenant_has_only_so_many_users() -> None:
    full: list[UserEvent] = [made(str(number)) for number in range(USERS_MAX)]
    assert refused(making("more"), *full) == "LIMIT_EXCEEDED"
    assert decided(making("more"), *full, UserRemoved(user_id="7", removed_at=AT)) != []


IDS = st.sampled_from(["a", "b", "c"])
ROLES = st.sampled_from([Role.VIEWER, Role.ADMIN])
COMMANDS: st.SearchStrategy[UserCommand] = st.one_of(
    st.builds(
        CreateUser,
        user_id=IDS,
        role=ROLES,
        profile=st.just(ADA),
        created_by=st.just(WHO),
        is_invited=st.booleans(),
    ),
    st.builds(AcceptInvitation, user_id=IDS),
    st.builds(
        ChangeUser, user_id=IDS, role=st.none() | ROLES, profile=st.sampled_from([None, BOB])
    ),
    st.builds(RemoveUser, user_id=IDS),
)


@given(st.lists(COMMANDS, max_size=30))
def test_whatever_is_asked_who_had_an_admin_has_one(commands: list[UserCommand]) -> None:
    history: list[UserEvent] = []
    had_admin = False
    for command in commands:
        before = folded(*history)
        try:
            added = decided(command, *history)
        except Refused:
            continue
        history += added
        users = folded(*history)
        assert users is None or users == reduce(USERS.evolve, added, before)
        has_admin = any(map(is_admin, users.by_id.values())) if users else False
        assert has_admin or not had_admin
        had_admin = has_admin
        assert isinstance(command, CreateUser) or decided(command, *history) == []


@given(st.lists(IDS, min_size=2, max_size=3, unique=True))
def test_no_order_of_demotions_leaves_nobody(ids: list[str]) -> None:
    for first, second in combinations(ids, 2):
        history: list[UserEvent] = [made(first), made(second)]
        history += decided(ChangeUser(user_id=first, role=Role.VIEWER), *history)
        assert refused(ChangeUser(user_id=second, role=Role.VIEWER), *history) == "LAST_ADMIN"


def test_who_is_invited_again_is_as_good_as_new_until_they_accept() -> None:
    again = UserInvitedAgain(user_id="a", invited_at=AT)
    assert decided(InviteAgain(user_id="a"), made("a")) == [again]
    users = folded(made("a"), again)
    assert users is not None
    assert (users.by_id["a"].status, users.by_id["a"].accepted_at) == (Status.INVITED, None)
    accepted = UserAccepted(user_id="a", accepted_at=AT)
    assert decided(AcceptInvitation(user_id="a"), made("a"), again) == [accepted]
    assert decided(InviteAgain(user_id="i"), INVITED) != []


def test_a_password_is_changed_by_who_is_there() -> None:
    changed = UserPasswordChanged(user_id="a", changed_at=AT)
    assert decided(ChangePassword(user_id="a"), made("a")) == [changed]
    assert folded(made("a"), changed) == folded(made("a"))
    for command in (ChangePassword(user_id="b"), InviteAgain(user_id="b")):
        with pytest.raises(NotFound):
            decided(command, made("a"), made("b"), UserRemoved(user_id="b", removed_at=AT))
