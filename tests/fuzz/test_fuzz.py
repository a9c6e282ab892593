"""A few hundred requests out of the OpenAPI document; `make fuzz` makes ten thousand."""

import asyncio
from pathlib import Path

from penstock.dev.options import StackOptions
from penstock.dev.stack import Stack
from tests.fuzz.fuzzing import fuzz
from tests.fuzz.premises import furnished

REQUESTS = 300
SEED = 4


async def test_every_answer_is_one_that_the_document_names(tmp_path: Path) -> None:
    async with Stack(StackOptions(data_dir=tmp_path, port=0, keep=False)) as stack:
        target = await furnished(stack)
        found = await asyncio.to_thread(fuzz, target, number=REQUESTS, first_seed=SEED)
    assert not found.findings, "\n\n".join(f"{key}\n{said}" for key, said in found.findings.items())
    assert found.requests > REQUESTS / 2
    assert max(found.statuses) < 500
    assert len(found.statuses) > 5, "requests of one kind only find nothing"
