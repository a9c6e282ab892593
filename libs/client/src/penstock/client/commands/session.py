"""What a command works with: its options, the client, and standard output."""

import os
import sys
from functools import cached_property
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console, RenderableType

from penstock.client import users
from penstock.client.client import Client
from penstock.client.connection import find
from penstock.client.errors import NotConfigured, Unauthorized
from penstock.client.options import Options

FILE_WIDTH: Final = 200
"""Of a table that goes into a file or a pipe, where nothing has to fit a screen."""


def renewed(url: str, refresh_token: str) -> users.Tokens:
    """The next tokens of a session. Raises NotConfigured when it is over."""
    try:
        with Client(url, "none") as client:
            return client.send(users.refresh(refresh_token))
    except Unauthorized:
        raise NotConfigured("the session is over: penstock login, or penstock logout") from None


class Session:
    """One invocation of the command. `as_json`: answer as JSON, one document or one a line."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self.as_json = options.as_json
        self.console = Console(highlight=False)
        if not self.console.is_terminal:
            self.console.width = FILE_WIDTH

    @property
    def data_dir(self) -> Path | None:
        """The folder of a local stack, if one was named."""
        return self._options.data_dir

    @cached_property
    def client(self) -> Client:
        """The client of the Penstock that the options name. Raises NotConfigured."""
        options = self._options
        found = find(os.environ, data_dir=options.data_dir, tenant=options.tenant, renew=renewed)
        return Client(found.url, found.api_key, tenant=found.tenant)

    def answer(self, value: object) -> None:
        """One JSON document on a line of its own: several of them are NDJSON."""
        sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
        sys.stdout.flush()

    def write(self, text: str) -> None:
        """A file's text, byte for byte."""
        sys.stdout.write(text)
        sys.stdout.flush()

    def say(self, text: RenderableType, *, style: str | None = None) -> None:
        """Something for people; text is shown as it is, whatever brackets are in it."""
        self.console.print(text, style=style, markup=False, soft_wrap=True)
