"""The call that asks whether all is well."""

from typing import Any

from penstock.client.calls import Call, as_json


def health() -> Call[dict[str, Any]]:
    """`{ok, broker, database, projectionLag, …}`, without a credential; Unavailable if not ok."""
    return Call(method="GET", path="/api/health", read=as_json, repeatable=True)
