"""Records the histories of a release: `python -m tests.histories.record RELEASE`.

The stories are lived on a new stack. From its archive the fewest and shortest histories are kept
that hold every type of event that happened. Files of the same release are written anew: do that
until it is out, and never after.
"""

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import msgspec
import psycopg
from psycopg.rows import dict_row

from penstock.dev.options import StackOptions
from penstock.dev.stack import Stack
from penstock.messages.catalogue import RUN
from tests.e2e.conftest import client
from tests.histories.histories import EVOLVES, FOLDER, History, outcome_of, types_in
from tests.histories.stories import lived

EGRESS = {"PENSTOCK_EGRESS_ALLOW": "127.0.0.0/8"}
CAUGHT_UP_S = 3
"""For the projector to have archived what happened last."""

HISTORIES = """
select kind, subject_id, array_agg(body order by seq) as bodies
from penstock.event_archive
where kind = any(%s) and catalogue is not null
group by tenant_id, log, kind, subject_id
"""
PAGE = {"limit": 200}

Key = tuple[str, str]
Definitions = dict[str, Any]
"""By content hash."""


async def main(release: str) -> None:
    """Live, then write."""
    with TemporaryDirectory() as folder:
        options = StackOptions(data_dir=Path(folder), port=0, keep=False, env=EGRESS)
        async with Stack(options) as stack:
            found = msgspec.json.decode((Path(folder) / "penstock.json").read_bytes())
            async with (
                client(stack.api_url, found["adminKey"]) as admin,
                client(stack.api_url, stack.api_key) as api,
            ):
                await lived(admin, api)
                definitions = await drawn(api)
            await asyncio.sleep(CAUGHT_UP_S)
            histories = read(found["databaseUrl"], definitions)
    for path in FOLDER.glob(f"{release}-*.json"):
        path.unlink()
    for number, history in enumerate(covering(histories), 1):
        path = FOLDER / f"{release}-{history.kind}-{number}.json"
        text = msgspec.json.format(msgspec.json.encode(history), indent=1)
        path.write_bytes(text + b"\n")
        print(f"{path.name}: {', '.join(sorted(name for _, name in types_in(history)))}")


async def drawn(api: httpx.AsyncClient) -> Definitions:
    """Every version there is: rows have them sealed, so they are asked for."""
    found = {}
    for workflow in (await api.get("/workflows", params=PAGE)).json()["items"]:
        path = f"/workflows/{workflow['id']}/versions"
        for version in (await api.get(path, params=PAGE)).json()["items"]:
            whole = (await api.get(f"{path}/{version['number']}")).json()
            found[whole["contentHash"]] = whole["definition"]
    return found


def read(url: str, definitions: Definitions) -> list[History]:
    """Every history in the archive that can be folded."""
    with psycopg.connect(url, row_factory=dict_row) as connection:
        rows = connection.execute(HISTORIES, [[RUN, *EVOLVES]]).fetchall()
        found = [recorded(row, definitions) for row in rows]
    return [history for history in found if history is not None]


def recorded(row: dict[str, Any], definitions: Definitions) -> History | None:
    """The history in a row; None for a run whose definition is not to be had."""
    messages = [bytes(body).decode() for body in row["bodies"]]
    history = History(kind=row["kind"], id=row["subject_id"], messages=messages)
    if row["kind"] == RUN:
        definition = definition_of(messages[0], definitions)
        if definition is None:
            return None
        history = msgspec.structs.replace(history, definition=definition)
    return msgspec.structs.replace(history, outcome=outcome_of(history))


def definition_of(first: str, definitions: Definitions) -> Any:
    """The definition that a run's first message names; None for one that is not to be had."""
    event = msgspec.json.decode(first)["events"][0]
    return definitions.get(event.get("start", event)["definition"])


def covering(histories: list[History]) -> list[History]:
    """Few of the histories with every type that is in any: the next is always the richest one."""
    left = {key for history in histories for key in types_in(history)}
    chosen: list[History] = []
    while left:
        best = max(histories, key=lambda each: (len(types_in(each) & left), -size(each)))
        chosen.append(best)
        left -= types_in(best)
    return sorted(chosen, key=lambda each: (each.kind, size(each)))


def size(history: History) -> int:
    """Characters of its messages."""
    return sum(map(len, history.messages))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
