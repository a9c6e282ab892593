"""`fallback`: what stands in for the output of a node that failed."""

from collections.abc import Mapping
from typing import Any

from msgspec import Raw

from penstock.executor.context import StepContext
from penstock.executor.inputs import StepInput, encode
from penstock.executor.outcome import Done


def run(context: StepContext, config: Mapping[str, Any], given: StepInput) -> Done:
    """What `config.output` came to."""
    return Done(Raw(encode(config.get("output"))))
