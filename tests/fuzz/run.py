"""`make fuzz`: ten thousand requests out of the OpenAPI document, on a stack of their own.

Exit code 1 when an answer was a fault of ours or none that the document names; each such finding
is told once, with a request that led to it.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from time import monotonic

from penstock.dev.options import StackOptions
from penstock.dev.stack import Stack
from tests.fuzz.fuzzing import Found, fuzz
from tests.fuzz.premises import furnished

REQUESTS = 10_500
"""Some operations have fewer different requests than their share: ten thousand are left."""
SEED = 1


async def fuzzed(number: int, seed: int) -> Found:
    """What came of so many requests."""
    with tempfile.TemporaryDirectory(prefix="penstock-fuzz-") as folder:
        async with Stack(StackOptions(data_dir=Path(folder), port=0, keep=False)) as stack:
            target = await furnished(stack)
            return await asyncio.to_thread(fuzz, target, number=number, first_seed=seed)


def main() -> None:
    """Fuzz, and tell."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description=__doc__)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--seed", type=int, default=SEED)
    asked = parser.parse_args()
    began = monotonic()
    found = asyncio.run(fuzzed(asked.requests, asked.seed))
    for key, said in found.findings.items():
        print(f"{key}\n{said}\n")
    statuses = ", ".join(f"{count} x {status}" for status, count in sorted(found.statuses.items()))
    print(f"{found.requests} requests to {len(found.operations)} operations: {statuses}")
    print(f"seed {asked.seed}, {monotonic() - began:.0f} s, {len(found.findings)} findings")
    sys.exit(1 if found.findings or not found.requests else 0)


if __name__ == "__main__":
    main()
