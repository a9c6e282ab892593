"""`make bench`: the workloads on a stack of its own, as a table and as JSON."""

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from penstock.dev.options import StackOptions
from penstock.dev.stack import Stack
from penstock.infra.settings import SyncInterval
from tests.benchmarks.backlog import BACKLOG, backlog
from tests.benchmarks.front import FRONT, front
from tests.benchmarks.long import EVENTS, LONG, long_run
from tests.benchmarks.measure import calibration_ms, cpu_shares, figures, pss_bytes
from tests.benchmarks.workloads import PROCESSES, WORKLOADS, Bench, Workload

REPETITIONS = 3
IDLE_S = 5.0
MIB = 1024 * 1024


async def measured(
    names: list[str], repetitions: int, interval: SyncInterval, long_events: int = 0
) -> dict[str, Any]:
    """The figures of the workloads on one fresh stack, and of the stack when it is idle.

    long_events: of the long run that is built at the end, 0 for none.
    """
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as directory:
        options = StackOptions(data_dir=Path(directory), port=0, sync_interval=interval, keep=False)
        async with Stack(options) as stack:
            await asyncio.sleep(IDLE_S)
            idle = pss_bytes(stack.pid(name) for name in PROCESSES)
            bench = await Bench.on(stack)
            asked = [workload for workload in WORKLOADS if workload.name in names]
            found = {w.name: await figures_of(bench, w, repetitions) for w in asked}
            await bench.close()
            if FRONT in names:
                found[FRONT] = await front(stack)
            if BACKLOG in names:
                found[BACKLOG] = await backlog(stack)
            if long_events:
                found[LONG] = await long_run(stack, long_events)
    return {"idle_pss_mib": round(idle / MIB), **found}


async def figures_of(bench: Bench, workload: Workload, repetitions: int) -> dict[str, Any]:
    """The figures of one workload."""
    samples = await bench.measure(workload, repetitions)
    return {
        **figures(samples),
        "cpu_us_per_step": cpu_shares(samples),
        "calibration_ms": round(calibration_ms(), 1),
    }


def table(found: dict[str, Any], title: str) -> Table:
    """The figures for people."""
    shown = Table(title=title)
    headings = (
        "",
        "steps/s (range)",
        "CPU s/1,000",
        "bytes/step",
        "step p50/p99 ms",
        "run p50/p99 ms",
    )
    for heading in (*headings, "wall s", "CPU us a step", "calibration ms"):
        shown.add_column(heading)
    for workload in WORKLOADS:
        row = found.get(workload.name)
        if row is None:
            continue
        shares = row["cpu_us_per_step"].items()
        low, high = row["steps_per_s_min"], row["steps_per_s_max"]
        shown.add_row(
            workload.name,
            f"{row['steps_per_s']:,.0f} ({low:,.0f}-{high:,.0f})",
            f"{row['cpu_s_per_1000']:.3f}",
            f"{row['bytes_per_step']:,}",
            f"{row['p50_ms']:.2f} / {row['p99_ms']:.2f}",
            f"{row['run_p50_ms']:.1f} / {row['run_p99_ms']:.1f}",
            f"{row['wall_s']:.2f}",
            " ".join(f"{name.removesuffix('-0')} {us:.0f}" for name, us in shares),
            f"{row['calibration_ms']:.0f}",
        )
    return shown


def long_table(found: dict[str, float]) -> Table:
    """The figures of the long run for people."""
    shown = Table("", "", title="one long run, and one wide definition")
    for name, value in found.items():
        shown.add_row(name, f"{value:,.2f}")
    return shown


def at_the_door(found: dict[str, float]) -> str:
    """The figures of W6 for people."""
    return (
        f"W6: {found['requests_per_s']:,.0f} execute/s, {found['api_cpu_ms']:.2f} ms CPU of the API"
        f" each ({found['stack_cpu_ms']:.2f} of all), p50/p99 {found['p50_ms']:.0f} /"
        f" {found['p99_ms']:.0f} ms; beside W1 at {found['beside_steps_per_s']:,} steps/s"
        f" {found['beside_requests_per_s']:.0f} execute/s with p50/p99"
        f" {found['beside_p50_ms']:.0f} / {found['beside_p99_ms']:.0f} ms"
    )


def beside(found: dict[str, float]) -> str:
    """The figures of W8 for people."""
    return (
        f"W8: {found['steps']} single steps beside {found['waiting_min']:,.0f} waiting ones or more"
        f" start after p50/p99 {found['p50_ms']:.0f} / {found['p99_ms']:.0f} ms; weights"
        f" {found['weights']}:1 give {found['shares']:.2f}:1 at {found['steps_per_s']:,.0f} steps/s"
    )


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description="Measure the workloads.")
    parser.add_argument("--out", type=Path, help="file for the figures as JSON")
    names = [*(w.name for w in WORKLOADS), FRONT, BACKLOG, LONG]
    parser.add_argument("--only", nargs="*", default=names, choices=names, metavar="W")
    parser.add_argument("--long-events", type=int, default=EVENTS, help="of the long run")
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    parser.add_argument("--no-sync-always", action="store_true", help="leave out the second pass")
    return parser.parse_args()


def main() -> None:
    """Measure, print, write."""
    asked = arguments()
    console = Console(width=200 if not sys.stdout.isatty() else None)
    events = asked.long_events if LONG in asked.only else 0
    found = asyncio.run(
        measured(asked.only, asked.repetitions, SyncInterval.EVERY_TWO_MINUTES, events)
    )
    console.print(table(found, "sync_interval 2 min (the broker's default), one replica"))
    console.print(f"idle: {found['idle_pss_mib']} MiB PSS over all processes")
    if FRONT in found:
        console.print(at_the_door(found[FRONT]))
    if BACKLOG in found:
        console.print(beside(found[BACKLOG]))
    if events:
        console.print(long_table(found[LONG]))
    if not asked.no_sync_always:
        always = asyncio.run(measured(asked.only, asked.repetitions, SyncInterval.ALWAYS))
        console.print(table(always, "sync_interval always, one replica"))
        found["sync_always"] = always
    if asked.out is not None:
        asked.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
