"""How reports are packed into messages."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.domain.payload import inline
from penstock.domain.run.commands import CompleteStep, FailStep
from penstock.domain.run.events import StepError
from penstock.executor.report import BYTES_MAX, REPORTS_MAX, Word, packed, weight_of
from penstock.messages.envelope import Reports, RunReport, encode

MESSAGE_BYTES_MAX = 1024 * 1024


def word(run: str, *, output: int = 2, given: int = 0) -> Word:
    """A report whose payloads have these sizes."""
    report = CompleteStep(
        step_id="s" * 64,
        attempt=1,
        output=inline(b'"' + b"x" * output + b'"'),
        input=inline(b'"' + b"y" * given + b'"') if given else None,
        started_at=1_700_000_000_000,
        finished_at=1_700_000_000_000,
        executor_id="e" * 64,
    )
    return Word(RunReport(tenant="t" * 36, run_id=run, report=report, traceparent="0" * 55), None)


@given(st.lists(st.tuples(st.integers(0, 65_000), st.integers(0, 65_000)), max_size=60))
@settings(max_examples=30, deadline=None)
def test_packs_hold_every_report_once_in_order_within_the_bounds(
    sizes: list[tuple[int, int]],
) -> None:
    words = [word(f"r-{n}", output=out, given=into) for n, (out, into) in enumerate(sizes)]
    packs = list(packed(words))
    assert [each for pack in packs for each in pack] == words
    for pack in packs:
        assert 0 < len(pack) <= REPORTS_MAX
        body = encode(Reports(executor_id="e" * 64, reports=tuple(each.report for each in pack)))
        assert len(body) < MESSAGE_BYTES_MAX
        assert len(pack) == 1 or len(body) <= BYTES_MAX


def test_many_small_reports_are_cut_by_number() -> None:
    packs = list(packed([word(f"r-{n}") for n in range(REPORTS_MAX * 2 + 1)]))
    assert [len(pack) for pack in packs] == [REPORTS_MAX, REPORTS_MAX, 1]


def test_a_reports_weight_is_never_less_than_what_it_takes() -> None:
    error = StepError(code="C", message="é" * 200, details=inline(b'"' + b"x" * 5000 + b'"'))
    failed = FailStep(
        step_id="s", attempt=1, error=error, started_at=1, finished_at=2, executor_id="e"
    )
    assert weight_of(failed) >= len(msgspec.json.encode(failed))
