"""`emit_event`: a tenant's event; whoever reads the log takes it from the step's output."""

from collections.abc import Mapping
from typing import Any

from msgspec import Raw

from penstock.domain.ids import derived
from penstock.executor.context import StepContext
from penstock.executor.inputs import StepInput, encode
from penstock.executor.moments import moment_text
from penstock.executor.nodes.members import text
from penstock.executor.outcome import Done

NAME_MAX = 200


def run(context: StepContext, config: Mapping[str, Any], given: StepInput) -> Done:
    """`{id, type, source, data, time}`; the id is the same over all attempts of the step."""
    source = config.get("source", f"runs/{context.run_id}")
    event = {
        "id": derived(context.run_id, context.step_id, "event"),
        "type": text(config, "type", most=NAME_MAX),
        "source": text({"source": source}, "source", most=NAME_MAX),
        "data": config.get("data", given.raw),
        "time": moment_text(context.started_at),
    }
    return Done(Raw(encode(event)))
