"""Checking definitions with our expression and schema engines: what a user's document must pass."""

from penstock.domain.workflow.parse import LIMITS, Limits, Parsed
from penstock.domain.workflow.validate import Checks, check
from penstock.infra.expressions import Expressions
from penstock.infra.schemas import check_config, check_schema


class Validation:
    """Reads and validates documents; keeps what it compiled for the next one."""

    def __init__(self, expressions: Expressions | None = None) -> None:
        engine = Expressions() if expressions is None else expressions
        self.checks = Checks(expression=engine.check, config=check_config, schema=check_schema)

    def check(
        self, document: object, *, name: str | None = None, limits: Limits = LIMITS
    ) -> Parsed:
        """The definition of a document, or all its problems; see `penstock…validate.check`."""
        return check(document, self.checks, name=name, limits=limits)
