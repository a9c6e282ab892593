"""Whatever stands in a log becomes an entry."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.projector.entry import FLAW_MAX, Entry, Log, read
from penstock.projector.ids import NIL, uuid_bytes, uuid_text
from tests.unit.projector.lives import Life, Tape, chain

TENANT = "0190a000-0000-7000-8000-000000000001"


def good() -> Entry:
    tape = Tape()
    Life(tape, chain(2), name="one", tenant=TENANT).start()
    return tape.entries()[0]


def test_a_decision_is_read_with_what_its_subject_says() -> None:
    entry = good()
    assert entry.decision is not None
    assert (entry.flaw, entry.kind, uuid_text(entry.tenant)) == ("", "run", TENANT)
    assert uuid_text(entry.id) == entry.subject_id


@given(st.binary(max_size=200))
def test_no_body_is_an_error(body: bytes) -> None:
    entry = read(Log.EVENTS, 1, good().subject, body)
    assert entry.decision is None
    assert 0 < len(entry.flaw) <= FLAW_MAX
    assert entry.body == body


@given(st.data())
def test_no_damage_to_a_body_is_an_error(data: st.DataObject) -> None:
    body = bytearray(good().body)
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] = data.draw(st.integers(0, 255))
    entry = read(Log.EVENTS, 1, good().subject, bytes(body))
    assert (entry.decision is None) == bool(entry.flaw)


@pytest.mark.parametrize("at", [0, -1, 1_577_836_799_999, 4_102_444_800_000])
def test_a_moment_without_a_month_of_ours_is_a_flaw(at: int) -> None:
    members = msgspec.json.decode(good().body)
    entry = read(Log.EVENTS, 1, good().subject, msgspec.json.encode(members | {"at": at}))
    assert entry.flaw == f"impossible moment: {at}"


@pytest.mark.parametrize(
    "subject",
    [
        "elsewhere",
        "penstock.evt.acme.run.r-7",
        f"penstock.reg.{TENANT}.run.{TENANT}",
        f"penstock.evt.{TENANT}.run.{TENANT.replace('-', '')}",
        f"penstock.evt.{TENANT.upper()}.run.{TENANT}",
    ],
)
def test_a_foreign_subject_belongs_to_nobody(subject: str) -> None:
    entry = read(Log.EVENTS, 1, subject, good().body)
    assert (entry.tenant, entry.kind, entry.subject_id) == (NIL, "", subject)
    assert entry.flaw


@given(st.uuids())
def test_ids_go_there_and_back(value: object) -> None:
    raw = uuid_bytes(str(value))
    assert raw is not None
    assert uuid_text(raw) == str(value)
