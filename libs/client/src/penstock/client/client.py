"""The sync client: `with Client() as penstock: penstock.runs.start("hello", {"name": "you"})`.

Its methods are the functions of `runs`, `control`, `forks`, `workflows`, `variables`, `secrets`,
`tenant_connections`, `users`, `tenants`, `audit`, with the same arguments: each sends the call
that its function makes, again if need be, and returns what the call answers.
"""

import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Generic, ParamSpec, Self, TypeVar

import httpx

from penstock.client import (
    audit,
    control,
    forks,
    health,
    runs,
    secrets,
    tenant_connections,
    tenants,
    transport,
    usage,
    users,
    variables,
    workflows,
)
from penstock.client.calls import Answer, Call, NoAnswer, failed
from penstock.client.follow import Follow, ended_well
from penstock.client.models import Event, Page, Run
from penstock.client.pages import PAGES_MAX, following, in_full
from penstock.client.retry import RETRIES, Pause, Retries, attempts
from penstock.client.usage import Usage

P = ParamSpec("P")
T = TypeVar("T")


class Noun:
    """What the methods below are about; knows the client that sends for them."""

    def __init__(self, client: "Client") -> None:
        self.client = client


class Sends(Generic[P, T]):
    """A function that makes a call, as a method that sends it."""

    def __init__(self, make: Callable[P, Call[T]]) -> None:
        self.make = make
        self.__doc__ = make.__doc__

    def __get__(self, noun: Noun, owner: type) -> Callable[P, T]:
        def method(*args: P.args, **kwargs: P.kwargs) -> T:
            return noun.client.send(self.make(*args, **kwargs))

        method.__doc__ = self.make.__doc__
        return method


class Runs(Noun):
    """Start runs, read them, wait for them, control and stop them, begin new ones from them."""

    start = Sends(runs.start)
    get = Sends(runs.get_run)
    list = Sends(runs.list_runs)
    steps = Sends(runs.steps)
    events = Sends(runs.events)
    cancel = Sends(runs.cancel)
    cancel_all = Sends(runs.cancel_all)
    state = Sends(runs.state)
    explain = Sends(runs.explain)
    retry = Sends(forks.retry)
    plan_retry = Sends(forks.plan_retry)
    fork = Sends(forks.fork)
    plan_fork = Sends(forks.plan_fork)
    retry_all = Sends(forks.retry_all)
    pause = Sends(control.pause)
    resume = Sends(control.resume)
    signal = Sends(control.signal)
    approve = Sends(control.approve)
    reject = Sends(control.reject)

    def stream(self, run_id: str, *, after: str | None = None) -> Iterator[Event]:
        """Every event of a run, past ones first, until it ends; broken connections are mended.

        after: a position; only what came later is given. Raises NotFound, Unreachable.
        """
        return self.client.follow(Follow(run_id, after=after, retries=self.client.retries))

    def result(self, run_id: str, *, timeout_s: float | None = None) -> Run:
        """The run once it has ended in success.

        Raises RunUnsuccessful, WaitTimeout (the run goes on), NotFound, Unreachable.
        """
        follow = Follow(run_id, after=None, retries=self.client.retries, timeout_s=timeout_s)
        for _ in self.client.follow(follow):
            pass
        return ended_well(self.get(run_id, read_after=follow.position))


class Workflows(Noun):
    """Make workflows, read them, give them new versions."""

    create = Sends(workflows.create)
    get = Sends(workflows.get_workflow)
    list = Sends(workflows.list_workflows)
    update = Sends(workflows.update)
    delete = Sends(workflows.delete_workflow)
    validate = Sends(workflows.validate)
    versions = Sends(workflows.versions)
    version = Sends(workflows.version)
    draft_version = Sends(workflows.draft_version)
    publish = Sends(workflows.publish)
    pin = Sends(workflows.pin)
    unpin = Sends(workflows.unpin)
    compare = Sends(workflows.compare)
    export = Sends(workflows.export_workflow)
    import_ = Sends(workflows.import_workflow)


class Variables(Noun):
    """Make, read and change variables, which templates read as `vars.<name>`."""

    create = Sends(variables.create_variable)
    get = Sends(variables.get_variable)
    list = Sends(variables.list_variables)
    update = Sends(variables.update_variable)
    delete = Sends(variables.delete_variable)


class Secrets(Noun):
    """Set and remove secrets, which some fields of steps read as `secrets.<name>`."""

    create = Sends(secrets.create_secret)
    list = Sends(secrets.list_secrets)
    update = Sends(secrets.update_secret)
    remove = Sends(secrets.remove_secret)


class Connections(Noun):
    """Make, read and change connections, by which steps reach servers of others."""

    create = Sends(tenant_connections.create_connection)
    get = Sends(tenant_connections.get_connection)
    list = Sends(tenant_connections.list_connections)
    update = Sends(tenant_connections.update_connection)
    remove = Sends(tenant_connections.remove_connection)


class Users(Noun):
    """Add people to this tenant, give them roles, remove them."""

    create = Sends(users.create_user)
    get = Sends(users.get_user)
    list = Sends(users.list_users)
    update = Sends(users.update_user)
    delete = Sends(users.delete_user)


class Tenants(Noun):
    """Make and change tenants, with the platform admin's key."""

    create = Sends(tenants.create_tenant)
    get = Sends(tenants.get_tenant)
    list = Sends(tenants.list_tenants)
    update = Sends(tenants.update_tenant)
    delete = Sends(tenants.delete_tenant)
    deletion = Sends(tenants.tenant_deletion)


class ApiKeys(Noun):
    """Make and drop keys of this tenant."""

    create = Sends(tenants.create_api_key)
    list = Sends(tenants.list_api_keys)
    delete = Sends(tenants.delete_api_key)


class Audit(Noun):
    """Read who did what in this tenant, and prove that nothing of it changed."""

    events = Sends(audit.audit_events)
    verify = Sends(audit.verify_audit)

    def export(self, *, after: str | None = None) -> Iterator[bytes]:
        """All events up to now, one JSON text a line, with what proves them.

        Raises Forbidden, Unreachable (also in the midst: go on after the last position).
        """
        return self.client.lines(audit.open_export(after=after))


class Client:
    """Penstock over HTTP. Safe to share between threads.

    url, api_key: by default PENSTOCK_URL and PENSTOCK_API_KEY. tenant: the one that a platform
    admin's key speaks for. timeout_s: of one try. Raises NotConfigured.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        tenant: str | None = None,
        timeout_s: float = transport.TIMEOUT_S,
        retries: Retries = RETRIES,
    ) -> None:
        self._http = httpx.Client(**transport.settings(url, api_key, tenant, timeout_s))
        self.retries = retries
        self.runs = Runs(self)
        self.workflows = Workflows(self)
        self.variables = Variables(self)
        self.secrets = Secrets(self)
        self.connections = Connections(self)
        self.tenants = Tenants(self)
        self.users = Users(self)
        self.api_keys = ApiKeys(self)
        self.audit = Audit(self)

    def usage(self) -> Usage:
        """Each limit of the tenant with what is used of it."""
        return self.send(usage.usage())

    def health(self) -> dict[str, Any]:
        """`{ok, broker, database, projectionLag, …}`. Raises Unavailable when not ok."""
        return self.send(health.health())

    def send(self, call: Call[T]) -> T:
        """What any call answers, tried as often as `retries` says."""
        conversation = attempts(call, self.retries)
        said = next(conversation)
        while True:
            try:
                said = conversation.send(self._done(said))
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]

    def _done(self, said: Call[Any] | Pause) -> Answer | NoAnswer | None:
        if isinstance(said, Pause):
            time.sleep(said.seconds)
            return None
        try:
            return transport.answered(self._http.request(**transport.request(said)))
        except httpx.TransportError as error:
            return transport.unanswered(error)

    def pages(self, call: Call[Page[T]]) -> Iterator[T]:
        """The items of all pages from this call's on: `pages(runs.list_runs(tag="x"))`."""
        asked: Call[Page[T]] | None = in_full(call)
        for _ in range(PAGES_MAX):
            if asked is None:
                return
            page = self.send(asked)
            yield from page.items
            asked = following(asked, page)

    def follow(self, follow: Follow) -> Iterator[Event]:
        """The events of a stream over as many connections as it takes."""
        while not follow.ended:
            try:
                yield from self._connection(follow)
            except httpx.TransportError as error:
                follow.broke(transport.unanswered(error))
            if not follow.ended:
                time.sleep(follow.rest_s())

    def _connection(self, follow: Follow) -> Iterator[Event]:
        """The events that one connection brings."""
        with self._http.stream(**transport.stream(follow)) as response:
            if not response.is_success:
                response.read()
                follow.broke(transport.answered(response))
                return
            for chunk in response.iter_bytes():
                yield from follow.feed(chunk)
                if follow.ended:
                    return

    def lines(self, call: Call[None]) -> Iterator[bytes]:
        """The lines of an answer that may be longer than memory; it is asked for once."""
        try:
            with self._http.stream(**transport.request(call)) as response:
                if not response.is_success:
                    response.read()
                    raise failed(transport.answered(response)) or AssertionError
                for line in response.iter_lines():
                    yield line.encode()
        except httpx.TransportError as error:
            raise failed(transport.unanswered(error)) or AssertionError from error

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
