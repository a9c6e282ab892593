"""A workflow's life: history, command, what it adds."""

from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.errors import Conflict, NotFound, Refused
from penstock.domain.payload import of_value
from penstock.domain.workflow.commands import (
    ChangeWorkflow,
    CreateWorkflow,
    DeleteWorkflow,
    DraftVersion,
    NewVersion,
    PinVersion,
    PublishVersion,
    UnpinVersion,
    WorkflowCommand,
)
from penstock.domain.workflow.decide import VERSIONS_MAX, WORKFLOW
from penstock.domain.workflow.events import (
    Visibility,
    WorkflowCreated,
    WorkflowDeleted,
    WorkflowEvent,
    WorkflowRecreated,
    WorkflowRenamed,
    WorkflowVersionCreated,
    WorkflowVersionPinned,
    WorkflowVersionPublished,
    WorkflowVersionUnpinned,
    WorkflowVisibilityChanged,
)
from penstock.domain.workflow.state import Workflow, newest_published

AT = 1_000
WHO = "key:1"
CREATED = WorkflowCreated(key="etl", name="ETL", created_at=AT, created_by=WHO)
DELETED = WorkflowDeleted(deleted_at=AT)
RECREATED = WorkflowRecreated(name="New", created_at=AT, created_by=WHO)


def new(number: int) -> NewVersion:
    return NewVersion(version_id=f"v{number}", content_hash="0" * 64, definition=of_value({}))


def drafted(number: int) -> WorkflowVersionCreated:
    return WorkflowVersionCreated(
        version_id=f"v{number}",
        number=number,
        content_hash="0" * 64,
        definition=of_value({}),
        created_at=AT,
        created_by=WHO,
    )


def published(number: int) -> WorkflowVersionPublished:
    return WorkflowVersionPublished(version_id=f"v{number}", number=number, published_at=AT)


def pinned(number: int) -> WorkflowVersionPinned:
    return WorkflowVersionPinned(version_id=f"v{number}", number=number)


def folded(*history: WorkflowEvent) -> Workflow | None:
    return reduce(WORKFLOW.evolve, history, WORKFLOW.initial)


def decided(command: WorkflowCommand, *history: WorkflowEvent) -> list[WorkflowEvent]:
    return WORKFLOW.decide(command, folded(*history), at=AT)


def test_a_definition_becomes_version_1_published() -> None:
    create = CreateWorkflow(key="etl", name="ETL", created_by=WHO, version=new(1))
    assert decided(create) == [CREATED, drafted(1), published(1)]
    assert decided(CreateWorkflow(key="etl", name="ETL", created_by=WHO)) == [CREATED]


@pytest.mark.parametrize(
    ("history", "again"), [((CREATED,), False), ((CREATED,), True), ((CREATED, DELETED), False)]
)
def test_a_taken_key_stays_taken(history: tuple[WorkflowEvent, ...], again: bool) -> None:
    with pytest.raises(Conflict) as refused:
        decided(CreateWorkflow(key="etl", name="ETL", created_by=WHO, again=again), *history)
    assert refused.value.code == "KEY_TAKEN"


def test_a_deleted_workflow_lives_again_and_its_versions_go_on_counting() -> None:
    before = (CREATED, drafted(1), published(1), pinned(1), DELETED)
    again = CreateWorkflow(key="etl", name="New", created_by=WHO, version=new(2), again=True)
    assert decided(again, *before) == [RECREATED, drafted(2), published(2)]
    workflow = folded(*before, RECREATED)
    assert workflow is not None
    assert (workflow.name, workflow.deleted_at, workflow.pinned) == ("New", None, None)
    assert newest_published(workflow) is None
    assert decided(PublishVersion(1), *before, RECREATED) == [published(1)]


def test_a_request_of_a_former_life_begins_no_other_one() -> None:
    create = CreateWorkflow(key="etl", name="ETL", created_by=WHO, request_hash="h", again=True)
    first = decided(create)
    assert decided(create, *first, DELETED, RECREATED, DELETED) == []


def test_a_draft_that_is_asked_for_again_is_there_already() -> None:
    draft = DraftVersion(created_by=WHO, version=new(1), revisions=frozenset({1}))
    assert decided(draft, CREATED, drafted(1)) == []


def test_a_repeated_request_makes_no_second_workflow() -> None:
    create = CreateWorkflow(key="etl", name="ETL", created_by=WHO, request_hash="h")
    assert decided(create, *decided(create)) == []


def test_a_change_renames_and_publishes() -> None:
    change = ChangeWorkflow(changed_by=WHO, name="new", version=new(2))
    before = (CREATED, drafted(1), published(1))
    assert decided(change, *before) == [WorkflowRenamed(name="new"), drafted(2), published(2)]
    assert decided(ChangeWorkflow(changed_by=WHO, name="ETL"), *before) == []


def test_who_may_read_is_changed_by_itself_and_once() -> None:
    share = ChangeWorkflow(changed_by=WHO, visibility=Visibility.PUBLIC_READ)
    shown = WorkflowVisibilityChanged(visibility=Visibility.PUBLIC_READ)
    assert decided(share, CREATED) == [shown]
    assert decided(share, CREATED, shown) == []
    hide = ChangeWorkflow(changed_by=WHO, visibility=Visibility.TENANT)
    assert decided(hide, CREATED, shown) == [
        WorkflowVisibilityChanged(visibility=Visibility.TENANT)
    ]


def test_a_workflow_that_lives_again_is_its_tenants_alone() -> None:
    shown = WorkflowVisibilityChanged(visibility=Visibility.PUBLIC_READ)
    workflow = folded(CREATED, shown, DELETED, RECREATED)
    assert workflow is not None
    assert workflow.visibility == Visibility.TENANT


def test_a_change_that_only_brings_what_is_published_changes_nothing() -> None:
    before = (CREATED, drafted(1), published(1))
    same = ChangeWorkflow(changed_by=WHO, name="new", version=new(3), if_new=True)
    assert decided(same, *before) == []
    assert decided(same, CREATED, drafted(1)) != []
    other = WorkflowVersionCreated(
        version_id="v2",
        number=2,
        content_hash="1" * 64,
        definition=of_value({}),
        created_at=AT,
        created_by=WHO,
    )
    assert decided(same, *before, other) == []
    assert decided(same, *before, other, published(2)) != []


def test_a_change_that_is_asked_for_again_has_its_version() -> None:
    change = ChangeWorkflow(changed_by=WHO, name="new", version=new(2), revisions=frozenset({1}))
    assert decided(change, CREATED, *decided(change, CREATED)) == []


def test_a_change_from_an_older_revision_lost_the_race() -> None:
    change = ChangeWorkflow(changed_by=WHO, name="new", revisions=frozenset({1, 7}))
    assert decided(change, CREATED) == [WorkflowRenamed(name="new")]
    with pytest.raises(Conflict) as refused:
        decided(change, CREATED, WorkflowRenamed(name="won"))
    assert refused.value.code == "PRECONDITION_FAILED"


def test_a_draft_is_published_once_and_then_pinned() -> None:
    draft = DraftVersion(created_by=WHO, version=new(1))
    assert decided(draft, CREATED) == [drafted(1)]
    before = (CREATED, drafted(1))
    with pytest.raises(Conflict) as refused:
        decided(PinVersion(1), *before)
    assert refused.value.code == "NOT_PUBLISHED"
    assert decided(PublishVersion(1), *before) == [published(1)]
    after = (*before, published(1))
    assert decided(PublishVersion(1), *after) == []
    assert decided(PinVersion(1), *after) == [pinned(1)]
    assert decided(PinVersion(1), *after, pinned(1)) == []
    assert decided(UnpinVersion(), *after, pinned(1)) == [WorkflowVersionUnpinned()]
    assert decided(UnpinVersion(), *after) == []


def test_an_older_draft_published_late_is_not_the_newest() -> None:
    workflow = folded(CREATED, drafted(1), drafted(2), published(2), published(1))
    assert workflow is not None
    assert newest_published(workflow) == 2


def test_a_workflow_is_deleted_once_and_changes_no_more() -> None:
    assert decided(DeleteWorkflow(), CREATED) == [DELETED]
    assert decided(DeleteWorkflow(), CREATED, DELETED) == []
    with pytest.raises(NotFound):
        decided(ChangeWorkflow(changed_by=WHO, name="x"), CREATED, DELETED)


def test_versions_have_an_end() -> None:
    versions = [drafted(number) for number in range(1, VERSIONS_MAX + 1)]
    with pytest.raises(Conflict) as refused:
        decided(DraftVersion(created_by=WHO, version=new(0)), CREATED, *versions)
    assert refused.value.code == "LIMIT_EXCEEDED"


NUMBERS = st.integers(0, 4)
REVISIONS = st.none() | st.frozensets(NUMBERS)
VERSIONS = st.builds(new, st.integers(1, 9))
COMMANDS = st.one_of(
    st.builds(
        CreateWorkflow,
        key=st.just("etl"),
        name=st.just("ETL"),
        created_by=st.just(WHO),
        version=st.none() | VERSIONS,
        request_hash=st.sampled_from(["", "h", "i"]),
        again=st.booleans(),
    ),
    st.builds(
        ChangeWorkflow,
        changed_by=st.just(WHO),
        name=st.sampled_from([None, "a", "b"]),
        version=st.none() | VERSIONS,
        revisions=REVISIONS,
    ),
    st.builds(DraftVersion, created_by=st.just(WHO), version=VERSIONS, revisions=REVISIONS),
    st.builds(PublishVersion, NUMBERS),
    st.builds(PinVersion, NUMBERS),
    st.just(UnpinVersion()),
    st.builds(DeleteWorkflow, revisions=REVISIONS),
)


@given(st.lists(COMMANDS, max_size=20))
def test_whatever_is_asked_the_history_stays_whole(commands: list[WorkflowCommand]) -> None:
    history: list[WorkflowEvent] = []
    for command in commands:
        try:
            history += decided(command, *history)
        except Refused:
            continue
        workflow = folded(*history)
        assert workflow is not None
        assert workflow.revision == len(history)
        assert workflow.pinned is None or workflow.versions[workflow.pinned - 1].published
        assert workflow.deleted_at is None or isinstance(history[-1], WorkflowDeleted)


@given(st.lists(COMMANDS, max_size=20))
def test_a_command_that_took_effect_adds_nothing_again(commands: list[WorkflowCommand]) -> None:
    history: list[WorkflowEvent] = []
    for command in commands:
        try:
            history += decided(command, *history)
            if is_repeatable(command):
                assert decided(command, *history) == []
        except Refused:
            continue


def is_repeatable(command: WorkflowCommand) -> bool:
    """Whether nothing that the command changed makes its repetition another wish."""
    match command:
        case ChangeWorkflow():
            return False
        case CreateWorkflow(request_hash=request_hash):
            return bool(request_hash)
        case DraftVersion():
            return True
        case _:
            return command.revisions is None
