"""Load, decide, append, retry on conflict: the only place where the core and the shell touch.

One decision is one message on the aggregate's own subject, accepted only if nobody else wrote since
the history was read. So two schedulers can do the same at once, an acknowledgement can be lost, a
command can come twice: what is in the history happened once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import uuid_utils

from penstock.domain.decider import Decider, Play
from penstock.domain.errors import Contention, Refused
from penstock.infra.eventlog.cache import Cache, Held
from penstock.infra.eventlog.draft import (
    BYTES_MAX,
    EVENTS_MAX,
    Addressed,
    Answer,
    Draft,
    untraced,
)
from penstock.infra.eventlog.log import (
    AppendUnknown,
    EventLog,
    LogUnavailable,
    Stored,
    VersionConflict,
)
from penstock.infra.eventlog.reading import Archive, BrokenChain, Found, Reading, Snapshots
from penstock.infra.telemetry import logs
from penstock.messages.codec import Codec
from penstock.messages.envelope import NO_HASH, Cause, chain_hash

__all__ = ["BYTES_MAX", "EVENTS_MAX", "Addressed", "Answer", "BrokenChain", "Ledger", "Outcome"]

ATTEMPTS_MAX = 8
"""Decisions on one call. Each lost race means that somebody else got through."""
APPENDS_MAX = 3
"""Times that one decision is sent when its acknowledgement does not come."""
PAUSE_S = 0.005
"""Longer with every lost race after the second: the replica that is read may lag behind."""

SNAPSHOTS = "scheduler:snapshots"
"""Who takes them."""

_log = logs.logger(__name__)

C = TypeVar("C")
E = TypeVar("E")
S = TypeVar("S")


class Outcome(NamedTuple, Generic[E, S]):
    """What a transaction led to.

    state, seq: of the history afterwards. events: what it added, each with its position, payloads
    whole. answers: one for each of the first `taken` commands; the rest did not fit, send it again.
    base: seq of the history that was decided on; from elsewhere comes what lies in between.
    kept: seq of the snapshot that was taken right afterwards, 0 for none.
    """

    state: S
    seq: int
    events: list[tuple[str, E]]
    answers: list[Answer]
    taken: int
    base: int = 0
    kept: int = 0

    @property
    def end(self) -> int:
        """Sequence of the last message there is, as far as is known."""
        return max(self.seq, self.kept)


Begin = Callable[[str, Sequence[E], Sequence[Addressed[C]]], Awaitable[S]]
"""The initial state of the history on a subject, told its events so far and what is to be decided.

It is not asked again for a history that is held, so it must know all it needs from the first
events, or from the commands where there are none yet.
"""

IsNew = Callable[[Sequence[Addressed[C]]], bool]
"""Whether commands are such that their history is very probably empty: then it is not read first.

A wrong guess costs a lost race.
"""

Absent = Callable[[str, Sequence[Addressed[C]]], Awaitable[None]]
"""Asked before anything is decided on an empty history: may it truly be new? Raises if not."""


class Elsewhere(NamedTuple, Generic[C, E]):
    """What of commands and events lies elsewhere, because it is too large for the log.

    asked, told: commands and events with it, as the rules need them; may raise Refused, or what
    says that it cannot be had now. kept: events without it, as the log keeps them.
    """

    asked: Callable[[Sequence[Addressed[C]]], Awaitable[Sequence[Addressed[C]]]]
    told: Callable[[Sequence[E]], Awaitable[Sequence[E]]]
    kept: Callable[[Sequence[E]], Sequence[E]]


def never(_subject: str) -> bool:
    """No history is old."""
    return False


def _uuid7() -> str:
    return str(uuid_utils.uuid7())


@dataclass(frozen=True, kw_only=True)
class Ledger(Generic[C, E, S]):
    """One kind of aggregates over one log.

    now: ms since the epoch, UTC. trace_of: the trace that an aggregate belongs to, for what nobody
    asked for in a trace of his own: a timer, a push of the reconciler.

    Many subjects may be in transaction at the same time; calls about one subject should come one
    after the other, or they only get in each other's way.
    """

    log: EventLog
    cache: Cache[S]
    decider: Decider[C, E, S]
    codec: Codec[E]
    now: Callable[[], int]
    begin: Begin[E, C, S] | None = None
    absent: Absent[C] | None = None
    is_new: IsNew[C] | None = None
    new_id: Callable[[], str] = _uuid7
    trace_of: Callable[[S], str] = untraced
    elsewhere: Elsewhere[C, E] | None = None
    snapshots: Snapshots[E, S] | None = None
    archive: Archive | None = None
    is_old: Callable[[str], bool] = never

    async def transact(
        self,
        subject: str,
        commands: Sequence[Addressed[C]],
        rules: Callable[[], Play[C, S, E] | None] | None = None,
    ) -> Outcome[E, S]:
        """Decides the commands in turn and appends what they add, as one decision.

        rules: asked at every try for the decider's `play`, where that depends on the moment.

        Raises `Contention`, `LogUnavailable`, `AppendRefused`, `BrokenChain`, `Undecodable`; after
        any of them the same commands may be sent again. A refused command adds nothing and stops
        nobody: its answer says so.
        """
        if self.elsewhere is not None:
            try:
                commands = await self.elsewhere.asked(commands)
            except Refused as refusal:
                return self._refused(refusal, commands)
        for attempt in range(ATTEMPTS_MAX):
            if attempt > 1:
                await asyncio.sleep(attempt * PAUSE_S)
            try:
                held = self.cache.get(subject) or await self._found_or_new(
                    subject, commands, guess=attempt == 0
                )
            except Refused as refusal:
                return self._refused(refusal, commands)
            play = self.decider.play if rules is None else rules()
            draft = Draft(self.decider, held, self.now(), self.trace_of, play)
            draft.take(commands)
            outcome = await self._append(subject, draft, commands)
            if outcome is not None:
                kept = await self._keep(subject)
                return outcome._replace(kept=kept) if kept else outcome
            self.cache.drop(subject)
        raise Contention(f"{subject}: lost {ATTEMPTS_MAX} races")

    async def _append(
        self, subject: str, draft: Draft[C, E, S], commands: Sequence[Addressed[C]]
    ) -> Outcome[E, S] | None:
        """Appends the draft; None when somebody else was faster.

        An append without an acknowledgement is sent again, the same bytes under the same
        expectation: at most one of the copies can get in, and the first message after the held
        ones tells whether one did.
        """
        body = self._sized(draft)
        if not draft.events:
            return self._settled(subject, draft, draft.held)
        held = draft.held
        for sent in range(APPENDS_MAX):
            try:
                seq = await self.log.append(subject, body, expected=held.seq)
            except (VersionConflict, AppendUnknown) as error:
                if sent == 0 and isinstance(error, VersionConflict):
                    return None
                after = await self.log.read(subject, after=held.seq)
                if after and after[0].body == body:
                    return await self._found(subject, draft, after, commands)
                if after:
                    return None
                if isinstance(error, VersionConflict):
                    behind = f"{subject}: the replica that was read is behind"
                    raise LogUnavailable(behind) from error
            else:
                return self._settled(subject, draft, self._held(draft, seq, body))
        raise LogUnavailable(f"{subject}: no acknowledgement of {APPENDS_MAX} appends")

    def _sized(self, draft: Draft[C, E, S]) -> bytes:
        """The draft as a message, cut to as many commands as fit."""
        while draft.events:
            body = self.codec.encode(
                draft.events if self.elsewhere is None else self.elsewhere.kept(draft.events),
                draft.causes,
                decision_id=self.new_id(),
                at=draft.at,
                previous_hash=draft.held.hash,
                snapshot=draft.held.snapshot,
            )
            if len(body) <= BYTES_MAX or not draft.halve():
                return body
        return b""

    def _held(self, draft: Draft[C, E, S], seq: int, body: bytes) -> Held[S]:
        """The history once the draft is its last message."""
        before = draft.held
        position = f"{seq}.{len(draft.events) - 1}"
        since = before.since + len(draft.events)
        last_hash = chain_hash(before.hash, body)
        return Held(seq, last_hash, position, draft.state_at(seq), before.snapshot, since)

    async def _found(
        self,
        subject: str,
        draft: Draft[C, E, S],
        after: Sequence[Stored],
        commands: Sequence[Addressed[C]],
    ) -> Outcome[E, S]:
        """The draft got in, although nobody said so; perhaps others have followed since."""
        own = after[0]
        if len(after) == 1:
            return self._settled(subject, draft, self._held(draft, own.seq, own.body))
        held = await self._load(subject, commands)
        return self._settled(subject, draft, held, seq=own.seq)

    def _settled(
        self, subject: str, draft: Draft[C, E, S], held: Held[S], *, seq: int | None = None
    ) -> Outcome[E, S]:
        """The outcome of a draft that is message `seq` (by default the held history's last)."""
        seq = held.seq if seq is None else seq
        if held.seq:
            self.cache.put(subject, held)
        events = [(f"{seq}.{index}", event) for index, event in enumerate(draft.events)]
        answers = draft.answers(seq)
        return Outcome(held.state, held.seq, events, answers, draft.taken, draft.held.seq)

    def _refused(self, refusal: Refused, commands: Sequence[Addressed[C]]) -> Outcome[E, S]:
        """Every command has the same answer: there can be no such history."""
        answers = [Answer(refusal=refusal) for _ in commands]
        return Outcome(self.decider.initial, 0, [], answers, len(commands))

    async def _found_or_new(
        self, subject: str, commands: Sequence[Addressed[C]], *, guess: bool
    ) -> Held[S]:
        """The history as it is, or as it must be if it is as new as it looks.

        Of one that may be old that is no guess to make: where the log has forgotten it, what is
        appended as its beginning would be taken.
        """
        if not guess or self.is_new is None or not self.is_new(commands) or self.is_old(subject):
            return await self._load(subject, commands)
        if self.absent is not None:
            await self.absent(subject, commands)
        return await self._folded(subject, Found([], [], NO_HASH), commands)

    async def _load(self, subject: str, commands: Sequence[Addressed[C]]) -> Held[S]:
        """Reads the history, from its last snapshot on, and folds it.

        One that lives on though the log has nothing of it any more is carried forward.
        """
        found = await self._reading.history(subject)
        if not found.messages and self.absent is not None:
            await self.absent(subject, commands)
        held = await self._folded(subject, found, commands)
        if found.is_logged:
            return held
        return await self._carried(subject, held._replace(seq=0, snapshot=0))

    @property
    def _reading(self) -> Reading[E, S]:
        return Reading(
            log=self.log,
            codec=self.codec,
            snapshots=self.snapshots,
            archive=self.archive,
            is_old=self.is_old,
        )

    async def _folded(
        self, subject: str, found: Found[E], commands: Sequence[Addressed[C]]
    ) -> Held[S]:
        """The history that was found, folded."""
        placed = [
            (f"{message.seq}.{index}", event)
            for message, decision in zip(found.messages, found.decisions, strict=True)
            for index, event in enumerate(decision.events)
        ]
        positions = [position for position, _ in placed]
        events = list(await self.whole([event for _, event in placed]))
        if found.snapshot and self.snapshots is not None:
            events[0] = await self.snapshots.opened(events[0])
        state = self.decider.initial
        if self.begin is not None:
            state = await self.begin(subject, events, commands)
        for position, event in zip(positions, events, strict=True):
            state = self.decider.evolve(state, self.decider.at_rest(event, position))
        seq = found.messages[-1].seq if found.messages else 0
        last = positions[-1] if positions else None
        return Held(seq, found.hash, last, state, found.snapshot, len(events))

    async def _keep(self, subject: str) -> int:
        """Takes a snapshot of a history that has grown; its sequence, 0 for none.

        Without one the history is only slower to read.
        """
        held = self.cache.get(subject)
        if held is None or self.snapshots is None:
            return 0
        if not self.snapshots.is_due(held.state, held.since):
            return 0
        try:
            return (await self._snap(subject, held, carried=False)).seq
        except Exception as error:  # noqa: BLE001 - the decision before it stands all the same
            _log.warning("no snapshot now", subject=subject, error=repr(error))
            self.cache.put(subject, held._replace(since=0))
            return 0

    async def _carried(self, subject: str, held: Held[S]) -> Held[S]:
        """The history with its state at the beginning of the log again, if it may go on."""
        if self.snapshots is None or not self.snapshots.is_live(held.state):
            return held
        return await self._snap(subject, held, carried=True)

    async def _snap(self, subject: str, held: Held[S], *, carried: bool) -> Held[S]:
        """Appends a snapshot of exactly this state; raises as `append` and the store do."""
        assert self.snapshots is not None
        event = await self.snapshots.taken(subject, held.state, carried=carried)
        body = self.codec.encode(
            [event],
            [Cause(id=self.new_id(), actor=SNAPSHOTS, events=1)],
            decision_id=self.new_id(),
            at=self.now(),
            previous_hash=held.hash,
            snapshot=held.snapshot,
        )
        try:
            seq = await self.log.append(subject, body, expected=held.seq)
        except (VersionConflict, AppendUnknown):
            self.cache.drop(subject)
            raise
        state = self.decider.evolve(held.state, event)
        kept = Held(seq, chain_hash(held.hash, body), f"{seq}.0", state, seq, 0)
        self.cache.put(subject, kept)
        return kept

    async def whole(self, events: Sequence[E]) -> Sequence[E]:
        """Events of a history as the rules need them."""
        return events if self.elsewhere is None else await self.elsewhere.told(events)
