"""Requests a minute: buckets give what they hold, fill again, and say what is left."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.rates import MINUTE_S, Buckets, Taken, headers_of, network_of


class Clock:
    """Seconds that a test passes by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_holds_a_minutes_tokens_and_no_more() -> None:
    buckets = Buckets(Clock())
    taken = [buckets.take("acme", 5) for _ in range(6)]
    assert [each.remaining for each in taken] == [4, 3, 2, 1, 0, 0]
    assert [bool(each.wait_s) for each in taken] == [False] * 5 + [True]
    assert taken[-1].wait_s == pytest.approx(MINUTE_S / 5)
    assert taken[-1].reset_s == pytest.approx(MINUTE_S)


def test_a_bucket_fills_again_at_its_rate() -> None:
    clock = Clock()
    buckets = Buckets(clock)
    for _ in range(5):
        buckets.take("acme", 5)
    clock.now += MINUTE_S / 5
    assert not buckets.take("acme", 5).wait_s
    assert buckets.take("acme", 5).wait_s
    clock.now += 10 * MINUTE_S
    assert buckets.used("acme", 5) == 0
    assert buckets.take("acme", 5).remaining == 4


def test_replicas_share_a_limit() -> None:
    buckets = Buckets(Clock())
    through = [not buckets.take("acme", 10, share=0.5).wait_s for _ in range(10)]
    assert through.count(True) == 5


def test_one_tenants_bucket_is_not_anothers() -> None:
    buckets = Buckets(Clock())
    assert not buckets.take("acme", 1).wait_s
    assert not buckets.take("other", 1).wait_s
    assert buckets.take("acme", 1).wait_s


def test_the_bucket_that_was_used_longest_ago_goes_first() -> None:
    buckets = Buckets(Clock(), most=2)
    for key in ("a", "b", "a", "c"):
        buckets.take(key, 2)
    assert buckets.used("b", 2) == 0
    assert buckets.used("a", 2) == 2


@given(
    per_minute=st.integers(1, 1_000),
    share=st.sampled_from([1.0, 0.5, 1 / 3]),
    waits=st.lists(st.floats(0, 5), max_size=200),
)
def test_no_bucket_gives_more_than_it_held_and_got(
    per_minute: int, share: float, waits: list[float]
) -> None:
    clock = Clock()
    buckets = Buckets(clock)
    given_out, began = 0, clock.now
    for wait in waits:
        clock.now += wait
        taken = buckets.take("acme", per_minute, share)
        given_out += not taken.wait_s
        held = max(1.0, per_minute * share)
        assert given_out <= held + (clock.now - began) * per_minute * share / MINUTE_S + 1e-6
        assert 0 <= taken.remaining <= max(per_minute, 1 / share)


def test_who_waits_as_told_gets_through() -> None:
    clock = Clock()
    buckets = Buckets(clock)
    while not (taken := buckets.take("acme", 7)).wait_s:
        pass
    clock.now += taken.wait_s + 1e-9
    assert not buckets.take("acme", 7).wait_s


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:0db8:0001:0002"),
        ("2001:db8:1:2::9", "2001:0db8:0001:0002"),
        ("fe80::1%eth0", "fe80:0000:0000:0000"),
        ("not an address: at all", "not an address: at all"),
    ],
)
def test_a_network_of_ipv6_counts_as_one_address(address: str, network: str) -> None:
    assert network_of(address) == network


def test_headers_say_whole_seconds_upwards() -> None:
    told = dict(headers_of(Taken(10, 3, 41.2)))
    assert told == {
        b"ratelimit-limit": b"10",
        b"ratelimit-remaining": b"3",
        b"ratelimit-reset": b"42",
    }
