"""What a task carries itself, and what it refers to."""

from msgspec.structs import replace

from penstock.domain.payload import ELSEWHERE, of_value
from penstock.scheduler.tasks import ITEMS, RUN_INPUT, TASK_MAX_BYTES, brought_inline

AT = "7.0/items"


def test_what_is_at_hand_is_carried_but_a_loops_items_are_referred_to() -> None:
    whole = of_value(["x" * 2000])
    at_rest = replace(whole, inline=ELSEWHERE, at=AT)
    wanted = {RUN_INPUT: at_rest, ITEMS: at_rest}
    assert brought_inline(wanted, {AT: whole.inline}) == {RUN_INPUT: whole, ITEMS: at_rest}


def test_a_task_carries_no_more_than_fits() -> None:
    half = of_value("x" * (TASK_MAX_BYTES // 2 - 2))
    at_rest = replace(half, inline=ELSEWHERE, at=AT)
    brought = brought_inline(dict.fromkeys("abc", at_rest), {AT: half.inline})
    assert list(brought.values()) == [half, half, at_rest]
