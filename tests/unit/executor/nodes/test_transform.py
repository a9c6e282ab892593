"""`transform`: a value, or a text changed."""

from typing import Any, cast

import msgspec
import pytest

from penstock.executor.context import StepContext
from penstock.executor.inputs import StepInput
from penstock.executor.nodes import transform
from penstock.executor.outcome import StepFault
from penstock.executor.transport import GuardedTransport

CONTEXT = StepContext("t", "r", "s", 1, 0, "", cast(GuardedTransport, None))


def run(config: dict[str, Any], given: Any = None) -> Any:
    done = transform.run(CONTEXT, config, StepInput.of_value(given))
    assert done.output is not None
    return msgspec.json.decode(done.output)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("uppercase", "AB CD"),
        ("lowercase", "ab cd"),
        ("capitalize", "Ab cd"),
        ("title", "Ab Cd"),
        ("reverse", "Dc bA"),
    ],
)
def test_texts_are_changed(name: str, text: str) -> None:
    assert run({"transform": name}, "Ab cD") == text
    assert run({"transform": name}, {"text": "Ab cD"}) == text
    assert run({"transform": name, "value": "Ab cD"}, {"text": "other"}) == text


def test_space_is_trimmed() -> None:
    assert run({"transform": "trim"}, "  a b \n") == "a b"


def test_the_output_is_what_it_says() -> None:
    assert run({"output": {"a": [1.5, None]}}) == {"a": [1.5, None]}
    assert run({"output": None}) is None


@pytest.mark.parametrize(
    ("config", "given"),
    [
        ({"transform": "uppercase"}, {"no": "text"}),
        ({"transform": "uppercase"}, 5),
        ({"transform": "uppercase", "value": ["a"]}, "a"),
        ({"transform": "nonsense"}, "a"),
        ({}, "a"),
    ],
)
def test_what_is_no_text_is_a_final_fault(config: dict[str, Any], given: Any) -> None:
    with pytest.raises(StepFault) as caught:
        run(config, given)
    assert (caught.value.code, caught.value.retryable) == ("CONFIG_INVALID", False)
