"""The registry of a world: its workflows, each with one published version, there from the start."""

from penstock.domain import payload
from penstock.domain.ids import derived
from penstock.domain.workflow.events import (
    WorkflowCreated,
    WorkflowVersionCreated,
    WorkflowVersionPublished,
)
from penstock.infra.nats import subjects
from penstock.infra.nats.streams import REGISTRY
from penstock.messages.catalogue import WORKFLOW
from penstock.messages.codec import codec_for
from penstock.messages.envelope import NO_HASH, Cause
from tests.simulation.broker import Broker, Message
from tests.simulation.drawings import Workflow

LONG_AGO_S = -1e6
"""So long before a life that no replica is behind it."""


def register(broker: Broker, tenant: str, workflow: Workflow) -> str:
    """Put a workflow into a tenant's registry; its id there."""
    workflow_id = derived(tenant, workflow.key)
    version_id = derived(workflow_id, "1")
    events = (
        WorkflowCreated(workflow.key, workflow.key, 0, "key:author"),
        WorkflowVersionCreated(version_id, 1, workflow.hash, payload.NULL, 0, "key:author"),
        WorkflowVersionPublished(version_id, 1, 0),
    )
    subject = subjects.registry(tenant, WORKFLOW, workflow_id)
    body = codec_for(WORKFLOW).encode(
        events,
        [Cause(id="create", actor="key:author", events=len(events))],
        decision_id=version_id,
        at=0,
        previous_hash=NO_HASH,
    )
    seq = broker.next_seq(REGISTRY)
    message = Message(seq, subject, body, None, LONG_AGO_S, broker.world.loop.nature)
    broker.histories[subject] = [message]
    return workflow_id
