"""Outputs that are put together of many payloads, as text, without decoding any."""

from collections.abc import Mapping

from msgspec import Raw

from penstock.domain.payload import Payload
from penstock.executor.inputs import NOTHING, StepInput, encode, raw_of
from penstock.messages.envelope import Task


def collected(task: Task, payloads: Mapping[str, Payload]) -> StepInput:
    """A loop's output: a list of what its iterations came to, null for those that came to none."""
    gathered = task.gathered
    assert gathered is not None, "whoever asks for a loop's output says how it is made"
    said: list[dict[str, Raw]] = [{} for _ in range(gathered.count)]
    for name, payload in payloads.items():
        results, _, rest = name.partition(".")
        if results == "results":
            index, _, sink = rest.partition(".")
            said[int(index)][sink] = raw_of(payload)
    if gathered.keyed:
        return StepInput(raw=Raw(encode([one or None for one in said])))
    return StepInput(raw=Raw(encode([next(iter(one.values()), None) for one in said])))


def said_by_sinks(sinks: tuple[str, ...], payloads: Mapping[str, Payload]) -> StepInput:
    """A run's output without a template: the one sink's, or those that succeeded by node id."""
    said = {
        sink: payloads[f"nodes.{sink}.output"]
        for sink in sinks
        if f"nodes.{sink}.output" in payloads and f"nodes.{sink}.error" not in payloads
    }
    if len(sinks) > 1:
        return StepInput(raw=Raw(encode({sink: raw_of(payload) for sink, payload in said.items()})))
    return StepInput(said[sinks[0]]) if said else StepInput(raw=NOTHING)
