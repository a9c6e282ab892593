"""The gates of a run that is about to begin, and what a gate's history says of who waits there."""

from typing import NamedTuple

import msgspec

from penstock.api.errors import detail, invalid
from penstock.api.payloads import Allowance, Payloads
from penstock.domain.gate.events import GateUse
from penstock.domain.payload import Payload
from penstock.domain.workflow.model import Definition
from penstock.infra.gates import Asker, KeyFailed, gates_of, reads_key, scope_of


class Entry(NamedTuple):
    """What a run is going to work on. pointer: of its input in the request, for what is wrong."""

    run_id: str
    given: Payload
    variables: Payload | None
    pointer: str = ""


async def gates_at(
    payloads: Payloads, definition: Definition, asker: Asker, entry: Entry
) -> tuple[GateUse, ...]:
    """The gates that the run passes before it starts.

    Raises Problem 400 where the key of its concurrency comes to nothing.
    """
    scope = None
    if reads_key(definition):
        allowance = Allowance()
        read = entry.variables
        given = msgspec.json.decode(await payloads.text(entry.given, allowance))
        found = {} if read is None else msgspec.json.decode(await payloads.text(read, allowance))
        scope = scope_of(entry.run_id, given, found)
    try:
        return gates_of(definition, asker, scope)
    except KeyFailed as error:
        said = str(error)
        raise invalid(said, detail(entry.pointer, error.code, said)) from None
