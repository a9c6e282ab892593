"""What a workload cost: CPU over all processes, bytes stored, and how fast this machine is now."""

import statistics
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import psutil

CALIBRATION_ROUNDS = 2_000_000


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One repetition of a workload.

    wall_s: until the read models had caught up. cpu_s: user and system, by process. bytes: growth
    of the event log and of Postgres. run_ms: one entry a run, from its start to its end. step_ms:
    in chains, from one step's end to the next one's.
    """

    steps: int
    wall_s: float
    cpu_s: Mapping[str, float]
    stored_bytes: int
    run_ms: tuple[float, ...]
    step_ms: tuple[float, ...]


def cpu_by_process(pids: Mapping[str, int]) -> dict[str, float]:
    """CPU seconds so far of each process with its children, those that have ended included."""
    spent = {}
    for name, pid in pids.items():
        process = psutil.Process(pid)
        own = process.cpu_times()
        total = own.user + own.system + own.children_user + own.children_system
        for child in process.children(recursive=True):
            try:
                of_child = child.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += of_child.user + of_child.system
        spent[name] = total
    return spent


def pss_bytes(pids: Iterable[int]) -> int:
    """Proportional set size of processes and their children together."""
    total = 0
    for pid in pids:
        process = psutil.Process(pid)
        for each in [process, *process.children(recursive=True)]:
            total += each.memory_full_info().pss
    return total


def calibration_ms() -> float:
    """How long a fixed loop takes now: figures are only comparable where this one is."""
    begun = time.perf_counter()
    total = 0
    for number in range(CALIBRATION_ROUNDS):
        total += number & 7
    return (time.perf_counter() - begun) * 1000


def percentile(values: Iterable[float], part: float) -> float:
    """The value below which `part` (0 to 1) of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def figures(samples: list[Sample]) -> dict[str, float]:
    """The medians of the repetitions, with the range of the speed.

    p50_ms, p99_ms: of a step where steps come one after the other (W1, W3), else of a run.
    """
    speeds = [sample.steps / sample.wall_s for sample in samples]
    costs = [sum(s.cpu_s.values()) / s.steps * 1000 for s in samples]
    runs = [ms for sample in samples for ms in sample.run_ms]
    steps = [ms for sample in samples for ms in sample.step_ms] or runs
    return {
        "steps_per_s": round(statistics.median(speeds), 1),
        "steps_per_s_min": round(min(speeds), 1),
        "steps_per_s_max": round(max(speeds), 1),
        "cpu_s_per_1000": round(statistics.median(costs), 4),
        "bytes_per_step": round(statistics.median(s.stored_bytes / s.steps for s in samples)),
        "wall_s": round(statistics.median(s.wall_s for s in samples), 3),
        "p50_ms": round(percentile(steps, 0.5), 3),
        "p99_ms": round(percentile(steps, 0.99), 3),
        "run_p50_ms": round(percentile(runs, 0.5), 3),
        "run_p99_ms": round(percentile(runs, 0.99), 3),
    }


def cpu_shares(samples: list[Sample]) -> dict[str, float]:
    """CPU microseconds a step of each process, medians."""
    return {
        name: round(statistics.median(s.cpu_s[name] / s.steps * 1e6 for s in samples), 1)
        for name in samples[0].cpu_s
    }
