"""The cache forgets the least recently used, never more than it must."""

from penstock.infra.eventlog.cache import Cache, Held


def held(seq: int) -> Held[str]:
    return Held(seq, "hash", f"{seq}.0", "state")


def test_the_least_recently_used_is_forgotten_first() -> None:
    cache: Cache[str] = Cache(2)
    cache.put("a", held(1))
    cache.put("b", held(2))
    assert cache.get("a") == held(1)
    cache.put("c", held(3))
    assert cache.get("b") is None
    assert cache.get("a") == held(1)
    assert len(cache) == 2


def test_what_is_dropped_is_gone() -> None:
    cache: Cache[str] = Cache(2)
    cache.put("a", held(1))
    cache.drop("a")
    cache.drop("never there")
    assert cache.get("a") is None
