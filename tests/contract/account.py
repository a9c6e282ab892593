"""An aggregate small enough to reason about: a purse that is opened once and paid into."""

from msgspec import Struct
from msgspec.structs import replace

from penstock.domain.decider import Decider
from penstock.domain.errors import Conflict, NotFound
from penstock.domain.payload import AT_REST_MAX_BYTES, Payload, at_rest
from penstock.infra.eventlog.cache import Cache
from penstock.infra.eventlog.draft import Addressed
from penstock.infra.eventlog.log import EventLog
from penstock.infra.eventlog.transact import Ledger
from penstock.messages.catalogue import Catalogue
from penstock.messages.codec import Codec


class Opened(Struct, frozen=True, tag=True, tag_field="type"):
    owner: str


class Paid(Struct, frozen=True, tag=True, tag_field="type"):
    payment: str
    amount: int
    note: Payload | None = None


Event = Opened | Paid


class Open(Struct, frozen=True):
    owner: str


class Pay(Struct, frozen=True):
    """Pays `times` times; every payment has a number of its own."""

    payment: str
    amount: int
    note: Payload | None = None
    times: int = 1


Command = Open | Pay


class Account(Struct, frozen=True):
    owner: str = ""
    balance: int = 0
    payments: frozenset[str] = frozenset()
    notes: tuple[Payload, ...] = ()


def evolve(account: Account, event: Event) -> Account:
    match event:
        case Opened(owner=owner):
            return replace(account, owner=owner)
        case Paid():
            notes = account.notes if event.note is None else (*account.notes, event.note)
            return replace(
                account,
                balance=account.balance + event.amount,
                payments=account.payments | {event.payment},
                notes=notes,
            )


def decide(command: Command, account: Account, *, at: int) -> list[Event]:
    match command:
        case Open(owner=owner):
            if account.owner not in {"", owner}:
                raise Conflict("somebody else's")
            return [] if account.owner else [Opened(owner)]
        case Pay():
            if not account.owner:
                raise NotFound
            if command.payment in account.payments:
                return []
            names = [command.payment, *(f"{command.payment}.{n}" for n in range(1, command.times))]
            return [Paid(name, command.amount, command.note) for name in names]


def rested(event: Event, position: str) -> Event:
    if isinstance(event, Paid) and event.note is not None:
        return replace(event, note=at_rest(event.note, f"{position}/note"))
    return event


def names_its_place(event: Event) -> bool:
    note = event.note if isinstance(event, Paid) else None
    return note is not None and note.size > AT_REST_MAX_BYTES


ACCOUNT: Decider[Command, Event, Account] = Decider(
    initial=Account(),
    evolve=evolve,
    decide=decide,
    at_rest=rested,
    names_its_place=names_its_place,
)
CODEC: Codec[Event] = Codec(
    "account",
    Event,
    catalogue=Catalogue({"account": Event}, changed={}, number=1),
    upcasters={},
)


def ledger(log: EventLog, *, entries_max: int = 100) -> Ledger[Command, Event, Account]:
    return Ledger(
        log=log, cache=Cache(entries_max), decider=ACCOUNT, codec=CODEC, now=lambda: 1_000
    )


def sent(command: Command, command_id: str = "c-1") -> Addressed[Command]:
    return Addressed(command, command_id, "key:test")
