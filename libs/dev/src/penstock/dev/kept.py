"""Secrets that are made once and kept in a file that only its owner can read."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

PASSWORD_BYTES = 24


def kept(path: Path, make: Callable[[], str]) -> str:
    """The secret in `path`, which `make` provides when there is none yet."""
    if not path.exists():
        write_private(path, make() + "\n")
    return path.read_text().strip()


def write_private(path: Path, text: str) -> None:
    """Replace the file at once, so that no reader sees half of it; mode 0600 from the start."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)


def password() -> str:
    """A random password without characters that a URL or SQL would have to escape."""
    return secrets.token_hex(PASSWORD_BYTES)
