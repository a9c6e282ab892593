"""Commands to runs: sent through COMMANDS, answered by the scheduler after its append.

The answer comes on a private subject; one subscription serves all who wait. An id that was
accepted a moment ago is remembered, for the read models may not have it yet.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from itertools import count
from time import monotonic, time

import msgspec
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from penstock.api.arrears import Arrears
from penstock.api.audit.origin import closed
from penstock.api.errors import Problem, Unavailable
from penstock.domain.run.commands import RunCommand
from penstock.infra.keyring.payloads import Seals
from penstock.infra.nats import subjects
from penstock.infra.nats.publish import Publisher
from penstock.infra.telemetry import logs, metrics
from penstock.messages.catalogue import RUN
from penstock.messages.envelope import CommandMessage, Refusal, Reply, encode

REPLY_S = 2.0
"""How long a request waits for the decision about its command."""
ACCEPTED_S = 60.0
ACCEPTED_MAX = 100_000

STATUSES = {"NOT_FOUND": 404, "VALIDATION_ERROR": 400}
"""By the code of a refusal; any other says that the state forbids it."""

_decode_reply = msgspec.json.Decoder(Reply).decode
_log = logs.logger(__name__)


class Sender(Struct, frozen=True, kw_only=True):
    """On whose behalf a command is sent, and the request that it came with.

    origin: from where that came (`penstock.api.audit.origin`), in the clear.
    """

    actor: str
    request_id: str
    traceparent: str
    origin: str = ""


class Commands:
    """Sends commands and hears what became of them."""

    def __init__(self, nc: Client, publisher: Publisher, arrears: Arrears, seals: Seals) -> None:
        self._seals = seals
        self._nc = nc
        self._publisher = publisher
        self._arrears = arrears
        self._inbox = ""
        self._order = count()
        self._waiting: dict[str, asyncio.Future[Reply]] = {}
        self._accepted: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Begin to listen for answers."""
        self._inbox = f"{self._nc.new_inbox()}."
        self._subscription = await self._nc.subscribe(f"{self._inbox}*", cb=self._on_reply)

    async def stop(self) -> None:
        """Listen no more."""
        if self._subscription is not None and not self._nc.is_closed:
            await self._subscription.unsubscribe()

    async def send(
        self,
        tenant_id: str,
        run_id: str,
        command: RunCommand,
        *,
        id: str,  # noqa: A002 - the envelope's word
        sender: Sender,
    ) -> Reply | None:
        """The scheduler's answer, None when none came in time although the command is stored.

        id: what makes it the same command again. Raises Problem for a refusal, and `Unavailable`
        or PublishError where the command may not be stored.
        """
        self._require_log()
        key = str(next(self._order))
        origin = await closed(self._seals, tenant_id, sender.origin)
        body = encode(
            CommandMessage(
                id=id,
                actor=sender.actor,
                at=round(time() * 1000),
                command=command,
                correlation_id=sender.request_id,
                traceparent=sender.traceparent,
                origin=origin,
                reply_to=self._inbox + key,
            )
        )
        kind = type(command).__name__
        try:
            reply = await self._answer(key, subjects.command(tenant_id, RUN, run_id), body)
        except Exception:
            metrics.api_commands.labels(kind, "unavailable").inc()
            raise
        self._remember(tenant_id, run_id)
        if reply is None:
            metrics.api_commands.labels(kind, "unanswered").inc()
            return None
        if reply.refusal is not None:
            metrics.api_commands.labels(kind, "refused").inc()
            raise refused(reply.refusal)
        metrics.api_commands.labels(kind, "decided").inc()
        return reply

    def _require_log(self) -> None:
        """Raise `Unavailable` where nothing that is sent would be appended, or kept."""
        if not self._nc.is_connected:
            raise Unavailable
        self._arrears.require()

    async def send_all(
        self, tenant_id: str, commands: Mapping[str, RunCommand], *, what: str, sender: Sender
    ) -> None:
        """Store one command for each run; nobody waits for what becomes of them.

        what: names the request in each command's id. Raises `Unavailable` or PublishError where
        one may not be stored; the others are, and may be sent again.
        """
        self._require_log()
        at = round(time() * 1000)
        origin = await closed(self._seals, tenant_id, sender.origin)
        stored = []
        for run_id, command in commands.items():
            message = CommandMessage(
                id=f"{run_id}/{what}/{sender.request_id}",
                actor=sender.actor,
                at=at,
                command=command,
                correlation_id=sender.request_id,
                traceparent=sender.traceparent,
                origin=origin,
            )
            subject = subjects.command(tenant_id, RUN, run_id)
            stored.append(self._publisher.publish(subject, encode(message)))
            metrics.api_commands.labels(type(command).__name__, "unasked").inc()
        for outcome in await asyncio.gather(*stored, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    def accepted(self, tenant_id: str, run_id: str) -> bool:
        """Whether a command to this run was stored within the last minute."""
        return self._accepted.get((tenant_id, run_id), 0.0) > monotonic()

    async def _answer(self, key: str, subject: str, body: bytes) -> Reply | None:
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[key] = reply
        stored = self._publisher.publish(subject, body)
        stored.add_done_callback(_seen)
        try:
            async with asyncio.timeout(REPLY_S):
                await asyncio.wait((stored, reply), return_when=asyncio.FIRST_COMPLETED)
                if not reply.done():
                    await stored
                return await reply
        except TimeoutError:
            await stored
            return None
        finally:
            del self._waiting[key]

    async def _on_reply(self, msg: Msg) -> None:
        reply = self._waiting.get(msg.subject[len(self._inbox) :])
        if reply is None or reply.done():
            return
        try:
            reply.set_result(_decode_reply(msg.data))
        except msgspec.DecodeError as error:
            _log.error("unreadable reply", error=str(error))

    def _remember(self, tenant_id: str, run_id: str) -> None:
        now = monotonic()
        self._accepted[tenant_id, run_id] = now + ACCEPTED_S
        self._accepted.move_to_end((tenant_id, run_id))
        oldest = next(iter(self._accepted))
        if len(self._accepted) > ACCEPTED_MAX or self._accepted[oldest] < now:
            del self._accepted[oldest]


def _seen(stored: asyncio.Future[int]) -> None:
    """Takes note of a failure that nobody may be left to hear of."""
    if not stored.cancelled():
        stored.exception()


def refused(refusal: Refusal) -> Problem:
    """The problem that the scheduler's refusal is to a client."""
    return Problem(STATUSES.get(refusal.code, 409), refusal.message, code=refusal.code)
