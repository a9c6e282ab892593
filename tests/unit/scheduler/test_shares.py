"""Leases: everything is held by somebody, nobody holds more than a fair share for long."""

from hypothesis import given
from hypothesis import strategies as st

from penstock.scheduler.shares import LEASE_PATIENCE_S, Sighting, members, observed, plan

PARTITIONS = 16


def test_a_lone_scheduler_takes_everything() -> None:
    assert plan("a", set(), {}, partitions=PARTITIONS, now=0).claim == tuple(range(PARTITIONS))


def test_a_lease_that_moves_is_left_alone_and_one_that_stands_still_is_taken() -> None:
    known = observed({}, [("0", "b", 7), ("member-b", "b", 8)], now=0)
    known = observed(known, [("0", "b", 7), ("member-b", "b", 9)], now=LEASE_PATIENCE_S)
    claimed = plan("a", set(), known, partitions=4, now=LEASE_PATIENCE_S).claim
    assert 0 in claimed
    known = observed(known, [("0", "b", 10)], now=LEASE_PATIENCE_S)
    assert 0 not in plan("a", set(), known, partitions=4, now=LEASE_PATIENCE_S).claim


def test_a_lease_given_back_is_taken_at_once() -> None:
    known = observed({}, [("0", "", 5)], now=0)
    assert plan("a", set(), known, partitions=1, now=0).claim == (0,)


class Cluster:
    """Schedulers that look at the leases one after the other and do what their plan says."""

    def __init__(self, names: list[str]) -> None:
        self.held: dict[str, set[int]] = {name: set() for name in names}
        self.owner: dict[int, str] = dict.fromkeys(range(PARTITIONS), "")
        self.seq = 0

    def look(self, now: float) -> dict[str, Sighting]:
        self.seq += 1
        leases = [(str(p), owner, self.seq) for p, owner in self.owner.items()]
        alive = [(f"member-{name}", name, self.seq) for name in self.held]
        return observed({}, [*leases, *alive], now)

    def turn(self, name: str, now: float) -> None:
        step = plan(name, self.held[name], self.look(now), partitions=PARTITIONS, now=now)
        for partition in step.claim:
            if self.owner[partition] == "":
                self.owner[partition] = name
                self.held[name].add(partition)
        for partition in step.release:
            self.owner[partition] = ""
            self.held[name].discard(partition)

    def leave(self, name: str) -> None:
        for partition in self.held.pop(name):
            self.owner[partition] = ""


@given(st.lists(st.sampled_from(["join", "leave"]), max_size=8))
def test_every_partition_finds_an_owner_and_shares_even_out(changes: list[str]) -> None:
    cluster = Cluster(["s0"])
    for number, change in enumerate(changes, start=1):
        if change == "join":
            cluster.held[f"s{number}"] = set()
        elif len(cluster.held) > 1:
            cluster.leave(min(cluster.held))
        for _ in range(PARTITIONS):
            for name in sorted(cluster.held):
                cluster.turn(name, float(number))
        sizes = [len(held) for held in cluster.held.values()]
        assert sum(sizes) == PARTITIONS
        assert max(sizes) - min(sizes) <= 1


def test_members_are_those_whose_own_lease_moves() -> None:
    known = observed({}, [("member-b", "b", 1), ("member-c", "c", 2)], now=0)
    known = observed(known, [("member-c", "c", 3)], now=LEASE_PATIENCE_S)
    assert members(known, LEASE_PATIENCE_S) == ["c"]
