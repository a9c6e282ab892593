"""Requests by the thousand, made of what the OpenAPI document says, and of what it forbids.

Every operation gets its share: values that fit their schemas, values that do not, and ids of things
that exist. An answer may be any that the document names for the operation, in the shape that it
names; nothing may be a fault of ours. What is made depends on the seed alone, apart from ids.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

TIMEOUT_S = 30.0
EXISTING_SHARE = 0.7
"""Of the requests that fit their schemas: how many are about something that exists."""
FINDINGS_MAX = 50
"""More would say the same again."""
SHOWN_MAX = 600
CHECKED: tuple[CheckFunction, ...] = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)
REFUSING: tuple[CheckFunction, ...] = (*CHECKED, negative_data_rejection)
"""Of requests that the document forbids: they must not be taken."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """An installation to ask.

    ids: of things that exist, by the name of the path parameter. waiting: runs that do not end, for
    what is asked of those; who watches one would wait with it.
    """

    url: str
    tenant_key: str
    admin_key: str
    ids: Mapping[str, tuple[str, ...]]
    waiting: tuple[str, ...] = ()


@dataclass
class Found:
    """What came of it: requests by status and by operation, and what was wrong, told once each."""

    statuses: Counter[int] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    findings: dict[str, str] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """How many were made."""
        return sum(self.statuses.values())


def fuzz(target: Target, *, number: int, first_seed: int) -> Found:
    """Make about `number` requests, spread evenly over all operations."""
    document = requests.get(f"{target.url}/api/openapi.json", timeout=TIMEOUT_S).json()
    schema = schemathesis.openapi.from_dict(document)
    operations = [each.ok() for each in schema.get_all_operations() if isinstance(each, Ok)]
    # What exists is there for all others first.
    operations.sort(key=lambda operation: operation.method == "delete")
    share = max(2, round(number / len(operations)))
    found = Found()
    with requests.Session() as session:
        for place, operation in enumerate(operations):
            for mode in GenerationMode:
                asking = Asking(target, session, operation, mode, found)
                asking.ask(share // 2, first_seed + place)
    return found


@dataclass(frozen=True)
class Asking:
    """One operation, asked as it wants to be (positive) or as it does not."""

    target: Target
    session: requests.Session
    operation: APIOperation[Any, Any, Any, Any]
    mode: GenerationMode
    found: Found

    def ask(self, number: int, first_seed: int) -> None:
        """Make up to `number` requests; fewer where there are not as many different ones."""
        budget = settings(
            max_examples=number,
            phases=[Phase.generate],
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        cases = self.operation.as_strategy(generation_mode=self.mode)
        try:
            seed(first_seed)(budget(given(cases, st.randoms())(self._one)))()
        except Unsatisfiable:
            # What takes anything, or nothing, cannot be asked wrongly.
            assert self.mode is GenerationMode.NEGATIVE, self.operation.label

    def _one(self, case: Case[Any], random: Any) -> None:
        if self.mode is GenerationMode.POSITIVE:
            for name in case.path_parameters:
                known = self._known(name)
                if known and random.random() < EXISTING_SHARE:
                    case.path_parameters[name] = random.choice(known)
        response = case.call(
            base_url=self.target.url,
            session=self.session,
            headers=self._credential(),
            timeout=TIMEOUT_S,
        )
        self.found.statuses[response.status_code] += 1
        self.found.operations[self.operation.label] += 1
        checks = CHECKED if self.mode is GenerationMode.POSITIVE else REFUSING
        try:
            case.validate_response(response, checks=list(checks))
        except FailureGroup as group:
            for each in group.exceptions:
                self._note(type(each).__name__, str(each), case)
        except Failure as failure:
            self._note(type(failure).__name__, str(failure), case)

    def _known(self, name: str) -> tuple[str, ...]:
        known = self.target.ids.get(name, ())
        is_for_living = name == "run_id" and self.operation.method == "post"
        return known + self.target.waiting if is_for_living else known

    def _credential(self) -> dict[str, str]:
        permission = self.operation.definition.raw.get("x-permission", "")
        is_platform = permission.startswith("tenants:")
        key = self.target.admin_key if is_platform else self.target.tenant_key
        return {"Authorization": f"Bearer {key}"}

    def _note(self, kind: str, said: str, case: Case[Any] | None) -> None:
        key = f"{self.operation.label}: {kind}: {said.splitlines()[0][:120]}"
        if key not in self.found.findings and len(self.found.findings) < FINDINGS_MAX:
            asked = "" if case is None else case.as_curl_command()
            self.found.findings[key] = f"{said[:SHOWN_MAX]}\n{asked[:SHOWN_MAX]}"
