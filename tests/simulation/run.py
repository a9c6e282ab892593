"""Many seeds, on all cores, and what happened in them.

    python -m tests.simulation.run [--seeds N] [--first K] [--minutes M] [--workers W]
    python -m tests.simulation.run --seed K [--verbose]
    python -m tests.simulation.run --definition K [--dies-after N]

After the seeds a scheduler dies after each decision of a run of each of 50 definitions.

A seed is a bug report: what failed once fails the same way for ever, on any machine.
"""

import argparse
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, islice
from multiprocessing import get_context
from multiprocessing.pool import Pool

from msgspec import Struct

from tests.simulation.crashes import DEFINITIONS, crashes, differences, lived
from tests.simulation.life import Ended, life

SEEDS = 1_500
CHUNK = 10
SHOWN_MAX = 5
"""Failing seeds that are told in full."""

NOT_COUNTED = frozenset({"faults", "peace", "log", "asked"})
"""Notes that are no event: nothing reaches anybody by them."""


class Tally(Struct):
    """What came of all seeds so far."""

    seeds: int = 0
    runs: int = 0
    decided: int = 0
    world_s: float = 0.0
    happened: Counter[str] = Counter()
    failed: list[Ended] = []

    def add(self, ended: Ended) -> None:
        """One more life."""
        self.seeds += 1
        self.runs += ended.runs
        self.decided += ended.decided
        self.world_s += ended.seconds
        self.happened.update(ended.happened)
        if ended.problem:
            self.failed.append(ended)

    @property
    def events(self) -> int:
        """Everything that reached somebody or was kept from it; see `docs/testing.md`."""
        return sum(times for kind, times in self.happened.items() if kind not in NOT_COUNTED)


def main(arguments: list[str]) -> int:
    """0 if every invariant holds, else 1."""
    asked = parsed(arguments)
    if asked.seed is not None:
        return one(asked.seed, verbose=asked.verbose)
    if asked.definition is not None:
        return one_definition(asked.definition, asked.dies_after)
    failed = many(asked) + crashed(asked)
    return 1 if failed else 0


def parsed(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.run", description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many seeds")
    parser.add_argument("--first", type=int, default=1, help="the first one")
    parser.add_argument("--minutes", type=float, help="go on for so long instead of --seeds")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--definitions", type=int, default=DEFINITIONS, help="with crashes")
    parser.add_argument("--definition", type=int, help="only this one")
    parser.add_argument("--dies-after", type=int, help="one life of --definition")
    parser.add_argument("--verbose", action="store_true", help="with --seed: show its tape")
    return parser.parse_args(arguments)


def one(seed: int, *, verbose: bool) -> int:
    """One seed, told in full."""
    ended = life(seed, print if verbose else None)
    print(f"seed {seed}: {ended.runs} runs, {ended.decided} events in the log {ended.digest}")
    print(f"seed {seed}: {ended.problem or 'every invariant holds'}")
    return 1 if ended.problem else 0


def one_definition(number: int, dies_after: int | None) -> int:
    """One definition with crashes, or with one."""
    if dies_after is None:
        problems = crashes(number).problems
    else:
        peace, life_of_it = lived(number), lived(number, dies_after)
        found = life_of_it.problem, *differences(peace.outcome, life_of_it.outcome)
        problems = tuple(filter(None, found))
    print(*problems or (f"definition {number}: every crash leaves the same end",), sep="\n")
    return 1 if problems else 0


@contextmanager
def workers(asked: argparse.Namespace) -> Iterator[Pool]:
    """Processes, spawned, so that each seed finds the same fresh one everywhere."""
    with get_context("spawn").Pool(asked.workers) as pool:
        yield pool
        pool.close()
        pool.join()


def many(asked: argparse.Namespace) -> int:
    """All seeds, over all cores; how many fail."""
    began = time.monotonic()
    tally = Tally(happened=Counter(), failed=[])
    until = None if asked.minutes is None else began + 60 * asked.minutes
    with workers(asked) as pool:
        for ended in pool.imap_unordered(life, seeds(asked, until), CHUNK):
            tally.add(ended)
            if ended.problem and len(tally.failed) <= SHOWN_MAX:
                print(f"FAILED {ended.problem}\n  replay: {replay(ended.seed)}", flush=True)
    tell(tally, time.monotonic() - began, asked.workers)
    return len(tally.failed)


def crashed(asked: argparse.Namespace) -> int:
    """All definitions, each with a crash after every decision; how many lives go wrong."""
    began, decisions, failed = time.monotonic(), 0, 0
    with workers(asked) as pool:
        for found in pool.imap_unordered(crashes, range(1, asked.definitions + 1)):
            decisions += found.decisions
            failed += len(found.problems)
            for problem in found.problems[:1]:
                print(f"FAILED {problem[:400]}", flush=True)
    seconds = time.monotonic() - began
    print(f"{asked.definitions} definitions, a crash after each of {decisions} decisions, ", end="")
    print(f"{seconds:.1f} s: {f'{failed} FAILED' if failed else 'the same end each time'}")
    return failed


def seeds(asked: argparse.Namespace, until: float | None) -> Iterator[int]:
    """The seeds asked for; with a time limit as many as fit into it."""
    if until is None:
        yield from range(asked.first, asked.first + asked.seeds)
        return
    for seed in count(asked.first):
        if time.monotonic() > until:
            return
        yield seed


def replay(seed: int) -> str:
    """The command that shows a seed again."""
    return f"python -m tests.simulation.run --seed {seed} --verbose"


def tell(tally: Tally, seconds: float, workers: int) -> None:
    """What there is to say about all of it."""
    print(f"\n{tally.seeds} seeds, {tally.runs} runs, {tally.world_s / 3600:.1f} h of their time")
    for kind, times in sorted(tally.happened.items(), key=lambda item: -item[1]):
        if kind not in NOT_COUNTED:
            print(f"  {times:>10,}  {kind}")
    print(f"  {tally.decided:>10,}  (events of runs in the logs, not counted again)")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = used.ru_utime + used.ru_stime
    print(
        f"{tally.events:,} events in {seconds:.1f} s on {workers} processes: "
        f"{tally.seeds / seconds:.1f} seeds/s, {60 * tally.events / seconds:,.0f} events a minute "
        f"({60 * tally.events / cpu_s:,.0f} a minute of CPU time, {cpu_s:.0f} s of it)"
    )
    worst = sorted(tally.failed, key=lambda ended: ended.decided)
    if worst:
        kinds = Counter(ended.problem.partition(":")[0] for ended in worst)
        print(f"{len(worst)} seeds FAILED: {dict(kinds)}; the shortest: {replay(worst[0].seed)}")
        for ended in islice(worst, SHOWN_MAX):
            print(f"  seed {ended.seed}: {ended.problem[:240]}")
    else:
        print("every invariant holds")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
