"""Who is given room: windows are never overdrawn, nobody who waits is forgotten."""

import asyncio
from typing import Any

import pytest

from penstock.domain.run.commands import CancelRun, ContinueRun, PauseRun, ResumeRun, RunCommand
from penstock.domain.run.consequences import demand, is_owed
from penstock.domain.run.state import Run, unborn
from penstock.domain.tenant.events import Limits, TenantConfig
from penstock.domain.workflow.graph import Graph
from penstock.domain.workflow.model import Definition, Node
from penstock.infra.eventlog.transact import Outcome
from penstock.messages.load import Steps
from penstock.scheduler import windows
from penstock.scheduler.admission import Admission
from penstock.scheduler.allowance import Allowance
from penstock.scheduler.ceilings import Ceilings, Terms
from penstock.scheduler.configs import Configs, Standing
from penstock.scheduler.keys import RunKey
from penstock.scheduler.watch import Watch
from tests.unit.domain.run.story import AT, complete, drawing, start

WINDOW = 4


class Floor:
    """One scheduler's runs, as it decides about them and watches them, without a log."""

    def __init__(self, *queues: str, most: dict[str, int] | None = None) -> None:
        self.asked: list[RunKey] = []
        self.most = most or {}
        terms = Terms(most=self.most.get)
        self.admission = Admission(queues or ("default",), self.asked.append, terms)
        self.watch = Watch(admission=self.admission)
        self.runs: dict[RunKey, tuple[Run, int]] = {}

    def begin(self, key: RunKey, graph: Graph) -> None:
        """Start a run."""
        self.runs[key] = unborn(key.run_id, graph), 0
        self.say(key, start())

    def say(self, key: RunKey, *commands: RunCommand) -> None:
        """Have a run decide about some commands at once."""
        state, base = self.runs[key]
        run, added = state, []
        with Allowance(self.admission, key) as allowance:
            rules = allowance.rules()
            for command in commands:
                events, run = rules(command, run, at=AT)
                added += events
            seq = base + bool(added)
            placed = [(f"{seq}.{index}", event) for index, event in enumerate(added)]
            outcome = Outcome(run, seq, placed, [], len(commands), base)
            self.watch.follow(key, outcome, 0.0)
        self.runs[key] = run, seq

    def go_on(self) -> None:
        """Give away what room there is, and have those decide that got some."""
        self.admission.give()
        asked, self.asked[:] = list(self.asked), []
        for key in asked:
            self.say(key, ContinueRun())

    def held(self, key: RunKey) -> list[str]:
        """The steps of a run that executors hold."""
        return sorted(a.step_id for a in self.watch.attempts if a.run == key)

    def finish(self, key: RunKey) -> None:
        """Executors report all that they hold of a run."""
        self.say(key, *(complete(step_id) for step_id in self.held(key)))

    @property
    def out(self) -> int:
        """How many steps executors hold."""
        return len(self.watch.attempts)


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window of a few steps."""
    monkeypatch.setattr(windows, "WINDOW_MIN", WINDOW)
    monkeypatch.setattr(windows, "WINDOW_MAX", WINDOW)


NOISY, QUIET = RunKey("noisy", "n-1"), RunKey("quiet", "q-1")


def broad(width: int) -> Graph:
    """So many steps that wait for nothing."""
    return drawing(*(f"n{number:02}" for number in range(width)))


async def test_what_fits_goes_out_at_once_and_the_rest_is_enlisted() -> None:
    floor = Floor()
    floor.begin(NOISY, broad(10))
    assert floor.out == WINDOW
    assert NOISY in floor.admission
    assert not is_owed(floor.runs[NOISY][0])
    assert floor.watch.unowned(AT) == 0


async def test_what_a_run_finishes_makes_room_for_its_own_next_steps() -> None:
    floor = Floor()
    floor.begin(NOISY, broad(10))
    floor.finish(NOISY)
    assert floor.held(NOISY) == ["n04", "n05", "n06", "n07"]
    assert floor.admission.window("default").reserved == 0


async def test_another_tenant_is_next_when_room_comes() -> None:
    floor = Floor()
    floor.begin(NOISY, broad(200))
    floor.begin(QUIET, broad(1))
    assert floor.held(QUIET) == []
    for _ in range(4):
        floor.finish(NOISY)
        floor.go_on()
        assert floor.out <= WINDOW
    assert floor.held(QUIET) == ["n00"]


async def test_everything_comes_to_its_end_and_nothing_stays_reserved() -> None:
    floor = Floor()
    keys = [RunKey(f"t{number % 3}", f"r-{number}") for number in range(12)]
    for key in keys:
        floor.begin(key, drawing("a>b", "a>c", "b>d", "c>d", "e"))
    for _ in range(100):
        for key in keys:
            floor.finish(key)
        floor.go_on()
        assert floor.out <= WINDOW
        assert floor.watch.unowned(AT) == 0
    assert all(run.is_over for run, _ in floor.runs.values())
    window = floor.admission.window("default")
    assert (window.out, window.reserved, window.granted, len(window.turns)) == (0, 0, {}, 0)


async def test_a_cancel_or_a_pause_leaves_the_line() -> None:
    floor = Floor()
    floor.begin(NOISY, broad(10))
    floor.begin(QUIET, broad(1))
    floor.say(QUIET, PauseRun())
    assert QUIET not in floor.admission
    floor.say(QUIET, ResumeRun())
    assert QUIET in floor.admission
    floor.say(QUIET, CancelRun())
    assert QUIET not in floor.admission
    assert floor.runs[QUIET][0].is_over


async def test_a_tenant_has_no_more_out_than_it_may_and_holds_up_nobody() -> None:
    floor = Floor(most={"noisy": 2})
    floor.begin(NOISY, broad(10))
    assert floor.held(NOISY) == ["n00", "n01"]
    floor.go_on()
    floor.begin(QUIET, broad(2))
    assert floor.held(QUIET) == ["n00", "n01"]
    for _ in range(5):
        assert len(floor.held(NOISY)) <= 2
        floor.finish(NOISY)
        floor.go_on()
    assert floor.runs[NOISY][0].is_over


async def test_a_ceiling_is_over_all_queues_and_runs_of_a_tenant() -> None:
    floor = Floor("default", "gpu", most={"noisy": 2})
    nodes = tuple(
        Node(id=f"n{number}", type="noop", queue=("default", "gpu")[number % 2])
        for number in range(6)
    )
    keys = [RunKey("noisy", f"n-{number}") for number in range(3)]
    for key in keys:
        floor.begin(key, Graph.of(Definition(name="two", nodes=nodes, edges=())))
    for _ in range(60):
        assert floor.out <= 2
        assert floor.watch.unowned(AT) == 0
        for key in keys:
            floor.finish(key)
            assert floor.out <= 2
        floor.go_on()
    assert all(run.is_over for run, _ in floor.runs.values())
    assert floor.admission.load() == {}


async def test_a_tenant_that_was_passed_over_goes_on_by_itself() -> None:
    floor = Floor(most={"noisy": 1})
    other = RunKey("noisy", "n-2")
    floor.begin(NOISY, drawing("a"))
    floor.begin(other, drawing("a"))
    floor.go_on()
    await asyncio.sleep(0.02)
    assert (floor.out, floor.asked) == (1, [])
    floor.finish(NOISY)
    await asyncio.sleep(0.02)
    assert floor.asked == [other]


async def test_a_run_does_not_overtake_others_of_its_tenant() -> None:
    floor = Floor(most={"noisy": 1})
    other = RunKey("noisy", "n-2")
    floor.begin(NOISY, drawing("a>b"))
    floor.begin(other, drawing("a"))
    floor.go_on()
    floor.finish(NOISY)
    floor.go_on()
    assert (floor.held(NOISY), floor.held(other)) == ([], ["a"])


async def test_a_ceiling_that_is_raised_lets_more_out() -> None:
    floor = Floor(most={"noisy": 1})
    floor.begin(NOISY, broad(4))
    floor.go_on()
    await asyncio.sleep(0.02)
    del floor.most["noisy"]
    floor.admission.heard({"default": 8}, 1.0)
    await asyncio.sleep(0.02)
    assert floor.asked == [NOISY]
    floor.say(NOISY, ContinueRun())
    assert floor.out == WINDOW


async def test_what_a_decision_may_still_bring_out_counts_against_the_ceiling() -> None:
    floor = Floor(most={"noisy": 2})
    other = RunKey("noisy", "n-2")
    with Allowance(floor.admission, NOISY) as allowance:
        allowance.rules()(start(), unborn(NOISY.run_id, broad(2)), at=AT)
        floor.begin(other, broad(1))
        assert floor.held(other) == []
    await asyncio.sleep(0.02)
    assert floor.asked == [other]


async def test_load_tells_what_is_out_and_what_waits() -> None:
    floor = Floor(most={"noisy": 1})
    floor.begin(NOISY, broad(4))
    floor.begin(QUIET, broad(1))
    assert floor.admission.load() == {
        "noisy": Steps(out=1, waiting=3),
        "quiet": Steps(out=0, waiting=1),
    }
    floor.go_on()
    assert floor.admission.load()["quiet"] == Steps(out=1)


def test_each_of_several_schedulers_takes_its_share() -> None:
    terms = Terms(most=lambda _: 10, share=lambda: 0.25)
    assert Ceilings(terms).room("acme") == 2
    assert Ceilings(terms._replace(most=lambda _: 1)).room("acme") == 1


async def test_a_queue_that_is_not_there_gets_nothing() -> None:
    floor = Floor("default")
    nodes = (Node(id="here", type="noop"), Node(id="gone", type="noop", queue="gpu"))
    floor.begin(NOISY, Graph.of(Definition(name="two", nodes=nodes, edges=())))
    floor.go_on()
    assert floor.held(NOISY) == ["here"]
    wanted = demand(floor.runs[NOISY][0])
    assert wanted is not None
    assert (wanted.queue, wanted.steps) == ("gpu", 1)
    assert floor.watch.unowned(AT) == 0


async def test_whoever_takes_over_enlists_again() -> None:
    floor, heir = Floor(), Floor()
    floor.begin(NOISY, broad(10))
    run, seq = floor.runs[NOISY]
    heir.watch.begin(NOISY, run, seq, 0.0)
    assert NOISY in heir.admission
    assert heir.admission.window("default").free == 0
    floor.watch.forget(NOISY)
    assert NOISY not in floor.admission
    assert floor.admission.window("default").out == 0


async def test_a_decision_that_fails_gives_its_room_back_and_is_noticed() -> None:
    floor = Floor()
    floor.begin(NOISY, broad(5))
    floor.begin(QUIET, broad(1))
    floor.finish(NOISY)
    floor.admission.give()

    def fails() -> None:
        with Allowance(floor.admission, QUIET) as allowance:
            allowance.rules()(ContinueRun(), floor.runs[QUIET][0], at=AT)
            raise OSError("no log")

    with pytest.raises(OSError, match="no log"):
        fails()
    window = floor.admission.window("default")
    assert QUIET not in window.granted
    assert window.reserved == sum(window.granted.values())
    assert list(floor.watch.overlooked()) == [QUIET]
    floor.say(QUIET, ContinueRun())
    assert list(floor.watch.overlooked()) == []


async def test_a_second_try_at_a_decision_has_the_same_room() -> None:
    floor = Floor()
    with Allowance(floor.admission, NOISY) as allowance:
        for _ in range(3):
            _, run = allowance.rules()(start(), unborn("n-1", broad(10)), at=AT)
            assert run.held == WINDOW
    assert floor.admission.window("default").free == WINDOW


async def test_room_that_a_decision_held_and_did_not_use_is_offered_at_once() -> None:
    floor = Floor()
    with Allowance(floor.admission, QUIET) as allowance:
        allowance.rules()(start(), unborn(QUIET.run_id, broad(WINDOW)), at=AT)
        floor.begin(NOISY, broad(1))
        assert floor.held(NOISY) == []
    await asyncio.sleep(0)
    assert floor.asked == [NOISY]


async def test_room_of_runs_that_another_replica_has_taken_over_is_offered_at_once() -> None:
    floor = Floor()
    floor.begin(QUIET, broad(WINDOW))
    floor.begin(NOISY, broad(1))
    floor.watch.forget(QUIET)
    await asyncio.sleep(0)
    assert floor.asked == [NOISY]


def test_a_window_is_as_wide_as_executors_are_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "WINDOW_MAX", 2_048)
    admission = Admission(("default", "gpu"))
    window = admission.window("default")
    admission.heard({"default": 128}, 0.5)
    assert window.size == 64
    for number in range(10_000):
        window.out += 1
        window.finish(number / 5_000)
    assert window.size == pytest.approx(64 + 5_000 * windows.DRAIN_S, rel=0.05)
    admission.heard({"default": 100_000}, 1.0)
    assert window.size == 2_048
    assert admission.window("gpu").size == WINDOW
    assert admission.window("elsewhere").free == 0


async def test_what_is_set_counts_as_soon_as_it_is_known() -> None:
    told: dict[str, Any] = {"acme": Standing(TenantConfig(weight=3))}
    configs = Configs(lambda tenant: asyncio.sleep(0, told[tenant]), lambda: now[0])
    now = [10.0]
    assert configs.weight("acme") == 1
    await configs.know("acme")
    assert (configs.weight("acme"), configs.steps_max("acme")) == (3, None)
    told["acme"] = Standing(TenantConfig(weight=5, limits=Limits(max_in_flight_steps=7)))
    now[0] = 20.0
    assert configs.weight("acme") == 3
    await asyncio.sleep(0.01)
    assert (configs.weight("acme"), configs.steps_max("acme")) == (5, 7)
