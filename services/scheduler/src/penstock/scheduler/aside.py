"""Putting a letter aside that this code cannot handle, so that nobody else waits behind it."""

from penstock.domain.run.commands import Report, RunCommand
from penstock.infra.nats import subjects
from penstock.infra.nats.dead import REASON, SUBJECT
from penstock.infra.nats.publish import Publisher
from penstock.infra.nats.streams import COMMANDS, REPORTS, SHARED
from penstock.infra.telemetry import metrics
from penstock.messages.catalogue import GATE
from penstock.messages.envelope import CommandMessage, GateMessage, Reports, RunReport, encode
from penstock.scheduler.keys import GateKey
from penstock.scheduler.letters import FAILURES_HEADER, FAILURES_MAX, GateLetter, Letter
from penstock.scheduler.watch import RunKey


class Aside:
    """Publishes such a letter again, alone and a bounded number of times, then as a dead letter."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def put(self, key: RunKey, letter: Letter, error: Exception) -> None:
        """Publish the letter again, or bury it; raises PublishError if neither can be done."""
        stream, subject, body = self._written(key, letter)
        await self._again((stream, subject, body), letter.failures + 1, error)

    async def put_gate(self, key: GateKey, letter: GateLetter, error: Exception) -> None:
        """The same for a letter to a gate."""
        addressed = letter.addressed
        message = GateMessage(id=addressed.id, actor=addressed.actor, command=addressed.command)
        subject = subjects.command(key.tenant, GATE, key.gate_id)
        await self._again((COMMANDS, subject, encode(message)), letter.failures + 1, error)

    async def _again(
        self, written: tuple[str, str, bytes], failures: int, error: Exception
    ) -> None:
        stream, subject, body = written
        if failures < FAILURES_MAX:
            headers = {FAILURES_HEADER: str(failures)}
            await self._publisher.publish(subject, body, headers=headers)
            return
        metrics.nats_dead_letters.labels(stream).inc()
        headers = {REASON: f"failed {failures} times: {error!r}"[:1024], SUBJECT: subject}
        await self._publisher.publish(subjects.dead(stream), body, headers=headers)

    def _written(self, key: RunKey, letter: Letter) -> tuple[str, str, bytes]:
        """The stream, the subject and the body of the letter by itself."""
        addressed = letter.addressed
        if is_report(addressed.command):
            report = RunReport(
                tenant=key.tenant,
                run_id=key.run_id,
                report=addressed.command,  # type: ignore[arg-type]
                traceparent=addressed.traceparent,
            )
            pack = Reports(executor_id=addressed.actor.partition(":")[2], reports=(report,))
            partition = subjects.partition_of(key.run_id)
            return REPORTS, subjects.reports(SHARED, partition), encode(pack)
        message = CommandMessage(
            id=addressed.id,
            actor=addressed.actor,
            at=0,
            command=addressed.command,
            correlation_id=addressed.correlation_id,
            traceparent=addressed.traceparent,
            origin=addressed.origin,
            reply_to=letter.reply_to,
        )
        return COMMANDS, subjects.command(key.tenant, "run", key.run_id), encode(message)


def is_report(command: RunCommand) -> bool:
    """Whether the command is an executor's word about a step."""
    return isinstance(command, Report)
