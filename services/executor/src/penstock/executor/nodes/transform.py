"""`transform`: a value made of templates, or a text changed."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Raw

from penstock.executor.context import StepContext
from penstock.executor.inputs import StepInput, encode
from penstock.executor.outcome import Done, StepFault

CHANGES: Mapping[str, Callable[[str], str]] = {
    "uppercase": str.upper,
    "lowercase": str.lower,
    "trim": str.strip,
    "capitalize": str.capitalize,
    "title": str.title,
    "reverse": lambda text: text[::-1],
}


def run(context: StepContext, config: Mapping[str, Any], given: StepInput) -> Done:
    """What `output` came to; else the text (`value`, the input, or its `text`) changed."""
    if "output" in config:
        return Done(Raw(encode(config["output"])))
    change = CHANGES.get(config.get("transform", ""))
    if change is None:
        raise StepFault("CONFIG_INVALID", f"no such transform: {config.get('transform')!r:.100}")
    return Done(Raw(encode(change(_text(config, given)))))


def _text(config: Mapping[str, Any], given: StepInput) -> str:
    if "value" in config:
        value = config["value"]
    else:
        value = given.value
        if isinstance(value, dict):
            value = value.get("text")
    if not isinstance(value, str):
        raise StepFault("CONFIG_INVALID", "a text transform needs a string, or an object's `text`")
    return value
