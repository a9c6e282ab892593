"""Subjects: what goes in comes out, and nothing else gets in."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.infra.nats import subjects
from penstock.infra.nats.subjects import PARTITIONS, BadSubject, BadToken

tokens = st.from_regex(r"\A[A-Za-z0-9_-]{1,64}\Z")


@given(tokens)
def test_a_token_passes_unchanged(text: str) -> None:
    assert subjects.token(text) == text


@pytest.mark.parametrize(
    "text", ["", "*", ">", "a.b", "a b", "a\r\nPUB x", "é", "a" * 65, "a\n", "\x00", "a/b"]
)
def test_what_could_change_a_subject_is_no_token(text: str) -> None:
    with pytest.raises(BadToken):
        subjects.token(text)


@given(tokens, tokens)
def test_a_history_is_named_by_its_subject(tenant: str, run_id: str) -> None:
    parsed = subjects.parse_events(subjects.run_events(tenant, run_id))
    assert parsed == ("evt", tenant, "run", run_id)
    assert subjects.parse_events(subjects.registry(tenant, "key", run_id)).log == "reg"


@given(tokens, tokens)
def test_everything_about_a_run_goes_through_one_partition(tenant: str, run_id: str) -> None:
    command = subjects.parse_command(subjects.command(tenant, "run", run_id))
    timer = subjects.parse_timer(subjects.timer_due(tenant, run_id, "t-1"))
    assert command == (tenant, subjects.partition_of(run_id), "run", run_id)
    assert timer == (subjects.partition_of(run_id), tenant, run_id, "t-1")
    assert 0 <= command.partition < PARTITIONS


def test_partitions_are_used_evenly() -> None:
    count = Counter(subjects.partition_of(f"run-{number}") for number in range(16_000))
    assert len(count) == PARTITIONS
    assert max(count.values()) < 1_200


def test_partitions_never_move() -> None:
    """They are part of what is stored: another hash would lose the timers of live runs."""
    assert [subjects.partition_of(text) for text in ("r-1", "r-2", "0190")] == [9, 3, 12]


@pytest.mark.parametrize(
    ("built", "subject"),
    [
        (subjects.command("acme", "run", "r-1"), "penstock.cmd.acme.9.run.r-1"),
        (subjects.reports("shared", 3), "penstock.rep.shared.3"),
        (subjects.run_events("acme", "r-1"), "penstock.evt.acme.run.r-1"),
        (subjects.registry("acme", "workflow", "w-1"), "penstock.reg.acme.workflow.w-1"),
        (subjects.work("shared", "default", "acme"), "penstock.work.shared.default.acme"),
        (subjects.timer_set("acme", "r-1", "t-1"), "penstock.timer.set.9.acme.r-1.t-1"),
        (subjects.timer_due("acme", "r-1", "t-1"), "penstock.timer.due.9.acme.r-1.t-1"),
        (subjects.step_log("acme", "r-1"), "penstock.log.acme.r-1"),
        (subjects.live("penstock.evt.acme.run.r-1"), "penstock.live.evt.acme.run.r-1"),
        (subjects.lease(7), "penstock.lease.7"),
        (subjects.dead("WORK"), "penstock.dead.WORK"),
        (subjects.cancel("acme", "r-1"), "penstock.ctl.cancel.acme.r-1"),
    ],
)
def test_subjects_are_spelled_as_the_architecture_says(built: str, subject: str) -> None:
    assert built == subject


@pytest.mark.parametrize(
    "subject", ["", "penstock.evt.a.run", "penstock.cmd.a.run.b", "x.evt.a.b.c"]
)
def test_a_subject_of_another_family_is_refused(subject: str) -> None:
    with pytest.raises(BadSubject):
        subjects.parse_events(subject)


@pytest.mark.parametrize(
    "subject", ["penstock.cmd.a.x.run.b", "penstock.cmd.a.-1.run.b", "penstock.cmd.a.٣.run.b"]
)
def test_a_partition_is_a_number(subject: str) -> None:
    with pytest.raises(BadSubject):
        subjects.parse_command(subject)


def test_only_our_subjects_are_heard_live() -> None:
    with pytest.raises(BadSubject):
        subjects.live("other.evt.a.run.b")


def test_there_is_no_seventeenth_partition() -> None:
    with pytest.raises(BadToken):
        subjects.reports("shared", PARTITIONS)
