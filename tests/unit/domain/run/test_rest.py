"""What run state keeps of payloads: small ones, and the places of large ones."""

from penstock.domain.payload import AT_REST_MAX_BYTES, NULL, Payload, of_value
from penstock.domain.run.events import RunStarted
from penstock.domain.run.rest import at_rest, names_its_place, payload_at, payloads_of

SMALL, LARGE = of_value({"x": 1}), of_value("x" * AT_REST_MAX_BYTES)


def started(variables: Payload | None = None) -> RunStarted:
    return RunStarted(
        workflow_id="w",
        workflow_name="W",
        version=1,
        definition="d",
        created_at=1,
        input=NULL,
        vars=variables,
    )


def test_variables_rest_like_any_payload() -> None:
    small, large = started(SMALL), started(LARGE)
    assert at_rest(small, "7.0").vars == SMALL
    rested = at_rest(large, "7.0").vars
    assert rested is not None
    assert (rested.at, rested.size, bytes(rested.inline)) == ("7.0/vars", LARGE.size, b"")
    assert payload_at(large, "vars") == LARGE
    assert [member for member, _ in payloads_of(large)] == ["input", "vars"]
    assert (names_its_place(small), names_its_place(large)) == (False, True)
    assert at_rest(started(), "7.0").vars is None
