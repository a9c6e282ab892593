"""Ports on the loopback address: a free one to listen on, and who answers there."""

import random
import socket

from penstock.dev.errors import ServerFailed

HOST = "127.0.0.1"
PORTS = range(20_000, 30_000)
"""Below every system's range for outgoing connections: a server that restarts finds its port free,
and a client that redials a dead one cannot connect to itself."""
TRIES_MAX = 200


def is_free(port: int, host: str = HOST) -> bool:
    """Whether a server could listen on `port` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(taken: frozenset[int] = frozenset()) -> int:
    """A port nobody listens on and that is not in `taken`."""
    for port in random.SystemRandom().sample(PORTS, TRIES_MAX):
        if port not in taken and is_free(port):
            return port
    raise ServerFailed(f"no free port among {TRIES_MAX} tried from {PORTS.start} to {PORTS.stop}")
