"""The registry of a world, there from the start: tenants, workflows with one version each."""

from collections.abc import Sequence
from typing import Any

from penstock.domain import payload
from penstock.domain.ids import derived
from penstock.domain.tenant.events import TenantConfig, TenantCreated
from penstock.domain.workflow.events import (
    WorkflowCreated,
    WorkflowVersionCreated,
    WorkflowVersionPublished,
)
from penstock.infra.nats import subjects
from penstock.infra.nats.streams import REGISTRY
from penstock.messages.catalogue import TENANT, WORKFLOW
from penstock.messages.codec import codec_for
from penstock.messages.envelope import NO_HASH, Cause
from tests.simulation.broker import Broker, Message
from tests.simulation.drawings import Workflow

LONG_AGO_S = -1e6
"""So long before a life that no replica is behind it."""


def register_tenant(broker: Broker, tenant: str, config: TenantConfig) -> None:
    """Put a tenant into its registry."""
    event = TenantCreated(name=tenant, config=config, created_at=0, created_by="admin:platform")
    put(broker, subjects.registry(tenant, TENANT, tenant), TENANT, (event,), derived(tenant))


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
    put(broker, subject, WORKFLOW, events, version_id)
    return workflow_id


def put(broker: Broker, subject: str, kind: str, events: Sequence[Any], decision_id: str) -> None:
    """The one decision of a subject's history."""
    body = codec_for(kind).encode(
        events,
        [Cause(id="create", actor="key:author", events=len(events))],
        decision_id=decision_id,
        at=0,
        previous_hash=NO_HASH,
    )
    seq = broker.next_seq(REGISTRY)
    message = Message(seq, subject, body, None, LONG_AGO_S, broker.world.loop.nature)
    broker.histories[subject] = [message]
