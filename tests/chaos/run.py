"""`make chaos`: 60 kills over every kind of process under a load of mixed runs."""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from penstock.dev.options import StackOptions
from penstock.dev.stack import Stack
from tests.chaos.receiver import Receiver
from tests.chaos.storm import Plan, Storm

TARGETS = (
    "api-0",
    "scheduler-0",
    "scheduler-1",
    "executor-0",
    "executor-1",
    "projector-0",
    "nats",
    "postgres",
)
VERIFY_TIMEOUT_S = 120


async def storm(plan: Plan, directory: Path) -> Storm:
    """Blow and check; raises AssertionError for a broken promise."""
    options = StackOptions(
        data_dir=directory,
        port=0,
        keep=False,
        schedulers=2,
        executors=2,
        env={"PENSTOCK_EGRESS_ALLOW": "127.0.0.0/8"},
    )
    receiver = Receiver()
    await receiver.start()
    async with Stack(options) as stack:
        blown = Storm(stack, receiver, plan)
        await blown.blow()
        await blown.check()
        await asyncio.to_thread(verify, directory)
        await blown.close()
    await receiver.stop()
    return blown


def verify(directory: Path) -> None:
    """`penstock audit verify` must find nothing."""
    command = Path(sys.executable).with_name("penstock")
    verified = subprocess.run(
        [command, "audit", "verify", "--data-dir", directory],
        capture_output=True,
        text=True,
        timeout=VERIFY_TIMEOUT_S,
        check=False,
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr


def main() -> None:
    """Blow once, as asked for, and say what happened."""
    parser = argparse.ArgumentParser(description="Kill processes at random under load.")
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    asked = parser.parse_args()
    plan = Plan(
        seed=asked.seed,
        runs=asked.runs,
        kills=asked.kills,
        targets=TARGETS,
        pause_s=(0.3, 2.0),
        settle_s=120.0,
    )
    print(f"seed {plan.seed}: {plan.kills} kills, {plan.runs} runs")
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="penstock-chaos-") as directory:
        blown = asyncio.run(storm(plan, Path(directory)))
    calls = sum(len(keys) for keys in blown.receiver.keys.values())
    print(f"killed {dict(blown.log.killed)}")
    print(
        f"{len(blown.log.accepted)} accepted runs ended, {calls} outside calls, each step one key"
    )
    print(f"audit clean, no run without an owner; {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
