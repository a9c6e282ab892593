"""The `penstock` command as a user calls it, on a stack that is found by its data folder."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

from penstock.dev.stack import Stack

EXAMPLES = Path(__file__).parents[2] / "examples"
COMMAND_TIMEOUT_S = 60


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    def document(self) -> Any:
        """Standard output as one JSON document."""
        return json.loads(self.out)


async def penstock(stack: Stack, *words: str, typed: str = "") -> Done:
    """Run the command on a stack. typed: its standard input."""
    start = "import sys; from penstock.client.cli import main; sys.exit(main())"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", start, *words, "--data-dir", str(stack.data_dir)),
        cwd=EXAMPLES.parent,
        env=kept,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(typed.encode()), COMMAND_TIMEOUT_S)
    return Done(process.returncode or 0, out.decode(), err.decode())
