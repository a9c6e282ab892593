"""Which runs are told to end when tenants are deleted, how often, and which are let go of."""

from typing import Any

from penstock.scheduler.configs import Configs, Standing
from penstock.scheduler.departures import AGAIN_S, LOOKED_AT_MAX, Departures
from penstock.scheduler.watch import RunKey, Watch, Watched

LIVING, DELETED, ERASED = (RunKey(name, f"run of {name}") for name in ("l", "d", "e"))
STANDINGS = {
    "d": Standing(is_deleted=True),
    "e": Standing(is_deleted=True, is_erased=True),
}


class World:
    """A scheduler that looks after runs of tenants. now: seconds."""

    def __init__(self, *keys: RunKey) -> None:
        self.now = 100.0
        self.asked: list[str] = []
        self.watch = Watch()
        for key in keys:
            self.watch.runs[key] = Watched(1, {}, {}, is_owed=False)
        self.configs = Configs(self.read, lambda: self.now)
        nc: Any = None
        doors: Any = (None, None)
        self.departures = Departures(nc, self.configs, self.watch, doors, lambda: self.now)

    async def read(self, tenant: str) -> Standing:
        self.asked.append(tenant)
        return STANDINGS.get(tenant, Standing())

    def told(self) -> list[RunKey]:
        """Whom a round would tell to end."""
        found = []
        for key in self.departures._to_end():
            self.departures._told[key] = self.now
            found.append(key)
        return found


async def test_runs_of_deleted_tenants_are_told_until_they_have_ended() -> None:
    world = World(LIVING, DELETED)
    for key in (LIVING, DELETED):
        await world.configs.know(key.tenant)
    assert world.told() == [DELETED]
    assert world.told() == []
    world.now += AGAIN_S + 1
    assert world.told() == [DELETED]
    world.watch.forget(DELETED)
    world.now += AGAIN_S + 1
    assert world.told() == []


async def test_runs_of_which_nothing_is_left_are_let_go_of() -> None:
    world = World(LIVING, ERASED)
    await world.configs.know("e")
    assert world.told() == []
    assert list(world.watch.runs) == [LIVING]


async def test_all_tenants_are_looked_at_in_turn() -> None:
    keys = [RunKey(f"t{n:03}", str(n)) for n in range(LOOKED_AT_MAX + 5)]
    world = World(*keys)
    world.told()
    await world.configs.know(keys[0].tenant)
    assert sorted(world.asked) == [key.tenant for key in keys[:LOOKED_AT_MAX]]
    world.told()
    await world.configs.know(keys[-1].tenant)
    assert {key.tenant for key in keys} == set(world.asked)
