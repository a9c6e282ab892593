"""`python -m penstock.dev.preparation`: migrate the database, then make streams and consumers.

A process of its own, so that what it needs leaves memory with it. The environment holds
PENSTOCK_NATS_URL, PENSTOCK_DATABASE_URL (the owner's) and PENSTOCK_ROLE_PASSWORDS, JSON by role.
The projector's migration is found by its name: the stack starts services and imports none.
"""

import asyncio
import json
import os
import pkgutil
import sys
from collections.abc import Callable

import psycopg

from penstock.infra.nats.bootstrap import bootstrap
from penstock.infra.settings import SharedSettings, load

MIGRATE = "penstock.projector.migrate:migrate"
HAS_CHECKPOINT = "SELECT coalesce(max(seq), 0) > 0 FROM penstock.checkpoints"


def main() -> None:
    """Do both; exit 1 with one line on stderr when either cannot be done."""
    database = os.environ["PENSTOCK_DATABASE_URL"]
    passwords: dict[str, str] = json.loads(os.environ["PENSTOCK_ROLE_PASSWORDS"])
    migrate: Callable[[str, dict[str, str]], None] = pkgutil.resolve_name(MIGRATE)
    try:
        migrate(database, passwords)
        known = has_checkpoint(database)
        nats, queues = os.environ["PENSTOCK_NATS_URL"], load(SharedSettings).queues
        asyncio.run(bootstrap(nats, database_has_checkpoint=known, queues=queues))
    except Exception as error:  # noqa: BLE001  whatever it is, the supervisor shows this line
        sys.exit(f"{type(error).__name__}: {error}")


def has_checkpoint(database: str) -> bool:
    """Whether the read models have been fed from a log before."""
    with psycopg.connect(database) as connection:
        row = connection.execute(HAS_CHECKPOINT).fetchone()
    return bool(row and row[0])


if __name__ == "__main__":
    main()
