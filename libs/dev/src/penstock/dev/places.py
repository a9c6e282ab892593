"""Which process of which service listens where."""

from penstock.dev.errors import PortTaken
from penstock.dev.options import StackOptions, StackSettings
from penstock.dev.ports import free_port, is_free
from penstock.dev.services import Place


def places(options: StackOptions, settings: StackSettings) -> tuple[Place, ...]:
    """A place for every process: `api-0` on the port asked for, `api-1` on the next, and so on.

    Raises `PortTaken` when one of the API's ports is in use.
    """
    first = settings.api_port if options.port is None else options.port
    taken: set[int] = set()

    def fresh() -> int:
        taken.add(port := free_port(frozenset(taken)))
        return port

    found = []
    for service, count in options.counts().items():
        for number in range(count):
            asked = service == "api" and first != 0
            port = _asked(settings.api_host, first + number) if asked else fresh()
            taken.add(port)
            found.append(Place(service, number, port, fresh()))
    return tuple(found)


def _asked(host: str, port: int) -> int:
    if not is_free(port, host):
        said = "choose another one with --port or PENSTOCK_API_PORT"
        raise PortTaken(f"the API port {port} of {host} is taken: {said}")
    return port
