"""Which Penstock to talk to, and as whom: an option, else the environment, else the local stack.

1. `--data-dir DIR`: the stack that `penstock up --data-dir DIR` runs, by its `penstock.json`.
2. `PENSTOCK_URL` and `PENSTOCK_API_KEY`.
3. `./.penstock/penstock.json`.
4. The server that `penstock login --url` was told, as whom it logged in.

Where somebody has logged in at a local stack, that is who asks, unless a tenant is named.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from penstock.client import signed_in
from penstock.client.errors import NotConfigured
from penstock.client.signed_in import Renew

URL: Final = "PENSTOCK_URL"
API_KEY: Final = "PENSTOCK_API_KEY"
STACK_FILE: Final = "penstock.json"
DATA_DIR: Final = Path(".penstock")


@dataclass(frozen=True, slots=True)
class Connection:
    """A server, a key, and the tenant that a platform admin's key speaks for."""

    url: str
    api_key: str = field(repr=False)
    tenant: str | None = None


class StackFile(Struct, frozen=True, kw_only=True, rename="camel"):
    """What `penstock up` writes about itself, as far as a client needs it."""

    api_url: str
    admin_key: str
    api_key: str
    tenant_id: str


def find(
    environ: Mapping[str, str],
    *,
    data_dir: Path | None = None,
    tenant: str | None = None,
    renew: Renew | None = None,
) -> Connection:
    """The connection that options and environment name. Raises NotConfigured, saying what to do.

    renew: renews the tokens of somebody who has logged in; without it nobody has.
    """
    if data_dir is not None:
        return of_stack(data_dir, tenant=tenant, renew=renew)
    if URL in environ or API_KEY in environ:
        return of_environment(environ, tenant=tenant)
    if (DATA_DIR / STACK_FILE).exists():
        return of_stack(DATA_DIR, tenant=tenant, renew=renew)
    session = None if renew is None else signed_in.current(signed_in.user_file(), renew)
    if session is not None:
        return Connection(session.url, session.token, tenant)
    raise NotConfigured(
        f"no Penstock is known: start one with `penstock up`, name its --data-dir, "
        f"or set {URL} and {API_KEY}"
    )


def of_environment(environ: Mapping[str, str], *, tenant: str | None = None) -> Connection:
    """The connection that the environment names. Raises NotConfigured."""
    missing = [name for name in (URL, API_KEY) if not environ.get(name)]
    if missing:
        raise NotConfigured(f"{' and '.join(missing)} must be set")
    url = environ[URL]
    if not url.startswith(("http://", "https://")):
        raise NotConfigured(f"{URL} must start with http:// or https://")
    return Connection(url, environ[API_KEY], tenant)


def platform(environ: Mapping[str, str], *, data_dir: Path | None = None) -> Connection:
    """The connection of a platform admin: a local stack's, or what the environment names.

    Raises NotConfigured.
    """
    if data_dir is None and (URL in environ or API_KEY in environ):
        return of_environment(environ)
    stack = stack_in(data_dir or DATA_DIR)
    return Connection(stack.api_url, stack.admin_key)


def of_stack(
    data_dir: Path, *, tenant: str | None = None, renew: Renew | None = None
) -> Connection:
    """The connection to a local stack: as its default tenant, or by its admin key as `tenant`.

    As whoever has logged in there, while no tenant is named. Raises NotConfigured.
    """
    stack = stack_in(data_dir)
    if tenant is None and renew is not None:
        session = signed_in.current(data_dir / signed_in.FILE, renew)
        if session is not None and session.url == stack.api_url:
            return Connection(stack.api_url, session.token)
    if tenant is None or tenant == stack.tenant_id:
        return Connection(stack.api_url, stack.api_key)
    return Connection(stack.api_url, stack.admin_key, tenant)


def stack_in(data_dir: Path) -> StackFile:
    """What a local stack says about itself. Raises NotConfigured."""
    path = data_dir / STACK_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=StackFile)
    except FileNotFoundError:
        raise NotConfigured(f"{path} does not exist: no stack has run in {data_dir}") from None
    except OSError as error:
        raise NotConfigured(f"{path} cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotConfigured(f"{path} is not a stack's: {error}") from None
