"""`python -m tests.integration.dev.serving DIRECTORY`: a stub stack in the foreground, as `up`."""

import asyncio
import sys
from functools import partial
from pathlib import Path

from penstock.dev.foreground import serve
from penstock.dev.stack import Stack
from tests.integration.dev.stubs import stub_options

if __name__ == "__main__":
    stack = Stack(stub_options(Path(sys.argv[1])))
    say = partial(print, flush=True)
    asyncio.run(serve(stack, say, lambda _: say("ready")))
