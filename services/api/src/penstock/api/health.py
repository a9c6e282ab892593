"""How the installation is: the broker, the database, and how far the read models lag."""

from typing import Any

from penstock.api.answers import MS
from penstock.api.parts import Parts
from penstock.api.positions import EVENTS, REGISTRY
from penstock.infra.nats import streams
from penstock.infra.postgres.engine import DatabaseUnavailable

STORED = "select log, seq from penstock.checkpoints"
LOGS = {EVENTS: streams.EVENTS, REGISTRY: streams.REGISTRY}
LAG_MAX = 100_000
"""Decisions; further behind, what clients read is not worth calling well."""


async def health_of(parts: Parts) -> dict[str, Any]:
    """`{ok, broker, database, projectionLag, unarchivedMs}`; the lag in decisions or None.

    Not well is an installation too whose log may soon forget what the archive does not have.
    """
    rows = await checkpoints(parts)
    ends = await log_ends(parts)
    lag = None
    if rows is not None and ends is not None:
        lag = sum(max(0, ends[stream] - rows.get(log, 0)) for log, stream in LOGS.items())
    well = ends is not None and rows is not None and lag is not None and lag <= LAG_MAX
    well = well and not parts.arrears.is_too_old
    return {
        "ok": well,
        "broker": ends is not None,
        "database": rows is not None,
        "projectionLag": lag,
        "unarchivedMs": round(parts.arrears.age_s * MS),
    }


async def checkpoints(parts: Parts) -> dict[str, int] | None:
    """How far the rows hold each log, None when the database is away."""
    try:
        async with parts.engine.transaction() as session:
            return {row["log"]: row["seq"] for row in await session.all(STORED)}
    except DatabaseUnavailable:
        return None


async def log_ends(parts: Parts) -> dict[str, int] | None:
    """The last sequence of each log, None when the broker is away."""
    if not parts.nc.is_connected:
        return None
    return await parts.histories.ends()
