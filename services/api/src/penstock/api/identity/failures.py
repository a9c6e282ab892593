"""Attempts to log in, counted by account and by address, so that guessing takes for ever.

An attempt is counted before it is looked at, and forgotten when it succeeds: so no number of
attempts at once gets past the bound. Accounts that do not exist are counted like others. Over the
bound nothing is looked at until the time is over.
"""

import hashlib
import hmac
from math import ceil
from typing import Final, NamedTuple

from penstock.api.errors import Problem
from penstock.infra.postgres.engine import Engine, Session

WINDOW_S: Final = 15 * 60
OF_ACCOUNT_MAX: Final = 10
OF_ADDRESS_MAX: Final = 100
"""Many may share an address: an office, a machine of tests."""

LABEL: Final = b"penstock failures 1\0"

COUNT = """
insert into vault.failures as f (subject, count, until)
values (%(subject)s, 1, now() + make_interval(secs => %(window)s))
on conflict (subject) do update set
    count = case when f.until <= now() then 1 else least(f.count + 1, 1000000) end,
    until = case when f.until <= now() then excluded.until else f.until end
returning count, extract(epoch from until - now())::float8 as left_s
"""
FORGET_ACCOUNT = "delete from vault.failures where subject = %(subject)s"
FORGET_ONE = "update vault.failures set count = greatest(count - 1, 0) where subject = %(subject)s"


class TooManyAttempts(Problem):
    """Whoever asks must wait, whether or not they know the password."""

    def __init__(self, left_s: float) -> None:
        super().__init__(
            429,
            "too many failed attempts; try again later",
            code="RATE_LIMITED",
            headers={"Retry-After": str(max(1, ceil(left_s)))},
        )


class Attempt(NamedTuple):
    """One attempt by an address, at an account where it names one; both as digests."""

    account: bytes | None
    address: bytes


class Failures:
    """The counts, which all replicas share."""

    def __init__(self, engine: Engine, pepper: bytes) -> None:
        self._engine = engine
        self._pepper = pepper

    async def begin(self, address: str, account: bytes | None = None) -> Attempt:
        """Count an attempt as failed. Raises TooManyAttempts. account: an email's digest."""
        attempt = Attempt(
            None if account is None else self._digest(b"account\0" + account),
            self._digest(b"address\0" + address.encode()),
        )
        left_s = 0.0
        async with self._engine.transaction() as session:
            if attempt.account is not None:
                left_s = await counted(session, attempt.account, OF_ACCOUNT_MAX)
            left_s = max(left_s, await counted(session, attempt.address, OF_ADDRESS_MAX))
        if left_s > 0:
            raise TooManyAttempts(left_s)
        return attempt

    async def succeeded(self, attempt: Attempt) -> None:
        """Forget that the attempt was counted, and what failed before at its account."""
        async with self._engine.transaction() as session:
            if attempt.account is not None:
                await session.run(FORGET_ACCOUNT, {"subject": attempt.account})
            await session.run(FORGET_ONE, {"subject": attempt.address})

    def _digest(self, what: bytes) -> bytes:
        return hmac.digest(self._pepper, LABEL + what, hashlib.sha256)


async def counted(session: Session, subject: bytes, at_most: int) -> float:
    """Count one more; for how many seconds the subject is over its bound, 0 where it is not."""
    row = await session.one(COUNT, {"subject": subject, "window": WINDOW_S})
    assert row is not None, "an upsert answers its row"
    return float(row["left_s"]) if row["count"] > at_most else 0.0
