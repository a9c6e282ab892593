"""`email`: one message to a server that takes mail, over a connection.

Output `{messageId, accepted, rejected}`.
"""

from collections.abc import Mapping
from typing import Any

from penstock.executor.context import StepContext
from penstock.executor.inputs import StepInput
from penstock.executor.outcome import Done


async def run(context: StepContext, config: Mapping[str, Any], _: StepInput) -> Done:
    """Send the message. Raises StepFault where no recipient was accepted."""
    # The client and the parser of headers take 15 MiB, which few processes have a use for.
    from penstock.executor import mailing

    return await mailing.sent(context, config)
