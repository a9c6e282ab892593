"""What is said without being stored: questions, cancels, replies; and what everybody can reach."""

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

from tests.simulation.loop import Process
from tests.simulation.tables import Tables
from tests.simulation.world import World

Heard = Callable[[Any], Awaitable[None]]


class Subscription:
    """Ends when it is told to."""

    def __init__(self, network: "Network", subject: str) -> None:
        self._network = network
        self._subject = subject

    async def unsubscribe(self) -> None:
        """Hear no more."""
        self._network.inboxes.pop(self._subject, None)


class Network:
    """Core messages, heard once or never. blobs: the object store. tables: the read models.

    listeners: by the first three tokens of a subject, who hears everything below it.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.blobs: dict[str, bytes] = {}
        self.tables = Tables()
        self.inboxes: dict[str, tuple[Process, Heard]] = {}
        self.listeners: dict[str, list[tuple[Process, Callable[[str, bytes, str], None]]]] = {}
        self._inbox = 0

    def new_inbox(self) -> str:
        """A subject that nobody else has."""
        self._inbox += 1
        return f"_INBOX.{self._inbox}"

    def subscribe(self, process: Process, subject: str, cb: Heard) -> Subscription:
        """Hear an inbox."""
        self.inboxes[subject] = (process, cb)
        return Subscription(self, subject)

    def listen(
        self, process: Process, family: str, heard: Callable[[str, bytes, str], None]
    ) -> None:
        """Have `heard(subject, body, reply)` called for each message of a family."""
        self.listeners.setdefault(family, []).append((process, heard))

    def say(self, subject: str, body: bytes, reply: str = "") -> None:
        """Each listener hears it after a while, or not at all."""
        world = self.world
        inbox = self.inboxes.get(subject)
        if inbox is not None:
            process, cb = inbox
            if not self._is_lost():
                message = SimpleNamespace(subject=subject, data=body)
                world.loop.after(world.latency(), process, self._to_inbox, subject, cb, message)
            return
        family = ".".join(subject.split(".", 3)[:3])
        for process, heard in self.listeners.get(family, ()):
            if process.alive and not self._is_lost():
                world.loop.after(
                    world.latency(), process, self._to_listener, heard, (subject, body, reply)
                )

    def _to_listener(
        self, heard: Callable[[str, bytes, str], None], said: tuple[str, bytes, str]
    ) -> None:
        self.world.note("heard", said[0])
        heard(*said)

    def _to_inbox(self, subject: str, cb: Heard, message: Any) -> None:
        if subject in self.inboxes:
            self.world.note("answered", subject)
            self.world.loop.create_task(cb(message))  # type: ignore[arg-type]

    def _is_lost(self) -> bool:
        lost = self.world.chance(self.world.faults.lost_core)
        if lost:
            self.world.note("core message lost")
        return lost
