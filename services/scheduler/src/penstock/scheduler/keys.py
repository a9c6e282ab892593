"""What a run is named by, wherever this scheduler keeps something about it."""

from typing import NamedTuple


class RunKey(NamedTuple):
    """A run, wherever it is named."""

    tenant: str
    run_id: str
