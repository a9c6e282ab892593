"""Ordinary subscribers: what a subject says, and the document that lists them."""

import json

import pytest
from faststream.nats import NatsMessage, NatsRouter

from penstock.infra.subscribers import asyncapi, named_in


@pytest.mark.parametrize(
    ("subject", "named"),
    [
        ("penstock.ctl.cancel.acme.r-1", {"tenant": "acme", "run_id": "r-1"}),
        ("penstock.evt.acme.run.r-1", {"tenant": "acme", "run_id": "r-1"}),
        ("penstock.live.evt.acme.run.r-1", {"tenant": "acme", "run_id": "r-1"}),
        ("penstock.cmd.acme.3.run.r-1", {"tenant": "acme", "run_id": "r-1"}),
        ("penstock.timer.due.3.acme.r-1.t-1", {"tenant": "acme", "run_id": "r-1"}),
        ("penstock.reg.acme.workflow.w-1", {"tenant": "acme"}),
        ("penstock.work.shared.default.acme", {"tenant": "acme"}),
        ("penstock.live.checkpoint", {}),
        ("penstock.ctl.rollcall", {}),
        ("_INBOX.abc", {}),
    ],
)
def test_a_subject_names_tenant_and_run(subject: str, named: dict[str, str]) -> None:
    assert named_in(subject) == named


def test_subscribers_are_documented_without_a_server() -> None:
    router = NatsRouter()

    @router.subscriber("penstock.ctl.rollcall", title="rollCall")
    async def on_roll_call(message: NatsMessage) -> bytes:
        """Tells which attempts this executor holds."""
        return bytes(message.body)

    document = json.loads(asyncapi("executor", "0.1.0", router))
    assert document["info"] == {"title": "Penstock executor", "version": "0.1.0"}
    channel = document["channels"]["rollCall"]
    assert channel["address"] == "penstock.ctl.rollcall"
    assert channel["description"] == "Tells which attempts this executor holds."
