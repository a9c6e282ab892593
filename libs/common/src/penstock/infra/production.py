"""What a production process refuses to start with: each rule says what to change.

A rule is about a field of the settings, wherever a process has one of that name; what is not given
is no concern of it. Two more are about the process itself: whose it is, and who else may read the
files that its secrets come from.
"""

import base64
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr
from pydantic_settings import BaseSettings

from penstock.infra.egress.allowed import parse_allowed, too_wide

KEY_CHARACTERS_MIN = 32
DISTINCT_MIN = 12
"""Different characters of a key, or bytes, or steps between bytes: a random one has far more."""
PASSWORD_CHARACTERS_MIN = 12
GUESSABLE = re.compile(r"change.?me|default|example|insecure|password|placeholder", re.IGNORECASE)
ROOT = 0

Judge = Callable[[Any], str | None]


def unsafe(settings: BaseSettings, prefix: str, file_suffix: str) -> dict[str, str]:
    """Each variable that is unsafe in production, and what is wrong with it, without its value."""
    problems = {
        prefix + name.upper(): said
        for name, judge in RULES.items()
        if (said := _judged(judge, getattr(settings, name, None))) is not None
    }
    if "nats_url" in settings.model_fields_set:
        # Somebody else's server syncs as that somebody has said.
        problems.pop(f"{prefix}NATS_SYNC_INTERVAL", None)
    if os.geteuid() == ROOT:
        problems[f"{prefix}ENV"] = "production does not run as root: give it a user of its own"
    return problems | dict(_open_files(settings, prefix, file_suffix))


def _judged(judge: Judge, value: Any) -> str | None:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    return judge(text) if text else None


def _weak_key(text: str) -> str | None:
    if len(text) < KEY_CHARACTERS_MIN:
        return f"needs at least {KEY_CHARACTERS_MIN} characters in production"
    if len(set(text)) < DISTINCT_MIN or GUESSABLE.search(text):
        return "is no random key: make one, with `openssl rand -base64 48`"
    return None


def _weak_encryption_key(text: str) -> str | None:
    raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_")
    steps = {(later - earlier) % 256 for earlier, later in pairwise(raw)}
    if len(set(raw)) < DISTINCT_MIN or len(steps) < DISTINCT_MIN:
        return "is no random key: make one, with `openssl rand -base64 32 | tr +/ -_`"
    return None


def _weak_encryption_keys(keys: tuple[SecretStr, ...]) -> str | None:
    return next(filter(None, (_weak_encryption_key(key.get_secret_value()) for key in keys)), None)


def _weak_login(urls: str) -> str | None:
    for url in urls.split(","):
        password = unquote(urlsplit(url.strip()).password or "")
        if password and (len(password) < PASSWORD_CHARACTERS_MIN or GUESSABLE.search(password)):
            return f"needs a random password of at least {PASSWORD_CHARACTERS_MIN} characters"
    return None


def _debugging(level: str) -> str | None:
    return "debug lines say more than a production log may hold" if level == "debug" else None


def _lazy_sync(interval: str) -> str | None:
    if interval == "always":
        return None
    return "must be always in production: a power cut would take what was acknowledged"


def _open_origins(origins: tuple[str, ...]) -> str | None:
    if all(origin.startswith("https://") for origin in origins):
        return None
    return "must be origins that begin with https:// in production, and not *"


def _open_networks(entries: tuple[str, ...]) -> str | None:
    wide = too_wide(parse_allowed(entries))
    return f"{wide[0]} is wider than any private network" if wide else None


RULES: Final[Mapping[str, Judge]] = {
    "admin_key": _weak_key,
    "jwt_secret": _weak_key,
    "key_encryption_key": _weak_encryption_key,
    "key_encryption_keys_old": _weak_encryption_keys,
    "database_url": _weak_login,
    "nats_url": _weak_login,
    "log_level": _debugging,
    "nats_sync_interval": _lazy_sync,
    "cors_origins": _open_origins,
    "egress_allow": _open_networks,
}
"""By the names of fields."""


def _open_files(settings: BaseSettings, prefix: str, file_suffix: str) -> Iterator[tuple[str, str]]:
    """The files of secrets that everybody on the machine may read."""
    for name, field in type(settings).model_fields.items():
        variable = f"{prefix}{name.upper()}{file_suffix}"
        path = os.environ.get(variable)
        is_secret = not field.repr or "SecretStr" in repr(field.annotation)
        if path and is_secret and Path(path).stat().st_mode & stat.S_IROTH:
            yield variable, "others may read that file: take that away, with chmod o-r"
