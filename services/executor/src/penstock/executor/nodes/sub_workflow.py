"""`sub_workflow`: which workflow is run, on the step's input; the child itself is a run."""

import re
from collections.abc import Mapping
from typing import Any

from penstock.domain.run.events import WaitKind
from penstock.executor.context import StepContext
from penstock.executor.inputs import StepInput
from penstock.executor.nodes.members import whole, wrong
from penstock.executor.outcome import Rest

WORKFLOW_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def run(context: StepContext, config: Mapping[str, Any], given: StepInput) -> Rest:
    """The workflow's id, and its version where one is pinned."""
    workflow_id = config.get("workflowId")
    if not isinstance(workflow_id, str) or not WORKFLOW_ID.fullmatch(workflow_id):
        raise wrong("workflowId", f"{workflow_id!r:.100} is no id of a workflow")
    return Rest(
        kind=WaitKind.CHILD,
        workflow_id=workflow_id,
        version=whole(config, "version", None),
    )
