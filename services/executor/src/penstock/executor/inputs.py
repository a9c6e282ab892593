"""What a step works on: the input rule, and the names that its templates read.

Payloads stay bytes until somebody looks into them: a step that passes its input on never decodes
it, and the outputs of many predecessors are put together as text.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from penstock.domain.payload import Payload
from penstock.executor.outcome import StepFault

RUN_INPUT: Final = "run.input"
VARS: Final = "vars"
NOTHING: Final = Raw(b"null")

ITEM: Final = "item"
ITEMS: Final = "items"
"""All items of a loop, until the one that a step is about has been put in their place."""

MESSAGE_MAX: Final = 2000
"""Characters of an error's message that are kept."""

decode = msgspec.json.decode
encode = msgspec.json.encode


class StepInput:
    """A step's input: a payload to pass on, its JSON text, or its value, each made when asked."""

    __slots__ = ("_decoded", "_payload", "_raw", "_value")

    def __init__(self, payload: Payload | None = None, raw: Raw | None = None) -> None:
        self._payload = payload
        self._raw = raw
        self._value: Any = None
        self._decoded = False

    @classmethod
    def of_value(cls, value: object) -> "StepInput":
        """An input that was made here."""
        made = cls(raw=Raw(encode(value)))
        made._value, made._decoded = value, True
        return made

    @property
    def payload(self) -> Payload | None:
        """The payload it came in, where it came in one."""
        return self._payload

    @property
    def raw(self) -> Raw:
        """Its JSON text."""
        if self._raw is None:
            assert self._payload is not None
            assert self._payload.inline, "an input that is read was opened before"
            self._raw = self._payload.inline
        return self._raw

    @property
    def value(self) -> Any:
        """Its value. Callers must not change it."""
        if not self._decoded:
            self._value, self._decoded = decode(self.raw), True
        return self._value


class Sources(Struct, frozen=True):
    """Where a node's input comes from: its declared predecessors, each once.

    forgiving: those with an edge to the node that may be taken when they have failed. root: the
    name of what the node gets if it has none: the run's input, or in a loop the item.
    """

    declared: tuple[str, ...]
    forgiving: frozenset[str]
    root: str = RUN_INPUT

    @property
    def only(self) -> str | None:
        """The name of the one payload that is the input as it is; None when it is put together."""
        match self.declared:
            case ():
                return self.root
            case (source,):
                return f"nodes.{source}.output"
            case _:
                return None


def input_by_rule(
    sources: Sources, taken: tuple[str, ...], payloads: Mapping[str, Payload]
) -> StepInput:
    """The input rule of the workflow language, without decoding anything."""
    if not sources.declared:
        if sources.root != RUN_INPUT:
            return item_of(payloads)
        return StepInput(needed(payloads, RUN_INPUT))
    if len(sources.declared) == 1:
        source = sources.declared[0]
        output = payloads.get(f"nodes.{source}.output")
        if output is not None and f"nodes.{source}.error" not in payloads:
            return StepInput(output)
        return StepInput(raw=contribution(source, sources, payloads))
    members = {source: contribution(source, sources, payloads) for source in taken}
    return StepInput(raw=Raw(encode(members)))


def contribution(source: str, sources: Sources, payloads: Mapping[str, Payload]) -> Raw:
    """What one predecessor gives: its output, or its failure, also where a fallback stands in."""
    output = payloads.get(f"nodes.{source}.output")
    if output is not None and f"nodes.{source}.error" not in payloads:
        return raw_of(output)
    failure: dict[str, Any] = {"error": error_value(source, payloads)}
    if source in sources.forgiving:
        worked_on = payloads.get(f"nodes.{source}.input")
        failure["failedNode"] = source
        failure["input"] = NOTHING if worked_on is None else raw_of(worked_on)
    return Raw(encode(failure))


def error_value(source: str, payloads: Mapping[str, Payload]) -> dict[str, Any]:
    """A step's error as templates see it: code, message, retryable, details.

    Always with all four: the log leaves out what is false, and a path to it must exist.
    """
    error: dict[str, Any] = decode(raw_of(needed(payloads, f"nodes.{source}.error")))
    details = payloads.get(f"nodes.{source}.error.details")
    shown = None if details is None else decode(raw_of(details))
    return {"retryable": False} | error | {"details": shown}


def error_of(fault: StepFault) -> dict[str, Any]:
    """A fault in the same shape, before anybody has heard of it."""
    return {
        "code": fault.code,
        "message": fault.message[:MESSAGE_MAX],
        "retryable": fault.retryable,
        "details": fault.details,
    }


def needed(payloads: Mapping[str, Payload], name: str) -> Payload:
    """The payload of this name, which the task must have brought."""
    payload = payloads.get(name)
    if payload is None:
        raise StepFault("INPUT_MISSING", f"{name} is not known to this step")
    return payload


def raw_of(payload: Payload) -> Raw:
    """The bytes of an opened payload."""
    assert payload.inline, "a payload that is read was opened before"
    return payload.inline


def item_of(payloads: Mapping[str, Payload]) -> StepInput:
    """What the iteration is about that a step stands in."""
    one = payloads.get(ITEMS)
    return last_result(payloads) if one is None else StepInput(one)


def last_result(payloads: Mapping[str, Payload]) -> StepInput:
    """What the iteration before came to; null in the first one."""
    said = payloads.get(ITEM)
    if said is not None:
        return StepInput(said)
    prefix = f"{ITEM}."
    members = {
        n.removeprefix(prefix): raw_of(p) for n, p in payloads.items() if n.startswith(prefix)
    }
    return StepInput(raw=Raw(encode(members)) if members else NOTHING)
