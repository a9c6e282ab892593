"""What runs and gates are named by, wherever this scheduler keeps something about them."""

from typing import NamedTuple


class RunKey(NamedTuple):
    """A run, wherever it is named."""

    tenant: str
    run_id: str


class GateKey(NamedTuple):
    """A gate, wherever it is named."""

    tenant: str
    gate_id: str
