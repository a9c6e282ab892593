"""Every text in an event is an id, a word of our own, or closed: nobody forgets to ask which."""

from collections.abc import Iterator

from msgspec import inspect

from penstock.messages.catalogue import EVENT_TYPES

CLOSED = {
    "ApiKeyCreated.name",
    "EventEmitted.source",
    "GateUse.label",
    "RunCancelRequested.reason",
    "RunError.message",
    "RunPaused.reason",
    "RunStarted.tags",
    "RunStarted.workflowName",
    "StepError.message",
    "TenantConfig.egressAllow",
    "TenantCreated.name",
    "TenantRenamed.name",
    "VariableChanged.description",
    "VariableCreated.description",
    "WorkflowCreated.name",
    "WorkflowRecreated.name",
    "WorkflowRenamed.name",
}
"""What tenants say in words; `tests/e2e/test_sealed_words.py` looks for each of them."""

NAMES = {
    "ConnectionSet.name",
    "SecretSet.name",
    "SignalReceived.name",
    "StepWaiting.name",
    "VariableCreated.name",
}
"""Names that are ids: of URLs, or of what a definition is matched with."""

OURS = {"ResultDiscarded.reason", "StepLost.reason"}
"""Words of our own that quote nobody."""

IDS = frozenset(
    [
        "above",
        "at",
        "blob",
        "branch",
        "by",
        "childId",
        "code",
        "contentHash",
        "createdBy",
        "definition",
        "enc",
        "eventId",
        "eventType",
        "executorId",
        "gateId",
        "holder",
        "key",
        "kind",
        "method",
        "onTimeout",
        "permission",
        "position",
        "presented",
        "queue",
        "removedBy",
        "requestHash",
        "root",
        "route",
        "rows",
        "runId",
        "setBy",
        "sha256",
        "signalId",
        "sinks",
        "stepId",
        "timerId",
        "traceparent",
        "trigger",
        "used",
        "userId",
        "versionId",
        "workflowId",
        "workflows",
    ]
)
"""Members that are ids, hashes, codes or names of ours, in whatever they stand."""


def test_every_text_in_an_event_is_known_for_what_it_is() -> None:
    found = {f"{struct}.{member}" for struct, member in texts_in_events()}
    said = {each for each in found if each.partition(".")[2] not in IDS}
    assert said == CLOSED | NAMES | OURS


def texts_in_events() -> set[tuple[str, str]]:
    """The members that are texts, or hold some, of all events and of what stands in them."""
    found, seen = set(), set()
    waiting = [inspect.type_info(each.type) for each in EVENT_TYPES.types.values()]
    while waiting:
        struct = waiting.pop()
        if not isinstance(struct, inspect.StructType) or struct.cls in seen:
            continue
        seen.add(struct.cls)
        for field in struct.fields:
            waiting += within(field.type)
            if any(isinstance(each, inspect.StrType) for each in within(field.type)):
                found.add((struct.cls.__name__, field.encode_name))
    return found


def within(found: inspect.Type) -> Iterator[inspect.Type]:
    """A type and those that it is made of, but for the members of objects."""
    yield found
    match found:
        case inspect.UnionType(types=types) | inspect.TupleType(item_types=types):
            inner = types
        case inspect.VarTupleType(item_type=one):
            inner = (one,)
        case inspect.DictType(key_type=key, value_type=value):
            inner = (key, value)
        case _:
            inner = ()
    for each in inner:
        yield from within(each)
