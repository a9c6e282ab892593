"""A gate lets through as many as its rule says, in order, and forgets nobody."""

from hypothesis import given
from hypothesis import strategies as st

from penstock.domain.gate.commands import AcquireSlot, GateCommand, OpenGate, ReleaseSlot
from penstock.domain.gate.decide import decide, opens_next_at
from penstock.domain.gate.events import GateEvent, Rule, SlotGranted
from penstock.domain.gate.evolve import evolve
from penstock.domain.gate.snapshot import encoded, restored
from penstock.domain.gate.state import CLOSED, MINUTE_MS, Gate
from penstock.domain.workflow.model import Strategy

ONE = Rule(most=1)
SKIP = Rule(most=1, strategy=Strategy.SKIP)
NEWEST = Rule(most=1, strategy=Strategy.CANCEL_RUNNING)


class Story:
    def __init__(self) -> None:
        self.gate: Gate = CLOSED
        self.events: list[GateEvent] = []

    def when(self, *commands: GateCommand, at: int = 0) -> list[str]:
        said = []
        for command in commands:
            events = decide(command, self.gate, at=at)
            for event in events:
                self.gate = evolve(self.gate, event)
            self.events += events
            said += [f"{type(e).__name__} {getattr(e, 'run_id', '')}".strip() for e in events]
        return said


def acquire(run_id: str, rule: Rule = ONE, priority: int = 0) -> AcquireSlot:
    return AcquireSlot(run_id=run_id, rule=rule, priority=priority)


def release(run_id: str) -> ReleaseSlot:
    return ReleaseSlot(run_id=run_id)


def test_the_next_in_line_is_let_through_when_a_slot_is_released() -> None:
    story = Story()
    assert story.when(acquire("a")) == ["GateRuled", "SlotQueued a", "SlotGranted a"]
    assert story.when(acquire("b"), acquire("c")) == ["SlotQueued b", "SlotQueued c"]
    assert story.when(release("a")) == ["SlotReleased a", "SlotGranted b"]


def test_a_repeated_command_adds_nothing() -> None:
    story = Story()
    story.when(acquire("a"), acquire("b"), release("a"))
    assert story.when(acquire("b"), release("a")) == []


def test_priority_goes_first_and_age_decides_among_equals() -> None:
    story = Story()
    story.when(acquire("a"), acquire("b"), acquire("c", priority=5), acquire("d", priority=5))
    assert story.when(release("a")) == ["SlotReleased a", "SlotGranted c"]
    assert story.when(release("c")) == ["SlotReleased c", "SlotGranted d"]
    assert story.when(release("d")) == ["SlotReleased d", "SlotGranted b"]


def test_skip_turns_away_whoever_finds_the_slot_taken() -> None:
    story = Story()
    story.when(acquire("a", SKIP))
    assert story.when(acquire("b", SKIP)) == ["SlotRefused b"]
    story.when(release("a"))
    assert story.when(acquire("c", SKIP)) == ["SlotQueued c", "SlotGranted c"]


def test_cancel_running_displaces_the_holder_and_those_in_line() -> None:
    story = Story()
    story.when(acquire("a", NEWEST))
    assert story.when(acquire("b", NEWEST)) == ["HolderDisplaced a", "SlotQueued b"]
    assert story.when(acquire("c", NEWEST)) == ["SlotRefused b", "SlotQueued c"]
    assert story.when(release("a")) == ["SlotReleased a", "SlotGranted c"]


def test_a_rate_lets_no_more_through_in_any_minute() -> None:
    story, rule = Story(), Rule(per_minute=2)
    story.when(acquire("a", rule), at=0)
    story.when(acquire("b", rule), acquire("c", rule), at=10_000)
    assert opens_next_at(story.gate, 20_000) == MINUTE_MS
    assert story.when(OpenGate(), at=MINUTE_MS - 1) == []
    assert story.when(OpenGate(), at=MINUTE_MS) == ["SlotGranted c"]


def test_a_rate_that_skips_turns_away_who_is_one_too_many() -> None:
    story, rule = Story(), Rule(per_minute=1, strategy=Strategy.SKIP)
    assert story.when(acquire("a", rule)) == ["GateRuled", "SlotQueued a", "SlotGranted a"]
    assert story.when(acquire("b", rule), at=10) == ["SlotRefused b"]
    assert story.when(acquire("c", rule), at=MINUTE_MS) == ["SlotQueued c", "SlotGranted c"]


def test_who_was_turned_away_stays_so_until_it_lets_go() -> None:
    story = Story()
    story.when(acquire("a", NEWEST), acquire("b", NEWEST), acquire("c", NEWEST))
    assert story.when(acquire("b", NEWEST)) == [], "nobody is displaced by who was turned away"
    assert story.gate.refused["b"] == "c"
    assert story.when(release("b")) == ["SlotReleased b"]
    assert not story.gate.refused


def test_a_run_that_asks_again_does_not_change_the_rule() -> None:
    story = Story()
    story.when(acquire("a"), acquire("b", Rule(most=2)))
    assert story.when(acquire("a")) == []
    assert story.gate.rule == Rule(most=2)


def test_who_leaves_the_line_is_not_let_through() -> None:
    story = Story()
    story.when(acquire("a"), acquire("b"), acquire("c"), release("b"))
    assert story.when(release("a")) == ["SlotReleased a", "SlotGranted c"]


def test_who_asks_anew_with_another_priority_stands_in_one_line_only() -> None:
    story = Story()
    story.when(acquire("held"), acquire("first", priority=1), acquire("c", priority=1))
    story.when(release("c"), acquire("c"), release("first"))
    assert encoded(restored(encoded(story.gate))) == encoded(story.gate)
    assert story.when(release("c")) == ["SlotReleased c"]
    assert story.gate.next_in_line is None


def test_who_would_wait_for_its_own_ancestor_alone_is_turned_away() -> None:
    story = Story()
    story.when(acquire("a"))
    below = AcquireSlot(run_id="b", rule=ONE, above=("a",))
    assert story.when(below) == ["SlotRefused b"]
    two = Rule(most=2)
    wide = Story()
    wide.when(acquire("a", two), acquire("x", two))
    waits = AcquireSlot(run_id="b", rule=two, above=("a",))
    assert wide.when(waits) == ["SlotQueued b"], "x will let go, whatever becomes of b"


runs = st.sampled_from("abcdef")
commands = st.one_of(
    st.builds(
        acquire,
        runs,
        st.builds(
            Rule,
            most=st.sampled_from([None, 1, 2]),
            per_minute=st.sampled_from([None, 1, 3]),
            strategy=st.sampled_from(list(Strategy)),
        ),
        st.integers(0, 2),
    ),
    st.builds(release, runs),
    st.just(OpenGate()),
)


@given(st.lists(st.tuples(commands, st.integers(0, 20_000)), max_size=60))
def test_limits_hold_and_nobody_waits_for_nothing(story: list[tuple[GateCommand, int]]) -> None:
    told, at = Story(), 0
    granted: list[tuple[int, int | None]] = []
    for command, later in story:
        at += later
        before = len(told.events)
        told.when(command, at=at)
        gate = told.gate
        fresh = [e for e in told.events[before:] if isinstance(e, SlotGranted)]
        granted += [(e.granted_at, gate.rule.per_minute) for e in fresh]
        if fresh and gate.rule.most is not None:
            assert len(gate.holders) <= gate.rule.most
        again = restored(encoded(gate))
        assert encoded(again) == encoded(gate)
        assert [again.next_in_line, again.opens_at(at)] == [gate.next_in_line, gate.opens_at(at)]
        opens_at = opens_next_at(gate, at)
        assert opens_at is None or opens_at > at, "somebody could pass and does not"
        assert set(gate.waiting) == {
            r for line in gate.lines.values() for r in line.listed() if r in gate.waiting
        }
