"""The SDK's models and routes against the API's own OpenAPI document."""

import re
from typing import Any

import msgspec
import pytest
from fastapi import FastAPI

from penstock.api.app import MODELS, routes
from penstock.api.openapi import document
from penstock.client import (
    audit,
    control,
    forks,
    health,
    models,
    runs,
    secrets,
    tenant_connections,
    tenants,
    usage,
    users,
    variables,
    workflows,
)
from penstock.client.calls import Call

SHAPES: list[tuple[type[models.Model], str]] = [
    (models.Run, "RunShown"),
    (models.Step, "StepShown"),
    (models.Attempt, "AttemptShown"),
    (models.Progress, "Progress"),
    (models.Accepted, "Accepted"),
    (models.BulkTold, "BulkTold"),
    (models.ForkPlan, "ForkPlan"),
    (models.Wait, "WaitShown"),
    (models.CauseTotal, "TotalShown"),
    (models.Span, "SpanShown"),
    (models.Explanation, "Explanation"),
    (models.Event, "EventShown"),
    (audit.AuditEvent, "AuditEventShown"),
    (audit.Origin, "OriginShown"),
    (audit.ChainHead, "HeadShown"),
    (audit.ChainProblem, "ProblemShown"),
    (audit.Verdict, "VerdictShown"),
    (models.Workflow, "WorkflowShown"),
    (models.Version, "VersionShown"),
    (models.Side, "Side"),
    (models.Comparison, "DifferenceShown"),
    (models.Imported, "ImportShown"),
    (models.Validation, "Judgement"),
    (models.Variable, "VariableShown"),
    (secrets.Secret, "SecretShown"),
    (tenant_connections.Connection, "ConnectionShown"),
    (models.Tenant, "TenantShown"),
    (tenants.Deletion, "DeletionShown"),
    (models.ApiKey, "KeyShown"),
    (usage.Usage, "UsageShown"),
    (usage.LimitUses, "LimitsShown"),
    (usage.LimitUse, "LimitShown"),
    (usage.Waits, "WaitingShown"),
    (users.User, "UserShown"),
    (users.Tokens, "TokensShown"),
]
OF_HEADERS = {(models.Workflow, "etag"), (models.Imported, "etag"), (models.Variable, "etag")}
"""Members that an answer's headers give, not its body."""
CALLS: list[Call[Any]] = [
    runs.start("ID"),
    runs.get_run("ID"),
    runs.list_runs(),
    runs.steps("ID"),
    runs.events("ID"),
    runs.cancel("ID"),
    runs.cancel_all(),
    runs.state("ID"),
    runs.explain("ID"),
    runs.open_stream("ID"),
    forks.retry("ID"),
    forks.plan_retry("ID"),
    forks.fork("ID", from_step="a"),
    forks.plan_fork("ID", at="1.0"),
    forks.retry_all(),
    control.pause("ID"),
    control.resume("ID"),
    control.signal("ID", "ID"),
    control.approve("ID", "ID"),
    control.reject("ID", "ID"),
    workflows.create(name="w"),
    workflows.get_workflow("ID"),
    workflows.list_workflows(),
    workflows.update("ID", name="w"),
    workflows.delete_workflow("ID"),
    workflows.validate({}),
    workflows.versions("ID"),
    workflows.version("ID", "ID"),
    workflows.draft_version("ID", {}),
    workflows.publish("ID", "ID"),
    workflows.pin("ID", "ID"),
    workflows.unpin("ID"),
    workflows.compare("ID", 1, 2),
    workflows.export_workflow("ID"),
    workflows.import_workflow({}),
    variables.create_variable("v", 1),
    variables.get_variable("ID"),
    variables.list_variables(),
    variables.update_variable("ID", 1),
    variables.delete_variable("ID"),
    secrets.create_secret("s", "v"),
    secrets.list_secrets(),
    secrets.update_secret("ID", "v"),
    secrets.remove_secret("ID"),
    tenant_connections.create_connection("c", "bearer", {}),
    tenant_connections.get_connection("ID"),
    tenant_connections.list_connections(),
    tenant_connections.update_connection("ID", "bearer", {}),
    tenant_connections.remove_connection("ID"),
    tenants.create_tenant("t"),
    tenants.get_tenant("ID"),
    tenants.list_tenants(),
    tenants.update_tenant("ID", {}),
    tenants.delete_tenant("ID"),
    tenants.tenant_deletion("ID"),
    tenants.create_api_key("k", role="viewer"),
    tenants.list_api_keys(),
    tenants.delete_api_key("ID"),
    users.create_user("a@example.org", role="viewer"),
    users.list_users(),
    users.get_user("ID"),
    users.update_user("ID", role="viewer"),
    users.delete_user("ID"),
    users.log_in("a@example.org", "p"),
    users.refresh("t"),
    users.log_out("t"),
    health.health(),
    usage.usage(),
    audit.audit_events(),
    audit.verify_audit(),
    audit.open_export(),
]
ANY = frozenset({"string", "integer", "number", "boolean", "null", "object", "array"})

Schema = dict[str, Any]


@pytest.fixture(scope="module")
def api() -> Schema:
    """The API's document."""
    app = FastAPI()
    app.router.routes.extend(routes())
    return document(app, routes(), MODELS)


@pytest.fixture(scope="module")
def defined(api: Schema) -> Schema:
    """The schemas of the API's document, by name."""
    found: Schema = api["components"]["schemas"]
    return found


def kinds(schema: Schema, known: Schema) -> frozenset[str]:
    """Which JSON types a schema admits."""
    if "$ref" in schema:
        return kinds(known[schema["$ref"].rpartition("/")[2]], known)
    if "anyOf" in schema:
        return frozenset[str]().union(*(kinds(each, known) for each in schema["anyOf"]))
    if "enum" in schema:
        return frozenset({"string"})
    told = schema.get("type", ANY)
    return frozenset({told} if isinstance(told, str) else told)


def client_schema(model: type[models.Model]) -> tuple[Schema, Schema]:
    """The properties of a model of ours, and all schemas they refer to."""
    (_, *_), known = msgspec.json.schema_components([model], ref_template="#/{name}")
    return known[model.__name__]["properties"], known


@pytest.mark.parametrize(("model", "name"), SHAPES, ids=str)
def test_a_model_has_the_members_of_the_api(
    model: type[models.Model], name: str, defined: Schema
) -> None:
    ours = client_schema(model)[0].keys() - {member for of, member in OF_HEADERS if of is model}
    assert ours == defined[name]["properties"].keys()


@pytest.mark.parametrize(("model", "name"), SHAPES, ids=str)
def test_a_model_takes_whatever_the_api_may_say(
    model: type[models.Model], name: str, defined: Schema
) -> None:
    ours, known = client_schema(model)
    refused = {
        member: (said, kinds(ours[member], known))
        for member, schema in defined[name]["properties"].items()
        if not (said := kinds(schema, defined)) <= kinds(ours[member], known)
    }
    assert refused == {}


def test_a_runs_statuses_are_the_apis(defined: Schema) -> None:
    assert [str(status) for status in models.RunStatus] == defined["RunStatusShown"]["enum"]


def test_a_problem_is_read_from_what_the_api_writes(defined: Schema) -> None:
    ours = client_schema(models.Problem)[0].keys()
    assert ours - defined["ProblemDocument"]["properties"].keys() == set()
    assert client_schema(models.ProblemDetail)[0].keys() == defined["Detail"]["properties"].keys()


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method} {call.path}")
def test_a_call_goes_to_a_route_of_the_api(call: Call[Any]) -> None:
    known = {
        (method, re.sub(r"\{[^}]*\}", "ID", route.path))
        for route in routes()
        for method in route.methods or ()
    }
    assert (call.method, call.path) in known


def test_lists_ask_by_parameters_that_the_route_has(api: Schema) -> None:
    asked = runs.list_runs(
        status="running", workflow="w", tag="t", trigger="api", limit=1, cursor="c"
    )
    taken = {each["name"] for each in api["paths"][asked.path]["get"]["parameters"]}
    assert asked.params.keys() <= taken
