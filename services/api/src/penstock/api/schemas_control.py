"""The shapes of what is asked of runs that exist, and of what is told about them."""

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from penstock.api.schemas import Wire

STEP_ID_MAX = 600
PLACE_MAX = 40


class Fork(Wire):
    """Where a fork begins, and what is different in it.

    from_step: a step's path; it and all behind it have their turn again. at: a position or a time,
    inclusive. Without either, all that succeeded is kept. input: another one; definition: another
    drawing, in which the steps that are the same in both are kept.
    """

    from_step: Annotated[str | None, Field(max_length=STEP_ID_MAX)] = None
    at: Annotated[str | None, Field(max_length=PLACE_MAX)] = None
    input: Any = None
    definition: dict[str, Any] | None = None

    @model_validator(mode="after")
    def one_place(self) -> Self:
        """A fork begins at one place."""
        if self.from_step is not None and self.at is not None:
            raise ValueError("fromStep and at name two places, and a fork begins at one")
        return self


class ForkPlan(Wire):
    """What a fork would do: steps that are kept, that run again, and whose effects may repeat.

    goes_on: loops among them of which the iterations that succeeded are kept.
    """

    forked_from: dict[str, str]
    kept: list[str]
    runs_again: list[str]
    goes_on: list[str]
    repeats_effects: list[str]


class WaitShown(Wire):
    """One thing that waits, or is being worked on; the run itself has no step id."""

    step_id: str | None
    cause: str
    since: datetime | None
    until: datetime | None
    on: list[str]
    detail: str


class TotalShown(Wire):
    """How much of a run's time one cause took."""

    cause: str
    ms: int


class SpanShown(Wire):
    """A part of a run's time with one cause."""

    from_: Annotated[datetime, Field(alias="from")]
    to: datetime
    cause: str
    ms: int


class Explanation(Wire):
    """Why a run is where it is, and where its time went: totals of all, the longest spans.

    is_whole: false where the history is too long (over 200,000 events) for its time to be told.
    """

    run_id: str
    status: str
    waits: list[WaitShown]
    from_: Annotated[datetime, Field(alias="from")]
    to: datetime
    total_ms: int
    is_whole: bool
    totals: list[TotalShown]
    timeline: list[SpanShown]
