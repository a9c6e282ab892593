"""What a tenant may use, and what it does use now."""

from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request, Response

from penstock.api import queries_usage
from penstock.api.answers import answered, moment
from penstock.api.auth import UsageReader
from penstock.api.bodies import BODY_MAX_BYTES
from penstock.api.openapi import gives
from penstock.api.parts import Parts, parts_of
from penstock.api.schemas_registry import UsageShown
from penstock.api.writes import read_after
from penstock.domain.payload import PAYLOAD_MAX_BYTES

router = APIRouter(prefix="/api/usage", tags=["usage"])


@router.get("", responses=gives(UsageShown))
async def get_usage(request: Request, caller: UsageReader) -> Response:
    """Each limit of the tenant with what is used of it; null is no limit."""
    parts = parts_of(request)
    await read_after(request, parts)
    return answered(await usage_of(parts, caller.tenant_id, datetime.now(UTC)))


async def usage_of(parts: Parts, tenant_id: str, now: datetime) -> dict[str, Any]:
    """The answer; `used` is null of what is a size, and not used up."""
    limits = await parts.limits.of(tenant_id)
    used = await queries_usage.used(parts.engine, tenant_id, now.date())
    steps = parts.pressure.steps(tenant_id)
    per_minute = limits.requests_per_minute
    asked = 0 if per_minute is None else parts.rates.used_by(tenant_id, per_minute)
    midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), UTC)
    return {
        "tenantId": tenant_id,
        "at": moment(now),
        "limits": {
            "maxWorkflows": {"limit": limits.max_workflows, "used": used.workflows},
            "maxExecutionsPerDay": {
                "limit": limits.max_executions_per_day,
                "used": used.executions,
                "resetsAt": moment(midnight),
            },
            "maxConcurrentRuns": {"limit": limits.max_concurrent_runs, "used": used.running},
            "maxInFlightSteps": {"limit": limits.max_in_flight_steps, "used": steps.out},
            "requestsPerMinute": {"limit": per_minute, "used": asked},
            "retentionDays": {"limit": limits.retention_days},
            "maxPayloadBytes": {"limit": limits.max_payload_bytes or PAYLOAD_MAX_BYTES},
            "maxDefinitionBytes": {"limit": limits.max_definition_bytes or BODY_MAX_BYTES},
        },
        "waiting": {"runs": used.queued, "steps": steps.waiting},
        "storedBytes": used.stored,
        "storedBytesAt": moment(used.measured_at),
    }
