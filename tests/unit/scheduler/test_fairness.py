"""Whose steps are next: in proportion to weights, by rank and age, and nobody waits for ever."""

from collections import Counter
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.scheduler.fairness import AGEING_S, QUANTUM, Turns

MANY = 100_000


def turns(**weights: int) -> Turns[str]:
    """Turns of tenants with these weights, 1 where none is given."""
    return Turns(lambda tenant: weights.get(tenant, 1))


def order(asked: Turns[str]) -> Iterator[str]:
    """The runs in the order in which single steps are granted, until nobody waits."""
    while asked:
        yield from asked.grants(1)


def test_the_oldest_of_equals_comes_first() -> None:
    asked = turns()
    for number in range(5):
        asked.claim("a", f"r{number}", 1, priority=0, at=float(number))
    assert list(order(asked)) == ["r0", "r1", "r2", "r3", "r4"]


def test_of_the_same_moment_the_first_comer_is_first() -> None:
    asked = turns()
    for run in ("z", "m", "a"):
        asked.claim("t", run, 2, priority=0, at=7.0)
    assert list(order(asked)) == ["z", "z", "m", "m", "a", "a"]


def test_a_higher_priority_comes_first_within_its_tenant_only() -> None:
    asked = turns()
    asked.claim("a", "low", QUANTUM, priority=0, at=0.0)
    asked.claim("b", "other", QUANTUM, priority=0, at=0.0)
    asked.claim("a", "high", QUANTUM, priority=5, at=0.1)
    assert list(asked.grants(3 * QUANTUM)) == ["high", "other", "low"]


def test_waiting_makes_up_for_a_lower_priority() -> None:
    asked = turns()
    asked.claim("a", "old", 1, priority=0, at=0.0)
    asked.claim("a", "soon", 1, priority=2, at=2 * AGEING_S - 1)
    asked.claim("a", "late", 1, priority=2, at=2 * AGEING_S + 1)
    assert list(order(asked)) == ["soon", "old", "late"]


def test_a_claim_keeps_its_place_when_it_grows() -> None:
    asked = turns()
    asked.claim("a", "first", 1, priority=0, at=0.0)
    asked.claim("a", "second", 1, priority=0, at=1.0)
    asked.claim("a", "first", 3, priority=0, at=2.0)
    assert asked.steps == 4
    assert list(order(asked)) == ["first", "first", "first", "second"]


def test_what_was_withdrawn_gets_nothing() -> None:
    asked = turns()
    asked.claim("a", "gone", 5, priority=0, at=0.0)
    asked.claim("a", "here", 1, priority=0, at=1.0)
    asked.withdraw("gone")
    asked.withdraw("never there")
    assert asked.grants(10) == {"here": 1}
    assert not asked
    assert asked.grants(10) == {}


def test_claims_that_come_and_go_behind_one_that_stays_leave_nothing_behind() -> None:
    asked = turns()
    asked.claim("a", "stays", 1, priority=0, at=0.0)
    for number in range(10_000):
        asked.claim("a", "moves", 1, priority=0, at=float(number))
        asked.withdraw("moves")
    (line,) = asked._lines.values()
    assert len(line.places) < 200
    assert asked.grants(5) == {"stays": 1}


def test_weights_of_3_to_1_give_3_to_1() -> None:
    asked = turns(heavy=3)
    for number in range(1_000):
        asked.claim("light", f"light-{number}", 100, priority=0, at=0.0)
        asked.claim("heavy", f"heavy-{number}", 100, priority=0, at=0.0)
    given_to: Counter[str] = Counter()
    rooms = [1, 7, 50, 3, 128]
    while given_to.total() < 40_000:
        for run, steps in asked.grants(rooms[given_to.total() % len(rooms)]).items():
            given_to[run.partition("-")[0]] += steps
    assert 3 * 0.95 <= given_to["heavy"] / given_to["light"] <= 3 * 1.05


def test_one_with_a_hundred_thousand_waiting_steps_does_not_delay_another_s_single_one() -> None:
    asked = turns()
    for number in range(MANY):
        asked.claim("noisy", f"n{number}", 1, priority=9, at=0.0)
    asked.grants(QUANTUM // 2)
    asked.claim("quiet", "q", 1, priority=0, at=1.0)
    before = 0
    for run in order(asked):
        if run == "q":
            break
        before += 1
    assert before <= QUANTUM


def test_one_tenant_alone_has_its_last_claim_met_whole_when_little_is_missing() -> None:
    asked = turns()
    for run in ("first", "second", "third"):
        asked.claim("a", run, 100, priority=0, at=0.0)
    assert asked.grants(190, spare=9) == {"first": 100, "second": 90}
    assert asked.grants(95, spare=10) == {"second": 10, "third": 85}
    asked.claim("b", "other", 100, priority=0, at=0.0)
    assert sum(asked.grants(2 * QUANTUM, spare=100).values()) == 2 * QUANTUM


WEIGHTS = st.dictionaries(st.sampled_from("abcde"), st.integers(1, 5), min_size=2)


@given(WEIGHTS, st.lists(st.integers(1, 40), min_size=50, max_size=80))
@settings(max_examples=100, deadline=None)
def test_who_always_waits_gets_its_share(weights: dict[str, int], rooms: list[int]) -> None:
    asked = Turns[str](weights.__getitem__)
    for tenant in weights:
        for number in range(40):
            asked.claim(tenant, f"{tenant}{number}", 100, priority=0, at=float(number))
    given_to: Counter[str] = Counter()
    for room in rooms:
        granted = asked.grants(room)
        assert sum(granted.values()) == room
        for run, steps in granted.items():
            given_to[run[0]] += steps
    rounds = {tenant: given_to[tenant] / (QUANTUM * weight) for tenant, weight in weights.items()}
    assert max(rounds.values()) - min(rounds.values()) <= 1


def test_a_tenant_without_room_of_its_own_is_passed_over_until_it_is_woken() -> None:
    own = {"a": 3, "b": 100}
    asked = Turns[str](room=own.__getitem__)
    for tenant in own:
        asked.claim(tenant, f"{tenant}1", 5, priority=0, at=0.0)
    assert asked.grants(50) == {"a1": 3, "b1": 5}
    own["a"] = 0
    assert (asked.grants(50), len(asked), asked.aside) == ({}, 0, {"a"})
    asked.claim("b", "b2", 4, priority=0, at=1.0)
    asked.claim("a", "a2", 1, priority=0, at=1.0)
    assert (asked.before("b", "b2"), asked.before("a", "a2")) == (0, 2)
    assert dict(asked.waiting()) == {"a": 3, "b": 4}
    own["a"] = 2
    asked.wake("a")
    assert asked.grants(50) == {"b2": 4, "a1": 2}
    asked.withdraw("a1")
    asked.withdraw("a2")
    assert (asked.steps, len(asked), list(asked.waiting())) == (0, 0, [])


@given(
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 12), min_size=3),
    st.lists(st.integers(1, 30), min_size=1, max_size=20),
)
@settings(max_examples=200, deadline=None)
def test_no_tenant_is_given_more_than_its_own_room(own: dict[str, int], rooms: list[int]) -> None:
    out: Counter[str] = Counter()
    asked = Turns[str](room=lambda tenant: own[tenant] - out[tenant])
    for tenant in own:
        for number in range(3):
            asked.claim(tenant, f"{tenant}{number}", 7, priority=number, at=0.0)
    for room in rooms:
        for run, steps in asked.grants(room).items():
            out[run[0]] += steps
        assert all(out[tenant] <= most for tenant, most in own.items())
    assert sum(rooms) < sum(own.values()) or all(out[t] == own[t] for t in own)


CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("claim"), st.integers(0, 9), st.integers(1, 30), st.integers(-2, 2)),
        st.tuples(st.just("withdraw"), st.integers(0, 9)),
        st.tuples(st.just("grants"), st.integers(0, 50)),
    ),
    max_size=60,
)


@given(CALLS)
@settings(max_examples=300, deadline=None)
def test_nothing_is_granted_twice_and_nothing_is_kept_back(calls: list[tuple[object, ...]]) -> None:
    asked, waiting = turns(t0=3), Counter[str]()
    for moment, (what, *with_) in enumerate(calls):
        match what, with_:
            case "claim", [int(run), int(steps), int(priority)]:
                name = f"r{run}"
                asked.claim(f"t{run % 3}", name, steps, priority=priority, at=float(moment))
                waiting[name] = steps
            case "withdraw", [int(run)]:
                asked.withdraw(f"r{run}")
                waiting[f"r{run}"] = 0
            case "grants", [int(room)]:
                granted = asked.grants(room)
                assert sum(granted.values()) == min(room, waiting.total())
                waiting.subtract(granted)
                assert min(waiting.values(), default=0) >= 0
        assert asked.steps == waiting.total()
        assert len(asked) == sum(1 for steps in waiting.values() if steps)
