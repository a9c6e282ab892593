"""Who may ask for what, written down by hand from the contract's words and not from the code.

`viewer` reads, `member` runs, `editor` writes workflows, `admin` has users, keys, secrets and
limits, `platform_admin` the tenants. What is written here is what the matrix expects, so a route
with the wrong guard fails there, and one without a line here fails too.
"""

from collections.abc import Mapping

PUBLIC, SELF = "public", "self"
"""For everybody; for whoever has a credential, in no tenant's name."""

TABLE = """
public  GET /docs
public  GET /livez
public  GET /metrics
public  GET /readyz
public  GET /api/health
public  GET /api/openapi.json
public  POST /api/auth/accept
public  POST /api/auth/login
public  POST /api/auth/logout
public  POST /api/auth/refresh
public  POST /api/auth/register
self    GET /api/auth/me
self    POST /api/auth/password

viewer  GET /api/workflows
viewer  POST /api/workflows/validate
viewer  GET /api/workflows/{workflow_id}
viewer  GET /api/workflows/{workflow_id}/diff
viewer  GET /api/workflows/{workflow_id}/export
viewer  GET /api/workflows/{workflow_id}/runs
viewer  GET /api/workflows/{workflow_id}/versions
viewer  GET /api/workflows/{workflow_id}/versions/{version}
viewer  GET /api/step-types
viewer  GET /api/variables
viewer  GET /api/variables/{variable}
viewer  GET /api/usage
viewer  GET /api/runs
viewer  GET /api/runs/{run_id}
viewer  GET /api/runs/{run_id}/events
viewer  GET /api/runs/{run_id}/explain
viewer  GET /api/runs/{run_id}/state
viewer  GET /api/runs/{run_id}/steps
viewer  GET /api/runs/{run_id}/stream
viewer  GET /api/executions/{run_id}
viewer  GET /api/executions/{workflow_id}/logs

member  POST /api/workflows/{workflow_id}/execute
member  POST /api/executions/run
member  POST /api/executions/{workflow_id}/execute
member  POST /api/runs/bulk
member  POST /api/runs/{run_id}/approvals/{step_id}
member  POST /api/runs/{run_id}/cancel
member  POST /api/runs/{run_id}/fork
member  POST /api/runs/{run_id}/pause
member  POST /api/runs/{run_id}/resume
member  POST /api/runs/{run_id}/retry
member  POST /api/runs/{run_id}/signals/{name}

editor  POST /api/workflows
editor  POST /api/workflows/import
editor  PUT /api/workflows/{workflow_id}
editor  DELETE /api/workflows/{workflow_id}
editor  POST /api/workflows/{workflow_id}/versions
editor  POST /api/workflows/{workflow_id}/versions/{version}/publish
editor  PUT /api/workflows/{workflow_id}/versions/{version}/pin
editor  DELETE /api/workflows/{workflow_id}/pin
editor  POST /api/variables
editor  PUT /api/variables/{variable}
editor  DELETE /api/variables/{variable}
editor  GET /api/secrets
editor  GET /api/secrets/{secret}
editor  GET /api/connection-types
editor  GET /api/connections
editor  GET /api/connections/{connection}

admin   POST /api/secrets
admin   PUT /api/secrets/{secret}
admin   DELETE /api/secrets/{secret}
admin   POST /api/connections
admin   PUT /api/connections/{connection}
admin   DELETE /api/connections/{connection}
admin   GET /api/users
admin   POST /api/users
admin   GET /api/users/{user_id}
admin   PATCH /api/users/{user_id}
admin   DELETE /api/users/{user_id}
admin   POST /api/users/{user_id}/invitation
admin   GET /api/api-keys
admin   POST /api/api-keys
admin   DELETE /api/api-keys/{key_id}
admin   GET /api/audit/events
admin   GET /api/audit/export
admin   GET /api/audit/verify

platform_admin  GET /api/tenants
platform_admin  POST /api/tenants
platform_admin  GET /api/tenants/{tenant_id}
platform_admin  PATCH /api/tenants/{tenant_id}
platform_admin  DELETE /api/tenants/{tenant_id}
platform_admin  GET /api/tenants/{tenant_id}/deletion
"""
"""Who draws workflows sees which secrets and connections there are, by name, to write them down."""


def _read(table: str) -> Mapping[tuple[str, str], str]:
    lines = [line.split() for line in table.splitlines() if line]
    found = {(method, path): least for least, method, path in lines}
    assert len(found) == len(lines), "a route has two lines"
    return found


LEAST: Mapping[tuple[str, str], str] = _read(TABLE)
"""By method and path."""
