"""`webhook` with a url: the input is sent there, by the Standard Webhooks rules.

The message id is the step's key, the same over all attempts, so that a receiver recognises a
repetition. Without a signing secret the message is not signed.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct
from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

from penstock.domain.workflow.config_schemas import REQUEST_TIMEOUT_MS
from penstock.executor.context import StepContext
from penstock.executor.inputs import StepInput
from penstock.executor.nodes.http_request import (
    JSON_TYPE,
    Scalar,
    TimeoutMs,
    answered,
    output_of,
    texts,
    typed,
)
from penstock.executor.outbound import Call
from penstock.executor.outcome import Done, StepFault


class WebhookConfig(Struct, frozen=True, rename="camel", kw_only=True):
    """The config of `webhook`, its templates filled in. secret: `whsec_…`, empty for none."""

    url: str
    headers: dict[str, Scalar] = {}
    secret: str = ""
    timeout_ms: TimeoutMs = REQUEST_TIMEOUT_MS
    accept_status: list[int | str] = []


async def run(context: StepContext, config: Mapping[str, Any], given: StepInput) -> Done:
    """Send the input. Raises StepFault for anything but an accepted answer."""
    wanted: WebhookConfig = typed(config, WebhookConfig)
    body = bytes(given.raw)
    headers = {
        "content-type": JSON_TYPE,
        "idempotency-key": context.step_key,
        **{name.lower(): text for name, text in texts(wanted.headers)},
        **signed(context.step_key, body, wanted.secret),
        "traceparent": context.traceparent,
    }
    call = Call(
        tenant=context.tenant,
        method="POST",
        url=wanted.url,
        headers=tuple(headers.items()),
        body=body,
        timeout_ms=wanted.timeout_ms,
    )
    return output_of(await answered(context, call), wanted.accept_status, context.used.scrubber)


def signed(message_id: str, body: bytes, secret: str) -> dict[str, str]:
    """The headers of the message: id, moment and, with a secret, the signature."""
    moment = datetime.now(UTC)
    headers = {"webhook-id": message_id, "webhook-timestamp": str(int(moment.timestamp()))}
    if secret:
        try:
            signature = Webhook(secret).sign(message_id, moment, body.decode())
        except (EmptyWebhookSecretError, ValueError) as error:
            raise StepFault("CONFIG_INVALID", "the signing secret is not valid") from error
        headers["webhook-signature"] = signature
    return headers
