"""Ordinary subscribers: what goes around each message that FastStream hands to a handler.

A handler gets a `NatsMessage` whose body is undecoded bytes and decodes it with msgspec. One
middleware puts tenant, run and trace on its log lines, answers refusals, logs our own faults, and
hands the trace on. `asyncapi` documents the subscribers of a service.
"""

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

from faststream.exceptions import IgnoredException
from faststream.message import StreamMessage
from faststream.middlewares import BaseMiddleware
from faststream.nats import NatsBroker, NatsMessage, NatsRouter
from faststream.specification import AsyncAPI
from nats.aio.msg import Msg

from penstock.domain.errors import Refused
from penstock.infra.telemetry import logs, metrics, tracing
from penstock.messages.envelope import Refusal, Reply, encode

TRACEPARENT = "traceparent"

_log = logs.logger(__name__)


class MessageContext(BaseMiddleware[Any, Msg | None]):
    """Around each ordinary message: the log context, the trace, and what an error leads to."""

    async def on_receive(self) -> None:
        """Puts what the message is about on all log lines of its handler."""
        headers = (self.msg.headers if self.msg is not None else None) or {}
        self.traceparent = headers.get(TRACEPARENT, "")
        about = named_in(self.msg.subject) if self.msg is not None else {}
        trace = tracing.trace_id(self.traceparent)
        self.bound = logs.bind(**about, **({"traceId": trace} if trace else {}))

    async def after_processed(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> bool | None:
        """Takes it off again: the next message's handler runs in the same task."""
        logs.unbind(**self.bound)
        return False

    async def consume_scope(
        self, call_next: Callable[[Any], Awaitable[Any]], msg: StreamMessage[Any]
    ) -> Any:
        """The handler's answer, or the refusal; a fault of ours is logged and not acknowledged."""
        try:
            return await call_next(msg)
        except Refused as refused:
            await _acknowledge(msg)
            return encode(Reply(refusal=Refusal(code=refused.code, message=str(refused))))
        except IgnoredException:
            raise
        except Exception as error:
            handler = self.context.get_local("log_context", {}).get("subject", "")
            metrics.nats_handler_errors.labels(handler).inc()
            _log.exception("handler failed", handler=handler)
            # Logged once, here, where the context is; FastStream would log it again.
            raise IgnoredException(str(error)) from error

    async def publish_scope(self, call_next: Callable[[Any], Awaitable[Any]], cmd: Any) -> Any:
        """Hands the trace on with what the handler answers or publishes."""
        traceparent = getattr(self, "traceparent", "")
        if traceparent:
            cmd.headers = {TRACEPARENT: tracing.child(traceparent), **(cmd.headers or {})}
        return await call_next(cmd)


async def undecoded(message: NatsMessage) -> NatsMessage:
    """The decoder of all ordinary subscribers: handlers decode, with msgspec."""
    return message


async def _acknowledge(message: StreamMessage[Any]) -> None:
    """Acknowledges a message of a stream; others have nothing to acknowledge."""
    if message.raw_message.reply.startswith("$JS.ACK."):
        await message.ack()


def named_in(subject: str) -> dict[str, str]:
    """The tenant and run that a subject names, as keys of a log line."""
    match subject.split("."):
        case ["penstock", "live", *rest] if rest != ["checkpoint"]:
            return named_in(".".join(["penstock", *rest]))
        case (
            ["penstock", "evt", tenant, "run", run_id]
            | ["penstock", "cmd", tenant, _, "run", run_id]
            | ["penstock", "log", tenant, run_id]
            | ["penstock", "ctl", "cancel", tenant, run_id]
            | ["penstock", "timer", _, _, tenant, run_id, _]
        ):
            return {"tenant": tenant, "run_id": run_id}
        case ["penstock", "evt" | "reg" | "cmd", tenant, *_] | ["penstock", "work", _, _, tenant]:
            return {"tenant": tenant}
        case _:
            return {}


def asyncapi(service: str, version: str, *routers: NatsRouter) -> str:
    """The AsyncAPI document, JSON, of a service's ordinary subscribers."""
    broker = NatsBroker("nats://nats:4222", apply_types=False, decoder=undecoded, routers=routers)
    document = AsyncAPI(broker, title=f"Penstock {service}", version=version)
    return document.to_specification().to_json()
