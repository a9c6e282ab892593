"""A gate as bytes and back, so that a fold can begin with it."""

import msgspec
from immutables import Map
from msgspec import Struct

from penstock.domain.gate.events import Rule
from penstock.domain.gate.state import Gate
from penstock.domain.queue import Queue


class Snapshot(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What a gate has, in an order that is always the same. lines: by priority, head first."""

    rule: Rule
    holders: dict[str, int] = {}
    lines: tuple[tuple[int, tuple[str, ...]], ...] = ()
    displaced: dict[str, str] = {}
    refused: dict[str, str] = {}
    passed: tuple[int, ...] = ()


DECODER = msgspec.json.Decoder(Snapshot)


def encoded(gate: Gate) -> bytes:
    """The gate as JSON; who has left a line early is not in it any more."""
    lines = (
        (priority, tuple(each for each in line.listed() if gate.waiting.get(each) == priority))
        for priority, line in sorted(gate.lines.items())
    )
    return msgspec.json.encode(
        Snapshot(
            rule=gate.rule,
            holders=dict(sorted(gate.holders.items())),
            lines=tuple(lines),
            displaced=dict(sorted(gate.displaced.items())),
            refused=dict(sorted(gate.refused.items())),
            passed=gate.passed.listed(),
        )
    )


def restored(data: bytes) -> Gate:
    """The gate that was encoded. Raises msgspec.DecodeError for what is none."""
    found = DECODER.decode(data)
    return Gate(
        rule=found.rule,
        holders=Map(found.holders),
        waiting=Map({run_id: priority for priority, line in found.lines for run_id in line}),
        lines=Map({priority: Queue.of(line) for priority, line in found.lines}),
        displaced=Map(found.displaced),
        refused=Map(found.refused),
        passed=Queue.of(found.passed),
    )
